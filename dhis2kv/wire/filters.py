"""What of conditions a server can be asked, in the words of its entries query; imports the conditions.

Here since DHIS2's grammar carries only some conditions, and its database takes some otherwise than they are meant. A
server is asked for all that could match, never for less; what it may give too much is decided here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import quote

from dhis2kv.wire.conditions import KEY, TEXT_OPERATORS, Condition, spelled
from dhis2kv.wire.query import URL_FULL

_PATH = re.compile(r"[-\w]{1,32}(\.[-\w]{1,32}){0,5}", re.A)
_FIELD = re.compile(r"[A-Za-z0-9]{1,32}(\.[A-Za-z0-9]{1,32}){0,5}")
# These separate and group in the grammar; the database refuses U+0000.
_SEPARATORS = re.compile(r"::|[~@,\[\]()\x00-\x1f\x7f\ud800-\udfff]")
_ITEM = re.compile(r"[^\s'](.*[^\s'])?", re.S)
_SPECIAL = re.compile(r"[\\:'\"~@,\[\]()\x00-\x1f\x7f\ud800-\udfff]")
_ANYTHING = re.compile(f"[%_*]|{_SPECIAL.pattern}")
_INTEGERS_END = 2**31 - 1  # a larger integer is cut to this by the server
_FRACTIONS_END = 10**14  # a fraction keeps its digits below this, on every database

_NEGATIONS = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "!eq"}
_TEXT_NAMES = {"contains": ("like", "ilike"), "startswith": ("$like", "$ilike"), "endswith": ("like$", "ilike$")}


@dataclass(frozen=True)
class Asked:
    """What to ask of a server for one condition: filters that hold wherever it holds; none narrows nothing.

    ``exact`` says that they hold nowhere else.
    """

    filters: tuple[str, ...] = ()
    exact: bool = False


_NOT_ASKED = Asked()


@dataclass(frozen=True)
class Plan:
    """How entries are found: by filters of the server, and by conditions that are decided here.

    ``visible`` says that the server's filters look into values, and so at no entry that it keeps encrypted.
    """

    filters: tuple[str, ...]
    junction: str
    here: tuple[Condition, ...]
    visible: bool


def planned(conditions: Sequence[Condition], any: bool) -> Plan:
    """How to find the entries that meet all of the conditions, or any of them."""
    if len(conditions) == 1 and _is_one_of_numbers(alone := conditions[0]):
        several = planned([Condition(alone.path, "eq", value) for value in alone.value], any=True)
        if several.filters:
            return Plan(several.filters, several.junction, () if not several.here else (alone,), several.visible)
    answers = [asked(condition) for condition in conditions]
    if any:
        filters = tuple(answer.filters[0] for answer in answers if answer.filters)
        if len(filters) < len(answers) or not _fits(filters):
            return Plan((), "AND", tuple(conditions), False)
        exact = all(answer.exact and len(answer.filters) == 1 for answer in answers)
        visible = all(condition.path != KEY for condition in conditions)
        return Plan(filters, "OR" if len(filters) > 1 else "AND", () if exact else tuple(conditions), visible)
    chosen = [bool(answer.filters) and _fits(answer.filters) for answer in answers]
    if sum(chosen) > 1:
        # Servers join ``empty`` with other filters wrongly, and then give far too much.
        chosen = [yes and condition.operator != "empty" for yes, condition in zip(chosen, conditions, strict=True)]
    filters = ()
    here = []
    visible = False
    for condition, answer, yes in zip(conditions, answers, chosen, strict=True):
        if yes and _fits(filters + answer.filters):
            filters += answer.filters
            visible = visible or condition.path != KEY
            if answer.exact:
                continue
        here.append(condition)
    return Plan(filters, "AND", tuple(here), visible)


def _is_one_of_numbers(condition: Condition) -> bool:
    """Whether it is what DHIS2's ``in``, which knows texts only, does not find."""
    return condition.operator == "in" and not condition.negated and not _list(condition)


def _fits(filters: Iterable[str]) -> bool:
    return sum(len(quote(one)) + 8 for one in filters) <= URL_FULL


def asked(condition: Condition) -> Asked:
    """What to ask of a server for a condition."""
    path, value = spelled(condition.path), condition.value
    if condition.path and not _PATH.fullmatch(path):
        return _NOT_ASKED
    if condition.operator in ("null", "empty"):
        return Asked((f"{path}:{'!' if condition.negated else ''}{condition.operator}",), exact=True)
    if condition.operator in TEXT_OPERATORS:
        return _pattern(condition, path)
    if condition.operator == "in":
        return _in(condition, path)
    if isinstance(value, str):
        return _equal_text(condition, path)
    if isinstance(value, bool):
        return Asked((f"{path}:{_name(condition)}:{json.dumps(value)}",), exact=True)
    if isinstance(value, int | float):
        return _number(path, _name(condition), Decimal(repr(value)))
    return _NOT_ASKED  # lists and objects: servers compare them with a text


