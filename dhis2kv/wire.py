"""The protocol of the DHIS2 data store as facts, without any input or output.

Which names can be sent and how a path is spelled, how a value becomes text and back, what a reply means and which
error it is, and when two values are the same. What is said here of servers was seen on DHIS2 2.36 to 2.44.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from dhis2kv import errors

E = TypeVar("E", bound=errors.Dhis2kvError)

SHARED = "dataStore"
USER = "userDataStore"
NAME_LENGTH = 255  # code points; the database's varchar(255)
DEPTH = 500  # levels; thousands are stored or refused by the depth of the server's stack
LARGEST_INTEGER = 10**4300  # Python itself reads and writes no more digits than 4,300

# --- names -----------------------------------------------------------------------------------------------------------

# Tomcat, or Spring's firewall behind it, refuses these however they are encoded.
_REFUSED = re.compile("[/\\\\%;\0\n\r\u2028\u2029]")
# The server prints keys unescaped in bulk answers, so that one such key breaks them for every client.
_BREAKS_BULK = re.compile('["\x00-\x1f]')
# 2.44 cuts a last segment at its first dot when all that follows is one of these, in their raw spelling.
_EXTENSIONS = frozenset(
    {"json", "json.gz", "json.zip", "jsonp", "xml", "xml.gz", "xml.zip", "png", "pdf", "xls", "xlsx"}
    | {"csv", "csv.gz", "csv.zip", "adx.xml", "adx.xml.gz", "adx.xml.zip", "geojson"}
)


def check_name(name: str, what: str = "key") -> str:
    """Return a key or namespace unchanged if a server can hold it.

    Raises ``TypeError`` for anything but text, and ``InvalidKey`` for names that every server refuses or takes for
    another one. Sends nothing.
    """
    if not isinstance(name, str):
        raise TypeError(f"a {what} is a str, not {type(name).__name__}")
    if name in ("", ".", ".."):
        reason = "servers take it for the place above it"
    elif found := _REFUSED.search(name):
        reason = f"servers refuse {found[0]!r} in names, however it is encoded"
    elif len(name) > NAME_LENGTH:
        reason = f"it has {len(name)} characters, and the database holds {NAME_LENGTH}"
    elif not _encodable(name):
        reason = "a lone surrogate is not text"
    else:
        return name
    raise errors.InvalidKey(f"{_shown(name)} cannot be a {what}: {reason}")


def check_new_key(key: str) -> str:
    """Return a key unchanged if it may be written; raises as ``check_name``, and for keys that break bulk reads."""
    check_name(key)
    if found := _BREAKS_BULK.search(key):
        raise errors.InvalidKey(
            f"{key!r} cannot be written: servers print keys unescaped in bulk answers,"
            f" where {found[0]!r} would make the whole namespace unreadable for every client"
        )
    return key


def cut_by_proxies(name: str) -> bool:
    """Whether a server of 2.44 cuts this name, as last segment, once a proxy has undone its percent-encoding."""
    return name.partition(".")[2] in _EXTENSIONS


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    return repr(name) if len(name) <= 80 else f"{name[:60]!r}..."


# --- calls -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """One request: ``path`` (below the context path) and ``query`` exactly as they must leave the socket.

    ``names`` are the store, namespace and key it is about, as far as it is about them. ``once`` says that it must not
    be repeated after it was sent, for the server would act twice.
    """

    method: str
    path: str
    names: tuple[str, ...] = ()
    query: str = ""
    body: str | None = None
    once: bool = False

    @property
    def target(self) -> str:
        """Path and query, ready to be appended to the server's base URL."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def writes(self) -> bool:
        """Whether it is meant to change something."""
        return self.method not in ("GET", "HEAD")


def call(method: str, *names: str, query: str = "", body: str | None = None, once: bool = False) -> Call:
    """The call on a store, a namespace of it, or a key of that."""
    return Call(method, "/api/" + "/".join([*map(_inner, names[:-1]), _last(names[-1])]), names, query, body, once)


def call_below(method: str, *names: str, below: str, query: str = "") -> Call:
    """The call on a fixed word below a namespace or key: ``keys``, ``metaData``."""
    return Call(method, "/api/" + "/".join([*map(_inner, names), below]), names, query)


def _inner(name: str) -> str:
    return quote(name, safe="")


def _last(name: str) -> str:
    """Spell a last segment so that every version takes it whole.

    Up to 2.43 servers cut it at its last dot, which a slash at the end prevents; 2.44 cuts registered extensions,
    slash or not, but only in their raw spelling. Both together are right everywhere, for every verb.
    """
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        return quote(name, safe="")
    first = "".join(f"%{byte:02X}" for byte in suffix[:1].encode())
    return f"{quote(stem, safe='')}.{first}{quote(suffix[1:], safe='')}/"


