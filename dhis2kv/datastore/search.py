"""Finding entries by what they hold; imports the reader and the server's calls.

Here since the server can search since 2.38 (user store: 2.40.1), but not everything, nor always rightly: what it is
asked, what is read and what is decided here is one decision, and the answer must not tell which it was.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dhis2kv import errors, wire
from dhis2kv.datastore.asking import Uncertain
from dhis2kv.datastore.reading import Found, Reader, told
from dhis2kv.datastore.server import Names, Server
from dhis2kv.wire.conditions import KEY, Condition, parsed, parsed_path, spelled
from dhis2kv.wire.filters import Plan, fields_of, planned
from dhis2kv.wire.matching import Matcher, at, matcher, ordered, outermost, picked, precisely
from dhis2kv.wire.query import Query

log = logging.getLogger("dhis2kv")

Path = tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """What is to be found: checked, before anything is sent."""

    conditions: tuple[Condition, ...]
    any: bool
    fields: tuple[Path, ...] | None
    order: Path
    descending: bool
    limit: int | None

    @classmethod
    def of(
        cls,
        conditions: Sequence[Condition | str],
        fields: str | Iterable[str] | None,
        order: str | None,
        limit: int | None,
        any: bool,
    ) -> Search:
        """The search that the arguments of ``find`` mean; raises ``TypeError`` or ``ValueError`` for what is none."""
        if isinstance(fields, str):
            fields = [path.strip() for path in fields.split(",")]  # as people write them: name, age
        picks = None if fields is None else tuple(outermost(map(parsed_path, fields)))
        if picks is not None and (not picks or KEY in picks):
            raise ValueError("fields are paths in the value, as in name,address.city; keys come with every entry")
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise ValueError(f"limit is a whole number from 0 on, not {limit!r}")
        if not isinstance(order, str | None):
            raise TypeError(f"order is a text, as in age:desc, not {order!r}")
        name, _, direction = (order or "_").partition(":")
        if direction not in ("", "asc", "desc"):
            raise ValueError(f"{order!r} is no order: write path, path:asc or path:desc")
        return cls(tuple(map(_condition, conditions)), any, picks, parsed_path(name), direction == "desc", limit)


def _condition(condition: Condition | str) -> Condition:
    if isinstance(condition, Condition):
        return condition
    if isinstance(condition, str):
        return parsed(condition)
    raise TypeError(f'a condition is where("age") > 30 or "age:gt:30", not {condition!r}')


class Searcher:
    """Finds entries of both stores, by the names of store and namespace."""

    def __init__(self, server: Server, reader: Reader) -> None:
        self._server, self._reader = server, reader
        self._warned: set[Names] = set()

    def find(self, names: Names, search: Search, encrypted: bool) -> dict[str, Any]:
        """The entries that are found, in their order: values, or their picked fields."""
        if search.limit == 0:
            return {}
        plan = _plan(search, encrypted)
        log.debug("find in %s: %s", "/".join(names), self.explain(search, encrypted))
        try:
            wanted = _wanted(plan, search)
            found = self._parts(names, plan, wanted) if wanted else self._whole(names, plan)
            conditions = plan.here
        except Uncertain as answer:
            log.info("find in %s: the server cannot answer that, all entries are read", "/".join(names))
            if answer.keys is None:
                texts = self._reader.all(names, texts=True)
            else:  # it has no queries at all
                texts = self._reader.instead(names, answer, texts=True).entries
            found, conditions = _Entries(texts), search.conditions
        else:
            if plan.visible:
                self._warn(names)
        return told(names, found.arranged(matcher(conditions, search.any), search))

    def explain(self, search: Search, encrypted: bool) -> str:
        """In a sentence how these entries are found where a server has queries."""
        plan = _plan(search, encrypted)
        said = f"asks the server for {f' {plan.junction} '.join(plan.filters)}" if plan.filters else "reads all entries"
        if wanted := _wanted(plan, search):
            said += f", of each {', '.join(map(spelled, wanted))}"
        if plan.here:
            said += f"; decides here: {', '.join(map(str, plan.here))}"
        return said

    def _whole(self, names: Names, plan: Plan) -> _Entries:
        """The entries that the plan's filters let through; raises ``Uncertain`` where the answer is not certain."""
        if not plan.filters:
            return _Entries(self._reader.all(names, texts=True))
        return _Entries(self._reader.chosen(names, Query(filters=plan.filters, junction=plan.junction)))

    def _parts(self, names: Names, plan: Plan, wanted: Sequence[Path]) -> _Entries:
        """The same, of each entry only some parts.

        The answer shows a stored null and a part that is not there alike, so that the stored ones are asked for, field
        by field; and an encrypted entry like one without any of the parts, so that those are looked into.
        """
        query = Query(fields=fields_of(wanted) or "", filters=plan.filters, junction=plan.junction)
        rows = _Entries(self._reader.rows(names, query))
        for path in wanted:
            if missing := {key for key, row in rows.values.items() if at(key, row, path) is None}:
                stored = self._reader.rows(names, Query(fields="", filters=(f"{spelled(path)}:null",)))
                for key in missing - stored.keys():
                    rows.lacks(key, path)
        bare = [key for key, row in rows.values.items() if row.keys() <= {"key"}]
        if bare and not plan.visible:
            seen = self._reader.rows(names, Query(fields="", filters=(".:null", ".:!null"), junction="OR"))
            hidden = [key for key in bare if key not in seen]
            rows.replace(hidden, self._reader.some(names, hidden, texts=True))
        return rows

    def _warn(self, names: Names) -> None:
        """Say once of a namespace what a server's search leaves out: nothing in its answer tells of it."""
        if names not in self._warned:
            self._warned.add(names)
            log.warning(
                "find in %s: encrypted entries, if any, are left out; a namespace with encrypt=True is searched whole",
                "/".join(names),
            )


