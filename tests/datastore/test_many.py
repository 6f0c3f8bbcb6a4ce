"""What each way of writing many entries does, on every version and in both stores."""

import dataclasses
import threading
from urllib.parse import unquote

import pytest

from dhis2kv import (
    BulkError,
    Forbidden,
    Unaddressable,
)
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent

from .acting import methods


def test_progress_is_told(emulator, ns):
    """After each entry the calling thread is told how many of how many are done."""
    told = []
    ns.set_many(dict.fromkeys("abcde", 1), progress=lambda *numbers: told.append((*numbers, threading.get_ident())))
    assert told == [(number, 5, threading.get_ident()) for number in range(1, 6)]
    assert ns.copy() == dict.fromkeys("abcde", 1)


def test_some_requests_at_a_time():
    """As many requests are under way as there are workers, four by default, and never more."""
    for options, workers in (({}, 4), ({"workers": 2}, 2), ({"workers": 1}, 1)):
        emulator = Emulator()
        meeting, lock = threading.Barrier(workers), threading.Lock()
        now = most = 0

        def deliver(request, emulator=emulator, meeting=meeting, lock=lock):
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            meeting.wait(30)  # for as many others; else it breaks
            with lock:
                now -= 1
            return Emulator.deliver(emulator, request)

        emulator.deliver = deliver
        connect(emulator, **options)["app"].update(dict.fromkeys("abcdefgh", 1))
        assert most == workers


@pytest.mark.parametrize("workers", [1, 3])
def test_a_bulk_error_gives_account(emulator, either, workers):
    """It names what was done, what failed and why, and what was not tried, and a later read agrees."""
    store = connect(emulator, workers=workers)
    assert store.version
    namespace = (store.user if either is either.user else store)["app"]
    emulator.fail("status", status=403, method="PUT", match="/app/c$", times=9)
    entries = dict.fromkeys("abcdefgh", 1)
    with pytest.raises(BulkError, match=r"of 8 done, 1 failed \('c': .*\), \d not tried") as caught:
        namespace.update(entries)
    error = caught.value
    assert list(error.failed) == ["c"]
    assert isinstance(error.failed["c"], Forbidden)
    assert sorted([*error.done, *error.failed, *error.untried]) == sorted(entries)
    assert sorted(namespace.copy()) == sorted(error.done)
    if workers == 1:
        assert (error.done, error.untried) == (["a", "b"], ["d", "e", "f", "g", "h"])


def test_an_empty_update_sends_nothing(emulator, ns):
    """Nothing to write, nothing to delete: no request."""
    ns.update()
    ns.update({})
    ns.delete_many([])
    assert sent(emulator) == []


def test_names_that_a_proxy_rewrites_are_found_out_first():
    """Where a proxy rewrites dotted names, none of many writes is sent when one has such a name."""
    emulator = Emulator("2.44")
    store = connect(emulator)
    store["app"]["config"] = "stays"

    def deliver(request):
        return Emulator.deliver(emulator, dataclasses.replace(request, target=unquote(request.target)))

    emulator.deliver = deliver
    for act in (
        lambda: store["app"].update({"a": 1, "config.json": 2}),
        lambda: store["app"].replace({"a": 1, "config.json": 2}),
        lambda: store["app"].delete_many(["a", "config.json"]),
    ):
        sent(emulator)
        with pytest.raises(Unaddressable, match=r"config\.json"):
            act()
        assert set(methods(emulator)) <= {"GET"}
    assert store["app"].copy() == {"config": "stays"}


def test_replace_sends_differences(emulator, ns):
    """What is the same JSON is not written again; writes come before deletes."""
    ns.update({"same": {"x": 1, "y": [1.0]}, "true": True, "gone": 1, "also": 2})
    sent(emulator)
    ns.replace({"same": {"y": [1], "x": 1.0}, "true": 1, "new": None})
    writes = [(method, target.rpartition("/")[2]) for method, target in sent(emulator) if method != "GET"]
    if ("POST", "new") in writes:  # up to 2.37, after a PUT that met no entry
        writes.remove(("POST", "new"))
    assert sorted(writes[:2]) == [("PUT", "new"), ("PUT", "true")]
    assert sorted(writes[2:]) == [("DELETE", "also"), ("DELETE", "gone")]
    now = ns.copy()
    assert now == {"same": {"x": 1, "y": [1]}, "true": 1, "new": None}
    assert now["true"] is not True
    sent(emulator)
    ns.replace(now)
    assert set(methods(emulator)) == {"GET"}


def test_replace_deletes_nothing_before_all_is_written(emulator, ns):
    """When a write fails, what should have been deleted was not tried."""
    ns.update(a=1, b=2)
    emulator.fail("status", status=403, method="PUT", match="/app/c", times=9)
    with pytest.raises(BulkError) as caught:
        ns.replace({"c": 3})
    assert (caught.value.done, list(caught.value.failed), caught.value.untried) == ([], ["c"], ["a", "b"])
    assert ns.copy() == {"a": 1, "b": 2}


def test_a_store_takes_mappings_and_nothing_else(either):
    """A namespace can be copied by assigning it, also into the other store; pairs are refused before a request."""
    either["app"].update(a=1, b=None)
    either["copy"] = either["app"]
    assert either["copy"].copy() == {"a": 1, "b": None}
    with pytest.raises(TypeError, match="mapping"):
        either["app"] = [("a", 1)]
    assert either["app"].copy() == {"a": 1, "b": None}


def test_the_user_store_takes_the_shared_one():
    """``store.user[...] = store[...]`` copies from one store into the other."""
    store = connect(Emulator())
    store["app"].update(a=1)
    store.user["app"].update(b=2)
    store.user["app"] = store["app"]
    assert store.user["app"].copy() == {"a": 1}


def test_delete_many(emulator, ns):
    """Keys that are absent count as done; a str is not taken for its letters."""
    ns.update(a=1, b=2, c=3)
    ns.delete_many(key for key in ["a", "none", "a", "b"])
    assert ns.copy() == {"c": 3}
    sent(emulator)
    with pytest.raises(TypeError, match="list"):
        ns.delete_many("c")
    assert sent(emulator) == []
