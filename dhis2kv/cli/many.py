"""The commands on whole namespaces: export, import, copy, diff, watch."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from dhis2kv import errors, wire
from dhis2kv.cli.connection import Connection, complete_namespace, current, namespace_argument, with_store
from dhis2kv.cli.entries import dry_run_option, yes_option
from dhis2kv.cli.failures import Comparison
from dhis2kv.cli.output import COLOURS, compact, confirm, harmless, progress, say, show_change

if TYPE_CHECKING:
    from dhis2kv.snapshot import Change, Entry, Mode
    from dhis2kv.store import Store

mode_option = click.option(
    "--mode",
    type=click.Choice(["merge", "replace", "add"]),
    default="merge",
    show_default=True,
    help="merge creates and updates; replace also deletes what else is in the namespaces; add only creates.",
)
to_profile_option = click.option("--to-profile", metavar="NAME", help="The second is on another server.")
to_store_option = click.option(
    "--to-user/--to-shared", default=None, help="The second is in the account's own store, or in the shared one."
)


def _kind(store: Store) -> str:
    return wire.USER if store is store.user else wire.SHARED


# --- export and import ------------------------------------------------------------------------------------------------


@click.command()
@with_store
@click.argument("namespaces", nargs=-1, metavar="[NAMESPACE]...", shell_complete=complete_namespace)
def export(store: Store, namespaces: tuple[str, ...]) -> None:
    """Print an export of these namespaces, or of all.

    It is JSON that "dhis2kv import" and "dhis2kv serve --seed" read. Encrypted entries are marked, and their values
    stand in it readable. With --user it is of the account's own store.
    """
    from dhis2kv import snapshot

    # A bar amid the data, where both go to the terminal, would be none.
    bar = nullcontext() if sys.stdout.isatty() else progress("Reading")
    with bar as step, click.open_file("-", "w", encoding="utf-8") as file:
        snapshot.dump(file, {_kind(store): snapshot.read(store, namespaces or None, progress=step)})


@click.command("import")
@with_store
@click.argument("file", type=click.File(encoding="utf-8-sig"))
@mode_option
@yes_option
@dry_run_option
def import_(store: Store, file: IO[str], mode: Mode, yes: bool, dry_run: bool) -> None:
    """Store the entries of an export; - reads it from standard input.

    Each goes to the store that it came from; with --user only those of the account's own store do. Writes only what
    differs, so that an import that failed half-way can be run again.
    """
    from dhis2kv import snapshot

    saved = _loaded(file)
    targets = {wire.USER: store.user} if store is store.user else {wire.SHARED: store, wire.USER: store.user}
    plans = {kind: snapshot.plan(target, saved[kind], mode) for kind, target in targets.items()}
    _carry_out({targets[kind]: changes for kind, changes in plans.items()}, mode, yes, dry_run)


def _loaded(file: IO[str]) -> dict[str, list[Entry]]:
    from dhis2kv import snapshot

    try:
        return snapshot.load(file)
    except ValueError as error:
        raise click.UsageError(f"cannot read {file.name}: {error}") from error


def _carry_out(plans: dict[Store, list[Change]], mode: Mode, yes: bool, dry_run: bool) -> None:
    """Make these changes, after asking where something is deleted; or only show them."""
    from dhis2kv import snapshot

    changes = [change for plan in plans.values() for change in plan]
    count = Counter(change.sign for change in changes)
    if dry_run:
        for sign, entry in changes:
            show_change(sign, entry)
        return
    if count["-"]:
        doomed = [str(entry) for sign, entry in changes if sign == "-"]
        more = ", ..." if len(doomed) > 5 else ""
        confirm(f"Delete {len(doomed)} entries ({', '.join(doomed[:5])}{more})?", yes)
    for store, plan in plans.items():
        with progress("Writing") as step:
            snapshot.apply(store, plan, mode, progress=step)
    say(f"{count['+']} created, {count['~']} updated, {count['-']} deleted")


# --- copy and diff ----------------------------------------------------------------------------------------------------


def _second(profile: str | None, user: bool | None) -> Store:
    """The second store that the options say; it is as the first in what they leave open."""
    wanted = current().user if user is None else user
    if profile:
        return Connection(profile, user=wanted).open()
    return current().shared.user if wanted else current().shared


@click.command()
@with_store
@click.argument("source", metavar="NAMESPACE", shell_complete=complete_namespace)
@click.argument("target", metavar="[NAMESPACE]", required=False, shell_complete=complete_namespace)
@to_profile_option
@to_store_option
@mode_option
@yes_option
@dry_run_option
def copy(
    store: Store,
    source: str,
    target: str | None,
    to_profile: str | None,
    to_user: bool | None,
    mode: Mode,
    yes: bool,
    dry_run: bool,
) -> None:
    """Copy a namespace to another one, into the other store, or to another server.

    The second NAMESPACE is as the first unless it is named. Encrypted entries stay encrypted.
    """
    from dhis2kv import snapshot

    with _second(to_profile, to_user) as other:
        if other is store and target in (None, source):
            raise click.UsageError("where to? Name another namespace, or give --to-profile, --to-user or --to-shared")
        with progress("Reading") as step:
            entries = snapshot.read(store, [source], progress=step)
            moved = (entry._replace(namespace=target or source) for entry in entries)
            plan = snapshot.plan(other, moved, mode)
        _carry_out({other: plan}, mode, yes, dry_run)


@click.command(cls=Comparison)
@with_store
@click.argument("left", metavar="NAMESPACE|@FILE", shell_complete=complete_namespace)
@click.argument("right", metavar="[NAMESPACE|@FILE]", required=False, shell_complete=complete_namespace)
@to_profile_option
@to_store_option
@click.pass_context
def diff(
    context: click.Context,
    store: Store,
    left: str,
    right: str | None,
    to_profile: str | None,
    to_user: bool | None,
) -> None:
    """Compare two namespaces, stores, servers or exports; exit status 1 when they differ.

    Prints a unified diff of sorted, indented JSON for each entry that is not the same. Without a second argument, a
    namespace is compared with that of the other store or server, and an export with the server.
    """
    from dhis2kv import snapshot

    with _second(to_profile, to_user) as other:
        if right is None and not left.startswith("@"):
            right = left
        if left == right and other is store:
            raise click.UsageError("with what? Name something else, or give --to-profile, --to-user or --to-shared")
        names = [name for name in (left, right) if name and not name.startswith("@")]
        one = _side(store, left, names)
        two = _read(other, {entry.namespace for entry in one}) if right is None else _side(other, right, names)
        if names and not one and not two:
            raise errors.KeyNotFound(names[0])
    labels = ("", "") if store is other and len(names) == 2 else (_label(store, left), _label(other, right))
    lines = list(snapshot.diff(_by_name(one, bool(names)), _by_name(two, bool(names)), names=labels))
    for line in lines:
        click.secho(harmless(line), fg=COLOURS.get(line[0]))
    context.exit(1 if lines else 0)


def _side(store: Store, name: str, namespaces: list[str]) -> list[Entry]:
    """The entries of a namespace, or of a file: there those of the namespace that it is compared with, if any."""
    if not name.startswith("@"):
        return _read(store, [name])
    try:
        with Path(name[1:]).open(encoding="utf-8-sig") as file:
            found = _loaded(file)[_kind(store)]
    except OSError as error:
        raise click.UsageError(f"cannot read {name[1:]!r}: {error.strerror}") from error
    return [entry for entry in found if not namespaces or entry.namespace in namespaces]


def _read(store: Store, namespaces: Iterable[str]) -> list[Entry]:
    """The entries of these namespaces; one that does not exist is empty."""
    from dhis2kv import snapshot

    return list(snapshot.read(store, set(namespaces) & set(store)))


def _by_name(entries: list[Entry], in_one_namespace: bool) -> dict[str, Entry]:
    return {entry.key if in_one_namespace else str(entry): entry for entry in entries}


def _label(store: Store, name: str | None) -> str:
    if name and name.startswith("@"):
        return name[1:]
    return f"{store.datastore.transport.base}/api/{_kind(store)}"


# --- watch ------------------------------------------------------------------------------------------------------------


@click.command()
@with_store
@namespace_argument
@click.argument("key", required=False)
@click.option("--interval", metavar="SECONDS", type=click.FloatRange(min=0.1), default=5.0, show_default=True)
def watch(store: Store, namespace: str, key: str | None, interval: float) -> None:
    """Print what changes in a namespace, or in one entry, as lines of JSON, until it is interrupted.

    Compares values, for a server does not change an entry's date when it is updated: one bulk read each time.
    """
    with suppress(KeyboardInterrupt):  # the way to end it
        _follow(store, namespace, key, interval)


def _follow(store: Store, namespace: str, key: str | None, interval: float) -> None:
    before = _look(store, namespace, key)
    while True:
        time.sleep(interval)
        try:
            now = _look(store, namespace, key)
        except (errors.ServerError, errors.Unreachable, errors.TimedOut) as error:
            say(f"{error}; it is asked again")
            continue
        for change in _changed(before, now):
            seen = datetime.now(UTC).isoformat(timespec="seconds")
            click.echo(compact({"seen": seen, "namespace": namespace, **change}))
        before = now


def _look(store: Store, namespace: str, key: str | None) -> dict[str, Any]:
    return store[namespace].copy() if key is None else store[namespace].get_many([key])


def _changed(before: dict[str, Any], now: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in sorted(before.keys() | now.keys()):
        if key not in now:
            yield {"key": key, "change": "deleted"}
        elif key not in before:
            yield {"key": key, "change": "created", "value": now[key]}
        elif not wire.same(before[key], now[key]):
            yield {"key": key, "change": "updated", "value": now[key]}


COMMANDS = (export, import_, copy, diff, watch)
