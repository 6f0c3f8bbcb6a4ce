"""Configuration as code: namespaces in a folder that git can keep, and what changed there, here, or on both sides.

``pull`` brings the entries of a store into a folder, one file a key, ``status`` compares, and ``push`` writes to the
store what changed in the folder::

    from dhis2kv.snapshot import folder

    folder.pull(store, "config", ["app"]).carry_out()
    for difference in folder.status(store, "config"):
        print(difference)
    plan = folder.push(store, "config")
    for change in plan.changes:
        print(change)
    plan.carry_out()

Three sides are compared: what the server held when it was pulled (the base, in ``.dhis2kv`` in the folder), what the
folder holds, and what the server holds. What changed on one side only is taken over to the other; what changed on both
to the same is no change; what changed on both and differs is a conflict, and then nothing is done. Files are compared
as JSON. The form of the folder is described in ``dhis2kv.snapshot.tree``.

Encrypted entries stay on the server, and nothing in the folder is written over one, unless ``pull`` is told
``secrets=True``: then they are in the folder, readable and marked, and ``push`` has them encrypted again.

Unless it is told ``sharing=False``, ``pull`` notes who may read the entries that are not open to all. ``push`` creates
entries shared so, and changes the sharing of those that are there where it was changed in the folder.

It may import the library up to the store. Here since a folder is changed by people, and the server by others: what
counts of both is decided here, whatever the form of files. Besides what each function says, all raise what reading a
store raises, and ``BrokenFolder``, a ``ValueError``, for a file that is none of the form, with its path.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Literal, NamedTuple

from dhis2kv import errors
from dhis2kv.snapshot import sides
from dhis2kv.snapshot.changes import Change, Changes, apply, checked
from dhis2kv.snapshot.reading import Entry, LeftOut, Progress, warn
from dhis2kv.snapshot.sides import Bases, Compared, OtherServer, compared
from dhis2kv.snapshot.states import State
from dhis2kv.snapshot.tree import BrokenFolder, Origin, Tree, read_json
from dhis2kv.wire import exact
from dhis2kv.wire.sharing import Sharing

if TYPE_CHECKING:
    from dhis2kv.store import Store

__all__ = ["BrokenFolder", "Difference", "OtherServer", "Plan", "pull", "push", "status", "tells_sharing"]

Folder = str | os.PathLike[str]
Where = Literal["here", "there", "both"]


_UNSEEN = (
    "of {} entries the server does not show whether they are encrypted: with secrets (--secrets) they come into the"
    " folder, in plain"
)


class Difference(NamedTuple):
    """An entry that is not the same in the folder and on the server, and where it changed since it was pulled.

    ``sign`` says what changed: created (``+``), updated (``~``) or deleted (``-``); on both sides it is ``!``, with the
    reason.
    """

    where: Where
    sign: str
    name: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.where:5} {self.sign} {self.name}{f': {self.reason}' if self.reason else ''}"


class Plan:
    """What ``pull`` or ``push`` is about to do: the ``changes``, and the ``conflicts`` that stand in the way."""

    def __init__(self, act: Callable[[Plan, Progress | None, bool], None]) -> None:
        self.changes = Changes()
        self.conflicts: list[Difference] = []
        self.kept: int = 0  # entries that were deleted here, and stay on the server
        self._bases = Bases()
        self._act = act

    def carry_out(self, progress: Progress | None = None, *, verify: bool = True) -> None:
        """Do it. Raises ``Changed`` where there are conflicts, and then does nothing.

        ``progress(done, total)`` is called after each change. A push raises what ``snapshot.apply`` raises; what is
        done stays, and ``push`` does the rest when it is called again.
        """
        if self.conflicts:
            names = [conflict.name for conflict in self.conflicts]
            first = f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
            raise errors.Changed(f"{len(names)} entries changed on both sides, and nothing was written: {first}")
        self._act(self, progress, verify)


# --- pull -------------------------------------------------------------------------------------------------------------


def pull(
    store: Store,
    folder: Folder,
    namespaces: Iterable[str] | None = None,
    *,
    secrets: bool = False,
    sharing: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    left_out: LeftOut | None = None,
) -> Plan:
    """What has to change in a folder so that it holds these namespaces of a store, or all that the account can read.

    Only reads; ``carry_out`` writes the files. Costs what ``snapshot.read`` does. What changed in the folder since the
    last pull, and not on the server, stays; a conflict is what changed on both sides, and ``force`` takes what is on
    the server. ``secrets`` takes encrypted entries, too. Where a server does not show what is encrypted (the shared
    store before 2.38, the user store before 2.40.1), that is needed for every entry. ``sharing`` asks who may read each
    entry of the shared store, for a request more each, several at a time.

    Raises ``KeyNotFound`` for a namespace that is neither on the server nor in the folder, and ``OtherServer`` for a
    folder of another server.
    """
    tree = Tree(folder, sides.kind(store))
    origin = tree.origin
    account = sides.account(store)
    if origin is not None:
        sides.check_origin(store, tree, origin, account)
    wanted = None if namespaces is None else sorted(set(namespaces))
    known = set(tree.namespaces()) | tree.based()
    there = set(sides.names(store))
    for name in [] if wanted is None else [name for name in wanted if name not in there | known]:
        raise errors.KeyNotFound(name)
    scope = sides.wider(origin, wanted)
    is_told = store is store.user or (sharing and (origin is None or origin.sharing or wanted is None))

    def act(plan: Plan, progress: Progress | None, _: bool) -> None:
        _write_files(tree, plan, progress)
        plan._bases.save(tree)
        if wanted is None:
            tree.set_overwriting([])  # what a push of before has left is known now
        tree.set_origin(Origin(store.datastore.transport.base, account, scope, is_told))

    plan = Plan(act)

    def changes() -> Iterator[Change]:
        for namespace in sorted(there | known) if wanted is None else wanted:
            plan._bases.begin(namespace)
            unseen = 0
            for one in compared(store, tree, namespace, left_out, progress, sharing=sharing):
                if one.entry is not None and one.entry.encrypted is None and not secrets:
                    unseen += 1
                    one = one._replace(unknown=True)
                change, noted = _pulled(one, plan.conflicts, secrets=secrets, force=force)
                plan._bases.note(one, noted)
                if change:
                    yield change
            if unseen:
                (warn if left_out is None else left_out)(namespace, errors.Rejected(_UNSEEN.format(unseen)))

    plan.changes = Changes(changes())
    return plan


def _pulled(
    one: Compared, conflicts: list[Difference], *, secrets: bool, force: bool
) -> tuple[Change | None, State | None]:
    """The change of one file, and what is noted of the server."""
    if one.unknown:
        return None, one.base
    there, noted = one.there, one.there
    if there is not None and there.encrypted and not secrets:
        there, noted = None, State(None, True)  # is not there for the folder
    if there in (one.here, one.before):
        return None, noted
    is_only_unmarked = (
        one.here is not None
        and there is not None
        and one.here.value == there.value
        and (one.before is None or one.here.shared == one.before.shared)
    )
    if one.here != one.before and not is_only_unmarked and not force:
        reason = f"{_verb(one.before, one.here)} here, {_verb(one.before, there)} there"
        conflicts.append(_differs(one, "both", "!", reason))
        return None, noted
    if there is None or one.entry is None:
        return Change("-", Entry(one.namespace, one.key, None)), noted
    sharing = None if one.here and one.here.shared == there.shared else one.entry.sharing
    return Change("~" if one.here else "+", one.entry._replace(encrypted=there.encrypted, sharing=sharing)), noted


def _write_files(tree: Tree, plan: Plan, progress: Progress | None) -> None:
    done = 0
    parts = [groupby(plan.changes, lambda change: change.entry.namespace) for _ in range(2)]
    for (namespace, members), (_, again) in zip(*parts, strict=True):
        writer = tree.open(namespace, {change.entry.key for change in members if change.sign == "+"})
        for sign, entry in again:
            if sign == "-":
                writer.delete(entry.key)
            else:
                writer.write(entry.key, entry.value, bool(entry.encrypted), entry.sharing)
            done += 1
            if progress:
                progress(done, len(plan.changes))
        writer.close()


# --- status -----------------------------------------------------------------------------------------------------------


def status(
    store: Store,
    folder: Folder,
    *,
    sharing: bool = False,
    progress: Progress | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[Difference]:
    """What changed since the folder was pulled: here, there, or on both sides; only reads.

    Costs what ``snapshot.read`` does. Encrypted entries that the folder does not hold are no difference. ``sharing``
    asks who may read each entry, for a request more each; without it that is asked where it was changed here.
    """
    tree = Tree(folder, sides.kind(store))
    origin = sides.needed_origin(store, tree)
    for namespace in sides.scope(store, tree, origin):
        for one in compared(store, tree, namespace, left_out, progress, every=False, sharing=sharing):
            if difference := _difference(one):
                yield difference


def _difference(one: Compared) -> Difference | None:
    if one.unknown or one.is_left_alone:
        return None
    if one.is_plain_over_secret:
        return _differs(one, "both", "!", _PLAIN)
    if one.here == one.there:
        return None
    if one.here == one.before:
        return _differs(one, "there", _sign(one.before, one.there))
    if one.there == one.before:
        return _differs(one, "here", _sign(one.before, one.here))
    return _differs(one, "both", "!", f"{_verb(one.before, one.here)} here, {_verb(one.before, one.there)} there")


def _differs(one: Compared, where: Where, sign: str, reason: str = "") -> Difference:
    return Difference(where, sign, f"{one.namespace}/{one.key}", reason)


_PLAIN = "a file in plain, and an encrypted entry on the server"


def _sign(before: State | None, now: State | None) -> str:
    return "+" if before is None else "-" if now is None else "~"


def _verb(before: State | None, now: State | None) -> str:
    return {"+": "created", "~": "changed", "-": "deleted"}[_sign(before, now)]


def tells_sharing(store: Store, folder: Folder) -> bool:
    """Whether a folder tells who may read its entries: one that was pulled without ``sharing`` does not."""
    origin = Tree(folder, sides.kind(store)).origin
    return origin is None or origin.sharing


# --- push -------------------------------------------------------------------------------------------------------------


def push(
    store: Store,
    folder: Folder,
    *,
    delete: bool = False,
    force: bool = False,
    to_other_server: bool = False,
    unknown: Sharing | None = None,
    progress: Progress | None = None,
    left_out: LeftOut | None = None,
) -> Plan:
    """What has to change in a store so that it holds what changed in a folder since it was pulled.

    Only reads; ``carry_out`` writes, as ``snapshot.apply`` does. Costs what ``snapshot.read`` does. What was deleted
    here is deleted there with ``delete`` alone. What changed on both sides is a conflict; ``force`` takes what is
    here, and keeps encrypted what is so on the server. With ``to_other_server`` there is no base: all that the folder
    holds and the server does not hold so is written, and nothing is deleted.

    What is created is shared as the folder says; ``unknown`` is the sharing of what it says nothing about, which is
    open to all without. The sharing of what is there stays, unless it was changed in the folder. A key that must not be
    written, one with a quotation mark that another client has made, is told to ``left_out``, and all else is written.

    Raises ``OtherServer`` for a folder that was pulled from another server or, with a user store, by another account;
    ``InvalidValue`` for what could not be written.
    """
    tree = Tree(folder, sides.kind(store))
    origin = None if to_other_server else sides.needed_origin(store, tree)
    has_base = origin is not None

    def act(plan: Plan, progress: Progress | None, verify: bool) -> None:
        if has_base:
            halves = (entry for sign, entry in plan.changes if sign == "~" or (sign == "+" and entry.sharing))
            tree.set_overwriting([(entry.namespace, entry.key) for entry in halves])
        apply(store, plan.changes, progress=progress, verify=verify)
        if has_base:
            plan._bases.save(tree)
            tree.set_overwriting([])

    plan = Plan(act)

    def changes() -> Iterator[Change]:
        for namespace in sides.scope(store, tree, origin):
            plan._bases.begin(namespace)
            doomed = []
            for one in compared(store, tree, namespace, left_out, progress, with_base=has_base, every=False):
                try:
                    change, noted = _pushed(one, plan, delete=delete, force=force, has_base=has_base)
                except errors.InvalidKey as error:
                    (warn if left_out is None else left_out)(f"{namespace}/{one.key}", error)
                    change, noted = None, one.base
                if change and change.sign == "+" and change.entry.sharing is None:
                    change = Change("+", change.entry._replace(sharing=unknown))
                plan._bases.note(one, noted)
                if change and change.sign == "-":
                    doomed.append(change)  # comes after all is written
                elif change:
                    yield change
            yield from doomed

    plan.changes = Changes(changes())
    return plan


def _pushed(
    one: Compared, plan: Plan, *, delete: bool, force: bool, has_base: bool
) -> tuple[Change | None, State | None]:
    """The change of one entry, and what is noted of the server once it is made."""
    if one.is_left_alone or (one.unknown and one.here == one.before):
        return None, one.base
    if one.is_plain_over_secret:
        reason = _PLAIN
    elif one.unknown:
        reason = f"{_verb(one.before, one.here)} here, and it cannot be read there"
    elif one.here == one.there:
        return None, one.here
    elif one.here == one.before:
        return None, one.base  # changed there alone
    elif has_base and one.there != one.before:
        reason = f"{_verb(one.before, one.here)} here, {_verb(one.before, one.there)} there"
    else:
        reason = ""
    if reason and not force:
        plan.conflicts.append(_differs(one, "both", "!", reason))
        return None, one.base
    if one.here is None or one.path is None:
        if not delete:
            plan.kept += 1
            return None, one.base
        return Change("-", Entry(one.namespace, one.key, None)), None
    encrypted = one.here.encrypted or bool(one.there and one.there.encrypted)
    if one.there is None:
        sharing = None if one.unknown else one.sharing
    else:
        sharing = None if one.here.shared == one.there.shared else one.sharing or Sharing()
    entry = checked(Entry(one.namespace, one.key, read_json(one.path), encrypted, sharing))
    if exact.fingerprint(entry.value) != one.here.value:
        raise BrokenFolder(f"{one.path}: it is being written just now; push when that is done")
    noted = one.here if encrypted == one.here.encrypted else State(None, True, one.here.shared)
    return Change("~" if one.there or one.unknown else "+", entry), noted
