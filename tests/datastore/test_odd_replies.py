"""Whatever a server answers, each method gives what it promises or raises one of this library's errors."""

import json

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import BaseAdapter

from dhis2kv import Dhis2kvError, Query, Store, snapshot
from dhis2kv.releases import Version
from tests.wire.test_values import values

NAMES = st.sampled_from(["app", "k", "keys", "x", "", "a/b", "protections"])
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["key", "value", "id"]), st.one_of(NAMES, values), max_size=3), max_size=3
)
LIKELY = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "version", "username", "created", "httpStatusCode", "message"), values | NAMES)
)
MESSAGES = st.builds(
    lambda status, text: {"httpStatusCode": status, "message": text},
    st.sampled_from([200, 201, "200", None]),
    st.sampled_from(["Key created: 'k'", "Key updated: 'k'", "Key 'k' deleted from namespace 'app'", "", None, 1]),
)
ODD = [
    "",
    "[",
    "nothing",
    "[1,]",
    "NaN",
    "null",
    '"',
    "[" * 3000 + "]" * 3000,
    "9" * 5000,
    "1e999",
    "1" * 400 + ".5",
    "\ud800",
]
bodies = st.one_of(
    st.one_of(values, ROWS, st.lists(NAMES, max_size=3), LIKELY, MESSAGES).map(json.dumps),
    st.sampled_from(ODD),
    st.text(max_size=5),
)
STATUS = st.sampled_from([200, 200, 200, 201])
TYPES = st.sampled_from(["application/json", "application/json;charset=UTF-8", "text/html", ""])


class Answering(BaseAdapter):
    """Answers every request with the next of these replies, the last one for ever."""

    def __init__(self, replies):
        super().__init__()
        self.replies = list(replies)

    def send(self, request, **_):
        status, kind, body = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, request.url
        response._content = b"" if request.method == "HEAD" else body.encode("utf-8", "surrogatepass")
        response.headers["content-type"] = kind
        return response

    def close(self):
        """Nothing is open."""


def edited(namespace):
    with namespace.edit("k") as value:
        if isinstance(value, list):
            value.append(1)


def is_json(value):
    """Whether this is what a JSON text can mean."""
    try:
        json.dumps(value)
    except RecursionError:
        return True
    except ValueError as error:  # so many digits that Python does not write them
        return "digits" in str(error)
    return True


def is_names(found):
    return isinstance(found, list) and all(isinstance(name, str) for name in found)


def is_entries(found):
    return isinstance(found, dict) and is_names(list(found)) and is_json(found)


def is_nothing(found):
    return found is None


def is_text(found):
    return isinstance(found, str)


