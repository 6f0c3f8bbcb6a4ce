"""Plans and what becomes of them: what goes out comes in unchanged, encrypted stays encrypted, and nothing is lost."""

import io
from functools import partial

import pytest

from dhis2kv import Query, errors, snapshot
from dhis2kv.emulator import Emulator
from dhis2kv.snapshot import Change, Entry
from dhis2kv.snapshot import reading as pages
from tests.conftest import connect, sent
from tests.snapshot.conftest import entries, exported

VALUES = {
    "array": [1, 2.5, "x", None, True],
    "config.json": {"b": {"d": [], "c": {}}, "a": "ü €"},
    "false": False,
    "keys": {"n": 1},
    "null": None,
    "null 2": None,
    "text": 'quoted "text"\nin lines',
    "with space, comma: [x]": 0,
    "zählung": -1.5e-7,
    "🎉": "party",
}

# Values alone: who may read them costs requests of its own.
read = partial(snapshot.read, sharing=False)


def test_both_stores_go_out_and_come_in_unchanged(emulator, store, version):
    """What an export holds, an import into an empty server of the same version makes of it, in both stores."""
    emulator.load({"app": VALUES, "my.ns": {"v1.1": 1}})
    emulator.load({"app": {"mine": [1], "none": None}}, user="admin")
    text = exported(dataStore=read(store), userDataStore=read(store.user))
    other = connect(Emulator(version))
    saved = snapshot.load(io.StringIO(text))
    for kind, target in {"dataStore": other, "userDataStore": other.user}.items():
        snapshot.apply(target, snapshot.plan(target, saved[kind]))
        assert snapshot.plan(target, saved[kind], "replace") == []
    assert other["app"] == VALUES
    assert other["my.ns"] == {"v1.1": 1}
    assert other.user["app"] == {"mine": [1], "none": None}


@pytest.mark.parametrize("version", ["2.40", "2.41", "2.44"])
def test_encrypted_entries_are_marked_and_stay_encrypted(version, either, emulator):
    """An entry that the server encrypts is marked in the export, and an import stores it encrypted again."""
    user = "admin" if either.user is either else None
    emulator.load({"app": {"open": 1, "null": None}}, user=user)
    emulator.put("app", "password", "secret", user=user, encrypted=True)
    saved = list(read(either))
    assert {entry.key: entry.encrypted for entry in saved} == {"null": False, "open": False, "password": True}
    other = Emulator(version)
    target = connect(other).user if user else connect(other)
    changes = snapshot.plan(target, saved)
    assert "+ app/password (encrypted)" in map(str, changes)
    snapshot.apply(target, changes)
    assert {entry.key: (entry.value, entry.encrypted) for entry in read(target)} == {
        "null": (None, False),
        "open": (1, False),
        "password": ("secret", True),
    }


@pytest.mark.parametrize("version", ["2.40", "2.41", "2.44"])
def test_an_update_lays_no_encrypted_entry_open(version, emulator, store):
    """Importing a new value over an encrypted entry keeps it encrypted, even where the file does not mark it."""
    emulator.put("app", "password", "old", encrypted=True)
    snapshot.apply(store, snapshot.plan(store, [Entry("app", "password", "new")]))
    assert entries(store)["app", "password"] == Entry("app", "password", "new", True)
    assert store.datastore.query("app", Query()) == [{"key": "password", "value": None}]


def test_a_plain_entry_becomes_encrypted(newest):
    """Where the file marks an entry as encrypted and the server holds the same value open, that is a change."""
    newest.put("app", "password", "secret")
    store = connect(newest)
    changes = snapshot.plan(store, [Entry("app", "password", "secret", True)])
    assert changes == [Change("~", Entry("app", "password", "secret", True))]
    snapshot.apply(store, changes)
    assert entries(store)["app", "password"].encrypted


