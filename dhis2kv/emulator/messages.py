"""What goes in and out: requests, replies, and the two forms of a server's own words (WebMessage and HTML page).

Here since the hosts and all rooms between them speak of requests and replies, whatever brought them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from xml.sax.saxutils import escape, quoteattr

from .profiles import JSON_UTF8

NO_STORE = "no-cache, no-store, max-age=0, must-revalidate"
PRIVATE = "no-cache, private"
HTML = "text/html;charset=utf-8"
XML = "application/xml"

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

# The servlet API's names where Python's differ. They stand in messages only: a status line has none.
_REASONS = {302: "Found", 413: "Payload Too Large"}


def reason(status: int) -> str:
    """The reason phrase of a status as servers print it."""
    return _REASONS.get(status) or HTTPStatus(status).phrase


@dataclass(frozen=True)
class Request:
    """One request as it left the socket.

    ``target`` is the raw request target, not decoded; bytes above ASCII stand in it as Latin-1 characters.
    """

    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""
    scheme: str = "http"

    def pairs(self) -> list[tuple[str, str]]:
        """The headers as a list of pairs."""
        items = self.headers.items() if isinstance(self.headers, Mapping) else self.headers
        return [(name, value) for name, value in items]


@dataclass
class Reply:
    """One reply: a status, headers in order, and the whole body (what a HEAD's would have been, too)."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | bytearray = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Refusal(Exception):
    """The server's own no: becomes a WebMessage with this status.

    ``thrown`` tells an exception that a handler of Spring turned into a message from a message that a controller
    returned: from 2.42 on the two differ in their content type.
    """

    def __init__(self, status: int, message: str | None, code: str | None = None, *, thrown: bool = True) -> None:
        super().__init__(status, message)
        self.status, self.message, self.code, self.thrown = status, message, code, thrown


class Page(Exception):
    """The container's no: an HTML page with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class NoResource(Exception):
    """No route has this path."""


def web_message(status: int, message: str | None, **members: object) -> dict[str, object]:
    """A WebMessage as an object: members that are None are left out, as the server leaves them out."""
    level = "OK" if status < 400 else "ERROR"
    whole = {
        "httpStatus": reason(status),
        "httpStatusCode": status,
        "status": level,
        "message": message,
        **members,
    }
    return {name: value for name, value in whole.items() if value is not None}


def dumps(value: object) -> bytes:
    """JSON as Jackson writes it: no blanks, and nothing above ASCII escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def xml_message(message: Mapping[str, object]) -> bytes:
    """The same WebMessage as XML."""
    names = ("httpStatus", "httpStatusCode", "status")
    attributes = "".join(f" {name}={quoteattr(str(message[name]))}" for name in names)
    elements = "".join(
        f"<{name}>{escape(str(message[name]))}</{name}>" for name in ("message", "errorCode") if name in message
    )
    return f'<webMessage xmlns="http://dhis2.org/schema/dxf/2.0"{attributes}>{elements}</webMessage>'.encode()


def json_reply(status: int, value: object, content_type: str = JSON_UTF8) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, [("Content-Type", content_type)], dumps(value))


def html_reply(status: int, title: str, rest: str = "") -> Reply:
    """A page of HTML."""
    head = f"<!doctype html><html><head><title>{title}</title></head>"
    return Reply(status, [("Content-Type", HTML)], f"{head}<body><h1>{title}</h1>{rest}</body></html>".encode())


def page_reply(status: int, *headers: tuple[str, str]) -> Reply:
    """The container's error page."""
    title = f"HTTP Status {status} – {html.escape(reason(status))}"
    reply = html_reply(status, title, '<hr class="line" /><p><b>Type</b> Status Report</p>')
    reply.headers += headers
    return reply
