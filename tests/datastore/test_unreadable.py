"""What servers store and Python hardly holds: one such entry hides no other, and is lost without a word by nobody."""

import sys

import pytest
import responses

from dhis2kv import Store, Unreadable, snapshot
from dhis2kv.config import Config
from dhis2kv.emulator import Emulator
from dhis2kv.store.views import Snapshot
from tests.conftest import connect

URL = "https://dhis2.example.org"
TOO_MUCH = "9" * 400 + ".5"  # no float holds it, and no integer
DEEP = "[" * 900 + '{"a": 1}' + "]" * 900
DIGITS = "[" + "7" * 5000 + ", 1e400]"


@pytest.fixture(params=["2.37", "2.38", "2.40", "2.44"])
def version(request):
    return request.param


@pytest.fixture(params=[None, 60], ids=["plain", "cached"])
def namespace(version, request):
    """A namespace with entries that Python's own reader gives up on, and one that Python cannot hold."""
    emulator = Emulator(version=version)
    emulator.load({"app": {"a": "1", "bad": f'{{"n": {TOO_MUCH}}}', "deep": DEEP, "digits": DIGITS}}, texts=True)
    return connect(emulator, ttl=request.param)["app"]


def depth(value):
    levels = 0
    while isinstance(value, list):
        value, levels = value[0], levels + 1
    return levels


