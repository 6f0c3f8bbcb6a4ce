"""Export, import, copy and diff of namespaces: entries that are read from one place and written to another.

``read`` gives the entries of a store, ``load`` those of a file, and ``dump`` writes a file; ``plan`` says what would
change in a store, ``apply`` changes it, and ``diff`` compares. So an export is ``dump`` of ``read``, an import is
``apply`` of ``plan`` of ``load``, and a copy the same of ``read``::

    with open("backup.json", "w", encoding="utf-8") as file:
        snapshot.dump(file, {"dataStore": snapshot.read(store), "userDataStore": snapshot.read(store.user)})

    with open("backup.json", encoding="utf-8") as file:
        saved = snapshot.load(file)
    snapshot.apply(store, snapshot.plan(store, saved["dataStore"]))

A file is JSON, one entry a line, and can be read and edited by hand::

    {
      "dhis2kv": 1,
      "dataStore": {
        "app": {
          "cfg": {"theme": "dark"},
          "password": "secret"
        }
      },
      "userDataStore": {},
      "encrypted": {
        "dataStore": {
          "app": ["password"]
        },
        "userDataStore": {}
      }
    }

``encrypted`` names the entries that the server keeps encrypted. Their values stand in the file like all others, so keep
it as safe as the server. All but ``"dhis2kv": 1`` may be missing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from enum import IntEnum
from itertools import groupby
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from dhis2kv import errors, wire
from dhis2kv.query import Query

if TYPE_CHECKING:
    from dhis2kv.store import Namespace, Store

__all__ = ["Change", "Entry", "Mode", "apply", "diff", "dump", "load", "plan", "read"]

log = logging.getLogger("dhis2kv")

FORM = 1
STORES = (wire.SHARED, wire.USER)
PAGE = 1000  # entries in one bulk read, the most that servers give

Progress = Callable[[int, int], None]
Mode = Literal["merge", "replace", "add"]

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


class Change(NamedTuple):
    """What ``apply`` does: create (``+``) or update (``~``) an entry, or delete (``-``) it."""

    sign: Literal["+", "~", "-"]
    entry: Entry

    def __str__(self) -> str:
        return f"{self.sign} {self.entry}{' (encrypted)' if self.entry.encrypted else ''}"


# --- reading a store --------------------------------------------------------------------------------------------------


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
        namespace = _Bulk(store, name)
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


class _Bulk:
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

        with ThreadPoolExecutor(self._datastore.workers) as pool:
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


# --- files ------------------------------------------------------------------------------------------------------------


def dump(file: IO[str], stores: Mapping[str, Iterable[Entry]]) -> None:
    """Write an export of ``{"dataStore": entries, "userDataStore": entries}``, entry by entry as they come.

    The entries of a namespace must follow one another, as ``read`` gives them. Holds the names of encrypted entries,
    and nothing else.
    """
    encrypted: dict[str, dict[str, list[str]]] = {kind: {} for kind in stores}

    def namespaces(kind: str) -> Iterator[_Member]:
        for namespace, entries in groupby(stores[kind], lambda entry: entry.namespace):
            yield namespace, members(kind, entries)

    def members(kind: str, entries: Iterable[Entry]) -> Iterator[_Member]:
        for entry in entries:
            if entry.encrypted:
                encrypted[kind].setdefault(entry.namespace, []).append(entry.key)
            yield entry.key, _text(entry.value)

    def marks() -> Iterator[_Member]:
        for kind, found in encrypted.items():
            yield kind, ((namespace, _text(keys)) for namespace, keys in found.items())

    whole: list[_Member] = [("dhis2kv", _text(FORM)), *((kind, namespaces(kind)) for kind in stores)]
    _write(file, iter([*whole, ("encrypted", marks())]))
    file.write("\n")


_Member = tuple[str, "str | Iterator[_Member]"]


def _write(file: IO[str], value: str | Iterator[_Member], margin: str = "") -> None:
    """Write a JSON text, or an object member by member, a line each."""
    if isinstance(value, str):
        file.write(value)
        return
    before = "{"
    for name, member in value:
        file.write(f"{before}\n{margin}  {_text(name)}: ")
        _write(file, member, margin + "  ")
        before = ","
    file.write("{}" if before == "{" else f"\n{margin}}}")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def load(file: IO[str]) -> dict[str, list[Entry]]:
    """The entries of an export, as ``{"dataStore": [...], "userDataStore": [...]}``; reads the whole file.

    Raises ``ValueError`` for a file that is no export; names and values are checked by ``plan``.
    """
    found = wire.loads(file.read())
    if not isinstance(found, dict) or found.get("dhis2kv") != FORM:
        raise ValueError(f'it is no export that can be read here: a JSON object with "dhis2kv": {FORM}')
    marks = _objects(found, "encrypted")
    return {kind: list(_loaded(_objects(found, kind), _objects(marks, kind), kind)) for kind in STORES}


def _loaded(namespaces: dict[str, Any], marks: dict[str, Any], kind: str) -> Iterator[Entry]:
    for namespace in namespaces:
        encrypted = marks.get(namespace, [])
        if not isinstance(encrypted, list):
            raise ValueError(f"the encrypted entries of {kind} {namespace!r} are no list of keys")
        marked = set(encrypted)
        for key, value in _objects(namespaces, namespace).items():
            yield Entry(namespace, key, value, key in marked)


def _objects(parent: dict[str, Any], name: str) -> dict[str, Any]:
    member = parent.get(name, {})
    if not isinstance(member, dict):
        raise ValueError(f"it is no export: {name!r} is no JSON object")
    return member


# --- changing a store -------------------------------------------------------------------------------------------------


def plan(store: Store, entries: Iterable[Entry], mode: Mode = "merge") -> list[Change]:
    """What has to change in a store so that it holds these entries; only reads.

    ``"merge"`` creates and updates; ``"replace"`` also deletes what else is in their namespaces; ``"add"`` only creates
    what is absent. An entry is encrypted afterwards when it is marked so, or was so before. Nothing is planned where
    the value is the same as JSON already: an import that failed half-way can be planned again.

    The entries of a namespace must follow one another. Costs what ``read`` does, of their namespaces. Raises
    ``InvalidKey`` and ``InvalidValue`` for what could not be written, ``ValueError`` for another mode.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"the mode is one of {', '.join(get_args(Mode))}, not {mode!r}")
    changes: list[Change] = []
    for namespace, members in groupby(entries, lambda entry: entry.namespace):
        wanted = {_checked(entry).key: entry for entry in members}
        changes += _differences(_now(store, namespace), wanted, mode)
    return changes


