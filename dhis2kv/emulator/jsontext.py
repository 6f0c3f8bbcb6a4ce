"""JSON text as PostgreSQL's ``jsonb`` reads it, with its refusals, and as it writes it.

Here since Python's ``json`` takes other texts for JSON, and writes others. Null is ``None``, numbers are ``Decimal``,
which keeps trailing zeros, the rest is as usual. Nothing here recurses, so that depth is a matter of ``MAX_DEPTH`` and
not of Python's stack.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NoReturn, TypeAlias

Json: TypeAlias = "bool | str | Decimal | list[Json] | dict[str, Json] | None"


# A real server stores some thousand levels or dies of them with an HTML 500, as its stack allows.
MAX_DEPTH = 3000
# The limits of PostgreSQL's numeric: digits before and after the decimal point, and the exponent as it is read.
_MAX_DIGITS, _MAX_SCALE, _MAX_EXPONENT = 131072, 16383, (2**31 - 1) // 2


class TooDeep(ValueError):
    """The nesting exceeds ``MAX_DEPTH``; a real server's stack overflows somewhere there (an HTML 500)."""


class DatabaseRefusal(ValueError):
    """The database refuses the value; ``message`` is its text as a client would see it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


# --- reading ----------------------------------------------------------------------------------------------------------

# A string with its escapes checked, and what may follow a number's integer digits. Its group gives back what it takes:
# up to Python 3.11.2 a possessive one that fails half-way keeps it, and takes `"\u"` for a string.
STRING = r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*+)*"'
FRACTION = r"(?:\.[0-9]++|(?!\.))(?:[eE][+-]?+[0-9]++|(?![eE]))"

_ALNUM = r"0-9A-Za-z_\x80-\U0010ffff"
_TOKEN = re.compile(
    rf"[ \t\n\r]*+(?:(?P<mark>[\[\]{{}},:])|(?P<string>{STRING})"
    rf"|(?P<number>-?+(?:0|[1-9][0-9]*+){FRACTION})(?![{_ALNUM}])|(?P<word>true|false|null)(?![{_ALNUM}])"
    r"|(?P<end>\Z)|(?P<bad>))"
)
_BAD_NUMBER = re.compile(rf"-?+(?:0|[1-9][0-9]*+)?+(?:\.[0-9]*+)?+(?:[eE][+-]?+[0-9]*+)?+[{_ALNUM}]*+")
_BAD_WORD = re.compile(rf"[{_ALNUM}]++|.", re.S)
_BAD_STRING = re.compile(STRING[:-1])
_ESCAPE = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|([^u]))")
_SIMPLE_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class _Awaited(enum.Enum):
    """What the parser waits for, with the database's words for it where something else comes."""

    VALUE = 0, "JSON value"
    FIRST_ELEMENT = 1, "JSON value"
    NEXT_ELEMENT = 2, '"," or "]"'
    FIRST_MEMBER = 3, 'string or "}"'
    MEMBER = 4, "string"
    COLON = 5, '":"'
    NEXT_MEMBER = 6, '"," or "}"'
    END = 7, "end of input"


_VALUES = (_Awaited.VALUE, _Awaited.FIRST_ELEMENT)
_NAMES = (_Awaited.FIRST_MEMBER, _Awaited.MEMBER)
_OPENS = {"[": _Awaited.FIRST_ELEMENT, "{": _Awaited.FIRST_MEMBER}
_CLOSES = {"]": (_Awaited.FIRST_ELEMENT, _Awaited.NEXT_ELEMENT), "}": (_Awaited.FIRST_MEMBER, _Awaited.NEXT_MEMBER)}
_SEPARATES = {
    (",", _Awaited.NEXT_ELEMENT): _Awaited.VALUE,
    (",", _Awaited.NEXT_MEMBER): _Awaited.MEMBER,
    (":", _Awaited.COLON): _Awaited.VALUE,
}


def parse(text: str) -> Json:
    """The value of a JSON text as the database reads it; raises :class:`DatabaseRefusal`, :class:`TooDeep`."""
    if "\0" in text:
        raise DatabaseRefusal('ERROR: invalid byte sequence for encoding "UTF8": 0x00')
    root: list[Json] = []
    container: list[Json] | dict[str, Json] = root
    outer: list[tuple[list[Json] | dict[str, Json], str]] = []
    name, awaited = "", _Awaited.VALUE
    for kind, token, scalar, end in _tokens(text):
        value: Json = scalar
        if (token, awaited) in _SEPARATES:
            awaited = _SEPARATES[token, awaited]
            continue
        if token in _OPENS and awaited in _VALUES:
            if len(outer) >= MAX_DEPTH:
                raise TooDeep(f"nested deeper than {MAX_DEPTH} levels")
            outer.append((container, name))
            awaited = _OPENS[token]
            container = [] if awaited is _Awaited.FIRST_ELEMENT else {}
            continue
        if token in _CLOSES and awaited in _CLOSES[token]:
            value = container
            container, name = outer.pop()
        elif kind == "string" and awaited in _NAMES:
            name, awaited = str(scalar), _Awaited.COLON
            continue
        elif kind == "mark" or awaited not in _VALUES:
            _refuse(text, f'Expected {awaited.value[1]}, but found "{token}".', end)
        if isinstance(container, dict):
            container[name] = value
            awaited = _Awaited.NEXT_MEMBER
        else:
            container.append(value)
            awaited = _Awaited.NEXT_ELEMENT if outer else _Awaited.END
    if awaited is not _Awaited.END:
        _refuse(text, "The input string ended unexpectedly.", len(text))
    return root[0]


