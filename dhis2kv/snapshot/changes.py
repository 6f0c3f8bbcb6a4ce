"""What has to change in a store so that it holds certain entries, and changing it.

It may import the library up to the store. Here since a plan is seen before it is carried out, and carried out again
after it failed half-way.
"""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import IntEnum
from hashlib import blake2b
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from dhis2kv import errors, wire
from dhis2kv.snapshot.reading import Bulk, Entry, LeftOut, Progress
from dhis2kv.snapshot.spool import Spool
from dhis2kv.wire import exact
from dhis2kv.wire.sharing import Sharing

if TYPE_CHECKING:
    from dhis2kv.store import Namespace, Store

Mode = Literal["merge", "replace", "add"]

log = logging.getLogger("dhis2kv")

BATCH = 1000  # changes whose texts are held at a time


class Change(NamedTuple):
    """What ``apply`` does: create (``+``) or update (``~``) an entry, or delete (``-``) it.

    Of an entry to be deleted the value is not kept; it is None.
    """

    sign: Literal["+", "~", "-"]
    entry: Entry

    def __str__(self) -> str:
        more = ["encrypted"] if self.entry.encrypted else []
        sharing = self.entry.sharing
        if self.sign != "-" and sharing is not None and (self.sign == "~" or sharing != Sharing()):
            more.append(f"shared: {shown(sharing)}")
        about = f" ({'; '.join(more)})" if more else ""
        return f"{self.sign} {self.entry}{about}"


class Changes(Collection[Change]):
    """Changes that are kept in a file of their own, so that there can be more than fit into memory."""

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._held = Spool()
        for sign, entry in changes:
            parts = None if entry.sharing is None else _parts(entry.sharing)
            self._held.append([sign, *entry[:-1], parts])

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Change]:
        for sign, namespace, key, value, encrypted, parts in self._held:
            sharing = None if parts is None else Sharing(*parts)
            yield Change(sign, Entry(namespace, key, value, encrypted, sharing))

    def __contains__(self, change: object) -> bool:
        return any(change == one for one in self)


# --- planning ---------------------------------------------------------------------------------------------------------


def plan(store: Store, entries: Iterable[Entry], mode: Mode = "merge", *, sharing: bool = False) -> list[Change]:
    """What has to change in a store so that it holds these entries; only reads.

    ``"merge"`` creates and updates; ``"replace"`` also deletes what else is in their namespaces; ``"add"`` only creates
    what is absent. An entry is encrypted afterwards when it is marked so, or was so before. Nothing is planned where
    the value is the same as JSON already, in every digit: an import that failed half-way can be planned again.

    What is created gets the sharing of the entry, if that is known. What is there keeps its own; with ``sharing`` it
    gets that of the entry, too, for a request more each; and so does what is null and open to all, which an import that
    was killed has left, and was about to close.

    The entries of a namespace must follow one another. Costs what ``read`` does, of their namespaces. Raises
    ``InvalidKey`` and ``InvalidValue`` for what could not be written, ``ValueError`` for another mode, and for an entry
    that comes twice. ``Changes(planned(...))`` is the same for plans that are larger than memory.
    """
    return list(planned(store, entries, mode, sharing=sharing))