def check_delete(call: Call, sent_path: str) -> None:
    """Make sure that a DELETE hits what it is about and nothing above it; raises ``Unaddressable``.

    A DELETE whose last segment got lost on its way into the request wipes a namespace, on every version.
    """
    expected = ["api", *call.names]
    segments = [unquote(segment) for segment in sent_path.removesuffix("/").split("/")]
    if segments[-len(expected) :] != expected or len(call.names) < 2:
        raise errors.Unaddressable(f"refused to send DELETE {sent_path}: it would not delete just {call.names[1:]!r}")


def base_url(url: str) -> tuple[str, tuple[str, str] | None]:
    """The server's base URL (with its context path, no slash at the end) and the credentials found in the URL.

    It may or may not end in ``/api``, ``/api/NN`` or a slash. Raises ``ValueError`` for what is no http(s) URL.
    """
    if not isinstance(url, str):
        raise TypeError(f"the URL of a server is a str, not {type(url).__name__}")
    try:
        parts = urlsplit(url.strip())
        whole = bool(parts.hostname) and (parts.port or 1) > 0 and not re.search(r"\s", url.strip())
    except ValueError:
        whole = False
    # A slash, question or number sign in a password ends the host: what follows, and is secret, would be a path.
    if not whole or parts.scheme not in ("http", "https") or "@" in parts.path or parts.query or parts.fragment:
        raise ValueError(
            f"not the URL of a DHIS2 server: {url.rpartition('@')[2]!r}; it looks like https://dhis2.example.org"
            " (in credentials, special characters are percent-encoded)"
        )
    credentials = None
    if parts.username is not None:
        credentials = (unquote(parts.username), unquote(parts.password or ""))
    path = re.sub(r"/api(/\d+)?$", "", parts.path.rstrip("/"))
    return printable(parts._replace(path=path.rstrip("/"))), credentials


def printable(parts: SplitResult) -> str:
    """The URL without the credentials in it."""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


# --- values ----------------------------------------------------------------------------------------------------------

_EXPONENT = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?e[+-]?\d+')


def dumps(value: Any) -> str:
    """The JSON text of a value, spelled so that the server gives the same value back.

    Tuples become lists. Raises ``InvalidValue`` for what JSON cannot say (NaN, infinities, member names that are not
    text, other types) and for what the server's database refuses or changes: U+0000 and lone surrogates in text,
    integers over 4,300 digits, nesting beyond 500 levels.
    """
    exponents = _inspect(value)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not _encodable(text):
        raise errors.InvalidValue("a text in the value holds a lone surrogate, which the database refuses")
    # The database writes out exponents itself, but as an integer where it can: 1e22 would come back as an int.
    return _EXPONENT.sub(_digits, text) if exponents else text


def _inspect(value: Any) -> bool:
    """Refuse what will not come back the same; return whether a float is written with an exponent."""
    exponents = False
    todo = [(value, 1)]
    while todo:
        item, depth = todo.pop()
        if isinstance(item, str):
            if "\0" in item:
                raise errors.InvalidValue("a text in the value holds U+0000, which the database refuses")
        elif isinstance(item, float):
            if item != item or item in (float("inf"), float("-inf")):
                raise errors.InvalidValue(f"JSON has no {item!r}: store null or a text instead")
            exponents = exponents or "e" in float.__repr__(item)
        elif isinstance(item, int):
            if not -LARGEST_INTEGER < item < LARGEST_INTEGER:
                raise errors.InvalidValue("an integer of more than 4,300 digits could not be read back")
        elif isinstance(item, dict | list | tuple):
            if depth > DEPTH:
                raise errors.InvalidValue(f"the value is nested deeper than {DEPTH} levels, or contains itself")
            if isinstance(item, dict):
                for name in item:
                    if not isinstance(name, str):
                        raise errors.InvalidValue(f"member names in JSON are text, not {type(name).__name__}: {name!r}")
                todo += [(name, depth) for name in item]
                item = item.values()
            todo += [(member, depth + 1) for member in item]
        elif item is not None:
            raise errors.InvalidValue(f"{type(item).__name__} is not JSON: make it a dict, list, text or number first")
    return exponents


def _digits(match: re.Match[str]) -> str:
    token = match[0]
    if token[0] == '"':
        return token
    digits = format(Decimal(token), "f")
    return digits if "." in digits else digits + ".0"


def loads(text: str) -> Any:
    """The value of a JSON text; raises ``ValueError`` for what is none, or none that Python can hold."""
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply for this Python") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("it holds a number beyond the range of Python's floats")
    return number


