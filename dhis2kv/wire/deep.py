"""JSON that Python's own reader gives up on, and where a JSON value ends; imports the errors.

Here since servers store more than Python reads by itself: nesting deeper than its stack, which may be almost used up
already, integers of more digits than it converts, numbers beyond its floats. Nothing here recurses.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from typing import Any

from dhis2kv import errors

DEEPEST = 10_000  # levels that are read; servers were seen to store 1,500
LONGEST = 150_000  # digits of a number that are read; the servers' database holds 147,455
_PIECE = 512  # digits; Python's own bound cannot be set below 640

_SPACE = re.compile(r"[ \t\n\r]*+")
# Possessive, or a match would take a hundred bytes for each character of a text.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.S)
_BRACKET = re.compile(r'[\[{]|[\]}]|"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.S)
_SCALAR = re.compile(r"[-+.0-9A-Za-z]++")


def read(text: str) -> Any:
    """The value of a JSON text, however deep and with whatever numbers.

    Integers come with every digit, and so do numbers beyond the range of floats that are whole. Raises ``Unreadable``
    for others of those and for what is beyond all bounds, ``ValueError`` for what is no JSON.
    """
    try:
        return _decoder.decode(text)
    except RecursionError:
        return _unwound(text)


def _unwound(text: str) -> Any:
    """The value of a JSON text, by a loop and a list of what is open."""
    outer: list[tuple[list[Any] | dict[str, Any] | None, str]] = []
    inside: list[Any] | dict[str, Any] | None = None
    name = ""
    at = _after_space(text, 0)
    while True:
        opened = _opened(text[at : at + 1])
        if opened is None:
            value, at = _decoder.raw_decode(text, at)  # no bracket here, so that nothing recurses
        else:
            at = _after_space(text, at + 1)
            if text[at : at + 1] != _closing(opened):
                if len(outer) == DEEPEST:
                    if text.rstrip()[-1] not in "]}":
                        raise json.JSONDecodeError("It does not end", text, len(text))
                    raise errors.Unreadable(f"it is nested deeper than {DEEPEST} levels")
                outer.append((inside, name))
                inside = opened
                if isinstance(opened, dict):
                    name, at = _name(text, at)
                continue
            value, at = opened, at + 1
        while inside is not None:
            if isinstance(inside, dict):
                inside[name] = value
            else:
                inside.append(value)
            at = _after_space(text, at)
            sign = text[at : at + 1]
            if sign == ",":
                at = _after_space(text, at + 1)
                if isinstance(inside, dict):
                    name, at = _name(text, at)
                break
            if sign != _closing(inside):
                raise json.JSONDecodeError("Expecting a comma or the end", text, at)
            value, at = inside, at + 1
            inside, name = outer.pop()
        else:
            if _after_space(text, at) != len(text):
                raise json.JSONDecodeError("Extra data", text, at)
            return value


def _after_space(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it always matches


def _opened(sign: str) -> list[Any] | dict[str, Any] | None:
    """The container that begins with this sign."""
    if sign == "[":
        return []
    return {} if sign == "{" else None


def _closing(container: list[Any] | dict[str, Any]) -> str:
    return "}" if isinstance(container, dict) else "]"


def _name(text: str, at: int) -> tuple[str, int]:
    """A member's name, and where its value begins."""
    if text[at : at + 1] != '"':
        raise json.JSONDecodeError("Expecting a member name", text, at)
    name, at = _decoder.raw_decode(text, at)
    at = _after_space(text, at)
    if text[at : at + 1] != ":":
        raise json.JSONDecodeError("Expecting a colon", text, at)
    return name, _after_space(text, at + 1)


def end(text: str, at: int = 0) -> int:
    """Where the JSON value that begins here ends, whatever it is; ``ValueError`` where none does."""
    first = text[at : at + 1]
    if first not in ("[", "{"):
        found = (_STRING if first == '"' else _SCALAR).match(text, at)
        if not found:
            raise ValueError(f"no value at character {at}")
        return found.end()
    depth = 0
    for token in _BRACKET.finditer(text, at):
        sign = text[token.start()]
        if sign != '"':
            depth += 1 if sign in "[{" else -1
            if not depth:
                return token.end()
    raise ValueError(f"the value at character {at} has no end")


def no_constant(name: str) -> None:
    """Refuse what Python's reader takes for JSON, and is none."""
    raise ValueError(f"it holds {name}, which is not JSON")


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # more digits than Python converts, which is a setting
        return _integer(text)


def _float(text: str) -> int | float:
    number = float(text)
    if number - number == 0:
        return number
    try:
        exact = Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        exact = Decimal("NaN")
    if exact.is_nan() or max(exact.adjusted(), len(text)) > LONGEST:
        raise errors.Unreadable(f"it holds a number of more than {LONGEST} digits")
    whole, _, rest = format(exact, "f").partition(".")
    if rest.strip("0"):
        raise errors.Unreadable("it holds a number beyond the range of Python's floats that is not whole")
    return _integer(whole)


def _integer(text: str) -> int:
    """An integer of any number of digits: in pieces that every setting converts, joined two by two."""
    if len(text) > LONGEST:
        raise errors.Unreadable(f"it holds a number of more than {LONGEST} digits")
    digits = text.lstrip("-")
    pieces = [
        int(digits[max(0, stop - _PIECE) : stop]) for stop in range(len(digits), 0, -_PIECE)
    ]  # the last one first
    power = 10**_PIECE
    while len(pieces) > 1:
        pieces = [low + high * power for low, high in zip_longest(pieces[::2], pieces[1::2], fillvalue=0)]
        power *= power
    return -pieces[0] if text[0] == "-" else pieces[0]


_decoder = json.JSONDecoder(parse_constant=no_constant, parse_int=_int, parse_float=_float)
