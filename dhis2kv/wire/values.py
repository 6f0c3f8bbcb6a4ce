"""How a value becomes JSON text and back, and when two values are the same; imports the errors and the names.

Here since the server's database keeps a value, not a text: what it would refuse or change is found before it is sent.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from dhis2kv import errors
from dhis2kv.wire.names import encodable

DEPTH = 500  # levels; thousands are stored or refused by the depth of the server's stack
LARGEST_INTEGER = 10**4300  # Python itself reads and writes no more digits than 4,300

_EXPONENT = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?e[+-]?\d+')


class Text(str):
    """A JSON text that was checked already, and goes out as it stands; see ``exact.dumps``."""


def dumps(value: Any) -> str:
    """The JSON text of a value, spelled so that the server gives the same value back.

    Tuples become lists; a ``Text`` stays as it is. Raises ``InvalidValue`` for what JSON cannot say (NaN, infinities,
    member names that are not text, other types) and for what the server's database refuses or changes: U+0000 and lone
    surrogates in text, integers over 4,300 digits, nesting beyond 500 levels.
    """
    if isinstance(value, Text):
        return value
    exponents = _inspect(value)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not encodable(text):
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
        return decoder.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply for this Python") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("it holds a number beyond the range of Python's floats")
    return number


decoder = json.JSONDecoder(parse_constant=_no_constant, parse_float=_float)


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
