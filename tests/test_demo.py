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
def live():
    """A store on a served emulator."""
    with Emulator("2.38").serve() as server:
        yield Store(server.url, ("admin", "district"))


def test_the_tour_on_a_live_server(live):
    """It stays in its namespace, which is gone afterwards, also where its name has a quotation mark."""
    live["other"]["k"] = live.user["other"]["k"] = 1
    assert demo.run_live(live, 'it\'s "mine"', io.StringIO()) == 0
    assert list(live) == list(live.user) == ["other"]


@pytest.mark.parametrize("user", [False, True])
def test_a_namespace_that_exists_is_left_alone(live, user):
    """Where the namespace exists, in either store, nothing is written."""
    store = live.user if user else live
    store["app"]["k"] = 1
    out = io.StringIO()
    assert demo.run_live(live, "app", out) == 2
    assert "name one that does not" in out.getvalue()
    assert store["app"].copy() == {"k": 1}
