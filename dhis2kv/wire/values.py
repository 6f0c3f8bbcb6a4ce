"""How a value becomes JSON text and back, and when two values are the same; imports errors, names, number and deep.

Here since the server's database keeps a value, not a text: what it would refuse or change is found before it is sent.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain, repeat
from typing import Any

from dhis2kv import errors
from dhis2kv.wire import deep
from dhis2kv.wire.names import encodable
from dhis2kv.wire.number import Number

DEPTH = 500  # levels; thousands are stored or refused by the depth of the server's stack
DIGITS = 4300  # of an integer; Python's own bound: clients written in it read no more, unless they are set to
LARGEST_INTEGER = 10**DIGITS
_LOWEST = -LARGEST_INTEGER
_PLAIN = frozenset((str, bool, type(None)))
_SCALARS = _PLAIN | {int}
_COMPARED = _SCALARS | {float}
_LISTS = (list, tuple)
_ABSENT: Any = object()
ENCRYPTABLE_BYTES = 159  # of JSON in UTF-8


class Text(str):
    """A JSON text that was checked already, and goes out as it stands; see ``exact.dumps``."""


class Careful(str):
    """A JSON text that Python's own ``json`` does not read, or reads wrong: ``1e999`` as infinity."""


def dumps(value: Any) -> str:
    """The JSON text of a value, spelled so that the server gives the same value back.

    Tuples become lists; a ``Text`` stays as it is. Raises ``InvalidValue`` for what JSON cannot say (NaN, infinities,
    member names that are not text, other types) and for what the server's database refuses or changes: U+0000 and lone
    surrogates in text, integers over 4,300 digits, nesting beyond 500 levels.
    """
    if isinstance(value, Text):
        return value
    try:
        text = _encoder.encode(value)
        usual = _is_usual(value) and "\\u0000" not in text and encodable(text)
    except (TypeError, ValueError, RecursionError):
        usual = False
    if usual:
        return text
    _inspect(value)
    text = "".join(_spelled(value))
    if not encodable(text):
        raise errors.InvalidValue("a text in the value holds a lone surrogate, which the database refuses")
    return text


def check_encryptable(text: str) -> None:
    """Raise ``InvalidValue`` for a JSON text that is too long to be encrypted; sends nothing.

    The database keeps the encrypted form in 255 characters, on every version and in both stores, and refuses longer
    ones when it is too late: an entry that is encrypted anew is deleted first.
    """
    size = len(text.encode())
    if size > ENCRYPTABLE_BYTES:
        raise errors.InvalidValue(
            f"the value has {size} bytes of JSON, and a server can encrypt at most {ENCRYPTABLE_BYTES}: make it"
            " shorter, or encrypt it before it is stored"
        )


def _is_usual(value: Any) -> bool:
    """Whether the text that Python writes is right, as far as types, depth and numbers tell; by far the most are."""
    # Integers of more digits were refused when the text was written, if Python is set as it comes.
    plain = _SCALARS if 0 < sys.get_int_max_str_digits() <= DIGITS else _PLAIN
    level: list[Iterable[Any]] = [(value,)]
    for _ in range(DEPTH + 1):
        deeper: list[Iterable[Any]] = []
        for members in level:
            for item in members:
                kind = type(item)
                if kind in plain:
                    continue
                if kind is dict:
                    for name in item:
                        if type(name) is not str:
                            return False
                    deeper.append(item.values())
                elif kind is list or kind is tuple:
                    deeper.append(item)
                elif kind is not float or not (1e-4 <= item < 1e16 or -1e16 < item <= -1e-4 or item == 0):
                    return False  # Python writes it with an exponent, or not at all
        if not deeper:
            return True
        level = deeper
    return False


