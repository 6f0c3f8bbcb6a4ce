"""Whether an entry is what conditions ask for, in which order entries come, and what is picked of them; imports the
conditions and the values.

Here since what a server's grammar cannot carry, or its database would take otherwise, is decided in this process. All
of it looks at values as ``precisely`` reads them: a number is its digits, as it is to the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from dhis2kv.wire.conditions import KEY, TEXT_OPERATORS, Condition
from dhis2kv.wire.values import same

Matcher = Callable[[str, Any], bool]

ABSENT: Any = object()

_DIGITS = 4300  # of an integer that Python reads

_ANCHORS = {"contains": ("", ""), "startswith": (r"\A", ""), "endswith": ("", r"\Z")}
_WILDCARDS = {"*": ".*", "%": ".*", "_": "."}
# The two letters whose small ones are of ASCII: a database may know that, or not.
_FOREIGN = str.maketrans({"\u0130": "\ue130", "\u212a": "\ue12a"})


def precisely(text: str) -> Any:
    """The value of a JSON text, fractions as ``Decimal``; raises ``ValueError`` for what is none."""
    try:
        return json.loads(text, parse_float=Decimal, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply for this Python") from None


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) < _DIGITS else Decimal(text)


def kind(value: Any) -> str:
    """JSON's name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "number"


def at(key: str, value: Any, path: tuple[str, ...]) -> Any:
    """What is at a path of an entry, or ``ABSENT``; an item of a list by its number, from the end where negative."""
    if path == KEY:
        return key
    for name in path:
        if isinstance(value, dict):
            value = value.get(name, ABSENT)
        elif isinstance(value, list) and re.fullmatch("-?[0-9]+", name) and -len(value) <= int(name) < len(value):
            value = value[int(name)]
        else:
            return ABSENT
    return value


def folded(text: str) -> str:
    """A text without the difference of small and large letters, each character for itself."""
    return "".join(small if len(small := one.lower()) == 1 else one for one in text.translate(_FOREIGN))


def matcher(conditions: Iterable[Condition], any: bool) -> Matcher:
    """What tells of a key and its value whether they meet all of the conditions, or any of them; without one: yes."""
    tests = [(condition.path, _test(condition)) for condition in conditions]

    def meets(key: str, value: Any) -> bool:
        found = (item is not ABSENT and test(item) for path, test in tests for item in [at(key, value, path)])
        return not tests or (True in found if any else False not in found)

    return meets


def _test(condition: Condition) -> Callable[[Any], bool]:
    """What tells of something that is there whether it is as the condition says."""
    asked, negated = precisely(json.dumps(condition.value)), condition.negated
    if condition.operator == "null":
        return lambda item: (item is None) != negated
    if condition.operator == "empty":
        return lambda item: kind(item) in ("string", "array", "object") and (len(item) == 0) != negated
    if condition.operator == "in":
        kinds = set(map(kind, asked))
        return lambda item: (
            (kind(item) in kinds or not kinds) and (True in (same(item, one) for one in asked)) != negated
        )
    right = kind(asked)
    if condition.operator in TEXT_OPERATORS:
        found = _pattern(condition).search
        fold = folded if condition.ignore_case else str
        return lambda item: kind(item) == right and bool(found(fold(item))) != negated
    if condition.ignore_case:
        asked = folded(asked)
        return lambda item: kind(item) == right and (folded(item) == asked) != negated
    if condition.operator == "eq":
        return lambda item: kind(item) == right and same(item, asked) != negated
    compare: Callable[[Any, Any], bool] = {
        "lt": lambda a, b: a < b,
        "le": lambda a, b: a <= b,
        "gt": lambda a, b: a > b,
        "ge": lambda a, b: a >= b,
    }[condition.operator]
    return lambda item: kind(item) == right and compare(item, asked) != negated


def _pattern(condition: Condition) -> re.Pattern[str]:
    text = folded(condition.value) if condition.ignore_case else condition.value
    start, end = _ANCHORS[condition.operator]
    written = [_WILDCARDS.get(one, re.escape(one)) if condition.wild else re.escape(one) for one in text]
    return re.compile(f"{start}{''.join(written)}{end}", re.S)


# --- order ------------------------------------------------------------------------------------------------------------

_RANKS = {"number": 0, "string": 1, "boolean": 2, "array": 3, "object": 4}


def ordered(entries: Iterable[tuple[str, Any]], path: tuple[str, ...], descending: bool) -> list[str]:
    """The keys of entries, sorted by what is at a path.

    Numbers come before texts, then booleans, lists and objects; numbers by size, texts by code point; the other way
    round when descending. Where nothing is at the path, or a null, the entry comes last; ties are in the order of keys.
    """
    told: list[tuple[str, Any]] = []
    untold: list[tuple[str, Any]] = []
    for key, value in sorted(entries, key=lambda entry: entry[0]):
        item = at(key, value, path)
        (untold if item is ABSENT or item is None else told).append((key, item))

    def place(entry: tuple[str, Any]) -> tuple[int, Any]:
        rank = _RANKS[kind(entry[1])]
        return rank, entry[1] if rank < 3 else 0

    told.sort(key=place, reverse=descending)  # stable both ways, so that ties stay in the order of keys
    return [key for key, _ in (*told, *untold)]


# --- fields -----------------------------------------------------------------------------------------------------------


def picked(value: Any, fields: Sequence[tuple[str, ...]]) -> Any:
    """The parts of a value at these paths, nested as in the value, an item of a list under its number as a text.

    What is not there is left out. No path may lead into another one's part.
    """
    if () in fields:
        return value
    result: dict[str, Any] = {}
    for path in fields:
        part = at("", value, path)
        if part is not ABSENT:
            inner = result
            for name in path[:-1]:
                inner = inner.setdefault(name, {})
            inner[path[-1]] = part
    return result


def outermost(paths: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """These paths in their order, each once, without those that lead into the part of another."""
    found = dict.fromkeys(paths)
    return [path for path in found if not any(path[:length] in found for length in range(len(path)))]
