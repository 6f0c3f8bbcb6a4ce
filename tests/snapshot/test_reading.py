"""Reading a store: every entry comes once, encrypted ones are told, and what others do meanwhile does no harm."""

from functools import partial
from itertools import islice

import pytest

from dhis2kv import errors, snapshot
from dhis2kv.emulator import Emulator
from dhis2kv.snapshot import Entry
from dhis2kv.snapshot import reading as pages
from tests.conftest import connect, sent
from tests.snapshot.conftest import entries, warned

# Values alone: who may read them costs requests of its own.
read = partial(snapshot.read, sharing=False)


def test_an_export_holds_one_page(newest, monkeypatch):
    """The second page is asked for only after the entries of the first are written."""
    monkeypatch.setattr(pages, "PAGE", 10)
    newest.load({"app": {f"k{number:02}": number for number in range(20)}})
    reading = read(connect(newest))
    assert [entry.key for entry in islice(reading, 10)] == [f"k{number:02}" for number in range(10)]
    assert len(sent(newest)) == 3  # the namespaces, the keys, a page
    assert len(list(reading)) == 10
    assert len(sent(newest)) == 1


def test_deleting_meanwhile_loses_no_other_entry(newest, monkeypatch):
    """When others delete entries that were read, those that move to an earlier page are read all the same."""
    monkeypatch.setattr(pages, "PAGE", 10)
    newest.load({"app": {f"k{number:02}": number for number in range(20)}})
    newest.put("app", "k12", "hidden", encrypted=True)
    store = connect(newest)
    reading = read(store)
    first = list(islice(reading, 10))
    store["app"].delete_many([entry.key for entry in first[:5]])
    found = first + list(reading)
    assert sorted(entry.key for entry in found) == [f"k{number:02}" for number in range(20)]
    assert [entry.key for entry in found if entry.encrypted] == ["k12"]


def test_creating_meanwhile_gives_no_entry_twice(newest, monkeypatch):
    """When others create entries, those that move to a later page come once."""
    monkeypatch.setattr(pages, "PAGE", 10)
    newest.load({"app": {f"k{number:02}": number for number in range(20)}})
    store = connect(newest)
    reading = read(store)
    first = list(islice(reading, 10))
    store["app"].update({f"a{number}": 0 for number in range(5)})
    assert sorted(entry.key for entry in [*first, *reading]) == [f"k{number:02}" for number in range(20)]


def test_servers_without_bulk_reads_show_no_encryption(caplog):
    """On 2.37 every value is read, what is encrypted is not known, and a warning says so."""
    emulator = Emulator("2.37")
    emulator.load({"app": {"a": 1, "b": None}})
    emulator.put("app", "c", "secret", encrypted=True)
    store = connect(emulator)
    assert list(read(store)) == [
        Entry("app", "a", 1, None),
        Entry("app", "b", None, None),
        Entry("app", "c", "secret", None),
    ]
    assert warned(caplog) == ["of 3 entries of 'app' it cannot be seen whether they are encrypted"]
    assert snapshot.plan(store, [Entry("app", "c", "secret", True)]) == []


def test_what_is_deleted_meanwhile_is_left_out(monkeypatch, caplog):
    """An entry or a namespace that is gone when it is its turn is left out, also where each is read singly."""
    monkeypatch.setattr(pages, "PAGE", 10)
    emulator = Emulator("2.37")
    emulator.load({"app": {f"k{number:02}": number for number in range(13)}, "gone": {"a": 1}, "zoo": {"a": 1}})
    store = connect(emulator)

    def others(done, total):
        if done == 10:
            store["app"].delete_many(["k03", "k11"])
            del store["gone"]

    query = store.datastore.query_text

    def slow_query(namespace, *how, **options):
        if namespace == "zoo" and "zoo" in store:
            del store["zoo"]
        return query(namespace, *how, **options)

    monkeypatch.setattr(store.datastore, "query_text", slow_query)
    found = [entry.key for entry in read(store, progress=others)]
    assert found == [f"k{number:02}" for number in range(13) if number != 11]
    assert warned(caplog) == ["of 12 entries of 'app' it cannot be seen whether they are encrypted"]


