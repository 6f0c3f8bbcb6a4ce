"""Connections: kept, given up, and left alone after a fork."""

import contextlib
import os
import subprocess
import sys

import pytest
import requests

from dhis2kv import (
    Store,
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


LOCKED = """
import contextlib, gc, os, sys
from dhis2kv import Store

store = Store(sys.argv[1], ("admin", "district"))
assert store["app"]["k"] == 1
adapter = store.datastore.transport._session.get_adapter(sys.argv[1])
(pool,) = (adapter.poolmanager.pools[key] for key in adapter.poolmanager.pools.keys())
# As if another thread were just giving back a connection: the child's copy of the lock is never released.
with pool.pool.mutex:
    child = os.fork()
    if child == 0:
        del pool, adapter
        assert store["app"]["k"] == 1
        store.close()
        del store
        gc.collect()
        sys.exit()  # and not os._exit: what is registered for the end of a process runs too
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), store["app"]["k"])
"""


def test_a_fork_in_the_middle_of_something():
    """A lock that another thread held in the moment of the fork does not stop the child, from first read to exit."""
    emulator = Emulator()
    connect(emulator)["app"]["k"] = 1
    with emulator.serve() as server:
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", LOCKED, server.url],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (run.stdout, run.stderr) == ("0 1\n", "")