def _checked(entry: Entry) -> Entry:
    wire.check_name(entry.namespace, "namespace")
    wire.check_new_key(entry.key)
    try:
        wire.dumps(entry.value)
    except errors.InvalidValue as error:
        raise errors.InvalidValue(f"{entry}: {error}") from error
    return entry


def _now(store: Store, namespace: str) -> dict[str, Entry]:
    bulk = _Bulk(store, namespace)
    return {entry.key: entry for entries in bulk.entries(bulk.keys()) for entry in entries}


def _differences(now: Mapping[str, Entry], wanted: Mapping[str, Entry], mode: Mode) -> Iterator[Change]:
    for key, entry in wanted.items():
        old = now.get(key)
        if old is None:
            yield Change("+", entry)
        elif mode != "add":
            becomes_encrypted = bool(entry.encrypted) and old.encrypted is False
            if becomes_encrypted or not wire.same(old.value, entry.value):
                yield Change("~", entry._replace(encrypted=bool(entry.encrypted or old.encrypted)))
    if mode == "replace":
        yield from (Change("-", old) for key, old in now.items() if key not in wanted)


def apply(store: Store, changes: Iterable[Change], mode: Mode = "merge", *, progress: Progress | None = None) -> None:
    """Make these changes, which ``plan`` found in the same mode: one request each, several at a time.

    Namespace by namespace, deleting after all is written; in mode ``"add"`` one by one, each created atomically or left
    to whoever was faster. An encrypted entry that is updated is deleted and created anew, which is not atomic.
    ``progress(done, total)`` is called after each.

    Raises ``BulkError``, whose ``done``, ``failed`` and ``untried`` name entries as ``namespace/key``. What is done
    stays; plan and apply once more for the rest.
    """
    todo = sorted(changes, key=_batch)
    done: list[str] = []

    def report(number: int, _: int) -> None:
        if progress:
            progress(len(done) + number, len(todo))

    for (namespace, kind), members in groupby(todo, _batch):
        entries = {change.entry.key: change.entry.value for change in members}
        place = store.namespace(namespace, encrypt=kind is _Kind.ENCRYPTED)
        try:
            if kind is _Kind.DELETE:
                place.delete_many(entries)
                report(len(entries), 0)
            elif mode == "add":
                _add(place, entries, report)
            else:
                place.set_many(entries, progress=report)
        except errors.BulkError as error:
            raise _half_done(error, namespace, done, todo) from error
        done += [f"{namespace}/{key}" for key in entries]


