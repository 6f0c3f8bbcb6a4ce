"""A proxy on raw sockets that does to requests and replies whatever networks and proxies do."""

import contextlib
import random
import socket
import threading
import time
from urllib.parse import urlsplit

PAGE = b"<html><title>upstream</title><body>upstream said: no</body></html>"


def _reply(status, body, kind=b"text/html", extra=b""):
    return b"HTTP/1.1 %s\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, kind, extra, len(body), body)


# What a proxy answers by itself, whether or not the server has acted.
ANSWERS = {
    "502": _reply(b"502 Bad Gateway", PAGE),
    "503": _reply(b"503 Service Unavailable", PAGE, extra=b"Retry-After: 0\r\n"),
    "504": _reply(b"504 Gateway Timeout", PAGE),
    "429": _reply(b"429 Too Many Requests", PAGE),
    "404 page": _reply(b"404 Not Found", PAGE),
    "403 page": _reply(b"403 Forbidden", PAGE),
    "500 page": _reply(b"500 ", PAGE),
    "200 page": _reply(b"200 OK", PAGE),
    "200 login": _reply(b"200 OK", b"<html><form><input type=password></form></html>"),
    "302 login": _reply(b"302 ", b"", extra=b"Location: /dhis-web-login/\r\n"),
    "301": _reply(b"301 ", b"", extra=b"Location: https://elsewhere.example.org/\r\n"),
    "json that is none": _reply(b"200 OK", b"upstream said: ok", b"application/json"),
    "json of somebody": _reply(b"200 OK", b'{"ok": true}', b"application/json"),
    "empty json": _reply(b"200 OK", b"", b"application/json"),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
}
# Who refuses by itself has passed nothing on.
REFUSALS = {"429", "404 page", "403 page", "302 login", "301"}
# What nobody can tell from a stored value, or from a HEAD's yes; a write's answer is told by its words.
VALUES = {"json of somebody", "json that is none", "no content"}


def _double_length(reply):
    head, _, body = reply.partition(b"\r\n\r\n")
    return head + b"\r\nContent-Length: %d\r\n\r\n" % (len(body) + 7) + body


def _longer(reply):
    return reply.replace(b"Content-Length: ", b"Content-Length: 1", 1)


def _as_page(reply):
    return reply.replace(b"application/json", b"text/html", 1)


def _uncounted(reply):
    head, _, body = reply.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _chunks_without_end(reply):
    head, _, body = _uncounted(reply).partition(b"\r\n\r\n")
    return head + b"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(body), body)


def _junk_first(reply):
    return b"\x00\xff junk\r\n" + reply


# What becomes of a reply on its way, after which the connection is closed.
CHANGES = {
    "two lengths": _double_length,
    "a length that is too long": _longer,
    "as a page": _as_page,
    "neither counted nor chunked": _uncounted,
    "chunked without an end": _chunks_without_end,
    "junk first": _junk_first,
}
KINDS = ("refused", "dropped before", "dropped after", "cut", "trickled", "for ever")


class Proxy:
    """Passes requests to a server, and lets some go wrong: each with the chance ``rate``, drawn by ``random``."""

    def __init__(self, url, seed, rate):
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._quiet, self._passing = threading.Condition(), 0
        self.rate, self.faults = rate, []
        self.always = None  # a fault that befalls every request
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Take no more connections."""
        self._open = False
        self._listener.close()

    def _accept(self):
        while self._open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _drawn(self):
        """A fault, or None: its name, and whether the server has acted before it."""
        with self._lock:
            if self.always:
                return self.always, False, 0.5
            if self._random.random() >= self.rate:
                return None
            kind = self._random.choice([*KINDS, *CHANGES, *ANSWERS])
            self.faults.append(kind)
            return kind, self._random.random() < 0.5, self._random.random()

    def _talk(self, client):
        server = None
        try:
            with client:
                client.settimeout(20)
                while request := _message(client):
                    server = server or socket.create_connection(self._upstream, timeout=20)
                    fault = self._drawn()
                    with self._on_its_way():
                        reply = _asked(server, request) if _reaches(fault, request) else b""
                    if not self._answered(client, request, reply, fault):
                        return
        except OSError:
            pass  # either end has gone, which is what this is about
        finally:
            if server is not None:
                server.close()

    @contextlib.contextmanager
    def _on_its_way(self):
        with self._quiet:
            self._passing += 1
        try:
            yield
        finally:
            with self._quiet:
                self._passing -= 1
                self._quiet.notify_all()

    def settle(self):
        """Wait until whatever is on its way to the server has arrived: a client may have given up on it before."""
        with self._quiet:
            self._quiet.wait_for(lambda: not self._passing, timeout=30)

    def _answered(self, client, request, reply, fault):
        """Give the client the reply, or what a fault makes of it; whether the connection goes on."""
        if fault is None:
            client.sendall(reply)
            return True
        kind, _, share = fault
        if kind in ANSWERS:
            client.sendall(ANSWERS["502" if _is_value(kind, request) else kind])
            return True
        if kind == "refused":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset, not an end
        elif kind == "cut":
            client.sendall(reply[: int(len(reply) * share)])
        elif kind == "trickled":
            for start in range(0, len(reply), 40):
                client.sendall(reply[start : start + 40])
        elif kind == "for ever":
            self._for_ever(client, reply)
        elif kind in CHANGES:
            client.sendall(CHANGES[kind](reply))
        return False

    def _for_ever(self, client, reply):
        """Trickle a reply so slowly that it would take minutes, until the other end has had enough."""
        for place in range(len(reply)):
            client.sendall(reply[place : place + 1])
            time.sleep(0.2)


def _reaches(fault, request):
    """Whether the server hears of a request that meets this fault."""
    if fault is None:
        return True
    kind, acted, _ = fault
    if kind in ANSWERS:
        return acted and kind not in REFUSALS
    return kind not in ("refused", "dropped before")


def _is_value(kind, request):
    """Whether an answer of somebody else's would be taken for a value, as it must be."""
    if request.startswith(b"HEAD "):
        return kind in VALUES or kind == "empty json"
    return kind in VALUES and request.startswith(b"GET ")


def _message(connection):
    """One whole request of a client; empty at the end."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            return b""
        head += piece
    return head + _rest(connection, head)


def _asked(server, request):
    """The server's whole reply to a request."""
    server.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        piece = server.recv(65536)
        if not piece:
            raise ConnectionError("the server has closed the connection")
        head += piece
    bare = request.startswith(b"HEAD ") or head.split(b" ", 2)[1][:3] in (b"204", b"304")
    return head if bare else head + _rest(server, head)


def _rest(connection, head):
    """What is missing of a body that is counted."""
    top, _, body = head.partition(b"\r\n\r\n")
    length = 0
    for line in top.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    rest = b""
    while len(body) + len(rest) < length:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("cut")
        rest += piece
    return rest
