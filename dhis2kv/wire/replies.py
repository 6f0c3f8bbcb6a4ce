"""What a reply means, and which error it is; imports the errors, the calls and the values.

Here since one place reads replies into what they mean: a success is one only in DHIS2's own words, an absence only
where it is about the very name that was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dhis2kv import errors
from dhis2kv.wire.calls import Call
from dhis2kv.wire.values import loads

E = TypeVar("E", bound=errors.Dhis2kvError)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status, headers (names in lower case) and body; ``text`` and ``json()`` read the body.

    ``unsure`` says that the call had been sent before, and may have acted then; ``counted`` that the body is known to
    have come to its end, by its length or its chunks; ``anonymous`` that nothing signed the request.
    """

    call: Call
    url: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | bytearray = b""
    unsure: bool = False
    counted: bool = True
    anonymous: bool = False

    @property
    def whole(self) -> bool:
        """Whether the body is certain to be all that the server sent.

        Where nothing counts a body, it counts only as JSON that closes itself: 12345678 cut short reads as 1234, and
        a text of nothing as no value.
        """
        return self.counted or _closes_itself(self.body)

    @property
    def may_have_acted(self) -> bool:
        """Whether the server may have changed something, by this try of the call or an earlier one."""
        # A refusal has changed nothing, but for one: a DELETE of a namespace acts before it finds that it cannot
        # answer in the media type asked for.
        refused = 300 <= self.status < 500 and self.status != 406
        return self.call.writes and (self.unsure or not refused)

    @property
    def media_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body as text; raises ``ServerError`` where it is not UTF-8, DHIS2's only encoding."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise self.error(errors.ServerError, "the server's reply is not UTF-8 text") from error

    def json(self) -> Any:
        """The body as a value; raises ``ServerError`` where it is not JSON."""
        try:
            return loads(self.text)
        except ValueError as error:
            raise self.error(errors.ServerError, f"the server's reply is not JSON that can be read: {error}") from error

    def names(self) -> list[str]:
        """The body as a list of names, which is what listings are; raises ``ServerError`` where it is not."""
        names = self.json()
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self.error(errors.ServerError, "the server's reply is not a list of names")
        return names

    @property
    def web_message(self) -> dict[str, Any]:
        """The WebMessage, DHIS2's envelope for everything but values; empty where there is none."""
        if self.media_type != "application/json" or self.call.method == "HEAD":
            return {}
        try:
            found = loads(self.body.decode())
        except ValueError:
            return {}
        return found if isinstance(found, dict) and found.get("httpStatusCode") == self.status else {}

    def members(self) -> dict[str, Any]:
        """The body as an object, of which no member is certain to be there; raises ``ServerError`` where it is none."""
        found = self.json()
        if not isinstance(found, dict):
            raise self.error(errors.ServerError, "the server's reply is not an object")
        return found

    @property
    def message(self) -> str:
        """The message of the WebMessage; "" where there is none."""
        message = self.web_message.get("message")
        return message if isinstance(message, str) else ""

    def error(self, kind: type[E], sentence: str, *args: str, **facts: Any) -> E:
        """An error of this kind about this reply; ``args`` are its ``args`` where the sentence is not."""
        about = {"status": self.status, "method": self.call.method, "url": self.url, "sent": self.may_have_acted}
        return kind(*(args or (f"{sentence} ({self.call.method} {self.url})",)), **{**about, **facts})


_MARKS = re.compile(rb'\\.|["{}\[\]]', re.S)


def _closes_itself(body: bytes | bytearray) -> bool:
    """Whether this is a JSON object, list or text up to the bracket or quote that closes it.

    Looks at nothing else, and so at texts that are too deep, or hold too long a number, for a parser too.
    """
    body = body.strip(b" \t\r\n")
    depth, quoted, end = 0, False, 0
    if body[:1] not in (b"{", b"[", b'"'):
        return False
    for found in _MARKS.finditer(body):
        mark = found[0]
        if depth == 0 and not quoted and end:
            return False  # something follows
        if mark == b'"':
            quoted = not quoted
        elif not quoted:
            depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(mark, 0)
        end = found.end()
    return depth == 0 and not quoted and end == len(body)


def checked(reply: Reply) -> Reply:
    """Return the reply if it is a success, else raise the error that it means.

    Only a 404 that is DHIS2's own, about the very name that was asked for, is a ``KeyNotFound``. A write is done where
    DHIS2 says so in its own words, which all versions have for each: a WebMessage that is OK.
    """
    if 200 <= reply.status < 300:
        if not _is_answer(reply):
            raise _foreign(reply)
        if reply.call.writes and reply.web_message.get("status") != "OK":
            raise reply.error(errors.ServerError, f"the server does not say that it is done{_UNKNOWN}")
        return reply
    raise _error(reply)


_CONTEXT_PATH = "Many servers have it one level down, as in https://dhis2.example.org/dhis"
_SIGN_IN = (
    "make a profile (dhis2kv profile add NAME), set DHIS2_USERNAME and DHIS2_PASSWORD, or DHIS2_PAT, or give auth or"
    " token to Store"
)
# What nginx, Tomcat and Apache say to http where they speak https.
_WANTS_TLS = rb"(?i)plain HTTP request was sent to HTTPS port|requires TLS|plain HTTP to an SSL-enabled server port"


