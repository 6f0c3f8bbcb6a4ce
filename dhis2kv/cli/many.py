"""The commands that carry whole namespaces: export, import, copy.

Here since who may read an entry goes along wherever it is carried: asked for, read from a file, or nobody where it is
not known.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from dhis2kv import wire
from dhis2kv.cli.carrying import (
    LeftOut,
    Step,
    carry_out,
    dry_run_option,
    no_sharing_option,
    server,
    verify_option,
    yes_option,
)
from dhis2kv.cli.connection import (
    complete_namespace,
    kind_of,
    second,
    to_profile_option,
    to_store_option,
    with_store,
)
from dhis2kv.cli.failures import FAILURE, NotFound
from dhis2kv.cli.files import opened_export
from dhis2kv.cli.output import entries_of, progress, say
from dhis2kv.private import whole_file
from dhis2kv.wire.sharing import Sharing

if TYPE_CHECKING:
    from dhis2kv.snapshot import Entry, Export, Mode
    from dhis2kv.store import Store

MANY = 500  # entries; what takes a request each says so before it takes longer

mode_option = click.option(
    "--mode",
    type=click.Choice(["merge", "replace", "add"]),
    default="merge",
    show_default=True,
    help="merge creates and updates; replace also deletes what else is in the namespaces; add only creates.",
)
sharing_option = click.option("--sharing", is_flag=True, help="Share entries that are there like those, too.")
open_option = click.option(
    "--open", "open_", is_flag=True, help="What is created is open to every account where its sharing is not known."
)


# --- export and import ------------------------------------------------------------------------------------------------


@click.command()
@with_store
@click.argument("namespaces", nargs=-1, metavar="[NAMESPACE]...", shell_complete=complete_namespace)
@click.option(
    "--output",
    "path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write this file, whole or not at all; only its owner can read it.",
)
@no_sharing_option
@click.pass_context
def export(
    context: click.Context, store: Store, namespaces: tuple[str, ...], path: Path | None, no_sharing: bool
) -> None:
    """Print an export of these namespaces, or of all.

    It is JSON that "dhis2kv import" and "dhis2kv serve --seed" read. Encrypted entries are marked, and their values
    stand in it readable. Who may read entries that are not open to all stands in it by names, for a request an entry.
    With --user it is of the account's own store. What cannot be read is named on stderr, and then the exit status is 1;
    all the rest is exported.
    """
    from dhis2kv import snapshot

    left_out = LeftOut()
    read = 0

    def counted(entries: Iterator[Entry]) -> Iterator[Entry]:
        nonlocal read
        for entry in entries:
            yield entry
            read += 1

    # A bar amid the data, where both go to the terminal, would be none.
    bar = nullcontext() if path is None and sys.stdout.isatty() else progress("Reading")
    try:
        with bar as step, _written(path) as file:
            entries = snapshot.read(
                store,
                namespaces or None,
                progress=telling(store, step, no_sharing),
                left_out=left_out,
                sharing=not no_sharing,
            )
            left = no_sharing and store is not store.user
            snapshot.dump(file, {kind_of(store): counted(entries)}, without_sharing=left)
    except KeyboardInterrupt:
        state = f"{path} is as it was" if path else "what was printed is no whole export"
        say(f"Interrupted after {entries_of(read)} of {server(store)}: {state}. Run it again.")
        raise
    if path:
        say(f"{entries_of(read)} of {server(store)} written to {path}")
    if left_out:
        context.exit(FAILURE)


def telling(store: Store, step: Step | None, no_sharing: bool) -> Step | None:
    """A progress that says, once there is much to do, what makes it long."""
    if no_sharing or store is store.user:
        return step
    said = False

    def tell(done: int, total: int) -> None:
        nonlocal said
        if total > MANY and not said:
            said = True
            say("Asking who may read each entry, a request each; --no-sharing leaves that out.")
        if step:
            step(done, total)

    return tell


def _written(path: Path | None) -> AbstractContextManager[IO[str]]:
    return click.open_file("-", "w", encoding="utf-8") if path is None else whole_file(path)


@click.command("import")
@with_store
@click.argument("file", metavar="FILE")
@click.option("--namespace", metavar="NAME", help="Only this namespace of the file.")
@click.option("--as", "other_name", metavar="NAME", help="Store that namespace under this name.")
@mode_option
@sharing_option
@open_option
@yes_option
@dry_run_option
@verify_option
@click.pass_context
def import_(
    context: click.Context,
    store: Store,
    file: str,
    namespace: str | None,
    other_name: str | None,
    mode: Mode,
    sharing: bool,
    open_: bool,
    yes: bool,
    dry_run: bool,
    verify: bool,
) -> None:
    """Store the entries of an export; - reads it from standard input.

    Each goes to the store that it came from; with --user only those of the account's own store do. Writes only what
    differs, so that an import that failed half-way can be run again. The file is read to its end, and checked, before
    anything is written. What is created is shared as in the file, before its value is there; what is there keeps its
    own sharing, unless --sharing is given. A key that must not be written, as one with a quotation mark that another
    client has made, is left out and named on stderr, and then the exit status is 1.
    """
    from dhis2kv import snapshot

    left_out = LeftOut()
    if other_name is not None and namespace is None:
        raise click.UsageError("which namespace? --as needs --namespace")
    with opened_export(file) as saved:
        targets = {wire.USER: store.user} if store is store.user else {wire.SHARED: store, wire.USER: store.user}
        if namespace is not None and not any(namespace in saved.namespaces[kind] for kind in targets):
            raise NotFound(f"there is no namespace {namespace!r} in {file}")
        if sharing and saved.without_sharing:
            raise click.UsageError(f"--sharing needs to know who may read the entries, and {file} does not tell it")
        unknown = unknown_sharing(saved.without_sharing, open_) or Sharing()
        plans = {
            target: snapshot.Changes(
                snapshot.planned(
                    target,
                    _shared(_part(saved, kind, namespace, other_name), unknown),
                    mode,
                    sharing=sharing,
                    left_out=left_out,
                )
            )
            for kind, target in targets.items()
        }
    carry_out(plans, mode=mode, yes=yes, dry_run=dry_run, verify=verify)
    if left_out:
        context.exit(FAILURE)


def unknown_sharing(is_unknown: bool, open_: bool) -> Sharing | None:
    """The sharing that entries get of which it is not known; says so where they are closed."""
    if not is_unknown or open_:
        return None
    say("Who may read these entries is not known: what is created is closed to all others. --open opens it.")
    return Sharing.private()


def _shared(entries: Iterable[Entry], unknown: Sharing | None) -> Iterator[Entry]:
    return (entry if entry.sharing is not None else entry._replace(sharing=unknown) for entry in entries)


def _part(saved: Export, kind: str, namespace: str | None, other_name: str | None) -> Iterator[Entry]:
    for entry in saved.entries(kind):
        if namespace is None:
            yield entry
        elif entry.namespace == namespace:
            yield entry._replace(namespace=other_name or namespace)


# --- copy -------------------------------------------------------------------------------------------------------------


@click.command()
@with_store
@click.argument("source", metavar="NAMESPACE", shell_complete=complete_namespace)
@click.argument("target", metavar="[NAMESPACE]", required=False, shell_complete=complete_namespace)
@to_profile_option
@to_store_option
@mode_option
@no_sharing_option
@sharing_option
@open_option
@yes_option
@dry_run_option
@verify_option
@click.pass_context
def copy(
    context: click.Context,
    store: Store,
    source: str,
    target: str | None,
    to_profile: str | None,
    to_user: bool | None,
    mode: Mode,
    no_sharing: bool,
    sharing: bool,
    open_: bool,
    yes: bool,
    dry_run: bool,
    verify: bool,
) -> None:
    """Copy a namespace to another one, into the other store, or to another server.

    The second NAMESPACE is as the first unless it is named. Encrypted entries stay encrypted. What is created is shared
    as what it is copied from, before its value is there, and what comes from the account's own store is closed; what is
    there keeps its own sharing, unless --sharing is given. What cannot be read, or must not be written, is named on
    stderr, and then the exit status is 1.
    """
    from dhis2kv import snapshot

    left_out, unwritten = LeftOut(), LeftOut()
    with second(to_profile, to_user) as other:
        if other is store and target in (None, source):
            raise click.UsageError("where to? Name another namespace, or give --to-profile, --to-user or --to-shared")
        if sharing and (no_sharing or store is store.user):
            raise click.UsageError("--sharing needs to know who may read the entries, and that is not asked")
        with progress("Reading") as step:
            told = not no_sharing and other is not other.user
            step = telling(store, step, not told)
            entries = snapshot.read(store, [source], progress=step, left_out=left_out, sharing=told)
            moved = (entry._replace(namespace=target or source) for entry in entries)
            unknown = unknown_sharing(other is not other.user and (no_sharing or store is store.user), open_)
            plan = snapshot.Changes(
                snapshot.planned(other, _shared(moved, unknown), mode, sharing=sharing, left_out=unwritten)
            )
        if left_out and mode == "replace":
            raise click.ClickException(
                f"nothing was written: {len(left_out.names)} entries of {source} cannot be read, and replacing would"
                " delete their copies; copy with --mode merge"
            )
        carry_out({other: plan}, mode=mode, yes=yes, dry_run=dry_run, verify=verify)
    if left_out or unwritten:
        context.exit(FAILURE)


COMMANDS = (export, import_, copy)
