"""What the library promises, the same on every server: an emulated one in the process, a served one, and a live one.

A live server is asked where DHIS2KV_LIVE_URL, DHIS2KV_LIVE_USERNAME and DHIS2KV_LIVE_PASSWORD say, in namespaces that
do not exist before and do not exist after.
"""

import contextlib
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest

from dhis2kv import (
    BulkError,
    Changed,
    InvalidKey,
    InvalidValue,
    KeyNotFound,
    NotAuthenticated,
    Rejected,
    Store,
    Unaddressable,
)
from dhis2kv.testing import Emulator, connect
from tests.conftest import OLD_MIDDLE_NEW

LIVE = ("live", "")
SERVERS = [(host, version) for host in ("in process", "served") for version in OLD_MIDDLE_NEW]
if "DHIS2KV_LIVE_URL" in os.environ:
    SERVERS.append(LIVE)

VALUES = {
    "texts": ["", " ", "plain", 'a "quotation"\\', "línea\nnueva\ttab", "日本語 😀", "null", "1e5"],
    "integers": [0, 1, -1, 2**31, -(2**63), 10**40],
    "floats": [0.5, -2.25, 1e22, 1.5e300, 5e-324, 0.1 + 0.2],
    "constants": [True, False, None],
    "lists": [[], [[]], [1, "a", None, {"b": [False]}]],
    "objects": [{}, {"": 1, "Ä": {"a.b": [None]}, "z": 0, "a": 1}, {"key": "k", "value": "v"}],
}
NAMES = ["a b", " padded ", "café", "ключ", "😀", "a+b", "a:b", "a=b&c?d#e", "[x](y){z}", "~tilde", "keys", "K" * 255]
DOTTED = ["v1.1", ".hidden", "trail.", "a..b", "config.json", "my.config.xml", "keys.json"]
UNHOLDABLE = ["", ".", "..", "a/b", "a\\b", "50%", "a;b", "a\nb", "\0", "K" * 256, "\ud800"]


@pytest.fixture(scope="module", params=SERVERS, ids=" ".join)
def open_store(request):
    """Opens a store on a server; ``auth`` makes it another account's."""
    host, version = request.param
    with contextlib.ExitStack() as stack:
        if host == "live":
            auth = os.environ["DHIS2KV_LIVE_USERNAME"], os.environ["DHIS2KV_LIVE_PASSWORD"]
            yield partial(Store, os.environ["DHIS2KV_LIVE_URL"], auth=auth)
            return
        emulator = Emulator(version)
        stack.callback(emulator.close)
        if host == "served":
            yield partial(Store, stack.enter_context(emulator.serve()).url, auth=("admin", "district"))
        else:
            yield partial(connect, emulator)


@pytest.fixture(scope="module", params=["dataStore", "userDataStore"])
def store(request, open_store):
    """Each of the two stores."""
    with open_store() as found:
        yield found.user if request.param == "userDataStore" else found


@pytest.fixture
def unused(store):
    """Gives namespaces that do not exist; none of them is left behind."""
    given = []

    def give(suffix=""):
        namespace = store[f"dhis2kv-contract-{secrets.token_hex(8)}{suffix}"]
        assert namespace.name not in store
        given.append(namespace)
        return namespace

    yield give
    for namespace in given:
        namespace.clear()
    assert not {namespace.name for namespace in given}.intersection(store)


@pytest.fixture
def ns(unused):
    """A namespace that does not exist."""
    return unused()


# --- one entry --------------------------------------------------------------------------------------------------------


def test_an_entry_lives(ns):
    """An entry is created by assigning to it, read, updated by assigning again, and deleted."""
    ns["cfg"] = {"theme": "dark"}
    assert "cfg" in ns
    assert ns["cfg"] == {"theme": "dark"}
    ns["cfg"] = ["other"]
    assert ns["cfg"] == ["other"]
    del ns["cfg"]
    assert "cfg" not in ns


def test_what_is_absent_is_a_key_error(ns):
    """An absent key is a ``KeyError``, whether its namespace exists or not; ``get`` and ``in`` just say so."""
    for _ in ("no namespace", "a namespace"):
        for touch in (ns.__getitem__, ns.__delitem__, ns.pop):
            with pytest.raises(KeyNotFound) as caught:
                touch("absent")
            assert caught.value.args == ("absent",)
        assert ns.get("absent", 7) == 7
        assert "absent" not in ns
        ns["present"] = 1


