"""Three sides of each entry: what a server held when a folder was pulled, what the folder holds, what the server holds.

It may import the library up to the store. Here since ``folder``, which decides what is to be done about them, need not
know where each comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dhis2kv import errors, wire
from dhis2kv.snapshot.reading import Bulk, Entry, LeftOut, Progress, warn, with_sharing
from dhis2kv.snapshot.spool import Spool
from dhis2kv.snapshot.states import OPEN, State, shared
from dhis2kv.snapshot.tree import Origin, Tree
from dhis2kv.wire import exact
from dhis2kv.wire.sharing import Sharing

if TYPE_CHECKING:
    from dhis2kv.store import Store


class OtherServer(errors.Dhis2kvError, ValueError):
    """A folder that was pulled from somewhere else; nothing was written."""


class Compared(NamedTuple):
    """What three sides hold of an entry; None where there is none."""

    namespace: str
    key: str
    base: State | None
    here: State | None
    there: State | None
    path: Path | None = None  # of the file
    entry: Entry | None = None  # on the server
    unknown: bool = False  # it is on the server, and cannot be read
    sharing: Sharing | None = None  # that the folder gives it; None where that says nothing

    @property
    def before(self) -> State | None:
        """What the folder was given of it when it was pulled."""
        return None if self.base is None or self.base.value is None else self.base

    @property
    def is_left_alone(self) -> bool:
        """Whether it is an encrypted entry that the folder was not given, and has nothing to do with."""
        was_given = self.before is not None and self.before.encrypted
        return bool(self.there and self.there.encrypted) and not was_given and self.here is None

    @property
    def is_plain_over_secret(self) -> bool:
        """Whether a file that is not marked stands where the server holds an encrypted entry."""
        return bool(self.there and self.there.encrypted) and self.here is not None and not self.here.encrypted


def compared(
    store: Store,
    tree: Tree,
    namespace: str,
    left_out: LeftOut | None,
    progress: Progress | None,
    *,
    with_base: bool = True,
    every: bool = True,
    sharing: bool = False,
) -> Iterator[Compared]:
    """The entries of a namespace that any side has; holds their names and the fingerprints of the base.

    ``left_out`` hears of what cannot be read, but without ``every`` not of what the folder has nothing to do with.
    Who may read it is asked of each entry with ``sharing``, for a request more; without it of those of which the folder
    says something else than it did. The others count as shared as they were.
    """
    base = tree.base(namespace) if with_base else {}
    files = tree.keys(namespace)
    marks, sharings = tree.marks(namespace, files), tree.sharings(namespace, files)
    place = tree.namespaces().get(namespace)
    cut_short = {key for name, key in tree.overwriting() if name == namespace}

    def one(key: str, entry: Entry | None, *, unknown: bool = False) -> Compared:
        file_name, path, here = files.pop(key, None), None, None
        if file_name is not None and place is not None:
            path = place / file_name
            here = tree.state(path, key in marks, sharings.get(key))
        before = base.pop(key, None)
        there = None
        if entry is None and not unknown and key in cut_short:
            before = None  # a push of ours has deleted it, and did not come to create it anew
        if entry is not None:
            secret = entry.encrypted
            if secret is None:  # the server does not show it: as the folder has it, or had it
                secret = here.encrypted if here else bool(before and before.encrypted)
            as_before = before.shared if before else here.shared if here else OPEN
            as_told = as_before if entry.sharing is None else shared(entry.sharing)
            there = State(exact.fingerprint(entry.value), secret, as_told)
            if key in cut_short and here and (entry.value is None or there.value == here.value):
                before = there  # a push of ours has created it, and maybe did not come to close it, or to its value
        return Compared(namespace, key, before, here, there, path, entry, unknown, sharings.get(key))

    def is_asked(entry: Entry) -> bool:
        said, before = sharings.get(entry.key), base.get(entry.key)
        if store is store.user or sharing:
            return store is not store.user
        if entry.key not in files:
            return False
        changed = before is not None and before.shared != (OPEN if said is None else shared(said))
        return changed or entry.key in cut_short

    try:
        bulk = Bulk(store, namespace)
        keys = bulk.keys()
    except (errors.Forbidden, errors.InvalidKey, errors.Unaddressable) as error:
        if every or files or base:
            (warn if left_out is None else left_out)(namespace, error)
        for key in sorted(files.keys() | base.keys()):
            yield one(key, None, unknown=True)
        return
    total, done = len(keys), 0
    for page in bulk.entries(keys):
        for number, entry in enumerate(with_sharing(store, page, is_asked)):
            if sharing and progress:
                progress(done + number, total)
            yield one(entry.key, entry)
        done += len(page)
        if progress:
            progress(done, total)
    for key, why in bulk.unreadable.items():
        if every or key in files or key in base:
            (warn if left_out is None else left_out)(f"{namespace}/{key}", why)
        yield one(key, None, unknown=True)
    for key in sorted(files.keys() | base.keys()):
        yield one(key, None)


class Bases:
    """What a server holds once a plan is carried out, in a file of its own until then."""

    def __init__(self) -> None:
        self._held = Spool()

    def begin(self, namespace: str) -> None:
        """A namespace of which is noted what it holds, be it nothing."""
        self._held.append([namespace])

    def note(self, one: Compared, state: State | None) -> None:
        """What the server holds of an entry."""
        if state is not None:
            value = state.value and state.value.hex()
            self._held.append([one.namespace, one.key, value, state.encrypted, state.shared.hex()])

    def save(self, tree: Tree) -> None:
        """Write it into the folder."""
        for namespace, rows in groupby(self._held, itemgetter(0)):
            tree.set_base(namespace, (_row(row) for row in rows if len(row) > 1))


def _row(row: list[Any]) -> tuple[str, State]:
    _, key, value, encrypted, sharing = row
    return key, State(None if value is None else bytes.fromhex(value), encrypted, bytes.fromhex(sharing))


# --- where it comes from ----------------------------------------------------------------------------------------------


def kind(store: Store) -> str:
    """Which of the two stores it is."""
    return wire.USER if store is store.user else wire.SHARED


def account(store: Store) -> str | None:
    """Whose store it is; None for the shared one."""
    return str(store.datastore.account()["id"]) if store is store.user else None


def names(store: Store) -> list[str]:
    """The namespaces that the server holds."""
    return store.datastore.list_namespaces(user=store is store.user)


def needed_origin(store: Store, tree: Tree) -> Origin:
    """Where a folder was pulled from, if it is this server; raises ``OtherServer``."""
    origin = tree.origin
    if origin is None:
        raise OtherServer(
            f"{tree.folder / tree.kind} was not pulled from a server: pull first, or push with to_other_server"
            " (--to-other-server) to write all that it holds"
        )
    check_origin(store, tree, origin, account(store))
    return origin


def check_origin(store: Store, tree: Tree, origin: Origin, whose: str | None) -> None:
    """Raise ``OtherServer`` where a folder was pulled from another server, or by another account."""
    base = store.datastore.transport.base
    if origin.server != base:
        raise OtherServer(
            f"{tree.folder / tree.kind} was pulled from {origin.server}, and this is {base}: push with to_other_server"
            " (--to-other-server) if that is meant, or use another folder"
        )
    if origin.account != whose:
        raise OtherServer(f"{tree.folder / tree.kind} was pulled by another account of {base}: use another folder")


def wider(origin: Origin | None, wanted: list[str] | None) -> list[str] | None:
    """The namespaces that a folder is about, once these are pulled, too."""
    if wanted is None or (origin is not None and origin.namespaces is None):
        return None
    return sorted({*wanted, *(origin.namespaces or [] if origin else [])})


def scope(store: Store, tree: Tree, origin: Origin | None) -> list[str]:
    """The namespaces that a folder is about."""
    found = set(tree.namespaces())
    if origin is not None:
        found |= tree.based() | set(names(store) if origin.namespaces is None else origin.namespaces)
    return sorted(found)
