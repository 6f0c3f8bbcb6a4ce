"""Reading the body of a response: as it comes, up to a size, and whether it is certain that it came whole.

Imports ``exchange`` and ``requests``. Here since what was cut short must never be taken for a value, and a few bytes
must not become gigabytes.
"""

from __future__ import annotations

import zlib
from http.client import HTTPResponse
from typing import Any

import requests
import urllib3

from dhis2kv.transport.exchange import Exchange

CHUNK = 65536


class TooLargeError(Exception):
    """The body is larger than it may be."""


def read(response: requests.Response, exchange: Exchange, most: int) -> tuple[bytes | bytearray, bool]:
    """The body of at most so many bytes, and whether it was counted, or chunked to its end.

    Raises ``TooLargeError``, ``TimeoutError`` where the exchange's time is over, and what urllib3 raises for bodies
    that are cut.
    """
    raw: Any = response.raw
    content: Any = response._content
    if content is not False:
        # A hook or a recorder has read it already, or a test double never had it otherwise.
        return _bounded([content or b""], exchange, most), not exchange.broke_off
    if not isinstance(raw, urllib3.HTTPResponse):
        return _bounded(response.iter_content(CHUNK), exchange, most), True
    if raw.tell():
        raise requests.exceptions.StreamConsumedError("somebody has read a part of it already")
    is_head = response.request.method == "HEAD"  # what that says of a body is about another reply
    coding = "" if is_head else raw.headers.get("Content-Encoding", "").strip().lower()
    length = raw.length_remaining
    if exchange.watched and not coding and length and length <= min(CHUNK, most):
        return _at_once(raw, length), not exchange.broke_off
    unzip = _Unzip(most) if coding in ("gzip", "x-gzip") else None
    # Where urllib3 has it, read1 returns with what is there; read waits until the chunk is full.
    reader = getattr(raw, "read1", raw.read)
    pieces = iter(lambda: reader(CHUNK, decode_content=unzip is None), b"")
    body = _bounded(map(unzip, pieces) if unzip else pieces, exchange, most)
    if raw.length_remaining:  # of a HEAD urllib3 expects nothing
        raise urllib3.exceptions.IncompleteRead(len(body), raw.length_remaining)
    whole = not exchange.broke_off if exchange.watched else _was_bounded(raw, is_head)
    # Of other codings urllib3 does not tell whether they came to their end.
    return body, whole and (unzip.ended if unzip else coding in ("", "identity"))


def _at_once(raw: Any, length: int) -> bytes:
    """A short body, in one piece; how long it may take is its exchange's affair."""
    body: bytes = raw.read(length)
    if len(body) < length:
        raise urllib3.exceptions.IncompleteRead(len(body), length - len(body))
    return body


def _bounded(pieces: Any, exchange: Exchange, most: int) -> bytes | bytearray:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > most:
            raise TooLargeError
        if exchange.over:
            raise TimeoutError
    return body


def _was_bounded(raw: Any, is_head: bool) -> bool:
    """Whether a body that no connection of ours brought was bounded; one that was in memory has nothing to be cut.

    A HEAD has none, and up to 2.41 no length either.
    """
    original = raw._original_response
    bounded = is_head or "content-length" in raw.headers
    return not isinstance(original, HTTPResponse) or original.chunked or bounded


class _Unzip:
    """Unpacks gzip piece by piece, hardly more than so many bytes of it; ``ended`` once it has come to its end."""

    def __init__(self, most: int) -> None:
        self._most, self._zlib = most, zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.ended = False

    def __call__(self, packed: bytes) -> bytes:
        unpacked = b""
        while packed:
            if self._zlib.eof:  # another member follows
                self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)
            try:
                unpacked += self._zlib.decompress(packed, self._most + 1)
            except zlib.error as error:
                raise urllib3.exceptions.DecodeError(str(error)) from error
            packed = self._zlib.unused_data
        self.ended = self._zlib.eof
        return unpacked
