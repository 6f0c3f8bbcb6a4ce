"""The secrets backend for Airflow, in a process of its own: importing Airflow changes the whole process."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import sent

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("airflow"), reason="needs airflow")

README = Path(__file__).parents[2] / "README.rst"


@pytest.fixture
def run(emulator, tmp_path):
    """Run code as a program of an Airflow that is configured as README.rst says; returns what ``answer`` is then."""
    block = re.search(r"^ +\[secrets\]\n(?:(?: {4}.*)?\n)+", README.read_text(encoding="utf-8"), re.M)
    (tmp_path / "airflow.cfg").write_text(textwrap.dedent(block[0]))

    def run(code):
        with emulator.serve() as server:
            environ = {"DHIS2_URL": server.url, "DHIS2_USERNAME": "admin", "DHIS2_PASSWORD": "district"}
            airflow = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__UNIT_TEST_MODE": "False"}
            code = f"import json\n{textwrap.dedent(code)}\nopen('answer.json', 'w').write(json.dumps(answer))"
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=tmp_path,
                env={**os.environ, **environ, **airflow},
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads((tmp_path / "answer.json").read_text())

    return run


def test_airflow_looks_up_in_the_store(emulator, run):
    """Airflow itself, told of the backend in its airflow.cfg, finds connections, variables and options; what is absent
    or null it looks for elsewhere. A look-up costs one request, over one signed-in session."""
    emulator.load(
        {
            "airflow-connections": {
                "uri": "postgresql://user:secret@host:5432/base",
                "object": {"conn_type": "http", "host": "play.dhis2.org", "extra": {"verify": False}},
                "null": None,
            },
            "airflow-variables": {"text": "plain", "object": {"a": [1]}, "number": 5, "null": None},
            "airflow-config": {"database": "sqlite:////data/airflow.db"},
        }
    )
    answer = run("""
        from airflow.configuration import conf
        from airflow.exceptions import AirflowNotFoundException
        from airflow.models import Connection, Variable

        uri, object = (Connection.get_connection_from_secrets(name) for name in ("uri", "object"))
        answer = {
            "option": conf.get("database", "sql_alchemy_conn"),
            "uri": [uri.conn_type, uri.host, uri.port, uri.login, uri.password, uri.schema],
            "object": [object.conn_type, object.host, object.extra_dejson],
            "variables": [Variable.get("text"), Variable.get("object", deserialize_json=True), Variable.get("number")],
            "absent": [Variable.get_variable_from_secrets(name) for name in ("absent", "null", "no/key")],
        }
    """)
    assert answer == {
        "option": "sqlite:////data/airflow.db",
        "uri": ["postgres", "host", 5432, "user", "secret", "base"],
        "object": ["http", "play.dhis2.org", {"verify": False}],
        "variables": ["plain", {"a": [1]}, "5"],
        "absent": [None, None, None],
    }
    signed = ["Cookie" in record.headers for record in emulator.log]
    assert signed == [False] + [True] * (len(signed) - 1)
    targets = [target.removeprefix("/api/dataStore/airflow-") for _, target in sent(emulator)]
    assert [target for target in targets if not target.startswith("config/")] == [
        "connections/uri",
        "connections/object",
        "variables/text",
        "variables/object",
        "variables/number",
        "variables/absent",
        "variables/null",
    ]


def test_the_task_sdk_looks_up_there_too(emulator, run):
    """A task's own look-ups, which go through the task SDK, reach the store as well."""
    emulator.load({"airflow-connections": {"c": "http://host"}, "airflow-variables": {"v": 5}})
    answer = run("""
        from airflow.sdk.configuration import ensure_secrets_loaded

        backend = ensure_secrets_loaded()[0]
        answer = [type(backend).__module__, backend.get_connection("c").host, backend.get_variable("v")]
    """)
    assert answer == ["dhis2kv.contrib.airflow", "host", "5"]


def test_mappings_will_do_and_what_is_not_given_is_not_looked_up(emulator, run):
    """The backend takes any mappings, and looks up only those kinds that it was given; an outage is raised."""
    answer = run("""
        import airflow.secrets  # first: it imports the backend that it is configured with

        from dhis2kv import Store
        from dhis2kv.contrib.airflow import SecretsBackend

        backend = SecretsBackend(variables={"v": [1]}, config=Store("http://127.0.0.1:9", retries=0)["app"])
        variables = [backend.get_variable("v"), backend.get_variable("v", team_name="t")]
        try:
            backend.get_config("k")
        except ConnectionError as error:
            outage = type(error).__name__
        answer = [*variables, backend.get_conn_value("v"), outage]
    """)
    assert answer == ["[1]", "[1]", None, "Unreachable"]
    assert {target for _, target in sent(emulator)} == {"/api/dataStore/airflow-config/database"}  # Airflow's own


def test_stored_texts_are_texts(emulator, run):
    """Airflow puts nothing into what is stored: an option names no command and no variable, a variable is no template,
    a connection is what it says and has no other name; an object that is no connection is an error."""
    hostile = ["{{ var.value.secret }}", "%(fernet_key)s", "$HOME", "${HOME}", "__import__('os')", "!!python/name:os"]
    connection = {"conn_type": "http", "host": "{{ 1/0 }}", "password": "%(x)s", "extra": {"hook": "$HOME"}}
    emulator.load(
        {
            "airflow-connections": {"c": connection, "bad": {"conn_id": "other", "conn_type": "http"}, "list": [1]},
            "airflow-variables": {str(number): text for number, text in enumerate(hostile)} | {"secret": "s3cret"},
            "airflow-config": {"database": "sqlite:////$HOME/%(x)s/{{ 1 }}"},
        }
    )
    answer = run("""
        from airflow.configuration import conf
        from airflow.models import Connection, Variable

        found = Connection.get_connection_from_secrets("c")
        errors = []
        for name in ("bad", "list"):
            try:
                Connection.get_connection_from_secrets(name)
            except Exception as error:
                errors.append(name)
        answer = [
            conf.get("database", "sql_alchemy_conn"),
            [Variable.get(str(number)) for number in range(6)],
            [found.conn_id, found.host, found.password, found.extra_dejson],
            errors,
        ]
    """)
    assert answer == [
        "sqlite:////$HOME/%(x)s/{{ 1 }}",
        hostile,
        ["c", "{{ 1/0 }}", "%(x)s", {"hook": "$HOME"}],
        ["bad", "list"],
    ]
