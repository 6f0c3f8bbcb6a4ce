"""Stored JSON: what the server accepts as JSON, and what PostgreSQL's ``jsonb`` then makes of it.

A value meets two readers. First the server's validator (:func:`check`), more lenient than JSON in ways that the profile
names; then the database (:func:`to_jsonb`), which refuses what is not JSON, NUL, lone surrogates and numbers too large
for its ``numeric``, and keeps a value, not a text: members in its own order, the last of equal names, numbers without
exponent but with their trailing zeros. `path` and `roll` (:func:`set_path`, :func:`roll`) are what the server's SQL
does with ``jsonb_set``; the rest is for the entries query.

Here since what comes back from a server is what its database made of a value.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from .jsontext import FRACTION, MAX_DEPTH, STRING, DatabaseRefusal, Json, TooDeep, dump, parse
from .profiles import Profile

__all__ = [
    "ABSENT", "Absent", "DatabaseRefusal", "InvalidJson", "TooDeep",
    "check", "extract", "roll", "set_path", "sort_key", "to_jsonb", "type_of",
]  # fmt: skip


class Absent(enum.Enum):
    """SQL NULL: no value at all, which is not JSON's null."""

    ABSENT = 0


ABSENT: Final = Absent.ABSENT


class InvalidJson(ValueError):
    """This version's validator refuses the text."""


def to_jsonb(text: str) -> str:
    """The text in which the database hands a stored value back; raises :class:`DatabaseRefusal`, :class:`TooDeep`."""
    return dump(parse(text))


# --- the server's validators ------------------------------------------------------------------------------------------