def _inspect(value: Any) -> None:
    """Raise ``InvalidValue`` for what will not come back the same."""
    todo = [(value, 1)]
    while todo:
        item, depth = todo.pop()
        if isinstance(item, str):
            if "\0" in item:
                raise errors.InvalidValue("a text in the value holds U+0000, which the database refuses")
        elif isinstance(item, float):
            if item - item != 0:
                raise errors.InvalidValue(f"JSON has no {item!r}: store null or a text instead")
        elif isinstance(item, int):
            if not _LOWEST < item < LARGEST_INTEGER:
                raise errors.InvalidValue("an integer of more than 4,300 digits could not be read by every client")
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
        elif item is not None and not isinstance(item, Number):
            raise errors.InvalidValue(
                f"{type(item).__name__} is not JSON: make it a dict, list, text or number first, or give the store a"
                " default=function that does"
            )


def _spelled(value: Any) -> Iterator[str]:
    """The JSON text of a value in pieces: without recursion, and with all digits where Python writes an exponent.

    The database writes out exponents itself, but as an integer where it can: ``1e22`` would come back as one.
    """
    todo = [(iter([("", value)]), "")]  # for each container that is open: its members, and what closes it
    while todo:
        members, closing = todo[-1]
        for before, item in members:
            if isinstance(item, dict):
                yield before + "{"
                names = (f"{comma}{_encoder.encode(name)}:" for comma, name in zip(_commas(), item, strict=False))
                todo.append((zip(names, item.values(), strict=True), "}"))
                break
            if isinstance(item, list | tuple):
                yield before + "["
                todo.append((zip(_commas(), item, strict=False), "]"))
                break
            yield before + _scalar(item)
        else:
            todo.pop()
            yield closing


def _commas() -> Iterator[str]:
    return chain([""], repeat(","))


def _scalar(item: Any) -> str:
    if isinstance(item, float):
        digits = format(Decimal(float.__repr__(item)), "f")
        return digits if "." in digits else digits + ".0"
    if isinstance(item, Number):
        return item.text
    if isinstance(item, int) and not isinstance(item, bool):
        return format(Decimal(item), "f")  # also of more digits than Python is set to write
    return _encoder.encode(item)


def loads(text: str) -> Any:
    """The value of a JSON text; raises ``ValueError`` for what is none, ``Unreadable`` for what Python cannot hold."""
    return read(text)[0]


def read(text: str) -> tuple[Any, str]:
    """The value of a JSON text as ``loads`` gives it, and the text, ``Careful`` where it is that."""
    try:
        return _decoder.decode(text), text
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):
        return deep.read(text), Careful(text)


def loads_all(texts: list[str]) -> list[Any]:
    """The values of JSON texts, much faster than one by one; ``ValueError`` where that does not do for one of them."""
    try:
        values: list[Any] = _decoder.decode(f"[{','.join(texts)}]")
    except RecursionError as error:
        raise ValueError("a value is too deep") from error
    if len(values) != len(texts):
        raise ValueError("a text is not one value")
    return values


def _float(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError("beyond the range of floats")
    return number


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_decoder = json.JSONDecoder(parse_constant=deep.no_constant, parse_float=_float)


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same JSON: ``1`` is ``1.0``, ``true`` is not ``1``, the order of members is nothing.

    Compares values and not texts, for the server changes spelling and member order at will.
    """
    todo = [(a, b)]  # not by recursion: values may be nested deeper than Python's stack
    while todo:
        a, b = todo.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            if len(a) != len(b):
                return False
            for name, one in a.items():
                other = b.get(name, _ABSENT)
                kind = type(one)
                if kind is type(other) and kind in _COMPARED:
                    if one != other:
                        return False
                elif other is _ABSENT:
                    return False
                else:
                    todo.append((one, other))
        elif isinstance(a, _LISTS) and isinstance(b, _LISTS):
            if len(a) != len(b):
                return False
            for one, other in zip(a, b, strict=True):
                kind = type(one)
                if kind is type(other) and kind in _COMPARED:
                    if one != other:
                        return False
                else:
                    todo.append((one, other))
        elif not _is_same_scalar(a, b):
            return False
    return True


def _is_same_scalar(a: Any, b: Any) -> bool:
    if isinstance(a, bool | dict | list | tuple) or isinstance(b, bool | dict | list | tuple):
        return a is b
    return bool(a == b)
