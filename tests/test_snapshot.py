"""Export, import, copy and diff: what goes out comes in unchanged, encrypted stays encrypted, and nothing is lost."""

import io
import json
import logging
from itertools import islice

import pytest

from dhis2kv import Query, errors, snapshot
from dhis2kv.emulator import Emulator
from dhis2kv.emulator.serve import load_seed
from dhis2kv.snapshot import Change, Entry
from tests.conftest import connect, sent

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


def exported(**stores):
    file = io.StringIO()
    snapshot.dump(file, stores)
    return file.getvalue()


def entries(store, *namespaces):
    return {(entry.namespace, entry.key): entry for entry in snapshot.read(store, namespaces or None)}


def warned(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def newest():
    return Emulator("2.44")


def test_both_stores_go_out_and_come_in_unchanged(emulator, store, version):
    """What an export holds, an import into an empty server of the same version makes of it, in both stores."""
    emulator.load({"app": VALUES, "my.ns": {"v1.1": 1}})
    emulator.load({"app": {"mine": [1], "none": None}}, user="admin")
    text = exported(dataStore=snapshot.read(store), userDataStore=snapshot.read(store.user))
    other = connect(Emulator(version))
    saved = snapshot.load(io.StringIO(text))
    for kind, target in {"dataStore": other, "userDataStore": other.user}.items():
        snapshot.apply(target, snapshot.plan(target, saved[kind]))
        assert snapshot.plan(target, saved[kind], "replace") == []
    assert other["app"] == VALUES
    assert other["my.ns"] == {"v1.1": 1}
    assert other.user["app"] == {"mine": [1], "none": None}


def test_a_file_is_one_entry_a_line():
    """An export is indented JSON with a line for each entry, in the form that the module describes."""
    text = exported(
        dataStore=[
            Entry("app", "cfg", {"theme": "dark", "size": 2}),
            Entry("app", "password", "secret", True),
            Entry("zoo", "ü", None, None),
        ],
        userDataStore=[],
    )
    assert text == (
        "{\n"
        '  "dhis2kv": 1,\n'
        '  "dataStore": {\n'
        '    "app": {\n'
        '      "cfg": {"size": 2, "theme": "dark"},\n'
        '      "password": "secret"\n'
        "    },\n"
        '    "zoo": {\n'
        '      "ü": null\n'
        "    }\n"
        "  },\n"
        '  "userDataStore": {},\n'
        '  "encrypted": {\n'
        '    "dataStore": {\n'
        '      "app": ["password"]\n'
        "    },\n"
        '    "userDataStore": {}\n'
        "  }\n"
        "}\n"
    )
    assert snapshot.load(io.StringIO(text))["dataStore"] == [
        Entry("app", "cfg", {"theme": "dark", "size": 2}, False),
        Entry("app", "password", "secret", True),
        Entry("zoo", "ü", None, False),
    ]


def test_the_emulator_takes_an_export_as_its_seed(newest):
    """`serve --seed` reads what an export writes, and encrypted entries are encrypted there."""
    newest.load({"app": {"cfg": 1}})
    newest.put("app", "password", "secret", encrypted=True)
    text = exported(dataStore=snapshot.read(connect(newest)))
    other = Emulator("2.44")
    load_seed(other, json.loads(text), superuser="admin")
    assert entries(connect(other)) == entries(connect(newest))


def test_an_export_holds_one_page(newest, monkeypatch):
    """The second page is asked for only after the entries of the first are written."""
    monkeypatch.setattr(snapshot, "PAGE", 10)
    newest.load({"app": {f"k{number:02}": number for number in range(20)}})
    reading = snapshot.read(connect(newest))
    assert [entry.key for entry in islice(reading, 10)] == [f"k{number:02}" for number in range(10)]
    assert len(sent(newest)) == 3  # the namespaces, the keys, a page
    assert len(list(reading)) == 10
    assert len(sent(newest)) == 1


def test_deleting_meanwhile_loses_no_other_entry(newest, monkeypatch):
    """When others delete entries that were read, those that move to an earlier page are read all the same."""
    monkeypatch.setattr(snapshot, "PAGE", 10)
    newest.load({"app": {f"k{number:02}": number for number in range(20)}})
    newest.put("app", "k12", "hidden", encrypted=True)
    store = connect(newest)
    reading = snapshot.read(store)
    first = list(islice(reading, 10))
    store["app"].delete_many([entry.key for entry in first[:5]])
    found = first + list(reading)
    assert sorted(entry.key for entry in found) == [f"k{number:02}" for number in range(20)]
    assert [entry.key for entry in found if entry.encrypted] == ["k12"]


def test_creating_meanwhile_gives_no_entry_twice(newest, monkeypatch):
    """When others create entries, those that move to a later page come once."""
    monkeypatch.setattr(snapshot, "PAGE", 10)
    newest.load({"app": {f"k{number:02}": number for number in range(20)}})
    store = connect(newest)
    reading = snapshot.read(store)
    first = list(islice(reading, 10))
    store["app"].update({f"a{number}": 0 for number in range(5)})
    assert sorted(entry.key for entry in [*first, *reading]) == [f"k{number:02}" for number in range(20)]


@pytest.mark.parametrize("version", ["2.40", "2.41", "2.44"])
def test_encrypted_entries_are_marked_and_stay_encrypted(version, either, emulator):
    """An entry that the server encrypts is marked in the export, and an import stores it encrypted again."""
    user = "admin" if either.user is either else None
    emulator.load({"app": {"open": 1, "null": None}}, user=user)
    emulator.put("app", "password", "secret", user=user, encrypted=True)
    saved = list(snapshot.read(either))
    assert {entry.key: entry.encrypted for entry in saved} == {"null": False, "open": False, "password": True}
    other = Emulator(version)
    target = connect(other).user if user else connect(other)
    changes = snapshot.plan(target, saved)
    assert "+ app/password (encrypted)" in map(str, changes)
    snapshot.apply(target, changes)
    assert {entry.key: (entry.value, entry.encrypted) for entry in snapshot.read(target)} == {
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


def test_servers_without_bulk_reads_show_no_encryption(caplog):
    """On 2.37 every value is read, what is encrypted is not known, and a warning says so."""
    emulator = Emulator("2.37")
    emulator.load({"app": {"a": 1, "b": None}})
    emulator.put("app", "c", "secret", encrypted=True)
    store = connect(emulator)
    assert list(snapshot.read(store)) == [
        Entry("app", "a", 1, None),
        Entry("app", "b", None, None),
        Entry("app", "c", "secret", None),
    ]
    assert warned(caplog) == ["of 3 entries of 'app' it cannot be seen whether they are encrypted"]
    assert snapshot.plan(store, [Entry("app", "c", "secret", True)]) == []


def test_what_is_deleted_meanwhile_is_left_out(monkeypatch, caplog):
    """An entry or a namespace that is gone when it is its turn is left out, also where each is read singly."""
    monkeypatch.setattr(snapshot, "PAGE", 10)
    emulator = Emulator("2.37")
    emulator.load({"app": {f"k{number:02}": number for number in range(13)}, "gone": {"a": 1}, "zoo": {"a": 1}})
    store = connect(emulator)

    def others(done, total):
        if done == 10:
            store["app"].delete_many(["k03", "k11"])
            del store["gone"]

    query = store.datastore.query

    def slow_query(namespace, *how, **options):
        if namespace == "zoo" and "zoo" in store:
            del store["zoo"]
        return query(namespace, *how, **options)

    monkeypatch.setattr(store.datastore, "query", slow_query)
    found = [entry.key for entry in snapshot.read(store, progress=others)]
    assert found == [f"k{number:02}" for number in range(13) if number != 11]
    assert warned(caplog) == ["of 12 entries of 'app' it cannot be seen whether they are encrypted"]


def test_a_key_that_breaks_bulk_reads_breaks_no_export(newest, caplog):
    """One key with a quotation mark makes bulk answers ambiguous: then every entry is read singly."""
    newest.load({"app": {'x","value":1},{"key":"b': 1, "a": 2, "b": 3}})
    assert {key: entry.value for (_, key), entry in entries(connect(newest)).items()} == {
        'x","value":1},{"key":"b': 1,
        "a": 2,
        "b": 3,
    }
    assert len(warned(caplog)) == 1


def test_large_values_are_read_in_smaller_pages(newest):
    """A page that is too large for one answer is asked for in parts."""
    newest.load({"app": {f"k{number:02}": "x" * 1000 for number in range(30)}})
    store = connect(newest, max_bytes=5000)
    assert len(list(snapshot.read(store))) == 30


def test_trouble_is_no_reason_for_smaller_pages(newest):
    """A server in trouble is raised as such, and not taken for one whose answer is too large."""
    newest.load({"app": {"a": 1}})
    newest.fail("status", times=1, match="fields=", status=500)
    with pytest.raises(errors.ServerError, match="500"):
        list(snapshot.read(connect(newest)))


def test_the_namespace_protections_is_read_by_itself(newest):
    """From 2.42 on a bulk read of the namespace "protections" would ask for something else, and be refused to most."""
    newest.load({"protections": {"a": 1}})
    newest.add_user("alice", "Alice_pw_1!")
    assert [entry.value for entry in snapshot.read(connect(newest, ("alice", "Alice_pw_1!")))] == [1]


def test_a_namespace_that_may_not_be_read_is_left_out_aloud(newest, caplog):
    """Exporting all leaves out what the account may not read, with a warning; by its name it is an error."""
    newest.add_user("alice", "Alice_pw_1!")
    newest.load({"sms-config": {"a": 1}, "app": {"b": 2}})
    store = connect(newest, ("alice", "Alice_pw_1!"))
    assert [str(entry) for entry in snapshot.read(store)] == ["app/b"]
    assert warned(caplog) == ["left out the namespace 'sms-config': the account may not read it"]
    with pytest.raises(errors.Forbidden):
        list(snapshot.read(store, ["sms-config"]))


def test_an_absent_namespace_is_found_out_first(newest):
    """A name that is no namespace raises before anything is read, so that no half export is written."""
    newest.load({"app": {"a": 1}})
    with pytest.raises(errors.KeyNotFound, match="nope"):
        snapshot.read(connect(newest), ["app", "nope"])


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


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"dhis2kv": 2}',
        '{"dhis2kv": 1, "dataStore": []}',
        '{"dhis2kv": 1, "dataStore": {"app": 1}}',
        '{"dhis2kv": 1, "dataStore": {"app": {"a": 1}}, "encrypted": {"dataStore": {"app": "a"}}}',
    ],
)
def test_a_file_that_is_no_export_is_refused(text):
    """Anything that is not the form of an export is a ValueError, and not an empty import."""
    with pytest.raises(ValueError, match=r"export|encrypted|Expecting"):
        snapshot.load(io.StringIO(text))


