"""One request under way: its time, its connection, and connections of others, which do not report."""

import io
import math
import threading
from queue import Empty

import pytest
import requests
import urllib3

from dhis2kv import Store, TimedOut, Unreachable, wire
from dhis2kv.transport import Transport
from dhis2kv.transport.exchange import PIECE, Exchange, _Arriving, watched

from .listening import Listener, reply

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
READ = wire.call("GET", "dataStore", "app", "k")


class Socket:
    """Notes what it is asked to send, and the limits that it is given."""

    def __init__(self, limit=None):
        self.limit, self.limits, self.sent = limit, [], []

    def gettimeout(self):
        return self.limit

    def settimeout(self, limit):
        self.limits.append(limit)

    def sendall(self, data):
        self.sent.append(bytes(data))


@pytest.mark.parametrize(
    ("limit", "now", "limits"),
    [(30, 9.5, [0.5]), (None, 9.5, [0.5]), (0.25, 9.5, []), (30, -25.0, []), (0.5, 10.0, None)],
)
def test_no_wait_outlasts_the_call(limit, now, limits):
    """A wait for bytes is as long as the call has time, where that is less; with none there is no wait."""
    sock, exchange = Socket(limit), Exchange(10.0, clock=lambda: now)
    arriving = io.BufferedReader(_Arriving(io.BytesIO(b"12"), sock, exchange))
    if limits is None:
        with pytest.raises(TimeoutError):
            arriving.read(2)
    else:
        assert arriving.read(2) == b"12"
        assert sock.limits == limits
        assert not exchange.broke_off
        assert arriving.read(1) == b""
        assert exchange.broke_off


def test_what_is_closed_is_closed():
    """Who closes a reply closes what it comes from, and it says so."""
    inner = io.BytesIO(b"12")
    arriving = _Arriving(inner, Socket(), Exchange())
    arriving.close()
    assert arriving.closed
    assert inner.closed


@pytest.mark.parametrize("size", [1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_large_body_leaves_in_pieces(size):
    """Each piece has the time that may pass between two bytes, or what is left; a small body leaves as it is."""
    adapter = watched(requests.adapters.HTTPAdapter())
    connection = adapter.poolmanager.connection_from_url("http://dhis2.test").ConnectionCls("dhis2.test")
    times = iter([0.0, 0.0, 99.0, 99.0, 99.0])
    with Exchange(100.0, 5.0, lambda: next(times)) as exchange:
        connection.sock = sock = Socket()
        connection.send(body := bytes(size))
        assert exchange.sent
        assert b"".join(sock.sent) == body
        assert max(map(len, sock.sent)) <= PIECE
        assert sock.limits == ([5.0, 5.0, 1.0][: len(sock.sent)] if size > PIECE else [])
        connection.sock = None


def test_a_twin_has_pools_of_its_own():
    """An adapter that was passed in is left as it is; its twin shares its settings, and no connection."""
    adapter = requests.adapters.HTTPAdapter(pool_connections=3, pool_maxsize=4, pool_block=True, max_retries=5)
    before = {name: id(value) for name, value in vars(adapter).items()}
    twin = watched(adapter)
    assert {name: id(value) for name, value in vars(adapter).items()} == before
    assert twin.poolmanager is not adapter.poolmanager
    assert twin.proxy_manager is not adapter.proxy_manager
    assert twin.max_retries is adapter.max_retries
    pool = twin.poolmanager.connection_from_url("http://dhis2.test")
    assert (pool.pool.maxsize, pool.block, len(twin.poolmanager.pools._container)) == (4, True, 1)
    assert twin.poolmanager.pools._maxsize == 3


def test_an_adapter_that_waits_for_ever():
    """Whatever limit an adapter of somebody's own has set, the call ends in time."""

    class Patient(requests.adapters.HTTPAdapter):
        def send(self, *args, **options):
            return super().send(*args, **options | {"timeout": None})

    stop = threading.Event()
    session = requests.Session()
    session.mount("http://", Patient())
    with Listener(lambda connection: connection.sendall(OK) or stop.wait(20)) as server:
        try:
            with pytest.raises(TimedOut):
                Transport(server.url, session=session, timeout=0.2).call(READ)
        finally:
            stop.set()


def test_exchanges_within_exchanges():
    """What an authentication object asks with connections of ours does not count for the request that it signs."""
    with Exchange() as outer:
        with Exchange() as inner, Listener(reply()) as server:
            adapter = watched(requests.adapters.HTTPAdapter())
            adapter.send(requests.Request("GET", server.url).prepare())
        assert inner.sent
        assert not outer.sent
        with pytest.raises(requests.ConnectionError), Listener(None) as server:
            adapter.send(requests.Request("GET", server.url).prepare())
        assert outer.sent


class Connection(urllib3.connection.HTTPConnection):
    """A connection that answers in its own way, and so does not report."""

    def getresponse(self):
        return super().getresponse()


class Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = Connection


class Own(requests.adapters.HTTPAdapter):
    """An adapter with such connections."""

    def init_poolmanager(self, *args, **options):
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": Pool}


JSON = b'{"a": 1}'
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (OK + b"Content-Length: 2\r\n\r\n12", 12),
        (OK + CHUNKED + b"2\r\n12\r\n0\r\n\r\n", 12),
        (OK + CHUNKED + b"2\r\n12\r\n", None),
        (OK + b"Content-Length: 3\r\n\r\n12", None),
        (OK + b"\r\n12", None),
        (OK + b"\r\n" + JSON, {"a": 1}),
    ],
)
def test_connections_of_somebody_else(answer, value):
    """There, too, a body counts only where it was counted or chunked to its end, or closes itself."""
    session = requests.Session()
    session.mount("http://", Own())
    with Listener(lambda connection: connection.sendall(answer)) as server:
        namespace = Store(server.url, ("a", "b"), session=session, retries=0)["app"]
        if value is None:
            with pytest.raises(Unreachable):
                namespace["k"]
        else:
            assert namespace["k"] == value


