"""The cache over a real Redis: the laws once more, what Redis holds, its end, and fifty processes."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from dhis2kv.cache import Cache, Place, RedisBackend
from tests.cache.doubles import CFG, ORIGIN, Clock, Reader, Server, in_child
from tests.cache.shared_laws import SharedLaws

redis = pytest.importorskip("redis", reason="redis-py is not installed: pip install dhis2kv[redis]")
pytestmark = [
    pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server here: apt-get install redis-server"),
    # Fifty processes are forked on purpose, under pytest-xdist while threads of its run.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Redis:
    """A Redis of the tests' own, on a Unix socket, that writes nothing to disk; it can be stopped and started."""

    def __init__(self, folder):
        self.socket = f"{folder}/redis.sock"
        self.url = f"unix://{self.socket}?db=0"
        self._process = None

    def start(self):
        place = ["--port", "0", "--unixsocket", self.socket, "--dir", os.path.dirname(self.socket)]
        command = ["redis-server", *place, "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        log = []
        for line in self._process.stdout:
            log.append(line)
            if "ready to accept connections" in line.lower():
                return
        raise RuntimeError("redis-server does not start:\n" + "".join(log))

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def running():
    folder = tempfile.mkdtemp(prefix="redis")  # short, for the name of a socket is at most a hundred bytes long
    server = Redis(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def client(running):
    with redis.Redis.from_url(running.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def backend(running, client):
    backend = RedisBackend(running.url)
    yield backend
    backend._client.close()


class TestRedis(SharedLaws):
    @pytest.fixture
    def backend(self, backend):
        return backend


def test_what_is_kept(backend, client):
    """Everything in Redis has an end and a name with the prefix, of the place and the kind of read alone."""
    server = Server(app={"cfg": 1})
    Cache(60, stale_if_error=40, backend=backend).value(CFG, server.value(CFG))
    found = {key.decode(): client.pttl(key) / 1000 for key in client.scan_iter()}
    prefix = f"dhis2kv:{client.info('server')['run_id']}:"
    assert 90 < found.pop(prefix + json.dumps(["value", CFG])) <= 100
    assert sorted(json.loads(name.removeprefix(prefix))[0] for name in found) == ["generation", "origin"]
    assert all(0 < life < 31 * 86400 for life in found.values())


def test_prefix(running, client):
    """Two prefixes are two caches in one Redis."""
    server = Server(app={"cfg": 1})
    for prefix in ("one:", "two:"):
        backend = RedisBackend(running.url, prefix=prefix)
        Cache(60, backend=backend).value(CFG, server.value(CFG))
        backend._client.close()
    assert server.requests == 2
    assert {key.split(b":")[0] for key in client.scan_iter()} == {b"one", b"two"}


def test_primitives(backend):
    """What was kept comes back as it was, ``add`` keeps only where there is nothing, and everything has an end."""
    data = bytes(range(256))
    backend.set("a", data, 60)
    assert backend.add("a", b"other", 60) is False
    assert backend.add("b", b"", 60) is True
    assert backend.get("a", "none", "b") == [data, None, b""]
    backend.delete("a")
    backend.delete("a")
    assert backend.get("a") == [None]
    backend.set("brief", b"1", 0.0001)
    assert 0 <= backend._client.pttl(f"dhis2kv:{backend._run}:brief") <= 1 or backend.get("brief") == [None]


def test_a_client_of_ones_own(running, client):
    """A client serves as well as a URL, if it answers in bytes."""
    server = Server(app={"cfg": 1})
    cache = Cache(60, backend=RedisBackend(client))
    assert [cache.value(CFG, server.value(CFG)) for _ in range(2)] == [1, 1]
    assert server.requests == 1
    assert any(name.startswith(b'dhis2kv:["value"') for name in client.scan_iter()), "found again after a restart"
    with redis.Redis.from_url(running.url, decode_responses=True) as text, pytest.raises(ValueError, match="in bytes"):
        RedisBackend(text)


def test_pickle(running, client):
    """A cache over a URL can be pickled and then shares its records; one over a client says that it cannot."""
    server = Server(app={"cfg": 1})
    backend = RedisBackend(running.url, prefix="p:")
    cache = Cache(60, backend=backend)
    cache.value(CFG, server.value(CFG))
    twin = pickle.loads(pickle.dumps(cache))
    assert twin.value(CFG, server.value(CFG)) == 1
    assert server.requests == 1
    with pytest.raises(TypeError, match="make it from a URL"):
        pickle.dumps(Cache(60, backend=RedisBackend(client)))
    backend._client.close()
    twin.backend._client.close()


def test_passwords_are_not_printed(caplog):
    """Neither a representation nor a warning shows the password of a URL."""
    backend = RedisBackend("redis://user:sesame@127.0.0.1:1/0")
    cache, server = Cache(60, backend=backend), Server(app={"cfg": 1})
    assert cache.value(CFG, server.value(CFG)) == 1
    assert len(caplog.records) == 1
    assert "refused" in caplog.text
    assert "sesame" not in f"{backend!r} {cache!r} {caplog.text}"


def test_without_redis_py(monkeypatch):
    """Without redis-py one is told what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImportError, match=r"pip install dhis2kv\[redis\]"):
        RedisBackend("redis://127.0.0.1")


@pytest.mark.parametrize(("closes", "most"), [(True, 2), (False, 1)])
def test_redis_does_not_answer(closes, most):
    """A connection that was closed is made at most once more; who does not answer in two seconds is left alone."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):  # no longer listening
                while True:
                    connections.append(listening.accept()[0])
                    if closes:
                        connections[-1].close()

        thread = threading.Thread(target=serve)
        thread.start()
        backend = RedisBackend(f"redis://127.0.0.1:{listening.getsockname()[1]}/0")
        options = backend._client.connection_pool.connection_kwargs
        assert (options["socket_timeout"], options["socket_connect_timeout"]) == (2, 2)
        options["socket_timeout"] = 2 if closes else 0.05
        try:
            with pytest.raises(ConnectionError):
                backend.get("a")
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
    for connection in connections:
        connection.close()
    again = int(redis.__version__.split(".")[0]) >= 6  # redis-py before that makes none again
    assert len(connections) == (most if again else 1)


def test_redis_stops(caplog):
    """A Redis that stops is one warning and direct reads; when it is back it is used again."""
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        running, clock, server = Redis(folder), Clock(), Server(app={"cfg": 1})
        running.start()
        backend = RedisBackend(running.url)
        cache = Cache(60, backend=backend, clock=clock)
        try:
            cache.value(CFG, server.value(CFG))
        finally:
            running.stop()
        with cache.writing(CFG):
            server.stored["app"]["cfg"] = 2
        assert [cache.value(CFG, server.value(CFG)) for _ in range(3)] == [2, 2, 2]
        assert (server.requests, len(caplog.records)) == (4, 1)
        running.start()
        try:
            clock.now += 10
            assert [cache.value(CFG, server.value(CFG)) for _ in range(3)] == [2, 2, 2]
            assert (server.requests, len(caplog.records)) == (5, 1)
        finally:
            backend._client.close()
            running.stop()


@pytest.mark.parametrize("knows", [True, False], ids=["the writer", "a process that has not heard of the write"])
def test_redis_comes_back_from_its_dump(knows):
    """What Redis gives back after a crash, from before a write, is served to nobody."""
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        running, clock, server = Redis(folder), Clock(), Server(app={"cfg": "old"})
        running.start()
        backends = [RedisBackend(running.url) for _ in range(3)]
        writer, other, late = (Cache(60, backend=backend, clock=clock) for backend in backends)
        try:
            assert [cache.value(CFG, server.value(CFG)) for cache in (writer, other)] == ["old"] * 2
            backends[0]._client.save()
            with writer.writing(CFG):
                server.stored["app"]["cfg"] = "new"
        finally:
            running.stop()
        running.start()
        try:
            reader = writer if knows else late
            assert reader.value(CFG, server.value(CFG)) == "new"
            assert other.value(CFG, server.value(CFG)) == "new"
            assert server.requests == 2
        finally:
            for backend in backends:
                backend._client.close()
            running.stop()


def test_a_redis_that_does_not_tell_its_run(running, client):
    """Where an account of Redis may not ask which run it is, that is said, and the server is asked instead."""
    client.acl_setuser("blind", enabled=True, nopass=True, keys="*", commands=["+@all", "-info"])
    server = Server(app={"cfg": 1})
    backend = RedisBackend(running.url.replace("unix://", "unix://blind:x@"))
    try:
        assert Cache(60, backend=backend).value(CFG, server.value(CFG)) == 1
    finally:
        backend._client.close()
        client.acl_deluser("blind")


def test_a_redis_without_a_run(backend):
    """What speaks like Redis and has no name for its run serves as well."""

    class Connection:
        def on_connect(self):
            pass

        def send_command(self, *words):
            assert words == ("INFO", "server")

        def read_response(self):
            return b"# Server\r\nredis_version:7.0.0\r\n"

    backend._greet(Connection())
    backend.set("a", b"1", 60)
    assert backend.get("a") == [b"1"]


def test_which_run_is_asked_once(backend, client):
    """The first command is preceded by one, to know the run of Redis; no name is ever made without it."""

    def pings():
        return client.info("commandstats").get("cmdstat_ping", {}).get("calls", 0)

    before = pings()
    backend.set("a", b"1", 60)
    assert [backend.get("a") for _ in range(3)] == [[b"1"]] * 3
    assert pings() - before == 1
    assert list(client.scan_iter()) == [f"dhis2kv:{client.info('server')['run_id']}:a".encode()]


def test_redis_is_started_again_and_again(backend, monkeypatch):
    """An answer counts only from a run of Redis that was known before; after three others one gives up."""
    runs = []

    def mget(names):
        runs.append(1)
        backend._run = str(len(runs))
        return [b"of another run"]

    monkeypatch.setattr(backend._client, "mget", mget)
    with pytest.raises(ConnectionError, match="again and again"):
        backend.get("a")
    assert len(runs) == 3


def test_fork_with_connections(backend):
    """A child that inherits open connections to Redis makes its own: neither reads the other's answers."""
    server = Server(app={"cfg": 1})
    cache = Cache(60, backend=backend)
    cache.value(CFG, server.value(CFG))

    def reads():
        return all(cache.value(CFG, server.value(CFG)) == 1 for _ in range(200))

    reader = Reader(reads)
    assert in_child(reads) == 0
    assert reader.result()
    assert server.requests == 1


PROCESSES = 50


def _one_of_many(url, now, ready, go, requests):
    """A process that reads one key three times, through a store of its own; its requests take until ``go`` ends."""
    signal.alarm(60)

    def fetch():
        os.write(requests, b"r")
        os.read(go, 1)
        return 7, "7"

    cache = Cache(60, backend=RedisBackend(url), clock=lambda: now)
    os.write(ready, b".")
    if [cache.value(Place(ORIGIN, "app", "cfg"), fetch) for _ in range(3)] != [7, 7, 7]:
        raise SystemExit(1)


def _fifty(url, now):
    """How many requests fifty processes cause that read one key at the same time."""
    (ready, told), (go, stop), (asked, requests) = os.pipe(), os.pipe(), os.pipe()
    fork = multiprocessing.get_context("fork")

    def child():
        os.close(stop)  # or the end of it would never come
        _one_of_many(url, now, told, go, requests)

    children = [fork.Process(target=child) for _ in range(PROCESSES)]
    for process in children:
        process.start()
    os.close(told)
    os.close(requests)
    started = 0
    while started < PROCESSES:
        told_now = os.read(ready, PROCESSES)
        assert told_now, "the processes ended before they read"
        started += len(told_now)
    os.close(stop)
    for process in children:
        process.join()
    assert [process.exitcode for process in children] == [0] * PROCESSES
    found = 0
    while chunk := os.read(asked, 100):
        found += len(chunk)
    for end in (ready, go, asked):
        os.close(end)
    return found


def test_fifty_processes(running, client):
    """Fifty processes that read one key cause one request, and one more when its TTL is over."""
    now = time.time()
    assert _fifty(running.url, now) == 1
    assert _fifty(running.url, now + 30) == 0
    assert _fifty(running.url, now + 61) == 1
