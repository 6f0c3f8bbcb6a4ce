"""Keys that forge entries, hide them or break bulk answers: what is read is what is stored, whoever stored it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhis2kv import InvalidKey, Query, Store, snapshot
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent
from tests.wire.test_bulk import forging

VERSIONS = ["2.38", "2.39", "2.40", "2.41", "2.42", "2.43", "2.44"]
FORGING = [
    'x","value":1},{"key":"y',
    'x","value":null},{"key":"y',
    'x" , "value" : 1 } , { "key" : "y',
    'a","key":"b',
    'a","value":1,"b":"',
    'a"},{"key":"b',
    'a","name":1},{"key":"b',
    'a"b',
    'a","value":[{"key":"b',
    'c"}],"key":"z',
    '"',
    "tab\there",
]


def holdable(key):
    """Whether a server can hold this key."""
    return key not in ("", ".", "..") and not set(key) & set("/\\%;\0\n\r\u2028\u2029") and len(key) <= 255


def is_plain(key):
    """Whether this library writes such a key."""
    return not any(sign == '"' or sign < " " for sign in key)


keys = st.sampled_from(["a", "b", "x", "y", "z", "keys", "config.json"]) | st.sampled_from(FORGING) | forging
values = st.sampled_from([None, 1, [], {"a": 'b","value":1}'}, '"},{'])
stored = st.dictionaries(keys.filter(holdable), values, max_size=6)


def loaded(version, user, data):
    """A server with these entries in the namespace ``app``, and a store on it."""
    emulator = Emulator(version=version)
    emulator.load({"app": data}, user="admin" if user else None)
    store = connect(emulator)
    return emulator, store.user if user else store


either = pytest.mark.parametrize("user", [False, True], ids=["dataStore", "userDataStore"])


@either
@pytest.mark.parametrize("version", VERSIONS)
@given(data=stored, draw=st.data())
@settings(max_examples=15)
def test_the_real_entries_are_read(version, user, data, draw):
    """Every way of reading many entries gives those that are stored."""
    _, store = loaded(version, user, data)
    namespace = store["app"]
    assert namespace.copy() == dict(namespace.items()) == data
    assert list(namespace.values()) == [data[key] for key in sorted(data)]
    assert list(namespace.copy()) == sorted(data)
    some = draw.draw(st.lists(st.sampled_from([*data, "absent", *FORGING]), unique=True, max_size=5))
    assert namespace.get_many(some) == {key: data[key] for key in some if key in data}
    assert store.datastore.get_all("app", user=user, texts=True).keys() == data.keys()
    if data:
        assert {entry.key: entry.value for entry in snapshot.read(store, ["app"])} == data


@either
@pytest.mark.parametrize("version", VERSIONS)
@given(data=stored)
@settings(max_examples=15)
def test_the_real_entries_are_found_by_a_query(version, user, data):
    """A query shows each entry under its real key, whichever fields it asks for."""
    if user and version < "2.40":
        return  # has no queries
    _, store = loaded(version, user, data)

    def rows(**query):
        return {row.pop("key"): row for row in store.datastore.query("app", Query(**query), user=user)}

    assert rows() == {key: {"value": value} for key, value in data.items()}
    assert rows(fields="") == {key: {} for key in data}
    assert rows(fields="", include_all=False) == {key: {} for key in data}
    picked = {key: value["a"] if isinstance(value, dict) else None for key, value in data.items()}
    assert rows(fields="a,name") == {key: {"a": part, "name": None} for key, part in picked.items()}
    found = {key: {"a": part, "name": None} for key, part in picked.items() if part is not None}
    assert rows(fields="a,name", include_all=False) == found


@either
@pytest.mark.parametrize("version", VERSIONS)
@given(data=stored)
@settings(max_examples=10)
def test_a_namespace_is_replaced_whole(version, user, data):
    """After an assignment a namespace holds what was assigned, and nothing that was hidden before."""
    _, store = loaded(version, user, data)
    store["app"] = {"x": 1, "new": None}
    assert list(store["app"].keys()) == ["new", "x"]
    assert store["app"].copy() == {"x": 1, "new": None}


@pytest.mark.parametrize("key", FORGING)
@pytest.mark.parametrize("version", ["2.38", "2.40", "2.44"])
def test_a_bulk_read_stays_one_request(version, key):
    """Whatever keys there are, all entries together cost one request."""
    emulator, store = loaded(version, False, {key: 1, "a": 2, "b": {}})
    namespace = store["app"]
    assert namespace.copy() == {key: 1, "a": 2, "b": {}}
    assert len(sent(emulator)) == 1
    with pytest.raises(InvalidKey):
        namespace[key] = 1


@pytest.mark.parametrize("version", ["2.38", "2.44"])
@given(data=stored)
@settings(max_examples=30)
def test_where_something_takes_the_marks_away(version, data):
    """An answer without the marks that were asked for is believed where the listing shows that nothing forges."""
    emulator, _ = loaded(version, False, data)
    session = emulator.session()
    adapter = session.get_adapter("http://dhis2.test")
    inner = adapter.send

    def send(request, **options):
        if "~hoist" in request.url:
            before, _, rest = request.url.partition("~hoist")
            request.url = before + rest[rest.index("&") :]
        return inner(request, **options)

    adapter.send = send
    namespace = Store("http://dhis2.test", ("admin", "district"), session=session)["app"]
    assert namespace.copy() == data
    if len(data) > 1 and None not in data.values() and all(map(is_plain, data)):
        assert len(sent(emulator)) == 2