def test_progress(newest, monkeypatch):
    """Reading and writing both tell how far they are, and end at the total."""
    monkeypatch.setattr(snapshot, "PAGE", 10)
    newest.load({"app": {str(number): number for number in range(12)}, "zoo": {"a": 1}})
    store = connect(newest)
    read, written = [], []
    found = list(snapshot.read(store, progress=lambda *step: read.append(step)))
    assert read == [(10, 12), (12, 12), (13, 13)]
    moved = [entry._replace(namespace="to") for entry in found]
    changes = [*snapshot.plan(store, moved), Change("-", Entry("zoo", "a", 1))]
    snapshot.apply(store, changes, progress=lambda *step: written.append(step))
    assert written == [(number + 1, 14) for number in range(14)]


def test_diff():
    """A unified diff of sorted, indented JSON for each entry that is not the same JSON, and nothing for the others."""
    left = {"a": Entry("app", "a", {"y": 1, "x": [1, 2]}), "same": Entry("app", "same", {"p": 1, "q": 2})}
    right = {
        "a": Entry("two", "a", {"x": [1, 3], "y": 1}),
        "same": Entry("two", "same", {"q": 2.0, "p": 1}),
        "b": Entry("two", "b", None),
    }
    assert list(snapshot.diff(left, right, names=("old", ""))) == [
        "--- old app/a",
        "+++ two/a",
        "@@ -1,7 +1,7 @@",
        " {",
        '   "x": [',
        "     1,",
        "-    2",
        "+    3",
        "   ],",
        '   "y": 1',
        " }",
        "--- /dev/null",
        "+++ two/b",
        "@@ -0,0 +1 @@",
        "+null",
    ]
    assert list(snapshot.diff(left, left)) == []


def test_diff_tells_true_from_one():
    """Values that Python takes for equal and JSON does not are a difference."""
    assert list(snapshot.diff({"a": Entry("n", "a", True)}, {"a": Entry("n", "a", 1)}))[-2:] == ["-true", "+1"]
