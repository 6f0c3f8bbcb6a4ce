"""What has to change in a store so that it holds certain entries, and changing it.

It may import the library up to the store. It exists so that a plan can be seen before it is carried out, and carried
out again after it failed half-way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from dhis2kv import errors, wire
from dhis2kv.snapshot.reading import Bulk, Entry, Progress

if TYPE_CHECKING:
    from dhis2kv.store import Namespace, Store

Mode = Literal["merge", "replace", "add"]


class Change(NamedTuple):
    """What ``apply`` does: create (``+``) or update (``~``) an entry, or delete (``-``) it."""

    sign: Literal["+", "~", "-"]
    entry: Entry

    def __str__(self) -> str:
        return f"{self.sign} {self.entry}{' (encrypted)' if self.entry.encrypted else ''}"


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
    bulk = Bulk(store, namespace)
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
