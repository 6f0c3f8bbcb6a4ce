"""The guided tour."""

import io

import pytest

from dhis2kv import Store, demo
from dhis2kv.emulator import Emulator


def test_the_tour_on_an_emulated_server():
    """Every value is right, each expression stands there with its requests, and the status says so."""
    out = io.StringIO()
    assert demo.run(out=out) == 0
    text = out.getvalue()
    assert text.endswith("\nEvery value was right.\n")
    assert ">>> ns[\"cfg\"]\n{'theme': 'dark', 'limits': [10, 2.5]}\n    GET http://127.0.0.1:" in text
    assert "WRONG" not in text


def test_the_tour_asks_no_proxy(monkeypatch):
    """Where the environment names a proxy, the emulated server on the loopback is asked all the same."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    out = io.StringIO()
    assert demo.run(out=out) == 0


def test_a_wrong_value_shows_in_the_status(monkeypatch):
    """One value that is not right, and the status is 1."""
    monkeypatch.setattr(demo, "_STOPS", [("A lie.", [("len(ns)", 0), ("ns['none']", None)])])
    out = io.StringIO()
    assert demo.run(out=out) == 1
    assert "WRONG: expected 0" in out.getvalue()
    assert out.getvalue().endswith("2 values were wrong.\n")


@pytest.fixture
def live(monkeypatch):
    """A served emulator, as the environment names it."""
    with Emulator("2.38").serve() as server:
        monkeypatch.setenv("DHIS2_URL", server.url)
        monkeypatch.setenv("DHIS2_USERNAME", "admin")
        monkeypatch.setenv("DHIS2_PASSWORD", "district")
        yield Store(server.url, ("admin", "district"))


def test_the_tour_on_a_live_server(live):
    """It stays in its namespace, which is gone afterwards, also where its name has a quotation mark."""
    live["other"]["k"] = live.user["other"]["k"] = 1
    assert demo.run('it\'s "mine"', io.StringIO()) == 0
    assert list(live) == list(live.user) == ["other"]


def test_the_tour_on_the_server_of_a_profile(live, monkeypatch, tmp_path):
    """Where the environment names no server, the default profile does."""
    for name in ("DHIS2_URL", "DHIS2_USERNAME", "DHIS2_PASSWORD"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "dhis2kv" / "profiles.toml"
    file.parent.mkdir()
    file.touch(mode=0o600)
    url = live.datastore.transport.base
    account = 'username = "admin"\npassword = "district"'
    file.write_text(f'default = "play"\n[profiles.play]\nbase_url = "{url}"\n{account}\n')
    assert demo.run("mine", io.StringIO()) == 0


def test_a_live_tour_without_a_server_says_what_to_do(monkeypatch, tmp_path, capsys):
    """Where nothing names a server, a sentence says so, and the status is 2."""
    monkeypatch.delenv("DHIS2_URL", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert demo.run("mine", io.StringIO()) == 2
    assert capsys.readouterr().err.startswith("Error: which server? Set DHIS2_URL")


@pytest.mark.parametrize("user", [False, True])
def test_a_namespace_that_exists_is_left_alone(live, user):
    """Where the namespace exists, in either store, nothing is written."""
    store = live.user if user else live
    store["app"]["k"] = 1
    out = io.StringIO()
    assert demo.run("app", out) == 2
    assert "name one that does not" in out.getvalue()
    assert store["app"].copy() == {"k": 1}