@pytest.mark.parametrize("kind", VALUES)
def test_values_come_back_the_same(ns, kind):
    """What goes in comes out, as one entry and in bulk, with the types that it had."""
    for number, value in enumerate(VALUES[kind]):
        ns[f"k{number}"] = value
        assert repr(ns[f"k{number}"]) == repr(value) or isinstance(value, dict)
        assert ns[f"k{number}"] == value
    assert list(ns.values()) == VALUES[kind]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\0", "\ud800", {1: 2}, {1, 2}, b"bytes"], ids=ascii)
def test_what_would_not_come_back_does_not_go_out(ns, value):
    """A value that JSON or the server cannot keep is refused, and nothing is stored."""
    with pytest.raises(InvalidValue):
        ns["k"] = value
    assert "k" not in ns


def test_a_stored_null_is_a_value(ns):
    """None is stored as null: the key is present, in single reads, in bulk and in listings."""
    ns["none"] = 1
    ns["none"] = None
    ns["too"] = None
    assert "none" in ns
    assert ns["none"] is None
    assert ns.get("none", 7) is None
    assert ns.setdefault("none", 7) is None
    assert ns.copy() == ns.get_many(["none", "too"]) == {"none": None, "too": None}
    assert list(ns) == ["none", "too"]


def test_add_creates_only(ns):
    """``add`` stores under an absent key, and leaves a present one alone, null or not."""
    assert ns.add("k", None)
    assert not ns.add("k", 2)
    assert ns["k"] is None


def test_setdefault(ns):
    """``setdefault`` stores its default under an absent key, and gives what a present one holds."""
    assert ns.setdefault("k", [1]) == [1]
    assert ns.setdefault("k", [2]) == [1]
    assert ns["k"] == [1]


def test_a_race_has_one_winner(ns):
    """Of many who add one key at once exactly one does, and all who give it a default get the same value."""
    start = Barrier(8, timeout=60)

    def race(number):
        start.wait()
        added = ns.add("added", number)
        start.wait()
        return added, ns.setdefault("default", number)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(race, range(8)))
    assert [number for number, (added, _) in enumerate(outcomes) if added] == [ns["added"]]
    assert {value for _, value in outcomes} == {ns["default"]}


def test_pop_and_popitem(ns):
    """``pop`` and ``popitem`` take entries out until none is left."""
    ns |= {"a": 1, "b": 2, "c": 3}
    assert ns.pop("b") == 2
    assert ns.pop("b", "gone") == "gone"
    assert ns.popitem() == ("a", 1)
    assert ns.popitem() == ("c", 3)
    with pytest.raises(KeyError):
        ns.popitem()


def test_edit_changes_in_place(ns):
    """``edit`` writes back what its block changed, and nothing when the block raises."""
    ns["cfg"] = {"theme": "dark"}
    with ns.edit("cfg") as cfg:
        cfg["size"] = 2
    assert ns["cfg"] == {"theme": "dark", "size": 2}
    with pytest.raises(ZeroDivisionError), ns.edit("cfg") as cfg:
        cfg["size"] = 1 / 0
    assert ns["cfg"] == {"theme": "dark", "size": 2}


def test_edit_overwrites_nobody(ns):
    """``edit`` raises ``Changed`` where somebody else wrote or deleted meanwhile, and theirs stays."""
    ns["cfg"] = {"n": 1}
    with pytest.raises(Changed), ns.edit("cfg") as cfg:
        cfg["n"], ns["cfg"] = 2, {"n": 3}
    assert ns["cfg"] == {"n": 3}
    with pytest.raises(Changed), ns.edit("cfg") as cfg:
        cfg["n"] = ns.pop("cfg")
    assert "cfg" not in ns


# --- atomic changes, where the server has them ------------------------------------------------------------------------


def test_patch(store, ns):
    """``patch`` sets one member from 2.41 on; an older server is not asked to, and the value stays."""
    ns["cfg"] = {"a": {"b": 1, "c": [1, 2]}}
    if store.datastore.version() < (2, 41):
        with pytest.raises(Rejected, match=r"2\.41"):
            ns.patch("cfg", "a.b", 5)
        assert ns["cfg"] == {"a": {"b": 1, "c": [1, 2]}}
        return
    ns.patch("cfg", "a.b", {"deep": None})
    ns.patch("cfg", "a.c.0", 9)
    assert ns["cfg"] == {"a": {"b": {"deep": None}, "c": [9, 2]}}
    with pytest.raises(KeyNotFound):
        ns.patch("absent", "a", 1)
    assert "absent" not in ns