def check(entries):
    """These are the entries that can be read."""
    assert entries.keys() == {"a", "deep", "digits"}
    assert entries["a"] == 1
    assert depth(entries["deep"]) == 900
    assert entries["digits"] == [(10**5000 - 1) // 9 * 7, 10**400]


@pytest.mark.parametrize(
    "read",
    [
        lambda ns: ns.copy(),
        lambda ns: dict(ns.items()),
        lambda ns: dict(zip(sorted(["a", "deep", "digits"]), ns.values(), strict=True)),
        lambda ns: ns.get_many(["digits", "bad", "deep", "a", "absent"]),
        lambda ns: ns | {},
        lambda ns: {} | ns,
    ],
    ids=["copy", "items", "values", "get_many", "|", "reversed |"],
)
def test_bulk_reads_go_on_without_it(namespace, read, caplog):
    """All else is read, whatever its depth and digits, and a warning names what is left out."""
    check(read(namespace))
    assert "'bad'" in caplog.text
    assert "cannot be read" in caplog.text
    check(read(namespace))


def test_a_configuration_goes_on_without_it(version):
    """Config shows the other settings."""
    emulator = Emulator(version=version)
    emulator.load({"app": {"a": "1", "bad": TOO_MUCH}}, texts=True)
    config = Config(connect(emulator)["app"])
    assert config["a"] == 1
    assert set(config) == {"a"}


def test_a_single_read_names_it(namespace):
    """The error says which entry it is and how its text is to be had; it is no absence and no trouble of the server."""
    for read in (lambda: namespace["bad"], lambda: namespace.get("bad", "default"), lambda: namespace.pop("bad")):
        with pytest.raises(Unreadable, match="app/bad") as caught:
            read()
        assert not isinstance(caught.value, KeyError)
    with pytest.raises(Unreadable, match="app/bad"), namespace.edit("bad"):
        raise AssertionError("there is nothing to edit")
    assert "bad" in namespace
    assert list(namespace.keys()) == ["a", "bad", "deep", "digits"]
    assert TOO_MUCH in namespace._datastore.get_text("app", "bad")
    assert TOO_MUCH in namespace._datastore.get_all("app", texts=True)["bad"]


def test_it_can_be_written_and_deleted(namespace):
    """Assigning to it and deleting it work as ever."""
    namespace["bad"] = 2
    assert namespace["bad"] == 2
    assert namespace.copy()["bad"] == 2
    del namespace["bad"]
    assert "bad" not in namespace


def test_a_replacement_deletes_nothing_unseen(namespace):
    """What copy() gives has not what could not be read: writing it back is refused, and nothing is changed."""
    with pytest.raises(Unreadable, match="'bad'; nothing was written"):
        namespace.replace({"a": 2})
    assert list(namespace.keys()) == ["a", "bad", "deep", "digits"]
    assert namespace["a"] == 1
    namespace.replace({"bad": 3, "a": 2})
    assert namespace.copy() == {"a": 2, "bad": 3}


def test_an_export_has_everything(namespace):
    """An export keeps every digit, so that it holds all of them."""
    entries = {entry.key: entry.value for entry in snapshot.read(namespace._store, ["app"])}
    assert entries.keys() >= {"a", "bad", "digits"}
    assert repr(entries["bad"]["n"]) == TOO_MUCH


def from_frames_down(frames, act):
    return from_frames_down(frames - 1, act) if frames else act()


def test_from_far_down(namespace):
    """A read of nine hundred levels takes no room of the stack, of which little is left."""
    frames = sys.getrecursionlimit() - 200
    for read in (
        lambda: namespace["deep"],
        lambda: namespace.copy()["deep"],
        lambda: namespace.get_many(["deep", "a"])["deep"],
    ):
        for _ in range(2):
            assert depth(from_frames_down(frames, read)) == 900


def test_views_compare_as_json(namespace):
    """A view's ``in`` compares values as JSON, however deep they are, and is printed all the same."""
    items, values = namespace.items(), namespace.values()
    assert ("a", 1.0) in items
    assert ("a", True) not in items
    assert ("b", 1) not in items
    assert 1.0 in values
    assert True not in values
    deep = namespace["deep"]
    assert ("deep", deep) in items
    assert deep in values
    assert [deep] not in values
    shown = from_frames_down(300, lambda: repr(items))
    # From 3.12 on Python shows deeper values, and comes to the number that it does not.
    assert "deep to be shown" in shown or "too long to be shown" in shown
    assert "too long to be shown" in repr(loaded({"digits": namespace["digits"]}))
    assert namespace == namespace.copy()


def loaded(entries):
    """A view's entries, fetched."""
    view = Snapshot(lambda: entries)
    assert len(view) == len(entries)
    return view


def test_no_address(version, caplog):
    """An entry that no address leads to hides no other one, and is not deleted unseen."""
    emulator = Emulator(version=version)
    emulator.load({"app": {"a": 1}})
    emulator.put("app", "keys", "secret", encrypted=True)
    namespace = connect(emulator)["app"]
    if version == "2.37":
        assert namespace.copy() == {"a": 1, "keys": "secret"}
        return
    assert namespace.copy() == namespace.get_many(["keys", "a"]) == {"a": 1}
    assert "'keys'" in caplog.text
    with pytest.raises(Unreadable, match="'keys'"):
        namespace.replace({"b": 1})
    assert list(namespace.keys()) == ["a", "keys"]


@responses.activate
@pytest.mark.parametrize("ttl", [None, 60], ids=["plain", "cached"])
def test_an_impossible_namespace(ttl, caplog):
    """A namespace that no address leads to hides no other one."""
    responses.get(f"{URL}/api/dataStore", json=["zoo", "a/b", "", "..", "x;y", "app"])
    for name in ("app", "zoo"):
        responses.get(f"{URL}/api/dataStore/{name}", json=[{"key": "k", "value": name}])
    store = Store(URL, ttl=ttl)
    for _ in range(2):
        caplog.clear()
        assert list(store.keys()) == list(iter(store)) == ["app", "zoo"]
        assert {name: namespace.copy() for name, namespace in store.items()} == {n: {"k": n} for n in ("app", "zoo")}
        assert [namespace.name for namespace in store.values()] == ["app", "zoo"]
        assert len(store) == 2
        assert "a/b" not in store
        assert store.get("a/b") is None
        assert dict(store).keys() == {"app", "zoo"}
        assert "'a/b'" in caplog.text
    assert store.datastore.list_namespaces() == ["", "..", "a/b", "app", "x;y", "zoo"]
