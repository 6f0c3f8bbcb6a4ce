"""Entries, and how they are read from a store page by page.

It may import the library up to the store. Here since bulk reads hide what is encrypted, and are not to be had from
older servers: whoever reads whole namespaces meets all of that here, once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from dhis2kv import errors, wire
from dhis2kv.wire import Query, exact
from dhis2kv.wire.sharing import Sharing

if TYPE_CHECKING:
    from dhis2kv.store import Store

log = logging.getLogger("dhis2kv")

PAGE = 1000  # entries in one bulk read, the most that servers give

Progress = Callable[[int, int], None]
LeftOut = Callable[[str, errors.Dhis2kvError], None]

_GONE: Any = object()


class Entry(NamedTuple):
    """One entry: where it is, its value, and whether the server keeps it encrypted.

    A number in the value that Python would round is a ``dhis2kv.wire.number.Number``. ``encrypted`` is None where the
    server does not show it: see ``read``. ``sharing`` is who may read it, None where that was not asked for.
    """

    namespace: str
    key: str
    value: Any
    encrypted: bool | None = False
    sharing: Sharing | None = None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.key}"


def read(
    store: Store,
    namespaces: Iterable[str] | None = None,
    *,
    progress: Progress | None = None,
    left_out: LeftOut | None = None,
    sharing: bool = True,
) -> Iterator[Entry]:
    """The entries of these namespaces of a store, or of all that the account can read; namespaces come sorted.

    Costs a request for the list of namespaces; for each of them one for the keys and one per 1,000 entries, one more
    where there are nulls, and one for each encrypted entry, several at a time. Holds one page of values, and the names
    of one namespace. What is deleted meanwhile is left out; so is what is created meanwhile. The order of keys within a
    namespace is the server's. Numbers keep every digit.

    An encrypted entry is one that bulk reads hide. Where a server has none (dataStore before 2.38, userDataStore before
    2.40.1), every entry costs a request and ``encrypted`` is None; that is logged as a warning.

    What cannot be read does not end the reading: a namespace that the account may not read, or that has a name to which
    no address leads; an entry like that, or one whose value this Python cannot hold. ``left_out(name, error)`` is
    called for each. Without it each is logged as a warning, and a namespace that was asked for by name raises.

    Entries of the shared store come with who may read them, for a request more each, several at a time;
    ``sharing=False`` leaves that out, and then what ``apply`` creates from them is open to every account.

    ``progress(done, total)`` is called after each page; the total grows from namespace to namespace. Raises
    ``KeyNotFound``, before the first entry, for a name that is not in the list of namespaces.
    """
    known = set(store.datastore.list_namespaces(user=store.user is store))
    names = known if namespaces is None else set(namespaces)
    for name in sorted(names - known):
        raise errors.KeyNotFound(name)
    return _read(
        store,
        sorted(names),
        namespaces is not None and left_out is None,
        progress,
        warn if left_out is None else left_out,
        sharing and store is not store.user,
    )


def warn(name: str, error: errors.Dhis2kvError) -> None:
    """What is done about what cannot be read, where nobody wants to hear of it."""
    log.warning("left out %r: %s", name, error)


def _read(
    store: Store, names: list[str], strict: bool, progress: Progress | None, left_out: LeftOut, sharing: bool
) -> Iterator[Entry]:
    done = total = 0
    for name in names:
        try:
            namespace = Bulk(store, name)
            keys = namespace.keys()
        except (errors.Forbidden, errors.InvalidKey, errors.Unaddressable) as error:
            if strict:
                raise
            left_out(name, error)
            continue
        total += len(keys)
        for entries in namespace.entries(keys):
            if not sharing:
                yield from entries
            else:
                for number, entry in enumerate(with_sharing(store, entries)):
                    if progress:
                        progress(done + number, total)
                    yield entry
            done += len(entries)
            if progress:
                progress(done, total)
        for key, why in namespace.unreadable.items():
            left_out(f"{name}/{key}", why)


def with_sharing(
    store: Store, entries: list[Entry], is_asked: Callable[[Entry], bool] = lambda _: True
) -> Iterator[Entry]:
    """Entries, some with who may read them, asked several at a time; without those that were deleted meanwhile."""
    from dhis2kv.datastore.many import pool_of  # it loads requests, which the command line's --help does not need

    def told(entry: Entry) -> Entry | None:
        if entry.key not in asked:
            return entry
        try:
            return entry._replace(sharing=store.datastore.sharing(entry.namespace, entry.key))
        except errors.KeyNotFound:
            return None
        except (errors.Forbidden, errors.Unaddressable) as error:
            log.warning("who may read %s is not told, so that it counts as closed: %s", entry, error)
            return entry._replace(sharing=Sharing.private())

    asked = {entry.key for entry in entries if is_asked(entry)}
    if not asked:
        yield from entries
        return
    with pool_of(store.datastore.workers) as pool:
        yield from (entry for entry in pool.map(told, entries) if entry is not None)


class _NoBulkReads(Exception):
    """The server answered something else than entries."""


class _UnreadablePage(Exception):
    """An answer that is too large, or holds a value that this Python cannot."""


class Bulk:
    """Reads one namespace page by page, and tells what is encrypted there, and what could not be read."""

    def __init__(self, store: Store, name: str) -> None:
        self._datastore, self._name, self._is_user = (
            store.datastore,
            wire.check_name(name, "namespace"),
            store.user is store,
        )
        self._nulls: set[str] | None = None
        self.unreadable: dict[str, errors.Dhis2kvError] = {}

    def keys(self) -> dict[str, None]:
        """The keys as an ordered set; empty when the namespace was deleted meanwhile."""
        try:
            return dict.fromkeys(self._datastore.list_keys(self._name, user=self._is_user))
        except errors.KeyNotFound:
            return {}

    def entries(self, keys: dict[str, None]) -> Iterator[list[Entry]]:
        """The entries of these keys that are still there, page by page; takes them out of ``keys``."""
        for key in list(keys):
            try:
                wire.check_name(key)
            except errors.InvalidKey as error:
                del keys[key]
                self.unreadable[key] = error  # up to 2.43 other clients can make an entry whose key is empty
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
        if not keys or (self._name == "protections" and not self._is_user):
            return  # that address means something else from 2.42 on
        # Others may create entries meanwhile, but a server that never comes to an end gives nonsense.
        limit = 2 * len(keys) + PAGE
        try:
            for start in range(0, limit, PAGE):
                count = yield from self._page(start, PAGE)
                if count < PAGE or not keys:
                    return
        except (_NoBulkReads, errors.KeyNotFound):  # deleted meanwhile: a server without bulk reads says the latter
            return

    def _page(self, start: int, size: int) -> Generator[list[dict[str, Any]], None, int]:
        """The entries from one place on, in parts where one answer cannot be read; returns how many there are."""
        try:
            rows = self._rows(Query(page=start // size + 1, page_size=size))
        except _UnreadablePage:
            if size == 1:
                return 1  # it stays among the keys, is read by itself, and has a name then
            found = 0
            for part in range(start, start + size, size // 10):
                count = yield from self._page(part, size // 10)
                found += count
                if count < size // 10:
                    return found
            return found
        yield rows
        return len(rows)

    def _rows(self, query: Query) -> list[dict[str, Any]]:
        """What the server answers to a query: objects with a key, and a value if that was asked for."""
        try:
            rows = exact.loads(self._datastore.query_text(self._name, query, user=self._is_user))
        except errors.Rejected as error:
            raise _NoBulkReads from error
        except ValueError as error:
            raise _UnreadablePage from error
        except errors.ServerError as error:
            if error.status != 200:
                raise
            raise _UnreadablePage from error
        wanted = {"key", "value"} if query.fields else {"key"}
        if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() == wanted for row in rows):
            raise _NoBulkReads
        return rows

    def _told(self, rows: list[tuple[str, Any]]) -> list[Entry]:
        """Rows of a bulk read as entries: those that it hides are read singly."""
        hidden = [key for key, value in rows if value is None and key not in self._stored_nulls()]
        values = dict(rows) | dict.fromkeys(hidden, _GONE) | dict(self._singly(hidden))
        secret = set(hidden)
        return [Entry(self._name, key, value, key in secret) for key, value in values.items() if value is not _GONE]

    def _stored_nulls(self) -> set[str]:
        """The keys whose value is null, which bulk reads show for encrypted entries, too."""
        if self._nulls is None:
            try:
                self._nulls = {row["key"] for row in self._rows(Query(fields="", filters=(".:null",)))}
            except (_UnreadablePage, _NoBulkReads):
                raise errors.ServerError(f"the server does not tell which entries of {self._name!r} are null") from None
        return self._nulls

    def _singly(self, keys: list[str]) -> Iterator[tuple[str, Any]]:
        """Key and value of these entries, several read at a time, without those that are gone or unreadable."""

        def value(key: str) -> Any:
            try:
                return exact.loads(self._datastore.get_text(self._name, key, user=self._is_user))
            except errors.KeyNotFound:
                return _GONE
            except (errors.InvalidKey, errors.Unaddressable, errors.Forbidden) as error:
                self.unreadable[key] = error
            except errors.ServerError as error:
                if error.status not in (200, 500):
                    raise  # that is trouble of the server's, not of this entry's
                self.unreadable[key] = error
            except ValueError as error:
                self.unreadable[key] = errors.ServerError(f"this Python cannot hold the value: {error}", status=200)
            return _GONE

        from dhis2kv.datastore.many import pool_of  # it loads requests, which the command line's --help does not need

        with pool_of(self._datastore.workers) as pool:
            yield from (
                (key, value) for key, value in zip(keys, pool.map(value, keys), strict=True) if value is not _GONE
            )
