"""The cache through a store: what it saves, and what it never serves."""

from __future__ import annotations

import pytest

from dhis2kv import Store
from dhis2kv.cache import Cache
from dhis2kv.emulator import Emulator
from tests.cache.doubles import (
    TTL,
    Clock,
    Memory,
)
from tests.conftest import OLD_MIDDLE_NEW, connect, sent

DATA = {"a": 1, "b": {"x": [1, 2]}, "c": "text", "n": None}


@pytest.fixture
def cost(emulator, either):
    """Count the requests of expressions, one after the other, on a namespace of a store with an empty cache."""
    either["app"].update(DATA)
    store = connect(emulator, ttl=TTL)
    store = store.user if either is either.user else store
    store["app"]["a"] = DATA["a"]  # the first time, the user store's own way of overwriting asks for the version

    def count(*expressions):
        store.refresh()
        counts = []
        for expression in expressions:
            sent(emulator)
            expression(store["app"])
            counts.append(len(sent(emulator)))
        return counts

    return count


@pytest.fixture
def bulk(version, either):
    """What reading all of DATA costs: one request, and one for its null; without bulk reads the listing and each."""
    return 2 if version >= ("2.40" if either is either.user else "2.38") else 1 + len(DATA)


def test_costs_of_one_entry(cost):
    """A read of an entry costs one request, and none within its TTL; nor does the question whether it is there."""
    again = [lambda ns: ns["a"], lambda ns: ns.get("a"), lambda ns: "a" in ns, lambda ns: ns.get_many(["a"])]
    assert cost(lambda ns: ns["a"], *again) == [1, 0, 0, 0, 0]
    assert cost(lambda ns: ns.get("a"), *again) == [1, 0, 0, 0, 0]
    assert cost(lambda ns: "a" in ns, lambda ns: ns["a"]) == [1, 1]
    assert cost(lambda ns: ns.get("none"), lambda ns: ns.get("none")) == [1, 1]


def test_costs_of_names(cost):
    """A listing costs one request, and none within its TTL, whatever it is asked for."""
    keys = [lambda ns: list(ns), lambda ns: len(ns), lambda ns: bool(ns), lambda ns: list(ns.keys())]
    for first in keys:
        assert cost(first, *keys, lambda ns: "b" in ns, lambda ns: "none" in ns) == [1, 0, 0, 0, 0, 0, 0]
    names = [
        lambda ns: "app" in ns._store,
        lambda ns: ns._store.get("app"),
        lambda ns: list(ns._store),
        lambda ns: len(ns._store),
        lambda ns: list(ns._store.items()),
    ]
    for first in names:
        assert cost(first, *names) == [1, 0, 0, 0, 0, 0]


def test_costs_of_all_entries(cost, bulk):
    """After a bulk read neither another one nor a read of an entry costs a request within the TTL."""
    everything = [
        lambda ns: ns.copy(),
        lambda ns: list(ns.items()),
        lambda ns: list(ns.values()),
        lambda ns: ns == DATA,
        lambda ns: ns | {"z": 1},
        lambda ns: {"z": 1} | ns,
        lambda ns: ns == ns._store["app"],
    ]
    single = [lambda ns: ns["b"], lambda ns: "n" in ns, lambda ns: ns["n"], lambda ns: ns.get_many(DATA)]
    for first in everything:
        assert cost(first, *everything, *single) == [bulk] + [0] * 11
    assert cost(lambda ns: dict(ns), lambda ns: {**ns}, lambda ns: ns["c"]) == [1 + len(DATA), 0, 0]


def test_costs_of_some_entries(cost, version, either):
    """Of chosen entries only those are asked for of which nothing fresh is there."""
    asked = 1 if version >= ("2.40" if either is either.user else "2.38") else 3
    some = [lambda ns: ns.get_many(["a", "b"]), lambda ns: ns["a"], lambda ns: ns.get_many(["b", "a"])]
    assert cost(*some, lambda ns: ns.get_many(["b", "c"])) == [asked, 0, 0, 1]