_BLANKS = re.compile(r"[ \t\n\r]*")
_HOPPED = r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u.{4})[^"\\\x00-\x1f]*+)*+"'
# What a validator that looks no further than the value still has to see behind it, to know that it ends.
_GOES_ON = {"number": re.compile(r"[^ \t\n\r]"), "word": re.compile(r"[\w$]")}


@functools.cache
def _scalar(checks_hex_digits: bool, leading_zeros: bool) -> re.Pattern[str]:
    string = STRING if checks_hex_digits else _HOPPED
    integer = "[0-9]++" if leading_zeros else "(?:0(?![0-9])|[1-9][0-9]*+)"
    number = rf"-?+{integer}{FRACTION}"
    return re.compile(rf"(?P<string>{string})|(?P<number>{number})|(?P<word>true|false|null)", re.S)


def check(text: str, profile: Profile) -> None:
    """Raises :class:`InvalidJson` if this version's validator refuses the text, :class:`TooDeep` if its stack would."""
    scalar = _scalar(profile.json_checks_hex_digits, profile.json_leading_zeros)
    closers: list[str] = []
    position = _skip_blanks(text, 0)
    while True:
        if closers and closers[-1] == "}":
            position = _check_name(text, position, scalar)
        kind, position = _check_start(text, position, scalar, closers)
        if kind == "opened":
            continue
        # After a value: close what ends here, until something goes on.
        while closers:
            position = _skip_blanks(text, position)
            if text.startswith(",", position):
                position = _skip_blanks(text, position + 1)
                if not (profile.json_trailing_commas and text.startswith(closers[-1], position)):
                    break
            if not text.startswith(closers[-1], position):
                raise InvalidJson(f"neither a comma nor {closers[-1]} at {position}")
            kind, position = "closed", position + 1
            del closers[-1]
        else:
            if profile.json_stops_after_value:
                refused = kind in _GOES_ON and bool(_GOES_ON[kind].match(text, position))
            else:
                refused = _skip_blanks(text, position) < len(text)
            if refused:
                raise InvalidJson(f"more text after the value at {position}")
            return


def _check_start(text: str, position: int, scalar: re.Pattern[str], closers: list[str]) -> tuple[str, int]:
    """Reads a scalar, an empty list or object, or the opening of another, of which the end is put on `closers`."""
    opener = text[position : position + 1]
    if opener not in ("[", "{"):
        match = scalar.match(text, position)
        if not match:
            raise InvalidJson(f"no JSON value at {position}")
        return str(match.lastgroup), match.end()
    if len(closers) >= MAX_DEPTH:
        raise TooDeep(f"nested deeper than {MAX_DEPTH} levels")
    closer = "]" if opener == "[" else "}"
    position = _skip_blanks(text, position + 1)
    if text.startswith(closer, position):
        return "closed", position + 1
    closers.append(closer)
    return "opened", position


def _check_name(text: str, position: int, scalar: re.Pattern[str]) -> int:
    match = scalar.match(text, position)
    if not match or match.lastgroup != "string":
        raise InvalidJson(f"no member name at {position}")
    position = _skip_blanks(text, match.end())
    if not text.startswith(":", position):
        raise InvalidJson(f"no colon at {position}")
    return _skip_blanks(text, position + 1)


def _skip_blanks(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    return match.end() if match else position


# --- looking into a value, and comparing ------------------------------------------------------------------------------

_INDEX = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+")


def extract(value: Json, path: Sequence[str]) -> Json | Absent:
    """What is at `path`, as ``jsonb_extract_path`` finds it: indexes may be negative, a scalar has nothing inside."""
    for step in path:
        if isinstance(value, dict):
            if step not in value:
                return ABSENT
            value = value[step]
        elif isinstance(value, list):
            index = _index(step)
            if index is None or not -len(value) <= index < len(value):
                return ABSENT
            value = value[index]
        else:
            return ABSENT
    return value


def type_of(value: Json) -> str:
    """The database's name of a value's type."""
    if value is None:
        return "null"
    names = {bool: "boolean", str: "string", Decimal: "number", list: "array", dict: "object"}
    return names[type(value)]


def sort_key(value: Json) -> tuple[tuple[object, ...], ...]:
    """Orders values as the database orders ``jsonb``: by type, then size, then member by member.

    Null < string < number < boolean < array < object, lists and objects by their number of elements first; but a whole
    value that is a scalar is to the database a list of one element, so that an empty list comes before it.
    """
    out: list[tuple[object, ...]] = []
    pending: list[Json] = [value]
    if not isinstance(value, (list, dict)):
        out.append((4, 1, 0))
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            out.append((5, len(item)))
            for name in sorted(item, key=lambda name: (len(name.encode()), name), reverse=True):
                pending += [item[name], name]
        elif isinstance(item, list):
            out.append((4, len(item), 1))
            pending += reversed(item)
        elif item is None:
            out.append((0,))
        else:
            out.append((1 if isinstance(item, str) else 2 if isinstance(item, Decimal) else 3, item))
    return tuple(out)


def _index(step: str) -> int | None:
    if not _INDEX.fullmatch(step) or len(step) > 40:
        return None
    return index if -(2**31) <= (index := int(step)) < 2**31 else None


# --- the updates of a part --------------------------------------------------------------------------------------------

# One element of a PostgreSQL array literal: quoted, or without quotes, braces, commas and outer blanks.
_ELEMENT = re.compile(
    r"""\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^"\\{},\s]|\\.)(?:(?:[^"\\{},]|\\.)*(?:[^"\\{},\s]|\\.))?))\s*(?=,|\Z)""", re.S
)


def set_path(current: str | None, path: str, value: str | None) -> str | None:
    """The stored value after a PUT with `path`: what is there is replaced, what is not there is not made.

    Without a body (`value` None) the path is set to JSON's null. An empty path means the whole. SQL NULL (None) stays.
    Raises :class:`DatabaseRefusal` for a value without parts, a bad path, and a value that is not JSON.
    """
    new = None if value is None else parse(value)
    if not path:
        return dump(new)
    steps = _array(path)
    if current is None:
        return None
    root = parse(current)
    _set(root, steps, new, create=False)
    return dump(root)


def roll(current: str | None, value: str | None, size: int, path: str | None) -> str | None:
    """The stored value after a PUT with `roll`: `value` is appended to a list, of which the first goes if it was full.

    Null, or nothing, at `path` becomes a list of one; anything else is replaced. A list loses one element at most, so
    that it never shrinks. Without a body there is nothing to append: `path` is set to null, as :func:`set_path` does.
    """
    if value is None:
        return set_path(current, path or "", None)
    new = parse(value)
    steps = _array(path) if path else []
    if current is None:
        return None if path else dump(new)
    root = parse(current)
    old: Json | Absent = ABSENT if None in steps else extract(root, [step for step in steps if step is not None])
    if isinstance(old, list):
        rolled = old[1:] if len(old) >= size else old
        new = [*rolled, new]
    elif old is None or old is ABSENT:
        new = [new]
    if not path:
        return dump(new)
    _set(root, steps, new, create=True)
    return dump(root)


def _array(path: str) -> list[str | None]:
    """The steps of a path as the server makes an array literal of it, and the database reads that."""
    literal = re.sub(r"\[([0-9]+)]", r",\1", path).replace(".", ",").replace(",,", ",")
    steps: list[str | None] = []
    if not literal.strip():
        return steps
    position = 0
    while position <= len(literal):
        match = _ELEMENT.match(literal, position)
        if not match:
            raise DatabaseRefusal(f'ERROR: malformed array literal: "{{{literal}}}"')
        quoted, plain = match.groups()
        steps.append(None if plain and plain.upper() == "NULL" else re.sub(r"\\(.)", r"\1", quoted or plain or ""))
        position = match.end() + 1
    return steps


def _set(root: Json, steps: Sequence[str | None], new: Json, *, create: bool) -> None:
    """Sets what is at `steps` in place, as ``jsonb_set`` does."""
    if not isinstance(root, (list, dict)):
        raise DatabaseRefusal("ERROR: cannot set path in scalar")
    if not root and not create:
        return
    node: Json = root
    for level, step in enumerate(steps, 1):
        last = level == len(steps)
        if step is None:
            raise DatabaseRefusal(f"ERROR: path element at position {level} is null")
        if not isinstance(node, (list, dict)):
            return
        if isinstance(node, dict):
            if last and (create or step in node):
                node[step] = new
            if last or step not in node:
                return
            node = node[step]
            continue
        index = _index(step)
        if index is None:
            raise DatabaseRefusal(f'ERROR: path element at position {level} is not an integer: "{step}"')
        there = -len(node) <= index < len(node)
        if last and there:
            node[index] = new
        elif last and create:
            node.insert(0 if index < 0 else len(node), new)
        if last or not there:
            return
        node = node[index]
