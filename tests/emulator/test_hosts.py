"""The two hosts: what goes over a real socket byte for byte, and that a session without one sees the same."""

from __future__ import annotations

import base64
import http.client
import socket
from collections.abc import Callable, Iterator

import pytest
import requests

from dhis2kv.emulator import Emulator
from dhis2kv.emulator.http import ServedEmulator

from .conftest import Host

BASIC = "Basic " + base64.b64encode(b"admin:district").decode()
SIGNED = f"Host: x\r\nAuthorization: {BASIC}\r\nAccept: application/json\r\nX-Requested-With: XMLHttpRequest\r\n"


@pytest.fixture
def served(emulator: Emulator) -> Iterator[ServedEmulator]:
    """An emulator of 2.42 on a free port."""
    with emulator.serve() as found:
        yield found


def connect(served: ServedEmulator) -> socket.socket:
    """A bare connection."""
    return socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2])), timeout=10)


def receive(connection: socket.socket, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    """The next reply and its body."""
    reply = http.client.HTTPResponse(connection, method=method)
    reply.begin()
    return reply, reply.read()


def get(target: str, extra: str = "", method: str = "GET") -> bytes:
    """A signed request for a raw target."""
    return f"{method} {target} HTTP/1.1\r\n{SIGNED}{extra}\r\n".encode("latin-1")


# On a socket


@pytest.mark.parametrize(
    "target",
    ["/api/dataStore/app/config.%6Ason/", "/api//dataStore", "//api/dataStore", "/api/dataStore/a%2Fb", "/a/../b"],
)
def test_raw_target_reaches_the_emulator(served: ServedEmulator, emulator: Emulator, target: str) -> None:
    """The target is taken byte for byte: no escape undone, no slash or dot segment folded."""
    with connect(served) as connection:
        connection.sendall(get(target))
        receive(connection)
    assert [record.target for record in emulator.log] == [target]


def test_connection_is_kept_and_requests_may_be_pipelined(served: ServedEmulator, emulator: Emulator) -> None:
    """Two requests sent at once on one connection get two replies in order."""
    emulator.load({"app": {"a": 1, "b": 2}})
    with connect(served) as connection, connection.makefile("rb") as replies:
        connection.sendall(get("/api/dataStore/app/a") + get("/api/dataStore/app/b", "Connection: close\r\n"))
        heads_and_bodies = replies.read().split(b"\r\n\r\n")
    assert [part[:1] for part in heads_and_bodies[1:]] == [b"1", b"2"]


def test_head_has_a_length_and_no_body(served: ServedEmulator, emulator: Emulator) -> None:
    """A HEAD's reply tells the length of the GET's body, sends none of it, and the connection stays usable."""
    emulator.put("app", "a", "value")
    with connect(served) as connection:
        connection.sendall(get("/api/dataStore/app/a", method="HEAD"))
        reply, body = receive(connection, "HEAD")
        assert (reply.headers["Content-Length"], body) == ("7", b"")
        connection.sendall(get("/api/dataStore/app/a"))
        assert receive(connection)[1] == b'"value"'


def test_connection_ends_after_its_requests(emulator: Emulator) -> None:
    """The last request that a connection may carry is answered with ``Connection: close``, and it is closed."""
    with emulator.serve(requests_each=2) as served, connect(served) as connection:
        connection.sendall(get("/api/system/ping"))
        assert receive(connection)[0].headers["Connection"] is None
        connection.sendall(get("/api/system/ping"))
        assert receive(connection)[0].headers["Connection"] == "close"
        assert connection.recv(1) == b""


def test_connection_ends_after_a_refusal(served: ServedEmulator) -> None:
    """After a 400 or a 500 Tomcat closes the connection, after a 404 it does not."""
    with connect(served) as connection:
        connection.sendall(get("/api/dataStore/app/a"))
        assert receive(connection)[0].status == 404
        connection.sendall(get("/api/dataStore/app/a%25b"))
        reply, _ = receive(connection)
        assert (reply.status, reply.headers["Connection"]) == (400, "close")
        assert connection.recv(1) == b""


def test_idle_connection_is_closed(emulator: Emulator) -> None:
    """A connection on which nothing comes for the idle time is closed without a word."""
    with emulator.serve(idle_seconds=0.05) as served, connect(served) as connection:
        assert connection.recv(1) == b""


def test_real_servers_limits_are_the_default(served: ServedEmulator) -> None:
    """Twenty seconds of idleness and a hundred requests, as live servers have it."""
    server = served._server
    assert (server.idle_seconds, server.requests_each) == (20.0, 100)


def test_reply_is_one_send_without_delay(served: ServedEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply leaves in one call with Nagle's delay off: else each would wait for an acknowledgment."""
    sends: list[tuple[int, int]] = []
    sendmsg = socket.socket.sendmsg

    def noticed(self: socket.socket, parts: list[memoryview]) -> int:
        sends.append((len(parts), self.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        return sendmsg(self, parts)

    monkeypatch.setattr(socket.socket, "sendmsg", noticed)
    with connect(served) as connection:
        connection.sendall(get("/api/system/ping"))
        assert receive(connection)[1] == b"pong"
    assert [(parts, bool(nodelay)) for parts, nodelay in sends] == [(2, True)]


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /api/ping\r\n\r\n",
        b"GET /api/a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/ping HTTP/1.1\r\n\r\n",
        b"GET /api/ping HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET /api/ping HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
    ],
)
def test_malformed_request_is_refused_as_by_tomcat(served: ServedEmulator, sent: bytes) -> None:
    """What is no HTTP request gets Tomcat's 400 page, and the connection is closed."""
    with connect(served) as connection:
        connection.sendall(sent)
        reply, body = receive(connection)
        assert (reply.status, reply.headers["Content-Type"]) == (400, "text/html;charset=utf-8")
        assert b"HTTP Status 400" in body
        assert connection.recv(1) == b""


def test_chunked_body_and_expectation(served: ServedEmulator, emulator: Emulator) -> None:
    """A body may come in chunks, and a client that asks first is told to go on."""
    head = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
    with connect(served) as connection:
        connection.sendall(get("/api/dataStore/app/a", head, "PUT"))
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n")
        assert receive(connection)[0].status == 201
    assert emulator.log[-1].body == b"[1,2]"


def test_http_1_0_connection_is_closed(served: ServedEmulator) -> None:
    """HTTP/1.0 keeps a connection only on demand."""
    with connect(served) as connection:
        connection.sendall(f"GET /api/system/ping HTTP/1.0\r\n{SIGNED}\r\n".encode())
        assert receive(connection)[1] == b"pong"
        assert connection.recv(1) == b""


def test_closed_server_answers_no_more(emulator: Emulator) -> None:
    """After ``close`` open connections are at their end and new ones are refused."""
    served = emulator.serve()
    with connect(served) as connection:
        connection.sendall(get("/api/system/ping"))
        receive(connection)
        served.close()
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(served)


# On both


def test_status_line_has_no_reason(host: Host) -> None:
    """The number is all that the status line says, as from Tomcat."""
    found = [host.ask("GET", path) for path in ("/api/dataStore", "/api/dataStore/none", "/api/nope")]
    assert [(reply.status_code, reply.reason) for reply in found] == [(200, ""), (404, ""), (404, "")]


@pytest.mark.parametrize(("version", "told"), [("2.41", False), ("2.42", True), ("2.40.0", False), ("2.44", True)])
def test_length_of_a_head(make_host: Callable[[Emulator], Host], version: str, told: bool) -> None:
    """A HEAD tells the length of the GET's body from 2.42 on; a GET of an entry without a value has length 0."""
    host = make_host(Emulator(version))
    host.ask("POST", "/api/dataStore/app/a", json=[1])
    assert ("Content-Length" in host.ask("HEAD", "/api/dataStore/app/a").headers) is told
    assert host.ask("GET", "/api/dataStore/app/a").headers["Content-Length"] == "3"


def test_json_round_trip(host: Host) -> None:
    """A value goes in and out, with the server's types and an ETag."""
    assert host.ask("PUT", "/api/dataStore/app/cfg", json={"theme": "dark"}).status_code == 201
    reply = host.ask("GET", "/api/dataStore/app/cfg")
    assert reply.json() == {"theme": "dark"}
    assert reply.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert reply.headers["Content-Length"] == str(len(reply.content))
    again = host.ask("GET", "/api/dataStore/app/cfg", headers={"If-None-Match": reply.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", reply.headers["ETag"])


def test_session_cookie_is_kept(host: Host) -> None:
    """The session's cookie comes once and signs in later requests by itself."""
    host.ask("GET", "/api/me")
    assert host.session.cookies.get("JSESSIONID")
    reply = host.ask("GET", "/api/me", auth=None)
    assert (reply.status_code, reply.json()["username"]) == (200, "admin")
    assert "Set-Cookie" not in reply.headers


def test_streamed_reply(host: Host) -> None:
    """``stream=True`` leaves the body to be read in pieces, or raw."""
    host.emulator.put("app", "cfg", "x" * 10_000)
    reply = host.ask("GET", "/api/dataStore/app/cfg", stream=True)
    assert reply.raw.read(4) == b'"xxx'
    assert len(b"".join(reply.iter_content(1000))) == 10_002 - 4


def test_prepared_url_is_sent_as_it_stands(host: Host) -> None:
    """A URL set after preparing reaches the emulator with its escapes: the spelling of dotted names survives."""
    prepared = host.session.prepare_request(requests.Request("PUT", host.url, json=1, auth=("admin", "district")))
    prepared.url = host.url + "/api/dataStore/app/config.%6Ason/"
    assert host.session.send(prepared, timeout=10).status_code == 201
    assert host.emulator.log[-1].target == "/api/dataStore/app/config.%6Ason/"
    assert host.ask("GET", "/api/dataStore/app").json() == ["config.json"]


def test_bodies_of_every_kind(host: Host) -> None:
    """Text, bytes and generators go out as bodies."""
    headers = {"Content-Type": "application/json", "X-Requested-With": "XMLHttpRequest"}
    for body in ('"é"'.encode(), iter([b'"', "é".encode(), b'"'])):
        assert host.ask("PUT", "/api/dataStore/app/a", data=body, headers=headers).ok
        assert host.ask("GET", "/api/dataStore/app/a").json() == "é"


def test_redirect_to_the_login_page(host: Host) -> None:
    """Without sign-in and without X-Requested-With a client is sent to the login page of the host that it asked."""
    reply = host.ask("GET", "/api/dataStore", auth=None, headers={})
    assert (reply.status_code, reply.headers["Location"]) == (302, host.url + "/dhis-web-login/")


def test_context_path(make_host: Callable[[Emulator], Host]) -> None:
    """With a context path the server lives below it: URL, cookie and redirect say so, and nothing answers beside it."""
    host = make_host(Emulator("2.42", context_path="/dhis"))
    base = host.url if host.served else host.url + "/dhis"
    host.url = base.removesuffix("/dhis")
    assert host.ask("PUT", "/dhis/api/dataStore/app/a", json=1).headers["Set-Cookie"].endswith("Path=/dhis; HttpOnly")
    assert host.ask("GET", "/dhis/api/dataStore/app").json() == ["a"]
    assert host.ask("GET", "/api/dataStore/app").status_code == 404
    host.session.cookies.clear()
    assert host.ask("GET", "/dhis/api/me", auth=None, headers={}).headers["Location"] == base + "/dhis-web-login/"
