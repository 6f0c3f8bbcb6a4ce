"""A body counts only where it is certain to be whole: whatever a reply is cut to, no read makes up a value of it."""

import gzip
import json
import zlib

import pytest
import requests
import responses

from dhis2kv import Dhis2kvError, Rejected, ServerError, Store, Unreachable, snapshot, wire
from dhis2kv.emulator import Emulator
from dhis2kv.transport import Transport

from .listening import Listener, quick, reply

URL = "https://dhis2.example.org"
ENTRY = f"{URL}/api/dataStore/app/k"

JSON = b"Content-Type: application/json\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + JSON
VALUES = [b"12345678", b"-1.5e10", b"true", b"null", b'"abc\\"d"', b'{"a": [1, 2]}', b"[1, [2]]", b""]


def counted(body, head=OK):
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def uncounted(body, head=OK):
    return head + b"\r\n" + body


def chunked(body, head=OK, size=b"%x", end=b"0\r\n\r\n"):
    parts = [body[at : at + 3] for at in range(0, len(body), 3)]
    chunks = b"".join(size % len(part) + b"\r\n" + part + b"\r\n" for part in parts)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + end


def zipped(body, frame=counted):
    return frame(gzip.compress(body), OK + b"Content-Encoding: gzip\r\n")


FRAMES = {
    "counted": counted,
    "counted, with noughts": lambda body: OK + b"Content-Length: %05d\r\n\r\n" % len(body) + body,
    "HTTP/1.0, counted": lambda body: counted(body, OK.replace(b"1.1", b"1.0")),
    "chunked": chunked,
    "chunked, with noughts": lambda body: chunked(body, size=b"%04x", end=b"0000\r\nTrailer: 1\r\n\r\n"),
    "gzip, counted": zipped,
    "gzip, chunked": lambda body: zipped(body, chunked),
    "gzip in two members, chunked": lambda body: chunked(
        gzip.compress(body[:2]) + gzip.compress(body[2:]), OK + b"Content-Encoding: gzip\r\n"
    ),
}
UNBOUNDED = {
    "no length": uncounted,
    "HTTP/1.0, no length": lambda body: uncounted(body, OK.replace(b"1.1", b"1.0")),
    "a length of no number": lambda body: uncounted(body, OK + b"Content-Length: all\r\n"),
    "a length below 0": lambda body: uncounted(body, OK + b"Content-Length: -1\r\n"),
    "an encoding that is not known": lambda body: uncounted(body, OK + b"Transfer-Encoding: whole\r\n"),
    "no headers but one": lambda body: b"HTTP/1.1 200 OK\r\n" + JSON + b"\r\n" + body,
    "gzip, no length": lambda body: zipped(body, uncounted),
    "deflate, chunked": lambda body: chunked(zlib.compress(body), OK + b"Content-Encoding: deflate\r\n"),
}


def closing(answer):
    return lambda connection: connection.sendall(answer)


def read(namespace, act=lambda namespace: namespace["k"]):
    """What a read comes to: the value, or "broke" or "refused" for an error."""
    try:
        return json.dumps(act(namespace))
    except Unreachable as error:
        assert error.sent is False  # noqa: PT017 - a read changes nothing
        return "broke"
    except ServerError:
        return "refused"


def read_cuts(whole):
    """What reads come to whose reply is cut after 0, 1, 2... bytes, and that of the whole reply."""
    sizes = range(len(whole) + 1)
    with Listener(*(closing(whole[:size]) for size in sizes)) as server:
        namespace = Store(server.url, ("a", "b"), retries=0)["app"]
        return [read(namespace) for _ in sizes]


