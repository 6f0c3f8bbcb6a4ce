"""The entries query (``?fields=``): what it asks for, and the answer as the server prints it.

The server prints keys and names as they are, unescaped, and nests members by looking at their neighbours only, so that
some answers are no JSON; so does this. Rows are read and printed one by one, and no further than the page goes. Here
since no library writes what only looks like JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import TypeVar

from .filters import KEY, WHOLE, Condition, Filter, QueryError, Row, checked_path, failed, matcher, split
from .jsonb import ABSENT, Absent, sort_key
from .jsontext import Json, dump
from .profiles import Profile

__all__ = ["Query", "QueryError"]

_SEPARATOR = re.compile("::|:|~|@")
_DOT = re.compile(r"\.")
_MAX_PAGE_SIZE = 1000
_BOOLEANS = dict.fromkeys(("true", "on", "yes", "1"), True) | dict.fromkeys(("false", "off", "no", "0"), False)
_T = TypeVar("_T")
_DIRECTIONS = ("asc", "desc", "nasc", "ndesc")


@dataclass(frozen=True)
class Field:
    """One requested field: the path in the value, and the name in the answer, of which dots make nested objects."""

    path: str
    name: str

    @classmethod
    def parse_all(cls, text: str, profile: Profile) -> list[Field]:
        """The fields of a list like ``a.b,c[d,e],f~hoist(g)``; E7651 for other characters, E7650 for bad paths."""
        fields = []
        parents, start = "", 0
        while start < len(text):
            end = _name_end(text, start)
            if end < start and start:
                raise QueryError(500, f"begin {start}, end {end}, length {len(text)}")
            field, start = text[start:end], end + 1
            separator = text[end : end + 1]
            if separator in ("[", "("):
                parents += f"{field}."
                continue
            if separator not in ("", ",", "]", ")"):
                raise QueryError(409, profile.query_fields_text.format(position=end, found=separator), "E7651")
            if field:
                fields.append(cls._named(parents, field))
            if separator in ("]", ")"):
                # Goes up one step, not to before the bracket: after "a.b[c]" still within "a".
                parents = parents[: parents.rfind(".", 0, max(0, len(parents) - 1)) + 1]
        return fields

    @classmethod
    def _named(cls, parents: str, field: str) -> Field:
        path, hoist, alias = field.partition("~hoist(")
        if not path or not hoist:
            path, alias = field, ""
        path = parents + path
        return cls(checked_path(path), alias[:-1] if hoist and alias else "value" if path == WHOLE else path)


def _name_end(text: str, start: int) -> int:
    """Where the field that begins at `start` ends: after its letters, digits and dots, and its alias if it has one."""
    end = start
    while end < len(text) and (text[end].isalpha() or text[end].isdecimal() or text[end] == "."):
        end += 1
    return text.find(")", end) + 1 if text.startswith("~", end) else end


@dataclass(frozen=True)
class Order:
    """By what the entries are sorted: ascending, descending, or numerically either way."""

    path: str
    direction: str

    @classmethod
    def parse(cls, text: str) -> Order:
        parts = split(text, _SEPARATOR)
        if len(parts) == 1:
            return cls(checked_path(text), "asc")
        if len(parts) != 2:
            raise QueryError(400, f"Not a valid order expression: {text}")
        if parts[1].lower() not in _DIRECTIONS:
            enum = "org.hisp.dhis.datastore.DatastoreQuery.Direction"
            raise QueryError(400, f"No enum constant {enum}.{parts[1].upper()}")
        return cls(checked_path(parts[0]), parts[1].lower())

    @property
    def is_default(self) -> bool:
        """Whether the order is the one in which rows come anyway."""
        return self.path == KEY and self.direction.endswith("asc")

    def key(self, row: Row) -> object | None:
        """What a row is sorted by; None comes last in either direction. Raises where the database's cast fails."""
        if self.path == KEY:
            return row.key
        numeric = self.direction.startswith("n")
        if self.path == WHOLE and not numeric:
            return row.text
        value = row.at(self.path)
        if value is ABSENT:
            return None
        return _double(value) if numeric else sort_key(value)