def _tokens(text: str) -> Iterator[tuple[str, str, bool | str | Decimal | None, int]]:
    """Kind, text, value and end of each token; raises the database's refusal of what is none."""
    position = 0
    while True:
        match = _TOKEN.match(text, position)
        if match is None or match["bad"] is not None:
            _refuse_token(text, match.end() if match else position)
        kind, position = str(match.lastgroup), match.end()
        if kind == "end":
            return
        token = match[kind]
        if kind == "string":
            yield kind, token, _unescape(text, match.start(kind), token), position
        elif kind == "number":
            yield kind, token, _number(token), position
        else:
            yield kind, token, _WORDS.get(token), position


def _number(token: str) -> Decimal:
    mantissa, _, exponent = token.lower().partition("e")
    shift = int(exponent or 0) if len(exponent) < 20 else _MAX_EXPONENT
    digits = Decimal(mantissa)
    scale = max(0, len(mantissa.partition(".")[2]) - shift)
    if abs(shift) >= _MAX_EXPONENT or scale > _MAX_SCALE or (digits and digits.adjusted() + shift >= _MAX_DIGITS):
        raise DatabaseRefusal("ERROR: value overflows numeric format")
    return Decimal(token) if digits else Decimal((0, (0,), -scale))


def _unescape(text: str, start: int, token: str) -> str:
    if "\\" not in token:
        return token[1:-1]

    def character(match: re.Match[str]) -> str:
        high, low, code, simple = match.groups()
        if simple:
            return _SIMPLE_ESCAPES.get(simple, simple)
        if high:
            return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
        number, end = int(code, 16), start + match.end()
        if number == 0:
            _refuse(text, "\\u0000 cannot be converted to text.", end, what="unsupported Unicode escape sequence")
        if 0xDC00 <= number < 0xE000:
            _refuse(text, "Unicode low surrogate must follow a high surrogate.", end)
        if 0xD800 <= number < 0xDC00:
            if re.match(r"\\u[dD][89abAB]", text[end : end + 4]):
                _refuse(text, "Unicode high surrogate must not follow a high surrogate.", end + 6)
            follows_escape = text[end : end + 1] == "\\"
            _refuse(text, "Unicode low surrogate must follow a high surrogate.", end + 1 + follows_escape)
        return chr(number)

    return _ESCAPE.sub(character, token)[1:-1]


def _refuse_token(text: str, start: int) -> NoReturn:
    """Refuses what begins at `start` and is no token, as the database does: by what is wrong with it first."""
    pattern = _BAD_STRING if text[start] == '"' else _BAD_NUMBER if text[start] in "-0123456789" else _BAD_WORD
    match = pattern.match(text, start)
    end = match.end() if match else start + 1
    if pattern is not _BAD_STRING:
        _refuse(text, f'Token "{text[start:end]}" is invalid.', end)
    wrong = text[end : end + 1]
    if wrong and wrong < " ":
        _refuse(text, f"Character with value 0x{ord(wrong):02x} must be escaped.", end)
    if wrong == "\\" and len(text) > end + 1:
        if text[end + 1] != "u":
            _refuse(text, f'Escape sequence "\\{text[end + 1]}" is invalid.', end + 2)
        digits = re.compile("[0-9a-fA-F]*").match(text, end + 2)
        end = digits.end() if digits else end
        if end < len(text):
            _refuse(text, '"\\u" must be followed by four hexadecimal digits.', end + 1)
    _refuse(text, f'Token "{text[start:]}" is invalid.', len(text))


def _refuse(text: str, detail: str, end: int, what: str = "invalid input syntax for type json") -> NoReturn:
    """Raises the database's refusal of what ends at `end`, with the line up to there, or its last 49 bytes."""
    line_start = text.rfind("\n", 0, end) + 1
    shown = text[line_start:end].encode()
    if len(shown) > 52:
        shown = b"..." + shown[-49:].decode(errors="ignore").encode()
    more = "" if text[end : end + 1] in ("", "\n", "\r") else "..."
    line = text.count("\n", 0, end) + 1
    where = f"JSON data, line {line}: {shown.decode()}{more}"
    raise DatabaseRefusal(f"ERROR: {what}\n  Detail: {detail}\n  Where: {where}")


# --- writing ----------------------------------------------------------------------------------------------------------

_MUST_ESCAPE = re.compile(r'[\x00-\x1f"\\]')
_ESCAPES = {'"': '\\"', "\\": "\\\\"} | {character: f"\\{letter}" for letter, character in _SIMPLE_ESCAPES.items()}


def dump(value: Json) -> str:
    """The database's spelling of a value."""
    out: list[str] = []
    open_containers: list[tuple[Iterator[tuple[str, Json]], str]] = []
    item = value
    while True:
        separator = ""
        if isinstance(item, dict):
            members = sorted(item.items(), key=lambda member: (len(member[0].encode()), member[0]))
            out.append("{")
            open_containers.append((((f"{_quote(name)}: ", member) for name, member in members), "}"))
        elif isinstance(item, list):
            out.append("[")
            open_containers.append(((("", element) for element in item), "]"))
        else:
            out.append(_dump_scalar(item))
            separator = ", "
        while open_containers:
            items, closer = open_containers[-1]
            following = next(items, None)
            if following is not None:
                prefix, item = following
                out.append(separator + prefix)
                break
            del open_containers[-1]
            out.append(closer)
            separator = ", "
        else:
            return "".join(out)


def _dump_scalar(value: bool | str | Decimal | None) -> str:
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return "null" if value is None else "true" if value else "false"


def _quote(text: str) -> str:
    return '"' + _MUST_ESCAPE.sub(lambda match: _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}", text) + '"'
