"""The time for the whole call bounds it, whatever comes, and however it comes."""

import contextlib
import gzip
import io
import itertools
import threading

import pytest
import requests

from dhis2kv import ServerError, TimedOut, wire
from dhis2kv.transport import Transport

from .listening import Listener, done, quick, reply

PAUSE = threading.Event()  # never set: to wait for
STEPS = 1000  # then the connection is closed, which would be another error
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def trickle(start, piece):
    """An answer that begins so and goes on slowly: the same again and again, or a long text byte by byte."""

    def answer(connection):
        with contextlib.suppress(OSError):
            connection.sendall(start)
            for one in itertools.islice(itertools.repeat(piece) if len(piece) < 50 else bytes_of(piece), STEPS):
                PAUSE.wait(0.01)
                connection.sendall(one)

    return answer


def flood(start, piece):
    """An answer that begins so, and goes on with the same for ever, as fast as it is taken."""

    def answer(connection):
        with contextlib.suppress(OSError):
            connection.sendall(start)
            while True:
                connection.sendall(piece * 1000)

    return answer


HELLO = b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03"  # how a long answer to a TLS handshake begins


def tls_that_trickles(connection):
    """A proxy opens a way, and what answers there does not come to an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    connection.recv(65536)
    trickle(HELLO, b"\0")(connection)


def bytes_of(text):
    return (text[at : at + 1] for at in range(len(text)))


HOSTILE = {
    "a status line": trickle(b"", b"HTTP/1.1 200 " + b"x" * STEPS),
    "a header": trickle(OK, b"X: " + b"x" * STEPS),
    "100 Continue": trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a flood of 100 Continue": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a flood of 103 Early Hints": flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    "a counted body": trickle(OK + b"Content-Length: 5000\r\n\r\n", b" "),
    "a body without length": trickle(OK + b"\r\n", b" "),
    "a flood without length": flood(OK + b"\r\n", b" "),
    "gzip": trickle(OK + b"Content-Encoding: gzip\r\nContent-Length: 900000\r\n\r\n", gzip.compress(bytes(10**6))),
    "a chunk": trickle(CHUNKED + b"fff\r\n", b" "),
    "the size of a chunk": trickle(CHUNKED, b"0"),
    "chunks": trickle(CHUNKED, b"1\r\n \r\n"),
    "trailers": trickle(CHUNKED + b"0\r\n", b"X: 1\r\n"),
    "a flood of trailers": flood(CHUNKED + b"0\r\n", b"X: 1\r\n"),
    "the body of an error": trickle(OK.replace(b"200 OK", b"503 ") + b"\r\n", b" "),
    "nothing": trickle(b"", b""),
}


HEADS = ["a status line", "a header", "100 Continue", "a flood of 100 Continue", "nothing"]  # a HEAD has no more


@pytest.mark.parametrize(
    ("act", "what"), [*itertools.product(["get", "set", "add"], HOSTILE), *(("in", what) for what in HEADS)]
)
def test_what_trickles_ends_in_time(act, what):
    """A reply that is never whole is a TimedOut, of which a write says that it was sent, and is asked for once."""
    acts = {
        "get": lambda namespace: namespace["k"],
        "in": lambda namespace: "k" in namespace,
        "set": lambda namespace: namespace.__setitem__("k", 1),
        "add": lambda namespace: namespace.add("k", 1),
    }
    with Listener(HOSTILE[what]) as server:
        namespace = quick(server.url, timeout=(5, 5, 0.2))[0]["app"]
        with pytest.raises(TimedOut, match=r"no whole reply from 127\.0\.0\.1:\d+ within 0.2 s") as caught:
            acts[act](namespace)
        assert caught.value.sent is (act in ("set", "add"))
        assert len(server.received) == 1


@pytest.mark.parametrize(
    "answer",
    [
        trickle(b"", b"HTTP/1.1 200 " + b"x" * STEPS),
        trickle(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * STEPS),
        flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        tls_that_trickles,
    ],
)
def test_a_proxy_that_trickles(answer):
    """A proxy that opens no way, or behind which TLS never begins, is a TimedOut of which nothing was sent."""
    with Listener(answer) as proxy:
        namespace = quick("https://dhis2.test", proxies={"https": proxy.url}, timeout=(5, 5, 0.2))[0]["app"]
        with pytest.raises(TimedOut, match=r"within 0.2 s") as caught:
            namespace.add("k", 1)
        assert caught.value.sent is False


def test_tls_that_trickles():
    """A handshake that never ends is bounded like all else."""

    class Tls(Listener):
        def _request(self, connection):
            return bool(connection.recv(65536))

    with Tls(trickle(HELLO, b"\0")) as server:
        namespace = quick(server.url.replace("http:", "https:"), timeout=(5, 5, 0.2))[0]["app"]
        with pytest.raises(TimedOut, match=r"within 0.2 s") as caught:
            namespace["k"] = 1
        assert caught.value.sent is False


def test_a_flood_is_not_taken_whole():
    """What is larger than it may be is given up there, and not only when the time is over."""
    with Listener(HOSTILE["a flood without length"]) as server, pytest.raises(ServerError, match="larger than"):
        quick(server.url, timeout=(5, 5, 60), max_bytes=1000)[0]["app"]["k"]


def test_repeats_are_within_it():
    """What is left for a repeated call is what those before have left."""
    busy = reply(b"", "503 ")
    with Listener(busy, busy, HOSTILE["a header"]) as server:
        with pytest.raises(TimedOut, match=r"within 0\.7 s"):
            quick(server.url, timeout=(5, 5, 0.7))[0]["app"]["k"]
        assert len(server.received) == 3


def test_a_server_that_does_not_read():
    """A large value that nobody takes is a TimedOut, and counts as sent."""
    stop = threading.Event()

    class Deaf(Listener):
        def _request(self, connection):
            return not stop.wait(20)

    with Deaf(done()) as server:
        try:
            with pytest.raises(TimedOut, match=r"within 0\.3 s") as caught:
                quick(server.url, timeout=(5, 5, 0.3))[0]["app"]["k"] = "x" * 50_000_000
        finally:
            stop.set()
        assert caught.value.sent is True


def test_each_wait_has_its_own_limit():
    """The time between two bytes counts anew with each byte, as in requests, as long as the whole call has time."""
    with Listener(trickle(OK + b"Content-Length: 60\r\n\r\n", b" " * 59 + b"7")) as server:
        assert quick(server.url, timeout=(5, 0.5, 60))[0]["app"]["k"] == 7


def test_with_an_adapter_of_ones_own():
    """An adapter that has its own way to a server is bounded between the pieces of a body."""
    now = [0.0]

    class Slow(requests.adapters.HTTPAdapter):
        def send(self, request, **_):
            answer = requests.Response()
            answer.status_code, answer.request = 200, request
            answer.headers["Content-Type"] = "application/json"
            answer.iter_content, answer.raw = self.pieces, io.BytesIO()
            return answer

        def pieces(self, _):
            for _ in range(1000):
                now[0] += 1
                yield b" "

    session = requests.Session()
    session.mount("https://", Slow())
    transport = Transport("https://dhis2.test", session=session, timeout=(5, 5, 10), clock=lambda: now[0])
    with pytest.raises(TimedOut, match="within 10 s"):
        transport.call(wire.call("GET", "dataStore", "app", "k"))
    assert now[0] == 11