def _name(condition: Condition) -> str:
    return _NEGATIONS[condition.operator] if condition.negated else condition.operator


def _carried(text: str, condition: Condition) -> bool:
    """Whether the grammar takes a text as it is; of a value itself the database sees the JSON text."""
    return not _SEPARATORS.search(text) and (bool(condition.path) or not re.search(r'["\\]', text))


def _equal_text(condition: Condition, path: str) -> Asked:
    """Only whether it is that text: which of two comes first, each database orders in its own language."""
    if condition.operator != "eq" or not _carried(condition.value, condition):
        return _NOT_ASKED
    if condition.ignore_case:
        plain = condition.value.isascii() and not re.search("[ik]", condition.value, re.I)
        plain = plain and not condition.negated  # for which DHIS2 has no word
        return Asked((f"{path}:ieq:'{condition.value}'",), exact=True) if plain else _NOT_ASKED
    return Asked((f"{path}:{_name(condition)}:'{condition.value}'",), exact=True)


def _pattern(condition: Condition, path: str) -> Asked:
    """A text in a text; whatever is special in the grammar or in patterns is asked for as anything."""
    case = condition.ignore_case
    text = re.sub("[*%]+", "%", condition.value)  # literal or not, they are asked for as anything
    special = _SPECIAL if condition.wild else _ANYTHING
    plain = special.sub("%", text)
    if case:  # which letters are the same, each database knows in its own way
        plain = re.sub(r"[^\x00-\x7f]", "%", plain)
    exact = bool(condition.path) and not special.search(text) and plain == text
    exact = exact and not (case and re.search("[ik]", text, re.I))
    plain = re.sub("%+", "%", plain)
    if not plain.strip("%_") or (condition.negated and not exact):
        return _NOT_ASKED
    name = _TEXT_NAMES[condition.operator][case]
    return Asked((f"{path}:{'!' if condition.negated else ''}{name}:'{plain}'",), exact)


def _list(condition: Condition) -> bool:
    """Whether the grammar takes these values as a list: texts, of which it knows no end but a comma."""
    return bool(condition.value) and all(
        isinstance(one, str) and _carried(one, condition) and bool(_ITEM.fullmatch(one)) for one in condition.value
    )


def _in(condition: Condition, path: str) -> Asked:
    if _list(condition):
        return Asked((f"{path}:{'!' if condition.negated else ''}in:[{','.join(condition.value)}]",), exact=True)
    each = [asked(Condition(condition.path, "eq", value, condition.negated)) for value in condition.value]
    numbers = [value for value in condition.value if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(each) == 1:
        return each[0]
    if not numbers or len(numbers) < len(each):
        return _NOT_ASKED
    if condition.negated:
        filters = tuple(one for answer in each for one in answer.filters)
        return Asked(filters, exact=all(answer.exact for answer in each))
    least = asked(Condition(condition.path, "ge", min(numbers)))
    most = asked(Condition(condition.path, "le", max(numbers)))
    return Asked(least.filters + most.filters)


def _number(path: str, name: str, number: Decimal) -> Asked:
    """A number; the server's grammar has no negative ones, and cuts integers beyond 2^31.

    Those are asked for by what surrounds them, as are fractions that are none in binary: databases before PostgreSQL
    12 spell them with one digit too many.
    """
    if number < 0:
        return Asked((f"{path}:lt:0",)) if name in ("lt", "le", "eq") else _NOT_ASKED
    integral = number == number.to_integral_value()
    if number <= _INTEGERS_END if integral else _is_binary(number):
        return Asked((f"{path}:{name}:{_digits(number)}",), exact=True)
    if number >= _FRACTIONS_END:
        below, above = Decimal(_FRACTIONS_END) - Decimal("0.5"), None
    else:
        width = Decimal("0.5") if integral else Decimal(1).scaleb(number.adjusted() - 13)
        below, above = number - width, number + width
    filters = []
    if name in ("eq", "ge", "gt"):
        filters.append(f"{path}:gt:{_digits(below)}")
    if name in ("eq", "le", "lt") and above is not None:
        filters.append(f"{path}:lt:{_digits(above)}")
    return Asked(tuple(filters))


def _is_binary(number: Decimal) -> bool:
    return len(number.as_tuple().digits) <= 15 and Decimal(float(number)) == number


def _digits(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def fields_of(paths: Iterable[tuple[str, ...]]) -> str | None:
    """The words for picking these parts; None where the grammar has none: for names with ``_`` or ``-``, and ``key``.

    The answer would have the entry's key under the same name.
    """
    texts = [spelled(path) for path in sorted(paths)]  # what has a parent in common side by side
    told = all(_FIELD.fullmatch(text) and text.partition(".")[0] != "key" for text in texts)
    return ",".join(texts) if told and texts else None
