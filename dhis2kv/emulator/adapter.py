"""The emulator behind ``requests``, without a socket: what a transport adapter sees is what a socket would give it.

Here since a test is fastest without a socket, and what it tests must not see the difference.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Iterable, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError
from urllib3.response import HTTPResponse
from urllib3.util import Timeout

from .core import Core
from .messages import Reply, Request


def session_for(emulator: Core) -> requests.Session:
    """A session that asks this emulator instead of the net."""
    session = requests.Session()
    adapter = EmulatorAdapter(emulator)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


class EmulatorAdapter(HTTPAdapter):
    """A transport adapter whose far end is an emulator. Its errors are those that ``requests`` raises on a socket."""

    def __init__(self, emulator: Core) -> None:
        super().__init__(max_retries=0)
        self._emulator = emulator

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,  # noqa: ARG002 - means nothing without a socket, as the next two
        cert: Any = None,  # noqa: ARG002 - as above
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002 - as above
    ) -> requests.Response:
        """Hand the request over with its target as it stands in the prepared URL, and build the response."""
        scheme, host, target = _split(str(request.url))
        headers = [("Host", host), *((str(k), _text(v)) for k, v in request.headers.items())]
        asked = Request(str(request.method), target, headers, _body(request.body), scheme)
        delivery = self._emulator.deliver(asked)
        if delivery.fate == "refused":
            refused = NewConnectionError(HTTPConnection("localhost"), "Failed to establish a new connection: refused")
            raise requests.ConnectionError(MaxRetryError(_pool(), target, refused), request=request)
        if delivery.delay:
            self._wait(delivery.delay, timeout, request, target)
        if delivery.reply is None:
            closed = http.client.RemoteDisconnected("Remote end closed connection without response")
            raise requests.ConnectionError(ProtocolError("Connection aborted.", closed), request=request)
        raw = _raw_response(delivery.reply, asked.method, cut=delivery.fate == "cut")
        response: requests.Response = self.build_response(request, raw)
        if not stream:
            response.content  # noqa: B018 - reads the body now, as a session does
        return response

    def _wait(self, delay: float, timeout: Any, request: requests.PreparedRequest, target: str) -> None:
        limit = _read_timeout(timeout)
        if limit is not None and delay > limit:
            self._emulator.sleep(limit)
            late = ReadTimeoutError(_pool(), target, f"Read timed out. (read timeout={limit})")
            raise requests.ReadTimeout(late, request=request)
        self._emulator.sleep(delay)


def _pool() -> HTTPConnectionPool:
    """What urllib3's errors want to be about."""
    return HTTPConnectionPool("localhost")


def _split(url: str) -> tuple[str, str, str]:
    """Scheme, host and raw target of a prepared URL, nothing of them rewritten."""
    scheme, _, rest = url.partition("://")
    rest = rest.partition("#")[0]
    end = min((rest.index(mark) for mark in "/?" if mark in rest), default=len(rest))
    target = rest[end:] or "/"
    return scheme, rest[:end].rpartition("@")[2], target if target.startswith("/") else f"/{target}"


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _body(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    if hasattr(body, "read"):
        return _body(body.read())
    assert isinstance(body, Iterable)  # noqa: S101 - requests takes nothing else
    return b"".join(_body(part) for part in body)


def _read_timeout(timeout: Any) -> float | None:
    if isinstance(timeout, Timeout):
        timeout = timeout.read_timeout
    elif isinstance(timeout, tuple):
        timeout = timeout[1]
    return timeout if isinstance(timeout, int | float) else None


class _Wire(io.RawIOBase):
    """A buffer that is read without being copied first."""

    def __init__(self, body: bytes | bytearray | memoryview) -> None:
        self._left = memoryview(body)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class _Socket:
    """As much of a socket as ``http.client`` reads a body from."""

    def __init__(self, body: bytes | bytearray | memoryview) -> None:
        self._body = body

    def makefile(self, *_: object) -> io.BufferedIOBase:
        return io.BytesIO(self._body) if isinstance(self._body, bytes) else io.BufferedReader(_Wire(self._body))


def _raw_response(reply: Reply, method: str, *, cut: bool) -> HTTPResponse:
    """A urllib3 response that reads its body as from a socket."""
    body = memoryview(reply.body)[: len(reply.body) // 2] if cut else reply.body
    original = http.client.HTTPResponse(_Socket(body), method=method)  # type: ignore[arg-type]  # it only makes a file
    _begin(original, reply, method)
    return HTTPResponse(
        body=original,
        headers=reply.headers,  # type: ignore[arg-type]  # pairs, for names come more than once
        status=original.status,
        version=original.version,
        reason=original.reason,
        preload_content=False,
        decode_content=False,
        original_response=original if "Set-Cookie" in original.msg else None,  # it is read for its cookies alone
        enforce_content_length=True,
        request_method=method,
    )


def _begin(response: http.client.HTTPResponse, reply: Reply, method: str) -> None:
    """What ``begin`` finds out by reading a head: taken as it is, for parsing one costs more than all the answering."""
    response.status = reply.status
    response.reason = ""
    response.version = 11
    response.chunked = response.will_close = False
    message = http.client.HTTPMessage()
    for name, value in reply.headers:
        message[name] = value
    response.msg = response.headers = message
    bodiless = method == "HEAD" or reply.status in (204, 304)
    length = None if bodiless else message["Content-Length"]
    response.length = 0 if bodiless else None if length is None else int(length)
