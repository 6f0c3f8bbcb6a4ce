"""Pythons without threads, as in a browser: with one worker the library starts none."""

import threading

import pytest

from dhis2kv import BulkError, snapshot
from dhis2kv.testing import Emulator, connect


@pytest.fixture
def no_threads(monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.fixture(params=["2.36", "2.44"])
def store(request):
    return connect(Emulator(request.param), workers=1)


def test_many_entries_without_threads(store, no_threads):
    """Whatever is done for many entries is done without a thread, on servers with bulk reads and without."""
    ns = store["app"]
    ns.update(a=1, b=None, c="x")
    ns.set("d", "secret", encrypt=True)
    assert ns.copy() == {"a": 1, "b": None, "c": "x", "d": "secret"}
    assert ns.get_many(["a", "missing"]) == {"a": 1}
    ns.replace({"a": 2})
    ns.delete_many(["a", "missing"])
    assert len(ns) == 0


def test_a_snapshot_without_threads(store, no_threads):
    """An export, with an encrypted entry, and what an import of it would change."""
    store["app"].update(a=1, b=2)
    store["app"].set("c", "secret", encrypt=True)
    assert snapshot.plan(store, snapshot.read(store)) == []


def test_the_first_failure_is_the_end_without_threads(no_threads):
    """With one worker nothing is tried after what failed."""
    emulator = Emulator()
    emulator.fail("status", status=403, match="/app/b")
    with pytest.raises(BulkError) as caught:
        connect(emulator, workers=1)["app"].update(a=1, b=2, c=3)
    assert (caught.value.done, list(caught.value.failed), caught.value.untried) == (["a"], ["b"], ["c"])
