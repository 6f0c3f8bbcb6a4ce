"""What entries are searched by: conditions, written in Python or in DHIS2's own words; imports nothing of ours.

Here since a condition means the same whoever decides it: the server (``filters``) or this process (``matching``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

KEY = ("_",)  # the path of the key, as DHIS2 spells it; the path of the value itself is empty

TEXT_OPERATORS = ("contains", "startswith", "endswith")
_SIGNS = {"eq": "==", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

# DHIS2's operators: ours, and whether case is ignored.
_OWN = {
    "null": ("null", False),
    "empty": ("empty", False),
    "in": ("in", False),
    "eq": ("eq", False),
    "ieq": ("eq", True),
    "lt": ("lt", False),
    "lte": ("le", False),
    "le": ("le", False),
    "gt": ("gt", False),
    "gte": ("ge", False),
    "ge": ("ge", False),
    "like": ("contains", False),
    "$like": ("startswith", False),
    "like$": ("endswith", False),
    "ilike": ("contains", True),
    "$ilike": ("startswith", True),
    "startswith": ("startswith", True),
    "ilike$": ("endswith", True),
    "endswith": ("endswith", True),
}
_NEGATED = {f"!{name}": meant for name, meant in _OWN.items() if meant[0] not in ("lt", "le", "gt", "ge")} | {
    "ne": _OWN["eq"],
    "neq": _OWN["eq"],
}
del _NEGATED["!ieq"]  # DHIS2 has none

_EXPRESSION = re.compile(r"([^:~@]*)(?:::|[:~@])([^:~@]*)(?:(?:::|[:~@])(.*))?", re.S)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?")
_BETWEEN_CONDITIONS = re.compile(r",(?![^\[\]]*\]|[^()]*\))")
_INDEX = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True)
class Condition:
    """One thing that is asked of an entry; made by ``where(...)``, or by ``parsed`` from DHIS2's own words.

    It compares what is at ``path`` with ``value``, which decides the type: a text matches only texts, a number only
    numbers. ``~condition`` is DHIS2's ``!``: the same question answered the other way, so that where nothing is at the
    path, or something of another type, neither matches. Texts are literal unless ``wild``, which DHIS2's own words
    are: there ``*`` and ``%`` stand for anything, ``_`` for one character.

    It has no truth value: ``and``, ``or`` and ``not`` raise ``TypeError``.
    """

    path: tuple[str, ...]
    operator: str  # eq, lt, le, gt, ge, in, null, empty, contains, startswith, endswith
    value: Any = None
    negated: bool = False
    ignore_case: bool = False
    wild: bool = False

    def __invert__(self) -> Condition:
        return replace(self, negated=not self.negated)

    def __bool__(self) -> bool:
        _no_truth()

    def __and__(self, other: object) -> NoReturn:
        raise TypeError("give conditions side by side: find(a, b) means both, find(a, b, any=True) at least one")

    __or__ = __rand__ = __ror__ = __and__

    def __str__(self) -> str:
        name = spelled(self.path)
        value = json.dumps(self.value, ensure_ascii=False)
        if self.operator in _SIGNS and not self.ignore_case:
            said = f"{name} {_SIGNS[self.operator]} {value}"
        else:
            said = f"{name} {self.operator}" + ("" if self.operator in ("null", "empty") else f" {value}")
        return ("not " if self.negated else "") + said + (" in any case" if self.ignore_case else "")


class Where:
    """What is at one place of an entry, to be compared: ``where("age") > 30``; each comparison is a ``Condition``."""

    __slots__ = ("_path",)
    __hash__ = None  # type: ignore[assignment]  # its == is no equality

    def __init__(self, path: tuple[str, ...]) -> None:
        self._path = path

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]  # that is what it is for
        return self.is_null() if value is None else self._condition("eq", _json(value))

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return ~(self == value)

    def __lt__(self, value: Any) -> Condition:
        return self._condition("lt", _comparable(value))

    def __le__(self, value: Any) -> Condition:
        return self._condition("le", _comparable(value))

    def __gt__(self, value: Any) -> Condition:
        return self._condition("gt", _comparable(value))

    def __ge__(self, value: Any) -> Condition:
        return self._condition("ge", _comparable(value))

    def in_(self, values: Iterable[Any]) -> Condition:
        """It is one of these values; ``~`` of it: it is of the type of one of them, and none of them."""
        if isinstance(values, str):
            raise TypeError("in_ takes several values, not one text, which would be taken for its characters")
        return self._condition("in", tuple(map(_json, values)))

    def contains(self, text: str, *, ignore_case: bool = False) -> Condition:
        """It is a text with this text in it, every character of which is meant literally."""
        return self._condition("contains", _text(text), ignore_case=ignore_case)

    def startswith(self, text: str, *, ignore_case: bool = False) -> Condition:
        """It is a text that begins with this text."""
        return self._condition("startswith", _text(text), ignore_case=ignore_case)

    def endswith(self, text: str, *, ignore_case: bool = False) -> Condition:
        """It is a text that ends with this text."""
        return self._condition("endswith", _text(text), ignore_case=ignore_case)

    def is_null(self) -> Condition:
        """There is a null; ``~`` of it: there is something else. Where nothing is, neither matches."""
        return self._condition("null")

    def is_empty(self) -> Condition:
        """It is an empty text, list or object; ``~`` of it: one that is not empty."""
        return self._condition("empty")

    def __bool__(self) -> bool:
        _no_truth()

    def __repr__(self) -> str:
        return f"where({spelled(self._path)!r})"

    def _condition(self, operator: str, value: Any = None, *, ignore_case: bool = False) -> Condition:
        return _checked(Condition(self._path, operator, value, ignore_case=ignore_case))


class _Maker:
    """The type of ``where``."""

    def __call__(self, path: str = ".") -> Where:
        """What is at a dotted path of the value (``"address.city"``, ``"eats.0"``); without one the value itself."""
        return Where(parsed_path(path))

    @property
    def key(self) -> Where:
        """The entry's key."""
        return Where(KEY)

    def __repr__(self) -> str:
        return "where"