def test_costs_after_writes(cost, version):
    """A write costs what it costs without a cache, and the next read asks the server."""

    def edit(ns):
        with ns.edit("b") as value:
            value["y"] = len(value)

    read = [lambda ns: ns["b"], lambda ns: "b" in ns]
    for write, requests in (
        (lambda ns: ns.__setitem__("b", {"x": 2}), 1),
        (lambda ns: ns.add("b", 1), 1),
        (lambda ns: ns.update({"a": 1, "b": {"x": 3}}), 2),
        (edit, 3),
    ):
        assert cost(*read, write, *read) == [1, 0, requests, 1, 0]
    assert cost(lambda ns: ns.copy(), lambda ns: ns.__delitem__("a"), lambda ns: len(ns), lambda ns: ns["b"])[1:] == [
        1,
        1,
        1,
    ]
    assert cost(lambda ns: len(ns._store), lambda ns: ns.clear(), lambda ns: len(ns._store)) == [1, 1, 1]


def test_reads_that_serve_writes(emulator, either):
    """What a write goes by is asked of the server, whatever is cached."""
    store = connect(emulator, ttl=TTL)
    cached, foreign = (store.user if either is either.user else store)["app"], either["app"]
    foreign.update(DATA)
    assert cached.copy() == DATA
    foreign.update({"a": 2, "b": {"y": 1}, "new": 3})
    assert cached.setdefault("new", 0) == 3
    assert cached.pop("a") == 2
    cached.refresh()
    cached.copy()
    foreign["b"] = {"z": 1}
    with cached.edit("b") as value:
        assert value == {"z": 1}
    cached.copy()
    foreign["a"] = 4
    assert cached.popitem() == ("a", 4)
    cached.copy()
    foreign["late"] = 5
    sent(emulator)
    cached.replace({"b": {"z": 1}})
    assert foreign.copy() == {"b": {"z": 1}}


def test_accounts(emulator, monkeypatch):
    """Stores that share a cache share what they read where server, account and store are the same, and only there."""
    emulator.add_user("alice", "Alice_pw_1!", superuser=True)
    cache = Cache(TTL)
    stores = [connect(emulator, auth, cache=cache) for auth in (("admin", "district"), ("alice", "Alice_pw_1!"))]
    for number, store in enumerate([stores[0], stores[0].user, stores[1], stores[1].user]):
        store["app"]["k"] = number
    assert [one["app"]["k"] for store in stores for one in (store, store.user)] == [2, 1, 2, 3]
    sent(emulator)
    assert connect(emulator, cache=cache).user["app"]["k"] == 1
    assert sent(emulator) == []


@pytest.mark.parametrize("version", OLD_MIDDLE_NEW)
def test_accounts_behind_tokens(emulator, version):
    """With a backend, who is signed in is asked once where the credentials do not tell; ``account`` spares that."""
    clock = Clock()
    backend = Memory(clock)

    class Opaque:
        """Signs in, and does not tell whom."""

        def __call__(self, request):
            request.headers["Authorization"] = "Basic YWRtaW46ZGlzdHJpY3Q="
            return request

    def store(**options):
        return connect(emulator, Opaque(), cache=Cache(TTL, backend=backend, clock=clock, sleep=None), **options)

    first = store()
    first["app"]["k"] = 1
    assert first["app"]["k"] == first["app"]["k"] == 1
    assert [target.partition("?")[0] for _, target in sent(emulator)].count("/api/me") == 1
    assert store()["app"]["k"] == 1
    assert [target.partition("?")[0] for _, target in sent(emulator)] == ["/api/me"]
    assert [store(account="admin")["app"]["k"] for _ in range(2)] == [1, 1]
    assert [target for _, target in sent(emulator)] == ["/api/dataStore/app/k"]
    kept = " ".join(backend.kept) + " ".join(str(data) for data, _ in backend.kept.values())
    assert "district" not in kept
    assert "YWRtaW4" not in kept
    assert '["http://dhis2.test", "admin", "dataStore"]' in kept


@pytest.mark.parametrize(("one", "other"), [("http://localhost", "http://LOCALHOST"), ("http://h", "http://h:80/api")])
def test_one_server_by_two_names(one, other):
    """A write through one store shows at once in another on the same cache, however its URL is spelled."""
    emulator, cache = Emulator(), Cache(TTL)
    writer, reader = (
        Store(url, ("admin", "district"), session=emulator.session(), cache=cache) for url in (one, other)
    )
    writer["app"]["k"] = 1
    assert reader["app"]["k"] == 1
    writer["app"]["k"] = 2
    assert reader["app"]["k"] == 2