def test_modes(newest):
    """merge creates and updates, replace also deletes within the namespaces named, add only creates."""
    newest.load({"app": {"same": 1, "other": 1, "more": 1}, "untouched": {"a": 1}})
    store = connect(newest)
    wanted = [Entry("app", "same", 1.0), Entry("app", "other", 2), Entry("app", "new", 3)]

    def planned(mode):
        return [str(change) for change in snapshot.plan(store, wanted, mode)]

    assert planned("merge") == ["~ app/other", "+ app/new"]
    assert planned("replace") == ["~ app/other", "+ app/new", "- app/more"]
    assert planned("add") == ["+ app/new"]
    assert {method for method, _ in sent(newest)} <= {"GET", "HEAD"}
    snapshot.apply(store, snapshot.plan(store, wanted, "replace"))
    assert store["app"] == {"same": 1, "other": 2, "new": 3}
    assert store["untouched"] == {"a": 1}
    with pytest.raises(ValueError, match="merge, replace, add"):
        planned("overwrite")


def test_add_leaves_what_was_created_meanwhile(newest):
    """In mode add an entry that somebody creates after the plan stays theirs."""
    store = connect(newest)
    changes = snapshot.plan(store, [Entry("app", "a", "ours"), Entry("app", "b", "ours")], "add")
    store["app"]["a"] = "theirs"
    snapshot.apply(store, changes, "add")
    assert store["app"] == {"a": "theirs", "b": "ours"}


@pytest.mark.parametrize(("mode", "tries"), [("merge", 2), ("add", 1)])
def test_a_failure_half_way_says_what_was_done_and_can_be_repeated(newest, mode, tries):
    """What was done, what failed and what was not tried is named with its namespace; planning again finds the rest."""
    store = connect(newest, retries=0, workers=1)
    wanted = [Entry(namespace, key, 1) for namespace in ("app", "zoo") for key in "abc"]
    newest.fail("status", times=tries, match="zoo/b", status=500)
    with pytest.raises(errors.BulkError, match="4 of 6 changes are made, 1 failed") as caught:
        snapshot.apply(store, snapshot.plan(store, wanted, mode), mode)
    assert (caught.value.done, [*caught.value.failed], caught.value.untried) == (
        ["app/a", "app/b", "app/c", "zoo/a"],
        ["zoo/b"],
        ["zoo/c"],
    )
    rest = snapshot.plan(store, wanted, mode)
    assert [str(change) for change in rest] == ["+ zoo/b", "+ zoo/c"]
    snapshot.apply(store, rest, mode)
    assert store["zoo"] == {"a": 1, "b": 1, "c": 1}


def test_deleting_comes_after_writing(newest):
    """In mode replace nothing is deleted when a write failed before."""
    newest.load({"app": {"old": 1}})
    store = connect(newest, retries=0)
    newest.fail("status", times=2, method="PUT", status=500)
    with pytest.raises(errors.BulkError) as caught:
        snapshot.apply(store, snapshot.plan(store, [Entry("app", "new", 1)], "replace"))
    assert caught.value.untried == ["app/old"]
    assert store["app"] == {"old": 1}


@pytest.mark.parametrize(
    "entry", [Entry("app", "", 1), Entry("app", 'a"b', 1), Entry("a/b", "c", 1), Entry("app", "x", "\0")]
)
def test_what_cannot_be_written_is_refused_before_anything_is(newest, entry):
    """One name or value in a file that no server can hold refuses the whole import, before a write."""
    with pytest.raises((errors.InvalidKey, errors.InvalidValue)):
        snapshot.plan(connect(newest), [Entry("app", "good", 1), entry])
    assert {method for method, _ in sent(newest)} <= {"GET"}


def test_progress(newest, monkeypatch):
    """Reading and writing both tell how far they are, and end at the total."""
    monkeypatch.setattr(pages, "PAGE", 10)
    newest.load({"app": {str(number): number for number in range(12)}, "zoo": {"a": 1}})
    store = connect(newest)
    seen, written = [], []
    found = list(read(store, progress=lambda *step: seen.append(step)))
    assert seen == [(10, 12), (12, 12), (13, 13)]
    moved = [entry._replace(namespace="to") for entry in found]
    changes = [*snapshot.plan(store, moved), Change("-", Entry("zoo", "a", 1))]
    snapshot.apply(store, changes, progress=lambda *step: written.append(step))
    assert written == [(number + 1, 14) for number in range(14)]