def test_roll(store, ns):
    """``roll`` appends and drops the oldest from 2.41 on; an older server is not asked to, and nothing is stored."""
    if store.datastore.version() < (2, 41):
        with pytest.raises(Rejected, match=r"2\.41"):
            ns.roll("log", 1, keep=3)
        assert "log" not in ns
        return
    for number in range(5):
        ns.roll("log", {"n": number}, keep=3)
    assert ns["log"] == [{"n": 2}, {"n": 3}, {"n": 4}]
    ns["text"] = "no list"
    with pytest.raises(InvalidValue):
        ns.roll("text", 1, keep=3)
    assert ns["text"] == "no list"


# --- listings and many entries ----------------------------------------------------------------------------------------


def test_an_absent_namespace_is_empty(store, ns):
    """A namespace that does not exist reads as empty, deleting it is a ``KeyError``, clearing it is nothing."""
    assert (list(ns), len(ns), ns.copy()) == ([], 0, {})
    assert ns == {}
    ns.clear()
    assert ns.name not in store
    assert store.get(ns.name) is None
    if store is not store.user or store.datastore.version() >= (2, 40):  # before that the user store does not tell
        with pytest.raises(KeyNotFound):
            del store[ns.name]


def test_listings_are_sorted_and_agree(store, unused):
    """Keys come sorted by code point, from listings and bulk reads alike; a namespace is listed while it has any."""
    one, other = unused(), unused()
    keys = ["b", "a", "Z", "é", "10", "9", "_", "😀"]
    one.update(dict.fromkeys(keys, 0))
    other["k"] = 1
    assert list(one) == list(one.keys()) == list(one.copy()) == [key for key, _ in one.items()] == sorted(keys)
    assert len(one) == len(keys)
    assert {one.name, other.name} <= set(store)
    assert store.get(one.name).is_same_place(one)
    del other["k"]
    assert other.name not in store
    del store[one.name]
    assert list(one) == []
    assert one.name not in store


def test_many_entries(ns):
    """``update``, ``get_many``, ``delete_many`` and ``clear`` do what their single forms do, for many."""
    ns.update({f"k{number}": {"n": number} for number in range(60)}, extra=True)
    assert len(ns) == 61
    assert ns.get_many(["k7", "absent", "extra", "with space"]) == {"k7": {"n": 7}, "extra": True}
    ns.delete_many([f"k{number}" for number in range(1, 60)] + ["absent"])
    assert ns.copy() == {"k0": {"n": 0}, "extra": True}
    ns.clear()
    assert ns.copy() == {}


def test_a_mapping_replaces_a_namespace(store, ns):
    """Assigning a mapping makes the namespace equal to it; ``|=`` only adds to it."""
    store[ns.name] = {"keep": 1, "change": 1, "drop": 1}
    store[ns.name] = {"keep": 1, "change": True, "new": None}
    assert ns.copy() == {"keep": 1, "change": True, "new": None}
    assert ns["change"] is True
    store[ns.name] |= {"more": 2}
    assert len(ns) == 4


def test_it_compares_and_merges_as_a_mapping(ns, unused):
    """Equality is that of the JSON values, and ``|`` gives a dict, from either side."""
    ns["a"], ns["b"] = 1, [True]
    other = unused()
    other["a"], other["b"] = 1.0, [True]
    assert ns == {"b": [True], "a": 1} == ns
    assert ns == other
    assert ns != {"b": [1], "a": 1}
    assert ns | {"a": 2} == {"a": 2, "b": [True]}
    assert {"c": 3} | ns == {"a": 1, "b": [True], "c": 3}


def test_all_is_checked_before_anything_is_sent(ns):
    """One bad name or value among many stores nothing at all."""
    with pytest.raises(InvalidKey):
        ns.update({"good": 1, "b/d": 2})
    with pytest.raises(InvalidValue):
        ns.update({"good": 1, "bad": {3, 4}})
    assert ns.copy() == {}


