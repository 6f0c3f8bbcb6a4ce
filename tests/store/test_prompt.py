"""What is seen at a prompt: completions, representations, and what copies are."""

import copy
import threading

import pytest

from dhis2kv import AsyncDatastore, Cache, Config, Store
from dhis2kv.emulator import Emulator
from dhis2kv.store import prompt
from tests.conftest import connect, sent


@pytest.fixture
def emulator():
    emulator = Emulator("2.44")
    emulator.load({"app": {"b": 1, "a": 2}, "zoo": {"x": "s3cret"}})
    return emulator


@pytest.fixture
def store(emulator):
    return connect(emulator)


def test_completions(emulator, store):
    """The tab key offers namespaces and keys, for one request."""
    assert store._ipython_key_completions_() == ["app", "zoo"]
    assert store["app"]._ipython_key_completions_() == ["a", "b"]
    assert len(sent(emulator)) == 2


def test_no_completions(emulator, store, monkeypatch, caplog):
    """During an outage, and where the server takes its time, nothing is offered, without a word."""
    emulator.fail("status", times=float("inf"), status=503)
    assert store._ipython_key_completions_() == []
    assert len(sent(emulator)) > 1  # it was asked again, which is told nobody either
    go = threading.Event()
    monkeypatch.setattr(prompt, "SECONDS", 0.001)
    monkeypatch.setattr(type(store), "_names", lambda _: [str(go.wait(60))])
    assert store._ipython_key_completions_() == []
    go.set()

    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert store["app"]._ipython_key_completions_() == []
    assert caplog.text == ""


def test_representations(emulator, store):
    """Each says what it is of and as whom, and none shows a secret, or asks the server."""
    named = Store("https://me:s3cret@dhis2.example.org/dhis")
    cached = Store("https://dhis2.example.org", token="s3cret")
    config = Config(store["zoo"])
    shown = {
        repr(named): "<Store https://dhis2.example.org/dhis dataStore as me>",
        repr(named.user): "<Store https://dhis2.example.org/dhis userDataStore as me>",
        repr(cached): "<Store https://dhis2.example.org dataStore>",
        repr(named.datastore): "<Datastore https://dhis2.example.org/dhis as me>",
        repr(AsyncDatastore(named)): "<AsyncDatastore over <Datastore https://dhis2.example.org/dhis as me>>",
        repr(Cache(60)): "<Cache for 60 seconds, up to 67108864 bytes, in this process>",
        repr(config): "<Config of <Namespace 'zoo' of <Store http://dhis2.test dataStore as admin>>, not loaded yet>",
        repr(Config({"password": "s3cret"})): "<Config of a dict, not loaded yet>",
        repr(emulator): "<Emulator of DHIS2 2.44, 0 requests so far>",
    }
    assert list(shown) == list(shown.values())
    assert not any("s3cret" in text for text in shown)
    assert sent(emulator) == []
    assert config["x"] == "s3cret"
    assert repr(config).endswith(", 1 settings>")
    assert "1 requests" in repr(emulator)


def test_views_say_whether_they_were_fetched(emulator, store):
    """A view that was not used says so, and asks nobody; then it shows what it has."""
    for view, then in (
        (store.keys(), "KeysView(['app', 'zoo'])"),
        (store["app"].keys(), "KeysView(['a', 'b'])"),
        (store["app"].items(), "Items({'a': 2, 'b': 1})"),
        (store["app"].values(), "Values({'a': 2, 'b': 1})"),
    ):
        assert "not fetched yet" in repr(view)
        assert sent(emulator) == []
        assert len(view) == 2
        assert repr(view) == then
        sent(emulator)


def test_reversed(emulator, store):
    """Keys come from the last one on, for one request."""
    assert list(reversed(store["app"])) == ["b", "a"]
    assert len(sent(emulator)) == 1


def test_copies(emulator, store):
    """copy.copy of a namespace is a second handle, and ns.copy() its entries."""
    again = copy.copy(store["app"])
    assert again.is_same_place(store["app"])
    assert sent(emulator) == []
    again["c"] = 3
    assert store["app"].copy() == {"a": 2, "b": 1, "c": 3}
