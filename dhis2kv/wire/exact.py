"""JSON values with every digit: what copies, exports and compares values must not round their numbers.

Imports the errors, the numbers and the values. Here since servers keep numbers that no double holds, such as
``12345678901234567890.25``, and Python's own reading of JSON rounds them in silence. ``ns[k]`` does so, too: a float is
what people compute with. Here a number whose text Python would not print again is a ``Number``, which keeps that text.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any

from dhis2kv import errors
from dhis2kv.wire.number import Number, canonical
from dhis2kv.wire.values import Text
from dhis2kv.wire.values import dumps as checked_dumps

DIGITS = 4300  # of an integer that Python itself reads and writes


# --- reading ----------------------------------------------------------------------------------------------------------


def loads(text: str, *, strict: bool = False) -> Any:
    """The value of a JSON text, with every digit; raises ``ValueError`` for what is none.

    ``strict`` also refuses a member name that stands twice in one object, for the second would win in silence.
    """
    decoder = strict_decoder if strict else _decoder
    try:
        return decoder.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply for this Python") from None
    except Twice as error:
        raise error.placed(text) from None


class Twice(ValueError):
    """A member name that stands twice in one object."""

    def placed(self, text: str) -> ValueError:
        """The same, with the place of the second one in a JSON text."""
        name, place = next(_names_again(text))
        return json.JSONDecodeError(f"the name {name!r} stands twice in one object", text, place)


def _float(text: str) -> float | Number:
    number = float(text)
    if repr(number) == text:
        return number
    try:
        Decimal(text)
    except InvalidOperation:
        raise ValueError(f"it holds a number that nobody can hold: {text[:40]}") from None
    return Number(text)


def _int(text: str) -> int | Number:
    return int(text) if len(text) <= DIGITS else Number(text)


def _no_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is not JSON")


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise Twice("a member name stands twice in one object")
    return found


_decoder = json.JSONDecoder(parse_constant=_no_constant, parse_float=_float, parse_int=_int)
strict_decoder = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_once
)

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],]', re.S)


def _names_again(text: str) -> Iterator[tuple[str, int]]:
    """Each member name that stood in its object before, and where."""
    inside: list[set[str] | None] = []  # the names so far of each object that is open; None for a list
    before = ""
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in "{[":
            inside.append(set() if sign == "{" else None)
        elif sign in "}]":
            inside.pop()
        elif sign[0] == '"' and before in ("{", ",") and (names := inside[-1]) is not None:
            name = json.loads(sign)
            if name in names:
                yield name, token.start()
            names.add(name)
        before = sign


# --- writing ----------------------------------------------------------------------------------------------------------


def dumps(value: Any) -> Text:
    """The JSON text of a value as it is sent, with every digit; raises what ``dumps`` of values does."""
    return Text(checked_dumps(value))


def printed(
    value: Any, *, indent: int | None = None, sort_keys: bool = True, separators: tuple[str, str] | None = None
) -> str:
    """The JSON text of a value for people and files, with every digit; the options are those of ``json.dumps``."""
    held = _Held()
    text = json.dumps(
        value,
        ensure_ascii=False,
        allow_nan=False,
        indent=indent,
        sort_keys=sort_keys,
        separators=separators,
        default=held.placeholder,
    )
    return held.back(text)


class _Held:
    """Numbers that are texts with a mark while Python prints what is around them."""

    _MARK = secrets.token_hex(16)  # in no value, for nobody knows it
    _PLACE = re.compile(f'"{_MARK}([0-9]+)"')

    def __init__(self) -> None:
        self._texts: list[str] = []

    def placeholder(self, value: object) -> str:
        if not isinstance(value, Number):
            raise errors.InvalidValue(f"{type(value).__name__} is not JSON: make it a dict, list, text or number first")
        self._texts.append(value.text)
        return f"{self._MARK}{len(self._texts) - 1}"

    def back(self, text: str) -> str:
        return self._PLACE.sub(lambda found: self._texts[int(found[1])], text) if self._texts else text


# --- comparing --------------------------------------------------------------------------------------------------------

_NOT_WHOLE = re.compile(r"[0-9][.eE]")


def fingerprint(value: Any) -> bytes:
    """Sixteen bytes that are the same for the same JSON: ``1`` is ``1.0``, the order of members is nothing."""
    text = printed(value)
    if _NOT_WHOLE.search(text):
        text = printed(_canonical_decoder.decode(text))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _canonical_number(text: str) -> Number:
    return Number(canonical(text))


_canonical_decoder = json.JSONDecoder(parse_float=_canonical_number, parse_int=_canonical_number)