def _error(reply: Reply) -> errors.Dhis2kvError:
    status, message = reply.status, reply.message
    said = f": {message}" if message else ""
    facts = {"message": message}
    if status in (301, 302, 303, 307, 308):
        target = re.sub("//[^/@]*@", "//", reply.headers.get("location", ""))
        if target.endswith(f"{reply.call.path}/"):  # what 2.42 and later say of a wrong context path
            return reply.error(errors.Rejected, f"there is no DHIS2 at this address. {_CONTEXT_PATH}")
        if "login" in target:
            how = f"; {_SIGN_IN}" if reply.anonymous else ""
            sentence = f"not signed in: the server redirects to its login, {target}{how}"
            return reply.error(errors.NotAuthenticated, sentence)
        return reply.error(errors.Rejected, f"the server redirects to {target!r}, which is not followed: use that URL")
    if status == 401 and reply.anonymous:
        return reply.error(errors.NotAuthenticated, f"no credentials were given: {_SIGN_IN}", **facts)
    if status == 400 and re.search(_WANTS_TLS, reply.body[:4096]):
        return reply.error(errors.Rejected, "it speaks https there: its address begins with https://")
    if status == 401 or (status == 400 and "www-authenticate" in reply.headers):
        return reply.error(errors.NotAuthenticated, f"the server does not accept these credentials{said}", **facts)
    if status == 403 or "is protected, access denied" in message:
        # Its text stays out of the error: up to 2.38 it holds the stored value.
        return reply.error(errors.Forbidden, "the server refuses this to the account: a protected namespace or sharing")
    if status == 404:
        return _absence(reply, message)
    if status == 409 and reply.call.method == "POST" and re.search("already exists|duplicate key", message):
        return reply.error(errors.KeyExists, f"there is already an entry {'/'.join(reply.call.names[1:])!r}", **facts)
    if status == 429 or status >= 500:
        return reply.error(errors.ServerError, f"the server is in trouble: it answers {status}{said}", **facts)
    return reply.error(errors.Rejected, f"the server refuses the request with {status}{said}", **facts)


def _absence(reply: Reply, message: str) -> errors.Dhis2kvError:
    """The error for a 404: an absence only where it is certain."""
    own = message or (reply.call.method == "HEAD" and reply.media_type == "application/json")
    if not own or len(reply.call.names) < 2:
        return reply.error(
            errors.ServerError,
            f"a 404 that does not come from DHIS2's data store: is the URL right, and the server up? {_CONTEXT_PATH}",
        )
    _, namespace, *key = reply.call.names
    if message and f"'{reply.call.names[-1]}'" not in message:
        return reply.error(errors.ServerError, f"a 404 about another name than the one asked for: {message}")
    if key:
        return reply.error(errors.KeyNotFound, "", key[0], namespace=namespace, message=message)
    return reply.error(errors.KeyNotFound, "", namespace, message=message)


def _is_answer(reply: Reply) -> bool:
    """Whether a success looks like one of DHIS2's."""
    if reply.call.method == "HEAD":
        return True
    if reply.body:
        return "json" in reply.media_type
    # Without a body comes only an entry without a value, which has no type either, and what 2.38 and 2.39 say to a
    # query of a namespace that they hide, which has.
    types = ("",) if len(reply.call.names) == 3 else ("", "application/json")
    return reply.call.method == "GET" and reply.status == 200 and reply.media_type in types


_UNKNOWN = ", and whether it is done is not known"


def _foreign(reply: Reply) -> errors.Dhis2kvError:
    """The error for a success that is not JSON: a login page, or some other page in between."""
    if reply.body and not reply.media_type:
        return reply.error(
            errors.ServerError,
            f"the reply has no Content-Type, where DHIS2 says application/json: so must a test double, in its"
            f" headers{_UNKNOWN if reply.call.writes else ''}",
        )
    page = reply.body[:20_000].decode("utf-8", "replace")
    found = re.search(r"<title[^>]*>([^<]{0,200})", page, re.I)
    what = (
        f"the page {' '.join(found[1].split())!r}" if found else f"{len(reply.body)} bytes of {reply.media_type or '?'}"
    )
    if re.search(r"type=.?password|log.?in", page, re.I):
        return reply.error(errors.NotAuthenticated, f"not signed in: instead of JSON came {what}")
    return reply.error(errors.ServerError, f"instead of JSON came {what}{_UNKNOWN if reply.call.writes else ''}")


def understood(reply: Reply, name: str) -> bool | None:
    """What the reply to the check for rewriting proxies says: the name arrived whole, or cut, or None for neither."""
    if reply.status == 404:
        if f"'{name}'" in reply.message:
            return True
        if f"'{name.partition('.')[0]}'" in reply.message:
            return False
    return False if reply.status == 406 else None


def missing(reply: Reply, namespace: str, key: str) -> str | None:
    """Which of the two a 404 of DHIS2's own says is absent: the key, or the whole namespace; None for neither."""
    if reply.status != 404:
        return None
    return next((name for name in (key, namespace) if f"'{name}'" in reply.message), None)