def _double(value: Json) -> float:
    number = float(value) if isinstance(value, Decimal) else None
    if number is None:
        raise failed(f'ERROR: invalid input syntax for type double precision: "{dump(value)}"')
    if abs(number) == float("inf") or (number == 0 and value != 0):
        raise failed(f'ERROR: "{dump(value)}" is out of range for type double precision')
    return number


@dataclass(frozen=True)
class Query:
    """One entries query, as its parameters ask it."""

    profile: Profile
    fields: tuple[Field, ...]
    filters: tuple[Filter, ...]
    any_filter: bool
    order: Order
    include_all: bool
    headless: bool
    paging: bool
    page: int
    page_size: int

    @classmethod
    def parse(cls, params: Sequence[tuple[str, str]], profile: Profile) -> Query:
        """The query of a request's parameters; raises :class:`QueryError` for what the server refuses to begin with."""
        given = _Parameters(params, profile)
        include_all = given.include_all()
        page, page_size = given.number("page", 1), given.number("pageSize", 50)
        paging, headless = given.boolean("paging", True), given.boolean("headless", False)
        headless = headless or (profile.unpaged_is_headless and not paging)
        any_filter = given.any_filter()
        fields = Field.parse_all(given.joined("fields", ""), profile)
        order = Order.parse(given.joined("order", KEY))
        filters = Filter.parse_all(given.joined("filter", ""))
        for each in filters:
            each.validate()
        return cls(
            profile=profile,
            fields=tuple(fields),
            filters=tuple(filters),
            any_filter=any_filter,
            order=order,
            include_all=include_all,
            headless=headless,
            paging=paging,
            page=max(1, page),
            page_size=max(1, min(_MAX_PAGE_SIZE, page_size)),
        )

    def answer(self, rows: Iterable[tuple[str, str | None]]) -> bytearray:
        """The reply's body, from the rows of one namespace (key, ``jsonb`` text or None) in order of their keys.

        Holds the body and one row, unless an order is asked: then also the answer's parts with what they are sorted by.
        Raises :class:`QueryError` where the server's SQL fails.
        """
        matches = self._condition()
        print_entry = _printer(self.fields)
        found = filter(matches, (Row(*row) for row in rows))
        if self.order.is_default:
            entries: Iterable[bytes] = (print_entry(row) for row in self._page(found))
        else:
            entries = self._page(self._sorted((row, print_entry(row)) for row in found))
        body = bytearray()
        if not self.headless:
            comma = b"," if self.profile.pager_has_comma else b""
            body += b'{"pager":{"page":%d,"pageSize":%d%b},"entries":' % (self.page, self.page_size, comma)
        body += b"["
        for number, entry in enumerate(entries):
            if number:
                body += b","
            body += entry
        body += b"]" if self.headless else b"]}"
        return body

    def _page(self, found: Iterable[_T]) -> Iterator[_T]:
        if not self.paging:
            return iter(found)
        # The server's offset is an int that overflows.
        offset = max(0, ((self.page - 1) * self.page_size + 2**31) % 2**32 - 2**31)
        return islice(found, offset, offset + self.page_size)

    def _condition(self) -> Condition:
        filtered = matcher(self.filters, self.any_filter, self.profile) if self.filters else None
        paths = [] if self.include_all else [field.path for field in self.fields]

        def matches(row: Row) -> bool:
            if paths and not any(_is_there(row, path) for path in paths):
                return False
            return filtered is None or filtered(row)

        return matches

    def _sorted(self, found: Iterable[tuple[Row, bytes]]) -> Iterator[bytes]:
        keyed = [(self.order.key(row), entry) for row, entry in found]
        last = [entry for key, entry in keyed if key is None]
        first = [(key, entry) for key, entry in keyed if key is not None]
        first.sort(key=lambda each: each[0], reverse=self.order.direction.endswith("desc"))  # type: ignore[arg-type, return-value]  # the keys of one order are of one sort
        yield from (entry for _, entry in first)
        yield from last


