"""Serving from the command line: the first line on stdout, the end on a signal, seeds, accounts, addresses."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dhis2kv.emulator import Emulator
from dhis2kv.emulator.serve import load_seed, serve_forever


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process and its URL."""
    command = [sys.executable, "-m", "dhis2kv.emulator", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def get(url: str, credentials: str) -> Any:
    """A JSON value as an account reads it."""
    signed = {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}
    with urllib.request.urlopen(urllib.request.Request(url, headers=signed), timeout=10) as reply:
        return json.load(reply)


@pytest.fixture(autouse=True)
def signals_are_restored() -> Iterator[None]:
    """Serving takes the process's signals; tests that begin it in this process give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


SEED = {
    "dhis2kv": 1,
    "dataStore": {"app": {"cfg": {"theme": "dark"}, "secret": "pw"}},
    "userDataStore": {"app": {"mine": 1}},
    "encrypted": {"dataStore": {"app": ["secret"]}},
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    """The URL comes first, when it answers; seed, accounts and version are as asked; a signal ends it quietly."""
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps(SEED), encoding="utf-8")
    options = ["--seed", str(seed), "--version", "2.40", "--superuser", "root:r-Passw0rd", "--user", "ann:a:b"]
    options += ["--group", "Editors: all:ann,root"]
    with running(*options) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        assert get(f"{url}/api/dataStore/app/cfg", "ann:a:b") == {"theme": "dark"}
        assert get(f"{url}/api/userDataStore/app/mine", "root:r-Passw0rd") == 1
        assert get(f"{url}/api/system/info", "root:r-Passw0rd")["version"].startswith("2.40")
        assert get(f"{url}/api/sharing/search?key=edit", "ann:a:b")["userGroups"][0]["name"] == "Editors: all"
        assert process.stdout
        assert process.stdout.readline() == "The superuser is root, with the password r-Passw0rd\n"
        process.send_signal(number)
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0


def test_the_first_signal_ends_it_whenever_it_comes() -> None:
    """A signal that comes right after the port opens, before the first line or after it, ends the server at once."""
    servers: list[tuple[subprocess.Popen[str], int]] = []
    try:
        for _ in range(12):
            port = _free_port()
            command = [sys.executable, "-m", "dhis2kv.emulator", "--port", str(port)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            servers.append((process, port))
        for number, (process, port) in enumerate(servers):
            while not _answers(port):
                assert process.poll() is None, process.communicate()[1]
            process.send_signal((signal.SIGTERM, signal.SIGINT)[number % 2])
        for process, _ in servers:
            assert process.communicate(timeout=20)[1] == ""
            assert process.returncode == 0
    finally:
        for process, _ in servers:
            process.kill()
            process.communicate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def test_restart_keeps_data_and_seeds_only_what_is_absent(tmp_path: Path) -> None:
    """What was written stays across a killed process, and a seed does not overwrite it."""
    seed, db = tmp_path / "seed.json", str(tmp_path / "store.db")
    seed.write_text(json.dumps(SEED), encoding="utf-8")
    options = ["--db", db, "--seed", str(seed)]
    with running(*options) as (process, url):
        change = urllib.request.Request(f"{url}/api/dataStore/app/cfg", b"2", method="PUT")
        change.add_header("Authorization", "Basic YWRtaW46ZGlzdHJpY3Q=")
        change.add_header("Content-Type", "application/json")
        urllib.request.urlopen(change, timeout=10).close()
        process.kill()
    with running(*options) as (_, url):
        assert get(f"{url}/api/dataStore/app/cfg", "admin:district") == 2
        assert sorted(get(f"{url}/api/dataStore/app", "admin:district")) == ["cfg", "secret"]


def test_another_address_is_warned_about() -> None:
    """Only the loopback is served unless another address is named, and then stderr warns."""
    with running("--host", "0.0.0.0") as (process, url):
        assert url.startswith("http://0.0.0.0:")
        process.terminate()
        assert "other machines" in process.communicate(timeout=10)[1]


def test_seeded_secret_is_encrypted(emulator: Emulator) -> None:
    """What a seed lists as encrypted is stored so: read singly, and hidden in bulk."""
    load_seed(emulator, SEED, superuser="admin")
    with emulator.session() as session:
        session.auth = ("admin", "district")
        assert session.get("http://x/api/dataStore/app/secret").json() == "pw"
        bulk = session.get("http://x/api/dataStore/app?fields=.&headless=true&includeAll=true").json()
    assert {entry["key"]: entry["value"] for entry in bulk} == {"cfg": {"theme": "dark"}, "secret": None}


def test_what_a_seed_closes_is_closed(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Sharing by names is that of the accounts and groups here; who is not here is left out, and named."""
    emulator.add_user("ann", "Ann_pw_1!")
    emulator.add_group("Editors", ["ann"])
    wanted = {
        "closed": {"public": "--", "users": {"bob": "r-"}, "groups": {}},
        "shared": {"public": "--", "users": {}, "groups": {"Editors": "r-"}},
    }
    seed = {"dhis2kv": 1, "dataStore": {"app": {"closed": 1, "open": 2, "shared": 3}}}
    load_seed(emulator, {**seed, "sharing": {"dataStore": {"app": wanted}}}, superuser="admin")
    with emulator.serve() as served:
        for key, status in {"closed": 403, "open": 200, "shared": 200}.items():
            try:
                get(f"{served.url}/api/dataStore/app/{key}", "ann:Ann_pw_1!")
                found = 200
            except urllib.error.HTTPError as error:
                found = error.code
                error.close()
            assert found == status, key
    assert capsys.readouterr().err == "left out of the sharing: there is no user 'bob'\n"


@pytest.mark.parametrize(
    ("sharing", "said"),
    [
        ({"app": {"nope": {}}}, "no entry app/nope in dataStore to be shared"),
        ({"app": {"k": {"public": "x"}}}, "no access"),
    ],
)
def test_a_slip_in_sharing_is_no_seed(emulator: Emulator, sharing: object, said: str) -> None:
    """What is meant to be closed is not stored open."""
    seed = {"dhis2kv": 1, "dataStore": {"app": {"k": 1}}, "sharing": {"dataStore": sharing}}
    with pytest.raises(ValueError, match=said):
        load_seed(emulator, seed, superuser="admin")


@pytest.mark.parametrize(
    "seed",
    [
        [],
        {},
        {"dhis2kv": 2},
        {"app": {"k": 1}},
        {"dhis2kv": 1, "dataStore": [1]},
        {"dhis2kv": 1, "dataStore": {"app": 5}},
        {"dhis2kv": 1, "encrypted": ["app"]},
        {"dhis2kv": 1, "datastore": {"app": {"k": 1}}},
        {"dhis2kv": 1, "dataStore": {"app": {"k": 1}}, "encrypt": {"dataStore": {"app": ["k"]}}},
        {"dhis2kv": 1, "dataStore": {"app": {"k": 1}}, "encrypted": {"datastore": {"app": ["k"]}}},
        {"dhis2kv": 1, "dataStore": {"app": {"k": 1}}, "sharing": True},
        {"dhis2kv": 1, "dataStore": {"app": {"k": 1}}, "sharing": {"datastore": {"app": {"k": {}}}}},
        {"dhis2kv": 1, "dataStore": {"app": {"k": 1}}, "sharing": {"dataStore": {"app": {"k": {"publik": "--"}}}}},
    ],
)
def test_other_json_is_no_seed(emulator: Emulator, seed: object) -> None:
    """A file that is no export is refused in a sentence that shows the form of one."""
    with pytest.raises(ValueError, match=r'no export.*"dhis2kv": 1, "dataStore": \{"NAMESPACE": \{"KEY": VALUE'):
        load_seed(emulator, seed, superuser="admin")


@pytest.mark.parametrize("marks", [{"app": ["other"]}, {"other": ["k"]}])
def test_a_mark_of_nothing_is_no_seed(emulator: Emulator, marks: object) -> None:
    """A mark that names no entry is refused, before anything is stored in plain that was meant to be encrypted."""
    seed = {"dhis2kv": 1, "dataStore": {"app": {"k": 1}}, "encrypted": {"dataStore": marks}}
    with pytest.raises(ValueError, match="to be encrypted"):
        load_seed(emulator, seed, superuser="admin")
    with emulator.session() as session:
        session.auth = ("admin", "district")
        assert session.get("http://x/api/dataStore").json() == []


def test_account_without_password_is_refused() -> None:
    """An account is NAME:PASSWORD, or an error says so before anything is served; a secret is not repeated."""
    with pytest.raises(ValueError, match="NAME:PASSWORD, and 'ann'"):
        serve_forever(port=0, users=["ann"])


@pytest.mark.parametrize(("group", "words"), [("Editors", "NAME:MEMBER,MEMBER"), ("Editors:ben", "add the account")])
def test_group_without_accounts_is_refused(group: str, words: str) -> None:
    """A group is NAME:MEMBER,MEMBER with members that are there, or an error says so before anything is served."""
    with pytest.raises(ValueError, match=words):
        serve_forever(port=0, users=["ann:a-Passw0rd"], groups=[group])


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    """A port in use, a seed that is missing or no JSON, and a file that is no database: each is told in a sentence."""
    text = tmp_path / "text"
    text.write_text("no database and no JSON " * 100, encoding="utf-8")
    twice = tmp_path / "twice"
    twice.write_text('{"dhis2kv": 1, "dataStore": {"app": {"a": 1}, "app": {"b": 1}}}', encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ValueError, match="Choose another port"):
            serve_forever(port=taken.getsockname()[1])
        for options, words in (
            ({"db": str(text)}, "cannot be used as a database"),
            ({"seed": str(text)}, "is no JSON"),
            ({"seed": str(twice)}, "'app' stands twice"),
            ({"seed": str(tmp_path / "missing")}, "cannot be read"),
        ):
            with pytest.raises(ValueError, match=words):
                serve_forever(port=0, **options)
