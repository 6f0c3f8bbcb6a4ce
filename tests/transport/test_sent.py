"""What was sent is known by its having been sent: no reply, however malformed, lets a write be sent twice."""

import contextlib
import socket
import threading

import pytest
import requests
import urllib3

from dhis2kv import Dhis2kvError, Store, TimedOut, Unreachable, wire
from dhis2kv.emulator import Emulator

from .listening import Listener, quick, reply

DONE = b'{"httpStatus":"Created","httpStatusCode":201,"status":"OK","message":"Key created: \'k\'"}'
HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"

MALFORMED = {
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 86\r\n\r\n" + DONE,
    "two lengths in one": HEAD + b"Content-Length: 86, 5\r\n\r\n" + DONE,
    "no status": b"HTTP/1.1\r\n\r\n",
    "a status of words": b"HTTP/1.1 done well\r\n\r\n",
    "a status too low": b"HTTP/1.1 20 OK\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another version": b"HTTP/9 201 Created\r\n\r\n",
    "bytes": b"\x00\xff\xfe" * 30 + b"\r\n\r\n",
    "a line without end": b"HTTP/1.1 201 " + b"x" * 70_000,
    "a header without end": HEAD + b"X: " + b"x" * 70_000,
    "too many headers": HEAD + b"X: 1\r\n" * 200 + b"\r\n",
    "chunks without a size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nwhat\r\n" + DONE,
    "chunks that break off": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
    "no gzip": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 86\r\n\r\n" + DONE,
    "no deflate": HEAD + b"Content-Encoding: deflate\r\nContent-Length: 86\r\n\r\n" + DONE,
    "a body that breaks off": HEAD + b"Content-Length: 200\r\n\r\n" + DONE,
    "nothing": b"",
    "a redirect to nowhere": b"HTTP/1.1 200 OK\r\nLocation: http://[\r\n\r\n",
    "an informational reply and no more": b"HTTP/1.1 102 Processing\r\n\r\n",
    "another protocol from now on": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
}
ONCE = {
    "create": lambda namespace: namespace.add("k", 1),
    "roll": lambda namespace: namespace._datastore.transport.call(
        wire.call("PUT", "dataStore", "app", "k", query="roll=1", body="1", once=True)
    ),
}


@pytest.mark.parametrize("malformed", MALFORMED)
@pytest.mark.parametrize("act", ONCE)
def test_it_is_not_sent_twice(malformed, act):
    """A create or an append whose reply is malformed was sent, is not repeated, and never said to be known."""
    with Listener(*[lambda connection: connection.sendall(MALFORMED[malformed])] * 5) as server:
        namespace = quick(server.url)[0]["app"]
        try:
            answer = ONCE[act](namespace)
        except Dhis2kvError as error:
            assert error.sent is True  # noqa: PT017 - what it says of itself
        else:
            # It is handed on where it is whole: what it means is for others to say.
            assert act == "roll"
            assert answer.may_have_acted
        assert len(server.received) == 1


def test_a_put_is_repeated():
    """A plain update, which acts twice as it acts once, is repeated, and the error says that it was sent."""
    with Listener(*[lambda connection: connection.sendall(MALFORMED["two lengths"])] * 9) as server:
        namespace = quick(server.url)[0]["app"]
        with pytest.raises(Unreachable) as caught:
            namespace["k"] = 1
        assert caught.value.sent is True
        assert len(server.received) == 4


def test_a_connection_that_was_kept_and_died():
    """On a connection that the server has closed meanwhile a request counts as sent: nothing tells that it was not."""
    with Listener(reply(b"1"), None, reply(b"1")) as server:
        namespace = quick(server.url, retries=0)[0]["app"]
        assert namespace["k"] == 1
        with pytest.raises(Unreachable) as caught:
            namespace.add("k", 1)
        assert caught.value.sent is True


class Proxy:
    """A proxy for https that answers each CONNECT as it is told to, and then says nothing more."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    self.asked.append(connection.recv(65536))
                    connection.sendall(self.answer)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nthis is no TLS",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"what?\r\n",
        b"",
    ],
)
def test_what_a_proxy_is_told_is_not_sent(answer):
    """Where a proxy opens no way to the server, nothing of the request has left, and it may be tried again."""
    with Proxy(answer) as proxy:
        namespace = quick("https://dhis2.test", proxies={"https": proxy.url}, retries=1)[0]["app"]
        with pytest.raises(Unreachable, match="no connection") as caught:
            namespace.add("k", 1)
        assert caught.value.sent is False
        assert all(b"dataStore" not in asked for asked in proxy.asked)
        assert proxy.asked


def test_no_answer_from_a_proxy():
    """A proxy that does not answer in time is a time-out of which nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = Store("https://dhis2.test", ("a", "b"), proxies={"https": url}, timeout=(0.05, 5))
        with pytest.raises(TimedOut, match=f"did not accept a connection in time, by the proxy {url}$") as caught:
            store["app"].add("k", 1)
    assert caught.value.sent is False


class Failing(requests.adapters.HTTPAdapter):
    """An adapter of somebody else's, which does not tell whether it sends, and fails as it is told to."""

    def __init__(self, failure):
        super().__init__()
        self.failure, self.calls = failure, 0

    def send(self, *_args, **_options):
        self.calls += 1
        raise self.failure


def _refused():
    connection = urllib3.connection.HTTPConnection("h")
    pool = urllib3.HTTPConnectionPool("h")
    refused = urllib3.exceptions.NewConnectionError(connection, "refused")
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", refused))


@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (_refused(), False),
        (requests.exceptions.InvalidURL("no"), False),
        (requests.exceptions.InvalidHeader("two lengths"), True),
        (requests.exceptions.ContentDecodingError("no gzip"), True),
        (requests.ConnectionError("broken"), True),
        (requests.exceptions.ChunkedEncodingError("cut"), True),
        (OSError("whatever"), True),
    ],
)
def test_an_adapter_that_does_not_tell(failure, sent):
    """With an adapter of somebody else's, what is not certain to have stayed here counts as sent."""
    session = requests.Session()
    adapter = Failing(failure)
    session.mount("http://", adapter)
    with pytest.raises(Unreachable) as caught:
        quick("http://dhis2.test", session=session, retries=2)[0]["app"].add("k", 1)
    assert caught.value.sent is sent
    assert adapter.calls == (1 if sent else 3)


def test_a_large_value_leaves_in_pieces():
    """A value larger than what one wait may carry arrives whole, and may take longer than a connection."""
    with Listener(reply(DONE.replace(b"201", b"200").replace(b"Created", b"OK"))) as server:
        quick(server.url)[0]["app"]["k"] = "x" * 3_000_000
        assert server.received[0][2] == b'"' + b"x" * 3_000_000 + b'"'


def test_the_connections_of_a_session_stay_its_own():
    """A session that was passed in keeps its connections: those of the store are closed with the store."""
    emulator = Emulator()
    with emulator.serve() as server, requests.Session() as session:
        session.get(f"{server.url}/api/me", auth=("admin", "district"))
        adapter = session.get_adapter(server.url)
        (pool,) = (adapter.poolmanager.pools[key] for key in adapter.poolmanager.pools.keys())  # noqa: SIM118 - it has no other
        with Store(server.url, ("admin", "district"), session=session) as store:
            store["app"]["k"] = 1
        assert pool.num_requests == 1
        assert session.get(f"{server.url}/api/me", auth=("admin", "district")).ok
        assert pool.num_connections == 1