class _Kind(IntEnum):
    """The kinds of writes in the order in which they are done."""

    PLAIN = 0
    ENCRYPTED = 1
    DELETE = 2


def _batch(change: Change) -> tuple[str, _Kind]:
    kind = _Kind.ENCRYPTED if change.entry.encrypted else _Kind.PLAIN
    return change.entry.namespace, _Kind.DELETE if change.sign == "-" else kind


def _add(place: Namespace, entries: Mapping[str, Any], progress: Progress) -> None:
    for number, (key, value) in enumerate(entries.items()):
        try:
            place.add(key, value)
        except errors.Dhis2kvError as error:
            raise errors.BulkError(
                done=list(entries)[:number], failed={key: error}, untried=list(entries)[number + 1 :], sent=True
            ) from error
        progress(number + 1, len(entries))


def _half_done(error: errors.BulkError, namespace: str, done: list[str], todo: list[Change]) -> errors.BulkError:
    """The error of one batch as the error of all changes."""
    done = done + [f"{namespace}/{key}" for key in error.done]
    failed = {f"{namespace}/{key}": why for key, why in error.failed.items()}
    settled = {*done, *failed}
    untried = [name for change in todo if (name := str(change.entry)) not in settled]
    name, why = next(iter(failed.items()))
    return errors.BulkError(
        f"{len(done)} of {len(todo)} changes are made, {len(failed)} failed ({name}: {why}), {len(untried)} are not"
        " tried. Do it again when that is mended: what is made already is found and left alone",
        done=done,
        failed=failed,
        untried=untried,
        sent=error.sent or bool(done),
    )


# --- comparing --------------------------------------------------------------------------------------------------------


def diff(left: Mapping[str, Entry], right: Mapping[str, Entry], *, names: tuple[str, str] = ("", "")) -> Iterator[str]:
    """The lines of a unified diff for each entry that is not the same JSON in both; none when all are.

    The mappings say what is compared with what: entries of the same name. Values are written sorted and indented; the
    two ``names`` stand before the entries' own in the heads.
    """
    for place in sorted(left.keys() | right.keys()):
        old, new = left.get(place), right.get(place)
        if old is None or new is None or not wire.same(old.value, new.value):
            heads = (_head(old, names[0]), _head(new, names[1]))
            yield from unified_diff(_lines(old), _lines(new), *heads, lineterm="")


def _head(entry: Entry | None, name: str) -> str:
    return "/dev/null" if entry is None else f"{name} {entry}".strip()


def _lines(entry: Entry | None) -> list[str]:
    if entry is None:
        return []
    return json.dumps(entry.value, ensure_ascii=False, indent=2, sort_keys=True).split("\n")