def planned(
    store: Store,
    entries: Iterable[Entry],
    mode: Mode = "merge",
    *,
    sharing: bool = False,
    left_out: LeftOut | None = None,
) -> Iterator[Change]:
    """The changes of ``plan``, one after the other; holds the names of one namespace, and no values.

    A server can hold a key that must not be written, one with a quotation mark: with ``left_out`` such an entry is told
    to it, unless it is there already, and the plan has all the others.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"the mode is one of {', '.join(get_args(Mode))}, not {mode!r}")
    for namespace, members in groupby(entries, lambda entry: entry.namespace):
        now: dict[str, _Held | None] = dict(_held(store, namespace))
        for entry in members:
            try:
                checked(entry)
            except errors.InvalidKey as error:
                if left_out is None or not wire.can_be_held(entry.key):
                    raise
                there = now.pop(entry.key, None)  # so that replacing keeps it
                if there is None or there.value != exact.fingerprint(entry.value):
                    left_out(str(entry), error)
                continue
            old = now.get(entry.key, _ABSENT)
            if old is None:
                raise ValueError(f"the entry {entry} comes twice")
            if old is _ABSENT:
                yield Change("+", entry)
                continue
            now[entry.key] = None
            if mode != "add":
                becomes_encrypted = bool(entry.encrypted) and old.encrypted is False
                changed = _other_sharing(store, entry) if sharing or _is_half_made(store, entry, old) else None
                if becomes_encrypted or changed or old.value != exact.fingerprint(entry.value):
                    secret = bool(entry.encrypted or old.encrypted)
                    yield Change("~", checked(entry._replace(encrypted=secret, sharing=changed)))
        if mode == "replace":
            for key, old in now.items():
                if old is not None:
                    yield Change("-", Entry(namespace, key, None, old.encrypted))


def _other_sharing(store: Store, entry: Entry) -> Sharing | None:
    """The sharing that an entry should have, where it is not the one that it has."""
    if entry.sharing is None or store is store.user:
        return None
    wanted, _ = store.datastore.known(entry.sharing)
    return None if store.datastore.sharing(entry.namespace, entry.key) == wanted else entry.sharing


def _is_half_made(store: Store, entry: Entry, old: _Held) -> bool:
    """Whether an entry is null and open where it is to be closed: so it is left by who is killed while creating it.

    What is encrypted is so left with its value, and may be meant to be open: that is a warning.
    """
    if entry.sharing in (None, Sharing()) or store is store.user or not (old.encrypted or old.value == _NULL):
        return False
    is_open = store.datastore.sharing(entry.namespace, entry.key) == Sharing()
    if is_open and old.encrypted:
        log.warning(
            "%s is encrypted and open to all, and its source is not; with --sharing it is shared as that", entry
        )
    return is_open and not old.encrypted


def checked(entry: Entry) -> Entry:
    """Return an entry unchanged if it may be written; raises ``InvalidKey`` and ``InvalidValue``."""
    wire.check_name(entry.namespace, "namespace")
    wire.check_new_key(entry.key)
    try:
        text = exact.dumps(entry.value)
        if entry.encrypted:
            wire.check_encryptable(text)
    except errors.InvalidValue as error:
        raise errors.InvalidValue(f"{entry}: {error}") from error
    return entry


class _Held(NamedTuple):
    """What a server holds: the fingerprint of a value, None where it cannot be read, and whether it is encrypted."""

    value: bytes | None
    encrypted: bool | None


_ABSENT = _Held(None, None)
_NULL = exact.fingerprint(None)


def _held(store: Store, namespace: str) -> Iterator[tuple[str, _Held]]:
    bulk = Bulk(store, namespace)
    for entries in bulk.entries(bulk.keys()):
        for entry in entries:
            yield entry.key, _Held(exact.fingerprint(entry.value), entry.encrypted)
    for key in bulk.unreadable:
        yield key, _Held(None, None)


# --- applying ---------------------------------------------------------------------------------------------------------


def apply(
    store: Store,
    changes: Iterable[Change],
    mode: Mode = "merge",
    *,
    progress: Progress | None = None,
    verify: bool = True,
) -> None:
    """Make these changes, which ``plan`` found in the same mode: one request each, several at a time.

    Namespace by namespace, deleting after all is written; in mode ``"add"`` one by one, each created atomically or left
    to whoever was faster. An encrypted entry that is updated is deleted and created anew, which is not atomic.
    ``progress(done, total)`` is called after each. At the end it looks once more, for one bulk read per namespace;
    ``verify=False`` leaves that out.

    Raises ``BulkError``, whose ``done``, ``failed`` and ``untried`` name entries as ``namespace/key``. What is done
    stays; plan and apply once more for the rest. Raises ``NotStored`` when the last look does not find what was
    written: servers say "created" for a namespace that is hidden from the account, and store nothing.
    """
    todo = changes if isinstance(changes, Changes) else sorted(changes, key=_batch)
    done = 0

    def report(number: int, _: int) -> None:
        if progress:
            progress(done + number, len(todo))

    here = _Here(store)
    for batch in _batches(todo):
        namespace, kind, *_ = _batch(batch[0])
        entries = {change.entry.key: exact.dumps(change.entry.value) for change in batch}
        sharing = here.known(batch[0].entry.sharing)
        is_update = batch[0].sign == "~"
        place = store.namespace(
            namespace, encrypt=kind is _Kind.ENCRYPTED, sharing=None if is_update or kind is _Kind.DELETE else sharing
        )
        try:
            if kind is _Kind.DELETE:
                place.delete_many(entries)
                report(len(entries), 0)
            elif mode == "add":
                _add(place, entries, report)
            else:
                if is_update and sharing is not None:  # before the value: who may not read that shall not for a moment
                    place.share_many(entries, public=sharing.public, users=sharing.users, groups=sharing.groups)
                place.set_many(entries, progress=report)
        except errors.BulkError as error:
            raise _half_done(error, namespace, done, todo) from error
        done += len(batch)
    if verify:
        check(store, todo, mode)


class _Kind(IntEnum):
    """The kinds of writes in the order in which they are done."""

    PLAIN = 0
    ENCRYPTED = 1
    DELETE = 2


class _Here:
    """The users and groups of a server, as far as entries are shared with them; those that it has not are logged."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[Sharing, Sharing] = {}
        self._told: set[str] = set()

    def known(self, sharing: Sharing | None) -> Sharing | None:
        """What of a sharing there can be here; None where there is no sharing at all."""
        if sharing is None or self._store is self._store.user:
            return None
        if sharing not in self._known:
            self._known[sharing], lost = self._store.datastore.known(sharing)
            for sentence in lost:
                if sentence not in self._told:
                    self._told.add(sentence)
                    log.warning("left out of the sharing: %s", sentence)
        return self._known[sharing]