#: ``where("address.city")``, ``where()`` for the value itself, ``where.key`` for the key.
where = _Maker()


def parsed_path(path: str) -> tuple[str, ...]:
    """The names of a dotted path: ``.`` is the value itself, ``_`` the key, ``a[0]`` the same as ``a.0``."""
    if not isinstance(path, str):
        raise TypeError(f"a path is a str, not {type(path).__name__}")
    if path == ".":
        return ()
    names = tuple(_INDEX.sub(r".\1", path).split("."))
    if not all(names):
        raise ValueError(f"{path!r} is no path: write names and numbers, with dots between them")
    return names


def spelled(path: tuple[str, ...]) -> str:
    """A path in DHIS2's words."""
    return ".".join(path) or "."


def parsed(text: str) -> Condition:
    """A condition in DHIS2's own words, ``path:operator[:value]``; raises ``ValueError`` for what is none.

    It means what DHIS2 means, but that a negative number is a number, and that ``in`` finds numbers, too. A value is a
    number, ``true``, ``false`` or ``null`` where it looks like one, and a text otherwise, or in single quotes.
    """
    found = _EXPRESSION.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no condition: write path:operator:value, as in age:gt:30")
    name, value = found[2].lower(), found[3] or ""
    negated = name in _NEGATED
    if not negated and name not in _OWN:
        raise ValueError(f"{text!r} has no operator of DHIS2: use one of {', '.join([*_OWN, *_NEGATED])}")
    operator, ignore_case = _NEGATED[name] if negated else _OWN[name]
    path = parsed_path(found[1])
    if (operator in ("null", "empty")) == bool(value):
        raise ValueError(f"{text!r}: {name} takes {'no' if value else 'a'} value")
    if not _quoted(value) and _BETWEEN_CONDITIONS.search(value):
        raise ValueError(f"{text!r}: give one condition in a text, and a value with a comma in quotes: name:eq:'a,b'")
    meant: Any = None
    if operator == "in":
        # A list as Java splits it: no empty items at the end.
        items = value[1:-1].rstrip(",").split(",") if _is_list(value) else [value]
        meant = (_unquoted(value),) if _quoted(value) else tuple(both for one in items for both in _both(one, path))
    elif operator in TEXT_OPERATORS or path == KEY:
        meant = _unquoted(value)
    elif value:
        meant = _typed(value)
    if meant is None and value:
        if operator != "eq":
            raise ValueError(f"{text!r}: null is neither more nor less than anything")
        operator = "null"
    wild = operator in TEXT_OPERATORS
    if wild and "\\" in meant:
        raise ValueError(f"{text!r}: a backslash means something else in DHIS2's patterns: use where(...).contains")
    return _checked(Condition(path, operator, meant, negated, ignore_case and isinstance(meant, str), wild))


def _both(item: str, path: tuple[str, ...]) -> Iterator[Any]:
    """What an item of ``in`` may be: DHIS2 takes it for a text, and so finds no number."""
    yield item
    if path != KEY and _NUMBER.fullmatch(item):
        yield _typed(item)


def _typed(value: str) -> Any:
    """A value as DHIS2 guesses it."""
    read: Callable[[str], Any]
    if value in ("true", "false", "null") or value[0] + value[-1] == "{}" or _is_list(value):
        read = json.loads
    elif _NUMBER.fullmatch(value):
        read = float if "." in value else int
    else:
        return _unquoted(value)
    try:
        return _json(read(value))
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"{value} looks like JSON and is none to compare with: put a text in quotes") from None


def _is_list(value: str) -> bool:
    return value[0] + value[-1] == "[]"


def _quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] == "'"


def _unquoted(value: str) -> str:
    return value[1:-1] if _quoted(value) else value


def _checked(condition: Condition) -> Condition:
    """Raise for what can be asked of no key."""
    if condition.path == KEY:
        if condition.operator in ("null", "empty"):
            raise ValueError("a key is never null and never empty")
        asked = condition.value if condition.operator == "in" else (condition.value,)
        if not all(isinstance(one, str) for one in asked):
            raise TypeError("a key is a text: compare it with texts")
    return condition


def _json(value: Any) -> Any:
    """A value to compare with, if it is JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"no stored value is like this {type(value).__name__}: {error}") from None
    return value


def _comparable(value: Any) -> Any:
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise TypeError(f"only texts, numbers and booleans have an order, {value!r} has none")
    return _json(value)


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a text is looked for in texts, not {type(text).__name__}")
    return text


def _no_truth() -> NoReturn:
    raise TypeError(
        "a condition has no truth value until it meets an entry: write ~condition for not, give several side by side"
        " for and, with any=True for or, and a < where(...) < b as two"
    )