@pytest.mark.parametrize(("kind", "report"), [(Own, False), (requests.adapters.HTTPAdapter, True)])
def test_which_connections_report(kind, report):
    """Those that answer as urllib3's do; of what becomes of a request on others nothing is claimed."""
    adapter = watched(kind())
    with Exchange() as exchange, Listener(reply()) as server:
        adapter.send(requests.Request("GET", server.url).prepare()).close()
    assert (exchange.watched, exchange.sent) == (report, report)


@pytest.mark.parametrize("length", [b"", b"Content-Length: 2\r\n"])
def test_a_head_by_connections_of_somebody_else(length):
    """A HEAD is whole without a body, with a length or without one."""
    session = requests.Session()
    session.mount("http://", Own())
    with Listener(lambda connection: connection.sendall(OK + length + b"\r\n")) as server:
        assert "k" in Store(server.url, ("a", "b"), session=session, retries=0)["app"]


class Slow(io.RawIOBase):
    """A body of which each byte takes a second."""

    def __init__(self, body):
        self.body, self.now = io.BytesIO(body), 0.0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.now += 1
        return self.body.readinto(memoryview(buffer)[:1])


class Giving(requests.adapters.HTTPAdapter):
    """An adapter that gives this body, and says that it has so many bytes."""

    def __init__(self, body, length, **options):
        super().__init__()
        self.body, self.length, self.options, self.closed = body, length, options, 0

    def send(self, request, **_):
        headers = {"Content-Type": "application/json"} | ({"Content-Length": str(self.length)} if self.length else {})
        raw = urllib3.HTTPResponse(
            self.body,
            headers,
            200,
            preload_content=False,
            decode_content=False,
            request_method=request.method,
            **self.options,
        )
        self.raw, raw.close = raw, self.close  # kept, for what is given up closes itself
        return self.build_response(request, raw)

    def close(self):
        self.closed += 1


def given(adapter, **options):
    session = requests.Session()
    session.mount("https://", adapter)
    return Transport("https://dhis2.test", session=session, retries=0, **options).call(READ)


@pytest.mark.skipif(not hasattr(urllib3.HTTPResponse, "read1"), reason="urllib3 before 2 fills each piece")
@pytest.mark.parametrize("length", [None, 1000])
def test_slow_bodies_of_somebody_else(length):
    """A body that comes byte by byte, with a length or without, is not waited for once the time is over."""
    slow = Slow(b" " * 1000)
    adapter = Giving(io.BufferedReader(slow), length)
    with pytest.raises(TimedOut, match="within 10 s"):
        given(adapter, timeout=10, clock=lambda: slow.now)
    assert slow.now == 11
    assert adapter.closed == 1


def test_a_body_that_nobody_counts():
    """One that is shorter than it says is cut, also with an urllib3 that does not look."""
    with pytest.raises(Unreachable, match="broke"):
        given(Giving(io.BytesIO(b"12"), 4, enforce_content_length=False))


def test_a_pool_in_a_child(monkeypatch):
    """In another process than the one that it was made in, no idle connection is to be had from it."""
    adapter = watched(requests.adapters.HTTPAdapter())
    pool = adapter.poolmanager.connection_from_url("http://dhis2.test")
    connection = pool.pool.get(block=False)
    pool.pool.put(connection)
    assert pool.pool.get(block=False) is connection
    monkeypatch.setattr("os.getpid", lambda: 1)
    pool.pool.put(connection)
    with pool.pool.mutex, pytest.raises(Empty):
        pool.pool.get(block=False)


def test_the_time_of_no_call():
    """Connections that are used outside of a call have all the time that there is."""
    assert Exchange().left() == math.inf
    assert not Exchange().over


def test_time_that_is_over():
    """At the deadline nothing is left."""
    exchange = Exchange(10.0, clock=lambda: 10.0)
    with pytest.raises(TimeoutError):
        exchange.left()