def shown(sharing: Sharing) -> str:
    """A sharing in a few words, as in ``--, alice rw, Editors r-``."""
    return ", ".join(
        [sharing.public, *(f"{name} {may}" for name, may in (*sharing.users.items(), *sharing.groups.items()))]
    )


def _parts(sharing: Sharing) -> list[Any]:
    return [sharing.public, dict(sharing.users), dict(sharing.groups)]


def _batch(change: Change) -> tuple[str, _Kind, str, str]:
    kind = _Kind.ENCRYPTED if change.entry.encrypted else _Kind.PLAIN
    if change.sign == "-":
        return change.entry.namespace, _Kind.DELETE, "", ""
    sharing = change.entry.sharing
    return change.entry.namespace, kind, "" if sharing is None else change.sign, repr(sharing and _parts(sharing))


def _batches(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """The changes in parts of one namespace and one kind; the deletes of a namespace come last, as they are planned."""
    for _, members in groupby(changes, lambda change: change.entry.namespace):
        while part := sorted(islice(members, BATCH), key=_batch):
            for _, batch in groupby(part, _batch):
                yield list(batch)


def _add(place: Namespace, entries: Mapping[str, Any], progress: Progress) -> None:
    for number, (key, value) in enumerate(entries.items()):
        try:
            place.add(key, value)
        except errors.Dhis2kvError as error:
            raise errors.BulkError(
                done=list(entries)[:number], failed={key: error}, untried=list(entries)[number + 1 :], sent=True
            ) from error
        progress(number + 1, len(entries))


def _half_done(error: errors.BulkError, namespace: str, before: int, todo: Collection[Change]) -> errors.BulkError:
    """The error of one batch as the error of all changes, of which so many were made before that batch."""
    order = (str(change.entry) for batch in _batches(todo) for change in batch)
    done = [*islice(order, before), *(f"{namespace}/{key}" for key in error.done)]
    failed = {f"{namespace}/{key}": why for key, why in error.failed.items()}
    settled = {*done, *failed}
    untried = [name for name in order if name not in settled]
    name, why = next(iter(failed.items()))
    return errors.BulkError(
        f"{len(done)} of {len(todo)} changes are made, {len(failed)} failed ({name}: {why}), {len(untried)} are not"
        " tried. Do it again when that is mended: what is made already is found and left alone",
        done=done,
        failed=failed,
        untried=untried,
        sent=error.sent or bool(done),
    )


# --- looking once more ------------------------------------------------------------------------------------------------


def check(store: Store, changes: Collection[Change], mode: Mode = "merge") -> None:
    """Look whether a store holds what these changes have made; one bulk read per namespace.

    Raises ``NotStored``, which names what it does not hold. Keeps nine bytes of each change of a namespace, no names.
    """
    wrong: set[int] = set()
    hidden: list[str] = []
    for namespace, members in groupby(changes, lambda change: change.entry.namespace):
        written = array("Q")
        deleted: set[int] = set()
        for change in members:
            (deleted.add if change.sign == "-" else written.append)(_mark(change, mode))
        wanted = _Marks(written)
        bulk = Bulk(store, namespace)
        keys = bulk.keys()
        is_empty = not keys
        for entries in bulk.entries(keys):
            for entry in entries:
                for mark in _marks(entry, mode):
                    wanted.find(mark)
                wrong |= deleted & {_mark(Change("-", entry), mode)}
        lost = wanted.lost()
        wrong.update(lost)
        if lost and is_empty:
            hidden.append(namespace)
    if not wrong:
        return
    names = [str(change.entry) for change in changes if _mark(change, mode) in wrong]
    first = f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
    why = "somebody else wrote meanwhile, or the server dropped it without a word"
    if hidden:
        why = (
            f"{', '.join(map(repr, hidden))} is hidden from this account, for which the server says that it writes,"
            " and writes nothing; use an account that may write there"
        )
    raise errors.NotStored(
        f"the server accepted everything, and {len(names)} entries are not there as they were written ({first}): {why}",
        sent=True,
    )


class _Marks:
    """Numbers of eight bytes, each of which is found or lost; in a tenth of the room of a set."""

    def __init__(self, marks: Iterable[int]) -> None:
        self._marks = array("Q", sorted(marks))
        self._found = bytearray(len(self._marks))

    def find(self, mark: int) -> None:
        """Note that one is found, if it is among them."""
        place = bisect_left(self._marks, mark)
        if place < len(self._marks) and self._marks[place] == mark:
            self._found[place] = 1

    def lost(self) -> list[int]:
        """Those that were not found."""
        return [mark for mark, found in zip(self._marks, self._found, strict=True) if not found]


def _mark(change: Change, mode: Mode) -> int:
    """What stands for an entry as a change leaves it; in mode ``"add"`` that it is there, be it ours or not."""
    sign, entry = change
    if sign == "-":
        return _hashed(entry, b"deleted")
    if mode == "add":
        return _hashed(entry, b"there")
    return _hashed(entry, exact.fingerprint(entry.value), bool(entry.encrypted))


def _marks(entry: Entry, mode: Mode) -> set[int]:
    """What stands for an entry as a server holds it: twice where that does not show whether it is encrypted."""
    if entry.encrypted is None and mode != "add":
        return {_mark(Change("+", entry._replace(encrypted=secret)), mode) for secret in (False, True)}
    return {_mark(Change("+", entry), mode)}


def _hashed(entry: Entry, what: bytes, encrypted: bool = False) -> int:
    text = f"{entry.namespace}\0{entry.key}\0{encrypted}\0".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text + what, digest_size=8).digest(), "big")