class _Parameters:
    """A query's parameters as the server binds them: 2.38 and 2.39 read what they do not understand as the default."""

    def __init__(self, params: Sequence[tuple[str, str]], profile: Profile) -> None:
        self._params, self._strict, self._profile = params, profile.query_checks_parameters, profile

    def joined(self, name: str, default: str) -> str:
        values = [value for key, value in self._params if key == name]
        return ",".join(values) if values else default

    def _first(self, name: str) -> str | None:
        return next((value for key, value in self._params if key == name), None)

    def number(self, name: str, default: int) -> int:
        text = self._first(name)
        if text is None:
            return default
        digits = "".join(text.split()) if self._strict else text
        if re.fullmatch("[+-]?[0-9]{1,10}", digits) and -(2**31) <= int(digits) < 2**31:
            return int(digits)
        if not self._strict:
            raise QueryError(400, f'For input string: "{text}"')
        raise self._invalid(name, text, "It should be of type int")

    def boolean(self, name: str, default: bool) -> bool:
        text = self._first(name)
        if text is None:
            return default
        if not self._strict:
            return text.lower() == "true"
        if text.strip().lower() not in _BOOLEANS:
            raise self._invalid(name, text, "It should be of type boolean")
        return _BOOLEANS[text.strip().lower()]

    def include_all(self) -> bool:
        text = self._first("includeAll") or "false"
        if text.strip().lower() not in _BOOLEANS:
            raise QueryError(400, self._profile.query_include_all_text.format(value=text))
        return _BOOLEANS[text.strip().lower()]

    def any_filter(self) -> bool:
        text = self._first("rootJunction") or "and"
        if self._strict and text.upper() not in ("AND", "OR"):
            raise self._invalid("rootJunction", text, "Valid values are: [AND, OR]")
        return text.upper() == "OR"

    @staticmethod
    def _invalid(name: str, text: str, valid: str) -> QueryError:
        return QueryError(400, f"Value '{text}' is not valid for parameter {name}. {valid}")


def _is_there(row: Row, path: str) -> bool:
    return row.text is not None if path == WHOLE else row.at(path) is not ABSENT


def _printed(row: Row, path: str) -> str:
    if path == WHOLE:
        return "null" if row.text is None else row.text
    value: Json | Absent = row.at(path)
    return "null" if value is ABSENT else dump(value)


def _printer(fields: Sequence[Field]) -> Callable[[Row], bytes]:
    """Prints an entry as the server does: what opens and closes objects depends on the fields before and after only."""
    names = [split(field.name, _DOT) for field in fields]
    befores = [_opening(last, name) for last, name in zip([[], *names], names, strict=False)]
    afters = [_closing(name, following) for name, following in zip(names, [*names[1:], []], strict=False)]
    parts = [(f",{before}", field.path, after) for field, before, after in zip(fields, befores, afters, strict=True)]

    def print_entry(row: Row) -> bytes:
        values = "".join([f"{before}{_printed(row, path)}{after}" for before, path, after in parts])
        return f'{{"key":"{row.key}"{values}}}'.encode()

    return print_entry


def _opening(last: Sequence[str], name: Sequence[str]) -> str:
    out = ""
    for level, step in enumerate(name):
        if list(last[level : level + 1]) != [step]:
            deeper = level and (level >= len(last) or last[level - 1] != name[level - 1])
            out += f'{"{" if deeper else ""}"{step}":'
    return out


def _closing(name: Sequence[str], following: Sequence[str]) -> str:
    same = 0
    while same < min(len(name), len(following)) and name[same] == following[same]:
        same += 1
    return "}" * (len(name) - 1 - same)
