"""Entries, and how they are read from a store page by page.

It may import the library up to the store. It exists because bulk reads hide what is encrypted, are ambiguous where
there are certain keys, and are not to be had from older servers: whoever reads whole namespaces meets all of that here,
once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from dhis2kv import errors, wire
from dhis2kv.wire import Query

if TYPE_CHECKING:
    from dhis2kv.store import Store

log = logging.getLogger("dhis2kv")

PAGE = 1000  # entries in one bulk read, the most that servers give

Progress = Callable[[int, int], None]

_GONE: Any = object()


class Entry(NamedTuple):
    """One entry: where it is, its value, and whether the server keeps it encrypted.

    ``encrypted`` is None where the server does not show it: see ``read``.
    """

    namespace: str
    key: str
    value: Any
    encrypted: bool | None = False

    def __str__(self) -> str:
        return f"{self.namespace}/{self.key}"


def read(store: Store, namespaces: Iterable[str] | None = None, *, progress: Progress | None = None) -> Iterator[Entry]:
    """The entries of these namespaces of a store, or of all that the account can read; namespaces come sorted.

    Costs a request for the list of namespaces; for each of them one for the keys and one per 1,000 entries, one more
    where there are nulls, and one for each encrypted entry, several at a time. Holds one page of values, and the names
    of one namespace. What is deleted meanwhile is left out; so is what is created meanwhile. The order of keys within a
    namespace is the server's.

    An encrypted entry is one that bulk reads hide. Where a server has none (dataStore before 2.38, userDataStore before
    2.40), or one key with a quotation mark makes them ambiguous, every entry costs a request and ``encrypted`` is None;
    that is logged as a warning. So is a namespace that is left out because the account may not read it: one that was
    asked for by name raises ``Forbidden``.

    ``progress(done, total)`` is called after each page; the total grows from namespace to namespace. Raises
    ``KeyNotFound``, before the first entry, for a name that is not in the list of namespaces.
    """
    known = set(store)
    names = known if namespaces is None else set(namespaces)
    for name in sorted(names - known):
        raise errors.KeyNotFound(name)
    return _read(store, sorted(names), namespaces is not None, progress)


def _read(store: Store, names: list[str], strict: bool, progress: Progress | None) -> Iterator[Entry]:
    done = total = 0
    for name in names:
        namespace = Bulk(store, name)
        try:
            keys = namespace.keys()
        except errors.Forbidden:
            if strict:
                raise
            log.warning("left out the namespace %r: the account may not read it", name)
            continue
        total += len(keys)
        for entries in namespace.entries(keys):
            yield from entries
            done += len(entries)
            if progress:
                progress(done, total)


class Bulk:
    """Reads one namespace page by page, and tells what is encrypted there."""

    def __init__(self, store: Store, name: str) -> None:
        self._datastore, self._name, self._is_user = store.datastore, name, store.user is store
        self._nulls: set[str] | None = None

    def keys(self) -> dict[str, None]:
        """The keys as an ordered set; empty when the namespace was deleted meanwhile."""
        try:
            return dict.fromkeys(self._datastore.list_keys(self._name, user=self._is_user))
        except errors.KeyNotFound:
            return {}

    def entries(self, keys: dict[str, None]) -> Iterator[list[Entry]]:
        """The entries of these keys that are still there, page by page; takes them out of ``keys``."""
        for _ in range(2):  # once more for those that a page lost to the one before it, when others deleted meanwhile
            for page in self._pages(keys):
                rows = [(row["key"], row["value"]) for row in page if row["key"] in keys]
                for key, _ in rows:
                    del keys[key]
                yield self._told(rows)
        left, found = list(keys), 0
        for start in range(0, len(left), PAGE):
            rows = list(self._singly(left[start : start + PAGE]))
            found += len(rows)
            yield [Entry(self._name, key, value, None) for key, value in rows]
        if found:
            log.warning("of %d entries of %r it cannot be seen whether they are encrypted", found, self._name)

    def _pages(self, keys: Mapping[str, None]) -> Iterator[list[dict[str, Any]]]:
        """The bulk reads of the namespace, until no key is left; none where they are not to be had, or not certain."""
        if not all(map(_is_plain, keys)) or (self._name == "protections" and not self._is_user):
            return  # answers are ambiguous, or that address means something else
        offset, size = 0, PAGE
        while keys:
            query = Query(page=offset // size + 1, page_size=size)
            try:
                page = self._datastore.query(self._name, query, user=self._is_user)
            except errors.KeyNotFound:
                return  # deleted meanwhile: a server without bulk reads says so
            except errors.ServerError as error:
                if error.status != 200 or size == 1:
                    raise
                size //= 10  # too large for one answer
                continue
            if not all(isinstance(row, dict) and row.keys() == {"key", "value"} for row in page):
                return  # a server without bulk reads answers something else
            yield page
            if len(page) < size:
                return
            offset += size

    def _told(self, rows: list[tuple[str, Any]]) -> list[Entry]:
        """Rows of a bulk read as entries: those that it hides are read singly."""
        hidden = [key for key, value in rows if value is None and key not in self._stored_nulls()]
        values = dict(rows) | dict.fromkeys(hidden, _GONE) | dict(self._singly(hidden))
        secret = set(hidden)
        return [Entry(self._name, key, value, key in secret) for key, value in values.items() if value is not _GONE]

    def _stored_nulls(self) -> set[str]:
        """The keys whose value is null, which bulk reads show for encrypted entries, too."""
        if self._nulls is None:
            query = Query(fields="", filters=(".:null",))
            self._nulls = {row["key"] for row in self._datastore.query(self._name, query, user=self._is_user)}
        return self._nulls

    def _singly(self, keys: list[str]) -> Iterator[tuple[str, Any]]:
        """Key and value of these entries, several read at a time, without those that are gone."""

        def value(key: str) -> Any:
            try:
                return self._datastore.get(self._name, key, user=self._is_user)
            except errors.KeyNotFound:
                return _GONE

        from dhis2kv.datastore.many import pool_of  # it loads requests, which the command line's --help does not need

        with pool_of(self._datastore.workers) as pool:
            yield from (
                (key, value) for key, value in zip(keys, pool.map(value, keys), strict=True) if value is not _GONE
            )


def _is_plain(key: str) -> bool:
    """Whether bulk answers, in which servers print keys unescaped, are certain where there is this key."""
    try:
        wire.check_new_key(key)
    except errors.InvalidKey:
        return False
    return True