def _plan(search: Search, encrypted: bool) -> Plan:
    """What is asked and what is decided here; all of it here for entries that no server looks into."""
    return Plan((), "AND", search.conditions, False) if encrypted else planned(search.conditions, search.any)


def _wanted(plan: Plan, search: Search) -> list[Path] | None:
    """The parts of entries that must be known; None where that is all of them, or where no server can pick them."""
    if search.fields is None:
        return None
    paths = [*search.fields, *(condition.path for condition in plan.here), search.order]
    wanted = outermost(path for path in paths if path != KEY)
    return wanted if fields_of(wanted) else None


class _Entries:
    """What was read of entries, whole or in parts: JSON texts, and what is decided by, their values with every digit.

    ``left_out`` are those that cannot be read, and why.
    """

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts: dict[str, str] = {}
        self._lacking: dict[str, list[Path]] = {}
        self.values: dict[str, Any] = {}
        self.left_out: dict[str, errors.Dhis2kvError] = {}
        self._add(texts)

    def _add(self, texts: dict[str, str]) -> None:
        for key, text in texts.items():
            try:
                self.values[key] = precisely(text)
                self._texts[key] = text
            except ValueError as error:
                self.left_out[key] = errors.Unreadable(f"the value is too much for Python: {error}")

    def lacks(self, key: str, path: Path) -> None:
        """Take a part out of an entry, which is null only as it was read."""
        self.values[key] = _without(self.values[key], path)
        self._lacking.setdefault(key, []).append(path)

    def replace(self, keys: Iterable[str], texts: dict[str, str]) -> None:
        """Put other texts in the place of these entries."""
        for key in keys:
            del self.values[key], self._texts[key]
            self._lacking.pop(key, None)
        self._add(texts)

    def arranged(self, meets: Matcher, search: Search) -> Found:
        """The entries that meet the conditions, in their order: values, or their picked fields."""
        met = [(key, value) for key, value in self.values.items() if meets(key, value)]
        found: dict[str, Any] = {}
        for key in ordered(met, search.order, search.descending)[: search.limit]:
            try:
                found[key] = self._value(key)
            except errors.Unreadable as error:
                self.left_out[key] = error
            else:
                if search.fields is not None:
                    found[key] = picked(found[key], search.fields)
        return Found(found, self.left_out)

    def _value(self, key: str) -> Any:
        value = wire.loads(self._texts[key])
        for path in self._lacking.get(key, ()):
            value = _without(value, path)
        return value


def _without(row: Any, path: Path) -> Any:
    """A row without the part at a path, and without what is empty then."""
    inner = {name: part for name, part in row.items() if name != path[0]}
    if len(path) > 1 and (rest := _without(row[path[0]], path[1:])):
        inner[path[0]] = rest
    return inner