# Each method with what its result is.
DATASTORE = {
    "account": (lambda d: d.account(), lambda found: isinstance(found["id"], str)),
    "version": (lambda d: d.version(), lambda found: isinstance(found, Version)),
    "list_namespaces": (lambda d: d.list_namespaces(), is_names),
    "list_keys": (lambda d: d.list_keys("app"), is_names),
    "list_keys of protections": (lambda d: d.list_keys("protections"), is_names),
    "get": (lambda d: d.get("app", "k"), is_json),
    "get keys": (lambda d: d.get("app", "keys", user=True), is_json),
    "get_text": (lambda d: d.get_text("app", "k"), is_text),
    "exists": (lambda d: d.exists("app", "k"), lambda found: isinstance(found, bool)),
    "metadata": (lambda d: d.metadata("app", "k"), lambda found: isinstance(found, dict)),
    "get_all": (lambda d: d.get_all("app"), is_entries),
    "get_all texts": (lambda d: d.get_all("app", texts=True), lambda found: all(map(is_text, found.values()))),
    "get_many": (lambda d: d.get_many("app", ["k", "x", "keys"]), is_entries),
    "query": (lambda d: d.query("app", Query()), lambda found: all(isinstance(row["key"], str) for row in found)),
    "query fields": (
        lambda d: d.query("app", Query(fields="id")),
        lambda found: all(isinstance(row["key"], str) for row in found),
    ),
    "query_text": (lambda d: d.query_text("app", Query()), lambda found: isinstance(json.loads(found), list)),
    "set": (lambda d: d.set("app", "k", 1, user=True), is_nothing),
    "set encrypted": (lambda d: d.set("app", "k", 1, encrypt=True), is_nothing),
    "create": (lambda d: d.create("app", "k", 1), is_nothing),
    "delete": (lambda d: d.delete("app", "k"), is_nothing),
    "delete_namespace": (lambda d: d.delete_namespace("app"), is_nothing),
    "patch": (lambda d: d.patch("app", "k", "a", 1), is_nothing),
    "roll": (lambda d: d.roll("app", "k", 1, 2), is_nothing),
    "set_many": (lambda d: d.set_many("app", {"k": 1, "x": 2}), is_nothing),
    "replace": (lambda d: d.replace("app", {"k": 1, "x": 2}), is_nothing),
    "delete_many": (lambda d: d.delete_many("app", ["k", "x"]), is_nothing),
}
NAMESPACE = {
    "[]": (lambda ns: ns["k"], is_json),
    "get": (lambda ns: ns.get("k"), is_json),
    "in": (lambda ns: "k" in ns, lambda found: isinstance(found, bool)),
    "iter": (lambda ns: list(iter(ns)), is_names),
    "len": (len, lambda found: found >= 0),
    "copy": (lambda ns: ns.copy(), is_entries),
    "items": (lambda ns: dict(ns.items()), is_entries),
    "values": (lambda ns: list(ns.values()), is_json),
    "get_many": (lambda ns: ns.get_many(["k", "x"]), is_entries),
    "==": (lambda ns: ns == {"k": 1}, lambda found: isinstance(found, bool)),
    "|": (lambda ns: ns | {"k": 1}, is_entries),
    "pop": (lambda ns: ns.pop("k"), is_json),
    "popitem": (lambda ns: ns.popitem(), lambda found: isinstance(found[0], str)),
    "setdefault": (lambda ns: ns.setdefault("k", 1), is_json),
    "add": (lambda ns: ns.add("k", 1), lambda found: isinstance(found, bool)),
    "edit": (edited, is_nothing),
    "update": (lambda ns: ns.update(k=1), is_nothing),
    "clear": (lambda ns: ns.clear(), is_nothing),
}
STORE = {
    "iter": (lambda store: list(iter(store)), is_names),
    "items": (lambda store: [name for name, _ in store.items()], is_names),
    "in": (lambda store: "app" in store, lambda found: isinstance(found, bool)),
    "snapshot": (
        lambda store: list(snapshot.read(store)),
        lambda found: all(isinstance(entry.key, str) for entry in found),
    ),
    "snapshot of one": (
        lambda store: list(snapshot.read(store, ["app"])),
        lambda found: all(isinstance(entry.key, str) for entry in found),
    ),
}
METHODS = {
    **{
        f"Datastore {name}": (lambda store, act=act: act(store.datastore), is_)
        for name, (act, is_) in DATASTORE.items()
    },
    **{f"Namespace {name}": (lambda store, do=do: do(store["app"]), is_) for name, (do, is_) in NAMESPACE.items()},
    **{f"Store {name}": method for name, method in STORE.items()},
}


@pytest.mark.parametrize("ttl", [None, 60], ids=["plain", "cached"])
@pytest.mark.parametrize(("act", "shape"), METHODS.values(), ids=METHODS)
@given(replies=st.lists(st.tuples(STATUS, TYPES, bodies), min_size=1, max_size=4))
@settings(max_examples=12)
def test_every_method(act, shape, ttl, replies):
    """Any body with a status of success leads to a value of the promised shape, or to an error that is ours."""
    session = requests.Session()
    session.mount("http://", Answering(replies))
    store = Store("http://dhis2.test", ("a", "b"), session=session, retries=0, workers=1, ttl=ttl)
    store.datastore.transport.sleep = lambda seconds: None
    try:
        found = act(store)
    except Dhis2kvError:
        return
    except KeyError as error:
        if "is empty" in str(error):  # popitem's own
            return
        raise
    assert shape(found)