def meant(body):
    return json.dumps(json.loads(body)) if body else "null"


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("body", VALUES)
def test_cut_at_every_byte(frame, body):
    """A reply is the value that was sent, or an error, wherever it is cut."""
    whole = FRAMES[frame](body)
    if not body and "gzip" in frame:
        body = b'""'
        whole = FRAMES[frame](body)
    if not body:
        whole = whole.replace(JSON, b"")  # an entry without a value has no type, either
    came = read_cuts(whole)
    assert came[-1] == meant(body)
    early = {meant(body)} if body[:1] in (b"{", b"[", b'"') and body else set()
    assert set(came[:-1]) <= {"broke", "refused"} | early


@pytest.mark.parametrize("frame", UNBOUNDED)
@pytest.mark.parametrize("body", VALUES)
def test_without_bounds(frame, body):
    """Where nothing bounds a body, it counts only as JSON that closes itself, also when cut at every byte."""
    whole = UNBOUNDED[frame](body)
    came = read_cuts(whole)
    certain = body[:1] in (b"{", b"[", b'"') and body
    assert came[-1] == (meant(body) if certain else "broke")
    assert set(came) <= ({"broke", "refused", meant(body)} if certain else {"broke", "refused"})


READS = {
    "ns[k]": lambda namespace: namespace["k"],
    "get": lambda namespace: namespace.get("k", "default"),
    "get_text": lambda namespace: namespace._datastore.get_text("app", "k"),
    "get_many": lambda namespace: namespace.get_many(["k"]),
    "get_many of two": lambda namespace: namespace.get_many(["k", "l"]),
    "copy": lambda namespace: namespace.copy(),
    "setdefault": lambda namespace: namespace.setdefault("k", 1),
    "pop": lambda namespace: namespace.pop("k"),
    "pop with a default": lambda namespace: namespace.pop("k", None),
    "in": lambda namespace: "k" in namespace,
    "list": lambda namespace: list(namespace.keys()),
    "edit": lambda namespace: namespace.edit("k").__enter__(),
    "metadata": lambda namespace: namespace._datastore.metadata("app", "k"),
}


@pytest.mark.parametrize("act", READS)
@pytest.mark.parametrize("headers", [b"", JSON, JSON + b"\r\n", JSON + b"Transfer-Encoding: chunked\r\n\r\n"])
def test_nothing_is_no_value(act, headers):
    """A status line and a closed connection are no value for any read, and nothing is deleted or created."""
    with Listener(*[closing(b"HTTP/1.1 200 OK\r\n" + headers)] * 9) as server:
        whole = act == "in" and b"\r\n\r\n" in headers  # a HEAD has no more
        assert read(Store(server.url, ("a", "b"), retries=0)["app"], READS[act]) == ("true" if whole else "broke")
    assert {line.split()[0] for line, _, _ in server.received} <= {"GET", "HEAD"}


def test_nothing_is_kept():
    """What broke off is in no cache, and the next whole reply is."""
    with Listener(closing(b"HTTP/1.1 200 OK\r\n"), reply(b"5")) as server:
        namespace = quick(server.url, retries=0, ttl=60)[0]["app"]
        with pytest.raises(Unreachable):
            namespace["k"]
        assert namespace["k"] == 5


def test_nothing_is_exported():
    """An export fails rather than giving a null for an entry whose reply broke off."""
    nulls = reply(b'[{"key":"k","value":null}]')
    with Listener(reply(b'["app"]'), nulls, *[closing(b"HTTP/1.1 200 OK\r\n")] * 9) as server:
        store = quick(server.url, retries=0)[0]
        with pytest.raises(Dhis2kvError):
            list(snapshot.read(store))


def test_what_broke_off_is_asked_for_again():
    """A read whose reply broke off is repeated, as with every other broken connection."""
    with Listener(closing(b"HTTP/1.1 200 OK\r\n"), closing(uncounted(b"123")), reply(b"12345")) as server:
        assert quick(server.url)[0]["app"]["k"] == 12345


