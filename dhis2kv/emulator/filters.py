"""The entries query's filters: their grammar, and the conditions that the server's SQL makes of them.

The server puts a filter into SQL by the look of its value: ``true`` compares with booleans only, ``42`` with numbers
only, ``[a]`` with lists only (as which it never matches), all else with strings only. What does not have that type does
not match, not even ``!eq``. Where the SQL itself is wrong the query is refused, 400, whatever is stored. Here since
this decides what matches, and not what a filter seems to say.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from .jsonb import ABSENT, Absent, extract, sort_key, type_of
from .jsontext import Json, dump, parse
from .profiles import Profile

KEY, WHOLE = "_", "."  # the paths of an entry's key, and of its whole value

_SEPARATOR = re.compile("::|:|~|@")
_SPLIT = re.compile(r",(?![^\[\]]*\]|[^()]*\))")  # a comma that is in no brackets, as far as one regex can tell
_PATH = re.compile(r"[-_a-zA-Z0-9]{1,32}(?:\.[-_a-zA-Z0-9]{1,32}){0,5}")


class QueryError(Exception):
    """The server refuses the query: the status, message and code of its reply."""

    def __init__(self, status: int, message: str, error_code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.error_code = status, message, error_code


def failed(what: str) -> QueryError:
    """The refusal of a query that fails while it runs."""
    return QueryError(400, f"Unknown error when running the query: {what}")


def split(text: str, separator: re.Pattern[str]) -> list[str]:
    """Splits as Java does: without the empty parts at the end, but for a text without any separator."""
    parts = separator.split(text)
    if len(parts) == 1:
        return parts
    while parts and not parts[-1]:
        del parts[-1]
    return parts


def checked_path(path: str) -> str:
    """The path with ``[0]`` written as ``.0``; raises E7650 for what the server takes for no path."""
    normal = re.sub(r"\[([0-9]+)]", r".\1", path)
    if path != WHOLE and not _PATH.fullmatch(normal):
        raise QueryError(409, f"Not a valid path: `{path}`", "E7650")
    return normal


class Row:
    """One entry as the query sees it: its key, and its value (None: SQL NULL), parsed once something looks inside."""

    def __init__(self, key: str, text: str | None) -> None:
        self.key, self.text = key, text

    @cached_property
    def value(self) -> Json | Absent:
        return ABSENT if self.text is None else parse(self.text)

    def at(self, path: str) -> Json | Absent:
        value = self.value
        return value if path == WHOLE or value is ABSENT else extract(value, path.split("."))

    def text_at(self, path: str) -> str | None:
        """What the server compares with text: of the whole value its JSON without the quotes at its ends."""
        if path == KEY:
            return self.key
        if path == WHOLE:
            return None if self.text is None else self.text.strip('"')
        value = self.at(path)
        return None if value is ABSENT or value is None else value if isinstance(value, str) else dump(value)


@dataclass(frozen=True)
class Operator:
    """A comparison: its names, the SQL operator, and what becomes of the text that it compares with."""

    names: tuple[str, ...]
    sql: str
    unary: bool = False
    ignores_case: bool = False
    open_start: bool = False
    open_end: bool = False


_OPERATORS = {
    name: op
    for op in (
        Operator(("null",), "=", unary=True),
        Operator(("!null",), "!=", unary=True),
        Operator(("empty",), "=", unary=True),
        Operator(("!empty",), "!=", unary=True),
        Operator(("in",), "in"),
        Operator(("!in",), "not in"),
        Operator(("eq",), "="),
        Operator(("!eq", "neq", "ne"), "!="),
        Operator(("lt",), "<"),
        Operator(("lte", "le"), "<="),
        Operator(("gt",), ">"),
        Operator(("gte", "ge"), ">="),
        Operator(("like",), "like", open_start=True, open_end=True),
        Operator(("!like",), "not like", open_start=True, open_end=True),
        Operator(("$like",), "like", open_end=True),
        Operator(("!$like",), "not like", open_end=True),
        Operator(("like$",), "like", open_start=True),
        Operator(("!like$",), "not like", open_start=True),
        Operator(("ieq",), "=", ignores_case=True),
        Operator(("ilike",), "like", ignores_case=True, open_start=True, open_end=True),
        Operator(("!ilike",), "not like", ignores_case=True, open_start=True, open_end=True),
        Operator(("$ilike", "startswith"), "like", ignores_case=True, open_end=True),
        Operator(("!$ilike", "!startswith"), "not like", ignores_case=True, open_end=True),
        Operator(("ilike$", "endswith"), "like", ignores_case=True, open_start=True),
        Operator(("!ilike$", "!endswith"), "not like", ignores_case=True, open_start=True),
    )
    for name in op.names
}
# In the order in which the server lists them.
_LISTED = (
    "startswith, !in, !$like, lt, endswith, !eq, like$, empty, ieq, $like, !endswith, gte, neq, lte, !empty, ge, "
    "!like$, in, like, !startswith, !$ilike, !null, eq, gt, null, $ilike, ilike$, !ilike, ne, !ilike$, le, ilike, !like"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Condition = Callable[[Row], bool]


@dataclass(frozen=True)
class Filter:
    """One ``path:operator:value``."""

    path: str
    operator: Operator
    value: str

    def __str__(self) -> str:
        return f"{self.path}:{self.operator.names[0]}" + (f":{self.value}" if self.value else "")

    @classmethod
    def parse_all(cls, text: str) -> list[Filter]:
        """The filters of a comma separated list; raises E7652 and E7650 for what is none, and for unknown operators."""
        return [cls._parse(part) for part in split(text, _SPLIT)] if text else []

    @classmethod
    def _parse(cls, text: str) -> Filter:
        parts = split(text, _SEPARATOR)
        if len(parts) < 2:
            reason = "expected expression of pattern: <property>:<operator>[:<value>]"
            raise QueryError(409, f"Illegal filter expression `{text}`: {reason}", "E7652")
        if parts[1].lower() not in _OPERATORS:
            raise QueryError(409, f"Unknown operator: `{parts[1].upper()}` Use one of [{_LISTED}]")
        return cls(checked_path(parts[0]), _OPERATORS[parts[1].lower()], ":".join(parts[2:]))

    def validate(self) -> None:
        """Raises E7653 where operator and value do not go together."""
        has_value = bool(self.value.strip())
        if self.path == KEY and self.operator.unary:
            reason = "key filters cannot be used with unary operators"
        elif not self.operator.unary and not has_value:
            reason = f"the operator `{self.operator.names[0]}` requires a value"
        elif self.operator.unary and has_value:
            reason = f"the operator `{self.operator.names[0]}` is unary and does not require a value"
        else:
            return
        raise QueryError(409, f"Illegal filter `{self}`: {reason}", "E7653")

    def alternatives(self, profile: Profile) -> list[Condition]:
        """The filter as conditions joined by "or", of which the server forgets the parentheses."""
        if "empty" in self.operator.names or "!empty" in self.operator.names:
            return self._emptiness()
        if self.operator.sql in ("in", "not in"):
            return [self._membership(profile)]
        if self.operator.unary or self.value == "null":
            return [self._nullness()]
        return [self._comparison(profile)]

    def _emptiness(self) -> list[Condition]:
        wanted = self.operator.sql == "="

        def condition(kind: str, nothing: Json) -> Condition:
            def holds(row: Row) -> bool:
                value = row.at(self.path)
                if value is ABSENT or type_of(value) != kind:
                    return False
                # Of the whole value the server compares the text without quotes.
                empty = row.text_at(self.path) == "" if kind == "string" else value == nothing
                return empty is wanted

            return holds

        return [condition("string", ""), condition("array", []), condition("object", {})]

    def _nullness(self) -> Condition:
        if self.path == KEY:
            raise failed("ERROR: function jsonb_typeof(character varying) does not exist")
        matches = _text_test(self.operator.sql, "null")

        def holds(row: Row) -> bool:
            value = row.at(self.path)
            return value is not ABSENT and matches(type_of(value))

        return holds

    def _membership(self, profile: Profile) -> Condition:
        if self.value == "null":
            raise failed("Named parameter not bound : f_0")
        kind = _kind(self.value)
        if kind in ("boolean", "number"):
            raise self._mistyped(profile)
        items = {self.value} if kind == "object" else {_unquoted(self.value)}
        if kind == "array":
            items = set(split(self.value[1:-1], re.compile(",")))
        wanted = self.operator.sql == "in"

        def holds(row: Row) -> bool:
            text = row.text_at(self.path)
            if self.path != KEY and (text is None or not isinstance(row.at(self.path), str)):
                return False
            return bool(items) and (text in items) is wanted

        return holds

    def _comparison(self, profile: Profile) -> Condition:
        kind = _kind(self.value)
        if self.path != KEY and kind != "string":
            return self._typed_comparison(kind)
        if kind in ("boolean", "number"):
            raise self._mistyped(profile)
        ignores_case = self.operator.ignores_case
        matches = _text_test(self.operator.sql, self._pattern() if kind == "string" else self.value)

        def holds(row: Row) -> bool:
            text = row.text_at(self.path)
            if text is None or not (self.path == KEY or isinstance(row.at(self.path), str)):
                return False
            return matches(_lower(text) if ignores_case else text)

        return holds

    def _typed_comparison(self, kind: str) -> Condition:
        if "like" in self.operator.sql:
            raise failed(f"ERROR: operator does not exist: jsonb {'!' * ('not' in self.operator.sql)}~~ jsonb")
        argument = sort_key(_argument(kind, self.value))
        compare = _COMPARE[self.operator.sql]

        def holds(row: Row) -> bool:
            value = row.at(self.path)
            return value is not ABSENT and type_of(value) == kind and compare(sort_key(value), argument)

        return holds

    def _pattern(self) -> str:
        text = _unquoted(self.value)
        if self.operator.ignores_case:
            text = text.lower()
        if "like" not in self.operator.sql:
            return text
        return ("%" * self.operator.open_start + text + "%" * self.operator.open_end).replace("*", "%")

    def _mistyped(self, profile: Profile) -> QueryError:
        boolean = _kind(self.value) == "boolean"
        shown = self.value if boolean else repr(_java_number(self.value))
        return failed(profile.query_mistyped_text.format(value=shown, type="Boolean" if boolean else "Double"))


def matcher(filters: Sequence[Filter], any_of_them: bool, profile: Profile) -> Condition:
    """The condition of all filters together; raises :class:`QueryError` where their SQL fails.

    The server joins them with "and" or "or" as text, so that an "or" within a filter takes it apart.
    """
    groups: list[list[Condition]] = [[]]
    for number, each in enumerate(filters):
        first, *others = each.alternatives(profile)
        if any_of_them and number:
            groups.append([])
        groups[-1].append(first)
        groups += [[other] for other in others]
    return lambda row: any(all(condition(row) for condition in group) for group in groups)


def _kind(value: str) -> str:
    if value in ("true", "false"):
        return "boolean"
    for opener, closer, kind in (("{", "}", "object"), ("[", "]", "array")):
        if value.startswith(opener) and value.endswith(closer):
            return kind
    return "number" if re.fullmatch(r"[0-9]+(?:\.[0-9]*)?", value) else "string"


def _argument(kind: str, value: str) -> Json:
    """The JSON that the server compares with: of lists and objects it makes strings, of whole numbers Java ints."""
    if kind == "boolean":
        return value == "true"
    if kind == "number":
        number = _java_number(value)
        return Decimal(repr(number)) if math.isfinite(number) else "Infinity"
    return value


def _java_number(value: str) -> float:
    number = float(value)
    return min(number, float(2**31 - 1)) if math.isfinite(number) and number.is_integer() else number


def _unquoted(value: str) -> str:
    if value == "'":
        raise failed("begin 1, end 0, length 1")
    return value[1:-1] if value.startswith("'") and value.endswith("'") else value


def _lower(text: str) -> str:
    """The database's lower(), which without a language knows ASCII only."""
    return re.sub("[A-Z]+", lambda match: match[0].lower(), text)


def _text_test(sql: str, argument: str) -> Callable[[str], bool]:
    if "like" not in sql:
        compare = _COMPARE[sql]
        return lambda text: compare(text, argument)
    wanted = sql == "like"
    pattern = re.compile("".join(_like_part(part) for part in re.findall(r"\\?.|\\", argument, re.S)), re.S)
    ends_in_escape = len(argument) - len(argument.rstrip("\\")) & 1

    def matches(text: str) -> bool:
        if ends_in_escape:
            raise failed("ERROR: LIKE pattern must not end with escape character")
        return bool(pattern.fullmatch(text)) is wanted

    return matches


def _like_part(part: str) -> str:
    return {"%": ".*", "_": "."}.get(part) or re.escape(part[-1])
