"""Connections: kept, given up, and left alone after a fork."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import warnings

import pytest
import requests

from dhis2kv import (
    Store,
    Unreachable,
    wire,
)
from dhis2kv.emulator import Emulator
from dhis2kv.transport import Transport
from tests.conftest import connect

from .listening import Listener, reply


class TestConnections:
    def test_they_are_kept(self):
        """Calls in a row use one connection."""
        with Listener(*[reply()] * 5) as server:
            store = Store(server.url)
            assert [store["app"]["k"] for _ in range(5)] == [1] * 5

    @pytest.mark.parametrize("limits", [{"requests_each": 3}, {"idle_seconds": 0.02}])
    @pytest.mark.parametrize("version", ["2.36", "2.44"])
    def test_a_server_that_closes_them_costs_no_error(self, version, limits):
        """Connections closed after some requests or some idle time are opened again."""
        emulator = Emulator(version=version)
        with emulator.serve(**limits) as server, Store(server.url, ("admin", "district")) as store:
            namespace = store["app"]
            for number in range(12):
                namespace[f"k{number}"] = number
                assert namespace.add(f"k{number}", 0) is False
            assert len(namespace) == 12

    def test_a_set_whose_post_met_a_dead_connection(self):
        """On a server where a PUT does not create, a lost POST is settled by a PUT."""
        for fault in ("drop_before", "drop_after"):
            emulator = Emulator(version="2.36")
            namespace = connect(emulator)["app"]
            emulator.fail(fault, method="POST")
            namespace["k"] = 1
            assert namespace["k"] == 1

    def test_an_idle_connection_is_not_trusted_with_a_create(self):
        """After ten idle seconds a POST opens a new connection, for the server may be closing the old one."""
        now = [0.0]
        with Listener(*[reply()] * 4) as server:
            transport = Transport(server.url, clock=lambda: now[0])
            for method, later, connections in (("GET", 0, 1), ("GET", 11, 1), ("POST", 10, 1), ("POST", 10.5, 2)):
                now[0] += later
                transport.call(wire.call(method, "dataStore", "app", "k", body="1" if method == "POST" else None))
                assert server.connections == connections

    def test_after_a_fork(self):
        """Parent and child go on with connections of their own."""
        emulator = Emulator()
        with emulator.serve() as server, Store(server.url, ("admin", "district")) as store:
            store["app"]["k"] = 1
            child = os.fork()
            if child == 0:
                ok = False
                with contextlib.suppress(BaseException):
                    ok = store["app"]["k"] == 1
                    store["app"]["child"] = 2
                os._exit(0 if ok else 1)
            assert [store["app"]["k"] for _ in range(20)] == [1] * 20
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert store["app"]["child"] == 2


class Adapter(requests.adapters.HTTPAdapter):
    """An adapter of somebody's own, with an attribute that pickling and copying lose."""

    def __init__(self):
        self.options = {"blocksize": 4096}
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        return super().init_poolmanager(*args, **kwargs, **self.options)


def test_a_fork_with_an_adapter_of_ones_own():
    """The child shares no connection with its parent, whatever the session's adapters."""
    session = requests.Session()
    session.mount("http://", Adapter())
    emulator = Emulator()
    with emulator.serve() as server:
        store = Store(server.url, ("admin", "district"), session=session)
        store["app"].update({"parent": 1, "child": 2})
        child = os.fork()
        if child == 0:
            ok = False
            with contextlib.suppress(BaseException):
                ok = all(store["app"]["child"] == 2 for _ in range(50))
            os._exit(0 if ok else 1)
        assert [store["app"]["parent"] for _ in range(50)] == [1] * 50
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def in_child(act):
    """Whether ``act`` gives True in a child process, with warnings as errors, and no longer than ten seconds."""
    gc.collect()  # what other tests have left behind is not the child's
    child = os.fork()
    if child == 0:
        ok, said = False, []
        with contextlib.suppress(BaseException):
            signal.alarm(10)
            warnings.simplefilter("error")
            sys.unraisablehook = said.append
            ok = act()
            gc.collect()
        os._exit(0 if ok is True and not said else 1)
    return os.waitpid(child, 0)[1] == 0


def sign(request):
    request.headers["Authorization"] = "Basic YWRtaW46ZGlzdHJpY3Q="
    return request


@contextlib.contextmanager
def locked(store):
    """As if another thread were just giving back a connection, looking for a pool and signing: a child of a fork has
    copies of the locks that are never released.
    """
    transport = store.datastore.transport
    pools = transport._session.get_adapter(transport.base).poolmanager.pools
    (pool,) = (pools[key] for key in pools.keys())  # noqa: SIM118 - it has no other
    usual, pools.lock = pools.lock, threading.Lock()  # which this thread could take again
    with pool.pool.mutex, pools.lock, transport._signing:
        yield
    pools.lock = usual


def test_a_fork_in_the_middle_of_something():
    """Locks that another thread held in the moment of the fork do not stop the child, from first read to last."""
    emulator = Emulator()
    connect(emulator)["app"]["k"] = 1
    with emulator.serve() as server:
        store = Store(server.url, sign)
        transport = store.datastore.transport

        def read():
            nonlocal store, transport
            right = store["app"]["k"] == 1
            session = transport._session
            right = right and store["app"]["k"] == 1 and transport._session is session  # and with it its connection
            store.close()
            del store, transport, session
            return right

        def close():
            store.close()
            return True

        assert store["app"]["k"] == 1
        with locked(store):
            assert in_child(read)
            assert in_child(close)
        assert in_child(read)  # with nothing left of its parent's connections, whose end would be warned of
        assert store["app"]["k"] == 1


PROGRAM = """
import os, sys
from dhis2kv import Store

store = Store(sys.argv[1], ("admin", "district"))
assert store["app"]["k"] == 1
adapter = store.datastore.transport._session.get_adapter(sys.argv[1])
(pool,) = (adapter.poolmanager.pools[key] for key in adapter.poolmanager.pools.keys())
with pool.pool.mutex:
    child = os.fork()
    if child == 0:
        del pool, adapter
        assert store["app"]["k"] == 1
        sys.exit()  # and not os._exit: what is registered for the end of a process runs too
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), store["app"]["k"])
"""


def test_the_end_of_a_child():
    """Nor do they stop it when it ends."""
    emulator = Emulator()
    connect(emulator)["app"]["k"] = 1
    with emulator.serve() as server:
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, server.url],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (run.stdout, run.stderr) == ("0 1\n", "")


def test_an_unreadable_reply_is_closed():
    """While somebody still looks at the error, the connection that brought it is closed."""
    closed = threading.Event()

    def odd(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n1")
        if connection.recv(1) == b"":
            closed.set()

    with Listener(odd) as server:
        with pytest.raises(Unreachable) as caught:
            Store(server.url, retries=0)["app"]["k"]
        assert closed.wait(10)
        assert not caught.value.sent