def test_an_entry_without_a_value():
    """An entry that an empty PUT made reads as null: live servers say Content-Length: 0, and no type."""
    with Listener(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", reply(b"7")) as server:
        namespace = quick(server.url)[0]["app"]
        assert namespace["k"] is None
        assert namespace["k"] == 7


def test_what_comes_before_a_reply():
    """Hints and other informational replies are no replies, and leave nothing behind for the next call."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    first = b"HTTP/1.1 100 Continue\r\n\r\n" + early + early + reply(b"1")
    with Listener(first, reply(b"2")) as server:
        namespace = quick(server.url)[0]["app"]
        assert [namespace["k"], namespace["k"]] == [1, 2]
        assert server.connections == 1


def test_another_protocol_is_no_reply():
    """What follows where a server says that it speaks another protocol from now on is no value."""
    with Listener(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + reply(b"1")) as server, pytest.raises(Dhis2kvError):
        quick(server.url, retries=0)[0]["app"]["k"]


@pytest.mark.parametrize("frame", [counted, chunked, uncounted, zipped, lambda body: zipped(body, chunked)])
def test_the_largest_reply(frame):
    """As many bytes as max_bytes says are taken, unpacked, and not one more, however little there is when packed."""
    text = b'"' + b"x" * 98 + b'"'
    large = [text.replace(b"x", b"xx", 1), text.replace(b"x", b"x" * 1000, 1)]
    with Listener(*map(closing, [frame(text), *map(frame, large)])) as server:
        namespace = quick(server.url, max_bytes=100)[0]["app"]
        assert namespace["k"] == "x" * 98
        for _ in large:
            with pytest.raises(ServerError, match="larger than max_bytes=100"):
                namespace["k"]


@pytest.mark.parametrize("head", [b"", b"Content-Length: 40\r\n", b"Content-Encoding: gzip\r\nContent-Length: 40\r\n"])
def test_a_head_has_no_body(head):
    """Whatever its headers say of one."""
    with Listener(OK + head + b"\r\n", reply(b"1")) as server:
        namespace = quick(server.url, retries=0)[0]["app"]
        assert "k" in namespace
        assert namespace["k"] == 1


@pytest.mark.parametrize(("status", "kind"), [(300, Rejected), (400, Rejected), (500, ServerError)])
def test_errors_need_no_bounds(status, kind):
    """A reply that is an error by its status is that, although nothing tells whether it came whole."""
    with Listener(closing(b"HTTP/1.1 %d \r\n\r\noops" % status)) as server, pytest.raises(kind):
        quick(server.url, retries=0)[0]["app"]["k"]


@pytest.mark.parametrize(
    "packed",
    [
        b"no gzip",
        zlib.compress(b"1"),
        gzip.compress(b"1", mtime=0) + b"and more",
        gzip.compress(b"1", mtime=0) + zlib.compress(b"2"),
    ],
)
@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found"])
def test_what_is_not_packed(packed, status):
    """A body that says it is gzip, and is not, is an error, and no 404 without words."""
    answer = counted(packed, OK.replace(b"200 OK", status) + b"Content-Encoding: gzip\r\n")
    with Listener(answer) as server, pytest.raises(Unreachable, match="broke"):
        quick(server.url, retries=0)[0]["app"]["k"]


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("x-gzip", gzip.compress(b"1234", mtime=0)),
        (" GZip ", gzip.compress(b"1234", mtime=0)),
        ("gzip", gzip.compress(b"12", mtime=0) + gzip.compress(b"34", mtime=0)),
        ("identity", b"1234"),
        ("deflate", zlib.compress(b"[1234]")),
    ],
)
@pytest.mark.parametrize("frame", [counted, chunked])
def test_codings(frame, coding, packed):
    """Packed bodies are unpacked, whatever the name of it, and in whatever number of pieces."""
    with Listener(frame(packed, OK + f"Content-Encoding: {coding}\r\n".encode())) as server:
        assert quick(server.url, retries=0)[0]["app"]["k"] in (1234, [1234])


def test_nothing_is_no_gzip():
    """Where gzip should come and nothing does, that is no entry without a value."""
    empty = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with Listener(empty) as server, pytest.raises(Unreachable):
        quick(server.url, retries=0)[0]["app"]["k"]


@pytest.mark.parametrize(
    ("text", "closes"),
    [
        ("{}", True),
        (' [1, "]"] \r\n', True),
        ('"\\""', True),
        ('"\\"', False),
        ('"a" "b"', False),
        ("[][]", False),
        ("[1]2", False),
        ("[" * 100_000 + "]" * 100_000, True),
        ("[" * 100_000 + "]" * 99_999, False),
        ("[" + "9" * 10_000 + "]", True),
        ('{"a": "}"', False),
        ("]", False),
        ("1", False),
        ("null", False),
        ("", False),
    ],
)
def test_json_that_closes_itself(text, closes):
    """Only an object, list or text that ends where the body ends, however deep, and whatever its numbers."""
    call = wire.call("GET", "dataStore", "app", "k")
    assert wire.Reply(call, ENTRY, 200, {}, text.encode(), counted=False).whole is closes


class TestWithoutSockets:
    """What has no socket cannot be cut: the bodies of test doubles need no length."""

    @responses.activate
    @pytest.mark.parametrize("value", [1, None, "x", {"a": 1}])
    def test_responses(self, value):
        """A body of ``responses`` is whole."""
        responses.get(ENTRY, body=json.dumps(value), content_type="application/json")
        assert Store(URL)["app"]["k"] == value

    def test_an_adapter_of_ones_own(self):
        """An adapter that is given to the store is used, with what it counts, and its bodies are whole."""

        class Counting(requests.adapters.HTTPAdapter):
            calls = 0

            def send(self, request, **_):
                self.calls += 1
                answer = requests.Response()
                answer.status_code, answer._content, answer.request = 200, b"1", request
                answer.headers["Content-Type"] = "application/json"
                return answer

        session = requests.Session()
        adapter = Counting()
        session.mount("https://", adapter)
        assert Store(URL, session=session)["app"]["k"] == 1
        assert adapter.calls == 1

    @responses.activate
    def test_a_head(self):
        """A HEAD has no body there, either, whatever its length."""
        responses.head(ENTRY, headers={"Content-Length": "5"}, content_type="application/json")
        assert "k" in Store(URL, retries=0)["app"]

    def test_nothing_that_a_hook_has_read(self):
        """A double without a body has an empty one, also after somebody has looked at it."""

        class Empty(requests.adapters.HTTPAdapter):
            def send(self, request, **_):
                answer = requests.Response()
                answer.status_code, answer.request = 200, request
                return answer

        session = requests.Session()
        session.mount("https://", Empty())
        session.hooks["response"].append(lambda answer, **_: answer.content and None)
        assert Store(URL, session=session)["app"]["k"] is None

    def test_a_hook_that_reads(self):
        """What a hook of the session has read already is read all the same."""
        session = requests.Session()
        session.hooks["response"].append(lambda answer, **_: answer.text and None)
        with Listener(reply(b"12"), closing(uncounted(b"12"))) as server:
            namespace = Store(server.url, ("a", "b"), session=session, retries=0)["app"]
            assert namespace["k"] == 12
            with pytest.raises(Unreachable):
                namespace["k"]

    def test_a_hook_that_reads_a_part(self):
        """What somebody has taken away of a body makes no shorter value."""
        session = requests.Session()
        session.hooks["response"].append(lambda answer, **_: answer.raw.read(2) and None)
        with Listener(reply(b"1234")) as server, pytest.raises(Unreachable):
            Store(server.url, ("a", "b"), session=session, retries=0)["app"]["k"]

    def test_the_emulator(self):
        """A reply of the emulator that is cut is none."""
        emulator = Emulator()
        session = emulator.session()
        Store(URL, ("admin", "district"), session=session)["app"]["k"] = 12345678
        emulator.fail("cut", method="GET")
        transport = Transport(URL, ("admin", "district"), session=session, retries=0)
        with pytest.raises(Unreachable):
            transport.call(wire.call("GET", "dataStore", "app", "k"))
