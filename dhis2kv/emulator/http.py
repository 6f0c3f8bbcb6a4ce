"""The emulator on a socket: HTTP/1.1 with keep-alive, every target taken byte for byte.

Here since another process, in whatever language, needs an address. The parsing is our own, for ``http.server``'s
rewrites paths (``//``) and refuses in words that no Tomcat has.
"""

from __future__ import annotations

import re
import socket
import socketserver
import sys
import threading
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any

from .core import Core
from .faults import Delivery
from .messages import Reply, Request, page_reply
from .page import WithPage

_REQUEST_LINE = re.compile(r"(\S+) +(\S+) +(HTTP/1\.[01])")
_LINE_LIMIT = 65536
_DROPPING = frozenset((400, 408, 411, 413, 414, 500, 501, 503))  # after these Tomcat closes the connection


class MalformedRequestError(Exception):
    """What came is no HTTP request."""


class ServedEmulator:
    """An emulator that is served: a context manager. ``url`` is where; ``close()`` ends it and its connections."""

    def __init__(
        self, emulator: Core | WithPage, host: str, port: int, *, idle_seconds: float, requests_each: int
    ) -> None:
        self._server = _Server((host, port), emulator, idle_seconds, requests_each)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}{emulator.context_path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving; open connections are closed."""
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        self._thread.join()

    def __enter__(self) -> ServedEmulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # connections are closed from here; nobody waits for idle ones
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], emulator: Core | WithPage, idle_seconds: float, requests_each: int
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.emulator, self.idle_seconds, self.requests_each = emulator, idle_seconds, requests_each
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Connection)

    def server_bind(self) -> None:
        """Bind, without asking a name server for the host's name as the base class does."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is the client's business; anything else is a fault to be seen."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def opened(self, connection: socket.socket) -> None:
        """Remember an open connection."""
        with self._open_lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._open_lock:
            self._open.discard(connection)

    def close_connections(self) -> None:
        """Close what is still open, so that clients see the server gone."""
        with self._open_lock:
            for connection in self._open:
                with _ignoring_dead():
                    connection.shutdown(socket.SHUT_RDWR)


class _ignoring_dead:  # noqa: N801 - reads as a verb where it is used
    """A connection that the client has closed already needs no closing."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return isinstance(error, OSError)


class _Connection(socketserver.StreamRequestHandler):
    """One connection: requests one after the other, until either side has enough."""

    disable_nagle_algorithm = True  # a reply would wait 40 ms for the acknowledgment of the one before
    server: _Server
    connection: socket.socket

    def handle(self) -> None:
        """Answer requests until the connection ends."""
        self.connection.settimeout(self.server.idle_seconds)
        self.server.opened(self.connection)
        try:
            for left in range(self.server.requests_each - 1, -1, -1):
                if not self._handle_one(last=left == 0):
                    break
        except (TimeoutError, ConnectionError):
            return
        finally:
            self.server.closed(self.connection)

    def _handle_one(self, *, last: bool) -> bool:
        try:
            found = self._read()
        except MalformedRequestError:
            self._send(_refused(), head=False, close=True)
            return False
        if found is None:
            return False
        request, keep = found
        delivery = self.server.emulator.deliver(request)
        if delivery.delay:
            self.server.emulator.sleep(delivery.delay)
        return self._deliver(delivery, request, close=last or not keep)

    def _deliver(self, delivery: Delivery, request: Request, *, close: bool) -> bool:
        reply = delivery.reply
        if reply is None:
            return False
        if delivery.fate == "cut":
            reply = Reply(reply.status, reply.headers, bytes(reply.body[: len(reply.body) // 2]))
            self._send(reply, head=False, close=False)
            return False
        close = close or reply.status in _DROPPING
        self._send(reply, head=request.method == "HEAD", close=close)
        return not close

    def _send(self, reply: Reply, *, head: bool, close: bool) -> None:
        end = [("Connection", "close")] if close else []
        lines = [f"{name}: {value}\r\n" for name, value in (*reply.headers, *end)]
        start = f"HTTP/1.1 {reply.status} \r\n"  # Tomcat leaves the reason phrase out, and the blank before it not
        parts = [memoryview(f"{start}{''.join(lines)}\r\n".encode("latin-1"))]
        if not head:
            parts.append(memoryview(reply.body))
        if not hasattr(self.connection, "sendmsg"):  # Windows
            self.connection.sendall(b"".join(parts))
            return
        # One send for head and body, which are not joined: a large answer would need its size twice.
        while parts:
            sent = self.connection.sendmsg(parts)
            while parts and sent >= len(parts[0]):
                sent -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][sent:]

    # Reading

    def _line(self) -> str:
        line = self.rfile.readline(_LINE_LIMIT)
        if len(line) == _LINE_LIMIT and not line.endswith(b"\n"):
            raise MalformedRequestError
        return line.decode("latin-1")

    def _read(self) -> tuple[Request, bool] | None:
        """The next request, and whether the client keeps the connection; None where there is no next one."""
        line = self._line()
        if line == "\r\n":  # allowed between requests
            line = self._line()
        if not line:
            return None
        found = _REQUEST_LINE.fullmatch(line.rstrip("\r\n"))
        if not found:
            raise MalformedRequestError
        method, target, version = found.groups()
        headers = self._headers()
        known = {name.lower(): value for name, value in headers}
        if version == "HTTP/1.1" and "host" not in known:
            raise MalformedRequestError
        body = self._body(known)
        keeps = known.get("connection", "").lower()
        keep = keeps != "close" if version == "HTTP/1.1" else keeps == "keep-alive"
        return Request(method, target, headers, body), keep

    def _headers(self) -> list[tuple[str, str]]:
        headers: list[tuple[str, str]] = []
        while (line := self._line().rstrip("\r\n")) != "":
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip() or len(headers) > 100:
                raise MalformedRequestError
            headers.append((name, value.strip()))
        return headers

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("expect", "").lower() == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks()
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise MalformedRequestError
        return self._exactly(int(length))

    def _exactly(self, size: int) -> bytes:
        body = self.rfile.read(size)
        if len(body) != size:
            raise ConnectionResetError("The client closed the connection within a request.")
        return body

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            try:
                size = int(self._line().partition(";")[0].strip(), 16)
            except ValueError as error:
                raise MalformedRequestError from error
            if size == 0:
                self._headers()  # the trailer
                return bytes(body)
            body += self._exactly(size)
            self._line()


def _refused() -> Reply:
    reply = page_reply(400)
    reply.headers.append(("Content-Length", str(len(reply.body))))
    return reply