_decoder = json.JSONDecoder(parse_constant=_no_constant, parse_float=_float)


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same JSON: ``1`` is ``1.0``, ``true`` is not ``1``, the order of members is nothing.

    Compares values and not texts, for the server changes spelling and member order at will.
    """
    todo = [(a, b)]  # not by recursion: values may be nested as deep as half of Python's stack
    while todo:
        a, b = todo.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            if a.keys() != b.keys():
                return False
            todo += [(value, b[name]) for name, value in a.items()]
        elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
            if len(a) != len(b):
                return False
            todo += zip(a, b, strict=True)
        elif isinstance(a, bool | dict | list | tuple) or isinstance(b, bool | dict | list | tuple):
            if a is not b:
                return False
        elif a != b:
            return False
    return True


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status, headers (names in lower case) and body; ``text`` and ``json()`` read the body.

    ``unsure`` says that the call had been sent before, and may have acted then.
    """

    call: Call
    url: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | bytearray = b""
    unsure: bool = False

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
    def message(self) -> str:
        """The message of a WebMessage, DHIS2's envelope for everything but values; "" where there is none."""
        if self.media_type != "application/json" or self.call.method == "HEAD":
            return ""
        try:
            found = loads(self.body.decode())
        except ValueError:
            return ""
        message = found.get("message") if isinstance(found, dict) and found.get("httpStatusCode") == self.status else ""
        return message if isinstance(message, str) else ""

    def error(self, kind: type[E], sentence: str, *args: str, **facts: Any) -> E:
        """An error of this kind about this reply; ``args`` are its ``args`` where the sentence is not."""
        about = {"status": self.status, "method": self.call.method, "url": self.url, "sent": self.may_have_acted}
        return kind(*(args or (f"{sentence} ({self.call.method} {self.url})",)), **{**about, **facts})


def checked(reply: Reply) -> Reply:
    """Return the reply if it is a success, else raise the error that it means.

    Only a 404 that is DHIS2's own, about the very name that was asked for, is a ``KeyNotFound``.
    """
    if 200 <= reply.status < 300:
        if _is_answer(reply):
            return reply
        raise _foreign(reply)
    raise _error(reply)


def _error(reply: Reply) -> errors.Dhis2kvError:
    status, message = reply.status, reply.message
    said = f": {message}" if message else ""
    facts = {"message": message}
    if status in (301, 302, 303, 307, 308):
        target = re.sub("//[^/@]*@", "//", reply.headers.get("location", ""))
        if "login" in target:
            return reply.error(errors.NotAuthenticated, f"not signed in: the server redirects to its login, {target}")
        return reply.error(errors.Rejected, f"the server redirects to {target!r}, which is not followed: use that URL")
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
            errors.ServerError, "a 404 that does not come from DHIS2's data store: is the URL right, and the server up?"
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
    # Without a body comes only an entry without a value, and what 2.38 and 2.39 say of a namespace that they hide.
    return reply.call.method == "GET" and reply.status == 200 and reply.media_type in ("", "application/json")


def _foreign(reply: Reply) -> errors.Dhis2kvError:
    """The error for a success that is not JSON: a login page, or some other page in between."""
    page = reply.body[:20_000].decode("utf-8", "replace")
    found = re.search(r"<title[^>]*>([^<]{0,200})", page, re.I)
    what = (
        f"the page {' '.join(found[1].split())!r}" if found else f"{len(reply.body)} bytes of {reply.media_type or '?'}"
    )
    if re.search(r"type=.?password|log.?in", page, re.I):
        return reply.error(errors.NotAuthenticated, f"not signed in: instead of JSON came {what}")
    return reply.error(errors.ServerError, f"instead of JSON came {what}")


def understood(reply: Reply, name: str) -> bool | None:
    """What the reply to the check for rewriting proxies says: the name arrived whole, or cut, or None for neither."""
    if reply.status == 404 and reply.message:
        if f"'{name}'" in reply.message:
            return True
        if f"'{name.partition('.')[0]}'" in reply.message:
            return False
    return False if reply.status == 406 else None


_OPEN = re.compile(r"\s*\[")
_END = re.compile(r"\s*\]\s*$")
_ENTRY = re.compile(r'\s*\{\s*"key"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*"value"\s*:\s*')
_CLOSE = re.compile(r"\s*\}\s*(,|\]\s*$)")


def entries(text: str) -> Iterator[tuple[str, Any, int, int]]:
    """Each entry of a bulk answer: its key, its value, and where the value's text begins and ends.

    The server prints keys unescaped, so an answer may say anything where a key holds a quotation mark. Raises
    ``ValueError`` where it is not exactly a list of objects with a key, not seen before, and a value. One entry is
    parsed at a time, so that nothing is held but the text and what the caller keeps.
    """
    opened = _OPEN.match(text)
    if not opened:
        raise ValueError("not a list")
    seen: set[str] = set()
    place, more = opened.end(), not _END.match(text, opened.end())
    while more:
        entry = _ENTRY.match(text, place)
        if not entry:
            raise ValueError(f"no entry at character {place}")
        key = entry[1] if "\\" not in entry[1] else loads(f'"{entry[1]}"')
        try:
            value, end = _decoder.raw_decode(text, entry.end())
        except RecursionError:
            raise ValueError(f"a value too deep for this Python at character {place}") from None
        closed = _CLOSE.match(text, end)
        if not closed or key in seen:
            raise ValueError(f"an ambiguous entry at character {place}")
        seen.add(key)
        yield key, value, entry.end(), end
        place, more = closed.end(), closed[1] == ","