def test_a_key_that_breaks_bulk_reads_breaks_no_export(newest, caplog):
    """A key with a quotation mark forges nothing, costs nothing, and hides no encryption."""
    newest.load({"app": {'x","value":1},{"key":"b': 1, "a": 2, "b": 3}})
    newest.put("app", "c", 4, encrypted=True)
    store = connect(newest)
    newest.log.clear()
    assert {key: (entry.value, entry.encrypted) for (_, key), entry in entries(store).items()} == {
        'x","value":1},{"key":"b': (1, False),
        "a": (2, False),
        "b": (3, False),
        "c": (4, True),
    }
    assert len(newest.log) == 5  # namespaces, keys, entries, stored nulls, the encrypted one
    assert warned(caplog) == []


def test_large_values_are_read_in_smaller_pages(newest):
    """A page that is too large for one answer is asked for in parts."""
    newest.load({"app": {f"k{number:02}": "x" * 1000 for number in range(30)}})
    store = connect(newest, max_bytes=5000)
    assert len(list(read(store))) == 30


def test_trouble_is_no_reason_for_smaller_pages(newest):
    """A server in trouble is raised as such, and not taken for one whose answer is too large."""
    newest.load({"app": {"a": 1}})
    newest.fail("status", times=1, match="fields=", status=500)
    with pytest.raises(errors.ServerError, match="500"):
        list(read(connect(newest)))


def test_the_namespace_protections_is_read_by_itself(newest):
    """From 2.42 on a bulk read of the namespace "protections" would ask for something else, and be refused to most."""
    newest.load({"protections": {"a": 1}})
    newest.add_user("alice", "Alice_pw_1!")
    assert [entry.value for entry in read(connect(newest, ("alice", "Alice_pw_1!")))] == [1]


def test_a_namespace_that_may_not_be_read_is_left_out_aloud(newest, caplog):
    """Exporting all leaves out what the account may not read, with a warning; by its name it is an error."""
    newest.add_user("alice", "Alice_pw_1!")
    newest.load({"sms-config": {"a": 1}, "app": {"b": 2}})
    store = connect(newest, ("alice", "Alice_pw_1!"))
    assert [str(entry) for entry in read(store)] == ["app/b"]
    (warning,) = warned(caplog)
    assert warning.startswith("left out 'sms-config': the server refuses this to the account")
    with pytest.raises(errors.Forbidden):
        list(read(store, ["sms-config"]))


def test_an_absent_namespace_is_found_out_first(newest):
    """A name that is no namespace raises before anything is read, so that no half export is written."""
    newest.load({"app": {"a": 1}})
    with pytest.raises(errors.KeyNotFound, match="nope"):
        read(connect(newest), ["app", "nope"])


def test_an_unreadable_value_hides_no_encryption(newest):
    """One value that cannot be read spoils no page: it is named, and of those beside it is still told what they are."""
    newest.load({"app": {f"k{number:02}": "x" * 100 for number in range(30)}})
    newest.put("app", "k07", "secret", encrypted=True)
    newest.put("app", "k15", "x" * 10_000)
    left_out = {}
    store = connect(newest, max_bytes=5000)
    found = list(read(store, left_out=lambda name, error: left_out.update({name: error})))
    assert [entry.key for entry in found if entry.encrypted] == ["k07"]
    assert all(entry.encrypted is not None for entry in found)
    assert sorted(entry.key for entry in found) == [f"k{number:02}" for number in range(30) if number != 15]
    assert [*left_out] == ["app/k15"]
    assert isinstance(left_out["app/k15"], errors.ServerError)


def test_a_key_without_an_address_is_named(newest):
    """An entry whose key is empty, which other clients can make, is left out by its name, and spoils no bulk read."""
    newest.load({"app": {"": 1, "a": 2}})
    newest.put("app", "b", "secret", encrypted=True)
    left_out = []
    found = list(read(connect(newest), left_out=lambda name, error: left_out.append(name)))
    assert found == [Entry("app", "a", 2, False), Entry("app", "b", "secret", True)]
    assert left_out == ["app/"]


@pytest.mark.parametrize("body", ["[1]", '[{"value": 1}]', "{}", "null", '[{"key": 1, "other": 2}]'])
def test_odd_answers_are_no_entries(newest, body):
    """An answer to a bulk read that is none is not believed: each entry is read by itself."""
    newest.load({"app": {"a": 2}})
    store = connect(newest)
    store.datastore.query_text = lambda *_, **__: body
    assert list(read(store)) == [Entry("app", "a", 2, None)]