# --- names ------------------------------------------------------------------------------------------------------------


def check_name(ns, key, neighbours):
    """Everything works under a key, and nothing happens to the keys that it could be taken for."""
    before = dict.fromkeys(neighbours, "untouched")
    ns.update(before)
    assert key not in ns
    ns[key] = 1
    ns[key] = {"for": key}
    assert key in ns
    assert ns[key] == {"for": key}
    assert ns.get_many([key]) == {key: {"for": key}}
    assert ns.copy() == before | {key: {"for": key}}
    assert list(ns) == sorted([*before, key])
    assert not ns.add(key, 2)
    del ns[key]
    assert key not in ns
    assert ns.copy() == before


@pytest.mark.parametrize("key", NAMES, ids=ascii)
def test_odd_keys(ns, key):
    """Keys with blanks, accents, emoji, separators, and the word ``keys`` are keys like any other."""
    check_name(ns, key, {key.strip(), key.replace("+", " ")[:254], "x"} - {key})


@pytest.mark.parametrize("key", DOTTED)
def test_dotted_keys(request, ns, key):
    """A dotted key is taken whole; behind a proxy that rewrites it, it is refused, and no stem of it is touched."""
    try:
        check_name(ns, key, {key.partition(".")[0], key.rpartition(".")[0]} - {"", ".", key})
    except Unaddressable:
        assert request.node.callspec.params["open_store"] == LIVE  # before the others there is no proxy
        assert set(ns.copy().values()) <= {"untouched"}


@pytest.mark.parametrize("suffix", [".v1.1", " ünï 😀", "+:"])
def test_odd_namespaces(store, unused, suffix):
    """Odd and dotted namespaces are listed, read, cleared and deleted whole, and not their stems."""
    whole = unused(suffix)
    stem = store[whole.name.partition(".")[0]] if "." in suffix else unused()
    try:
        stem["k"] = "untouched"
        whole["k"] = 1
        assert {whole.name, stem.name} <= set(store)
        assert whole.copy() == {"k": 1}
        assert list(whole) == ["k"]
        del store[whole.name]
        assert whole.name not in store
        assert stem.copy() == {"k": "untouched"}
    finally:
        stem.clear()


@pytest.mark.parametrize("key", UNHOLDABLE, ids=ascii)
def test_names_that_no_server_can_hold(store, ns, key):
    """Such a name is absent where one reads, and refused where one writes; nothing else is touched."""
    ns["x"] = 1
    assert key not in ns
    assert ns.get(key, 7) == 7
    for write in (lambda: ns.set(key, 1), lambda: ns.add(key, 1), lambda: ns.__delitem__(key), lambda: store[key]):
        with pytest.raises(InvalidKey):
            write()
    assert ns.copy() == {"x": 1}


@pytest.mark.parametrize("key", ['a"b', "a\tb", "a\x1fb"], ids=ascii)
def test_keys_that_would_spoil_bulk_reads_are_not_written(ns, key):
    """The server prints keys unescaped in bulk answers: a key that would break them is refused."""
    with pytest.raises(InvalidKey):
        ns[key] = 1
    assert ns.copy() == {}


# --- the stores -------------------------------------------------------------------------------------------------------


def test_the_two_stores_are_two(store, open_store, ns):
    """An entry of one store is none of the other."""
    with open_store() as opened:
        other = opened if store is store.user else opened.user
        ns["k"] = 1
        assert ns.name not in other
        assert other[ns.name].copy() == {}


def test_who_is_not_known_is_told_so(open_store, store, ns):
    """Without a valid sign-in nothing looks absent: reading, listing and writing raise ``NotAuthenticated``."""
    ns["k"] = 1
    with open_store(auth=("dhis2kv-nobody", "Wrong-passw0rd")) as stranger:
        outside = (stranger.user if store is store.user else stranger)[ns.name]
        for touch in (
            lambda: outside["k"],
            lambda: outside.get("k", 7),
            lambda: "k" in outside,
            lambda: list(outside),
            outside.copy,
            outside.clear,
            lambda: outside.set("k", 2),
            lambda: outside.setdefault("k", 2),
        ):
            with pytest.raises(NotAuthenticated):
                touch()
        with pytest.raises(BulkError) as caught:
            outside.update(a=1, b=2)
        assert caught.value.done == []
    assert ns.copy() == {"k": 1}
