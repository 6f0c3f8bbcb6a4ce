"""AsyncDatastore: the accessor, awaitable."""

import asyncio
import inspect
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dhis2kv import Datastore, KeyExists, KeyNotFound, Query, Sharing, Store, where
from dhis2kv.aio import AsyncDatastore
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent

REFERENCE = [
    "list_namespaces(self, *, user=False)",
    "list_keys(self, namespace, *, user=False)",
    "get(self, namespace, key, *, user=False)",
    "exists(self, namespace, key, *, user=False)",
    "set(self, namespace, key, value, *, user=False)",
    "delete(self, namespace, key, *, user=False)",
    "delete_namespace(self, namespace, *, user=False)",
]
# What the accessor has, in its order, but for what sends nothing.
NAMES = [
    name
    for name, member in inspect.getmembers(Datastore, inspect.isfunction)
    if not name.startswith("_") and name not in ("of", "dumps", "check_writable")
]


@pytest.fixture
def version():
    return "2.42"


@pytest.mark.parametrize("accessor", [Datastore, AsyncDatastore])
@pytest.mark.parametrize("line", REFERENCE)
def test_a_method_has_the_reference_signature(accessor, line):
    """Both accessors can be called as the reference client is; what they take beyond that is optional, by name."""
    name = line.partition("(")[0]
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(getattr(accessor, name)).parameters.values()
    ]
    wanted = line.count(",") - line.count("*") + 1
    assert name + str(inspect.Signature(bare[:wanted])) == line
    assert all(
        extra.kind is inspect.Parameter.KEYWORD_ONLY and extra.default is not inspect.Parameter.empty
        for extra in bare[wanted:]
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_method_is_the_synchronous_one_but_awaitable(name):
    """Names, parameters, defaults and annotations are those of Datastore, and the method is a coroutine function."""
    assert inspect.iscoroutinefunction(getattr(AsyncDatastore, name))
    assert inspect.signature(getattr(AsyncDatastore, name)) == inspect.signature(getattr(Datastore, name))


def test_there_is_nothing_else():
    """The awaitable accessor has all that the accessor has, and nothing else."""
    assert sorted(name for name in vars(AsyncDatastore) if not name.startswith("_")) == sorted(["of", *NAMES])


@pytest.mark.parametrize("user", [False, True], ids=["dataStore", "userDataStore"])
@pytest.mark.parametrize("of", ["store", "datastore"])
def test_each_method_does_its_work(store, user, of):
    """Each method hands all its arguments on, and its result back; both stores are reached."""
    datastore = AsyncDatastore(store if of == "store" else store.datastore)
    at = {"user": user}
    calls = []

    def progress(done, total):
        calls.append((done, total))

    async def scenario():
        await datastore.set("app", "a", {"n": 1}, **at)
        assert await datastore.get("app", "a", **at) == {"n": 1}
        assert await datastore.exists("app", "a", **at)
        assert not await datastore.exists("app", "a", user=not user)
        await datastore.set("app", "secret", 7, encrypt=True, **at)
        assert await datastore.get_all("app", texts=True, **at) == {"a": '{"n": 1}', "secret": "7"}
        await datastore.delete("app", "secret", **at)
        await datastore.set_many("app", {"b": 2, "c": 3}, progress=progress, **at)
        assert await datastore.get_many("app", iter(["c", "absent", "b"]), **at) == {"c": 3, "b": 2}
        assert await datastore.query("app", Query(filters=("_:eq:b",)), **at) == [{"key": "b", "value": 2}]
        assert json.loads(await datastore.query_text("app", Query(filters=("_:eq:b",)), **at)) == [
            {"key": "b", "value": 2}
        ]
        assert await datastore.get_text("app", "b", **at) == "2"
        with pytest.raises(KeyExists):
            await datastore.create("app", "b", 3, **at)
        await datastore.patch("app", "a", "n", 2, **at)
        await datastore.roll("app", "list", 1, 2, **at)
        assert await datastore.get_many("app", ["a", "list"], **at) == {"a": {"n": 2}, "list": [1]}
        await datastore.delete("app", "list", **at)
        assert await datastore.list_keys("app", **at) == ["a", "b", "c"]
        await datastore.delete_many("app", ["b", "c"], progress=progress, **at)
        await datastore.replace("app", {"d": 4}, **at)
        assert await datastore.get_all("app", **at) == {"d": 4}
        assert await datastore.list_namespaces(**at) == ["app"]
        await datastore.delete_namespace("app", **at)
        with pytest.raises(KeyNotFound):
            await datastore.get("app", "d", **at)
        assert (await datastore.account())["username"] == "admin"
        assert (await datastore.version())[:2] == (2, 42)

    asyncio.run(scenario())
    assert calls == [(1, 2), (2, 2)] * 2


def test_who_may_read_it(emulator, store):
    """Metadata, sharing and protections are those of the accessor; what is created can be closed."""
    emulator.add_user("alice", "Alice_pw_1!")
    datastore = AsyncDatastore(store)

    async def scenario():
        closed = Sharing.private()
        await datastore.set("app", "set", 1, sharing=closed)
        await datastore.create("app", "created", 1, sharing=closed)
        await datastore.set_many("app", {"many": 1}, sharing=closed)
        await datastore.roll("app", "rolled", 1, 2, sharing=closed)
        await datastore.replace("other", {"replaced": 1}, sharing=closed)
        for name, key in [
            ("app", "set"),
            ("app", "created"),
            ("app", "many"),
            ("app", "rolled"),
            ("other", "replaced"),
        ]:
            assert (await datastore.sharing(name, key)).public == closed.public
        await datastore.share("app", "set", users={"alice": "r"})
        await datastore.share_many("app", ["created", "many"], public="r")
        assert (await datastore.metadata("app", "set")).sharing == store.datastore.sharing("app", "set")
        assert (await datastore.sharing("app", "many")) == store.datastore.sharing("app", "created")
        assert "alice" in (await datastore.sharing("app", "set")).users
        assert await datastore.protections() == store.datastore.protections()

    asyncio.run(scenario())


def test_another_accounts_own_store(emulator, store):
    """``of`` is not awaited, for it sends nothing; ``user=True`` is then that account's own store."""
    emulator.add_user("alice", "Alice_pw_1!")
    emulator.put("app", "k", "of alice", user="alice")
    assert asyncio.run(AsyncDatastore(store).of("alice").get("app", "k", user=True)) == "of alice"


def test_async_with_closes_the_connections():
    """At the end of ``async with`` the server has no connection left, and a later call opens a new one."""
    with Emulator().serve() as server:
        store = Store(server.url, ("admin", "district"))

        async def scenario():
            async with AsyncDatastore(store) as datastore:
                assert await datastore.list_namespaces() == []
                assert len(server._server._open) == 1
            while server._server._open:
                await asyncio.sleep(0)
            assert await datastore.list_namespaces() == []

        asyncio.run(asyncio.wait_for(scenario(), 60))
        store.close()


@pytest.mark.parametrize("name", ["set", "set_many", "replace"])
def test_what_shall_be_encrypted_is(emulator, store, name):
    """The three writing methods hand on that an entry is to be stored encrypted."""
    datastore = AsyncDatastore(store)
    arguments = ("k", 1) if name == "set" else ({"k": 1},)
    asyncio.run(getattr(datastore, name)("app", *arguments, encrypt=True))
    assert "POST /api/dataStore/app/k?encrypt=true" in [f"{method} {target}" for method, target in sent(emulator)]


def test_calls_go_on_at_the_same_time(emulator, store):
    """Two calls are with the server at once: each of them is answered only when both have arrived."""
    emulator.put("app", "k", 1)
    emulator.latency = 1.0
    both = threading.Barrier(2)
    emulator.sleep = lambda seconds: both.wait(timeout=30)
    datastore = AsyncDatastore(store)

    async def scenario():
        return await asyncio.gather(datastore.get("app", "k"), datastore.get("app", "k"))

    assert asyncio.run(scenario()) == [1, 1]


def held_up(emulator):
    """Two events: a request has arrived at an emulator that takes its time, and it shall answer."""
    loop, arrived, answer = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def wait(seconds):
        loop.call_soon_threadsafe(arrived.set)
        assert answer.wait(timeout=30)

    emulator.sleep = wait
    return arrived, answer


def test_a_cancelled_call_leaves_its_connection_whole(caplog):
    """A write that is cancelled while the server takes its time is done all the same, and the next call uses the same
    connection and gets its own answer."""
    emulator = Emulator()
    emulator.fail("slow", method="PUT")
    caplog.set_level(logging.DEBUG, logger="urllib3.connectionpool")
    with emulator.serve() as server, Store(server.url, auth=("admin", "district")) as store:
        datastore = AsyncDatastore(store)

        async def cancelled():
            arrived, answer = held_up(emulator)
            write = asyncio.create_task(datastore.set("app", "k", "late"))
            await arrived.wait()
            write.cancel()
            with pytest.raises(asyncio.CancelledError):
                await write
            answer.set()

        asyncio.run(cancelled())
        assert asyncio.run(datastore.get("app", "k")) == "late"
    opened = [record.getMessage() for record in caplog.records if "onnection" in record.getMessage()]
    assert len(opened) == 1, opened
    assert opened[0].startswith("Starting new HTTP connection")


def test_a_call_cancelled_before_it_began_is_never_sent(emulator, store):
    """A call that was cancelled while it waited for a thread does not reach the server."""
    emulator.latency = 1.0
    datastore = AsyncDatastore(store)

    async def scenario():
        arrived, answer = held_up(emulator)
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        first = asyncio.create_task(datastore.set("app", "first", 1))
        second = asyncio.create_task(datastore.set("app", "second", 2))
        await arrived.wait()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        answer.set()
        await first

    asyncio.run(scenario())
    assert sent(emulator) == [("PUT", "/api/dataStore/app/first")]


def test_finding_entries():
    """Entries are found by what they hold, as with the accessor."""
    emulator = Emulator()
    emulator.load({"app": {"a": {"n": 1}, "b": {"n": 2, "m": 0}}})
    datastore = AsyncDatastore(connect(emulator))
    assert asyncio.run(datastore.find("app", where("n") > 1, fields="n")) == {"b": {"n": 2}}
    assert list(asyncio.run(datastore.find("app", "n:gt:0", order="n:desc", limit=1))) == ["b"]
    assert list(asyncio.run(datastore.find("app", "n:eq:1", "m:eq:0", any=True))) == ["a", "b"]
