"""The commands on single entries, and on the names of namespaces and keys.

Here since these are the calls of a store and a namespace, a command each, as a shell needs them: with every digit, with
a question before anything is deleted, and with a dry run.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dhis2kv import errors, wire
from dhis2kv.cli.carrying import dry_run_option, server, yes_option
from dhis2kv.cli.connection import complete_namespace, key_argument, namespace_argument, with_store
from dhis2kv.cli.failures import NOT_FOUND
from dhis2kv.cli.files import text_of
from dhis2kv.cli.output import (
    compact,
    confirm,
    entries_of,
    output_option,
    readable_size,
    say,
    show,
    show_change,
)
from dhis2kv.cli.values import value_argument
from dhis2kv.wire import exact

if TYPE_CHECKING:
    from dhis2kv.store import Store

_ABSENT: Any = object()


encrypt_option = click.option("--encrypt", is_flag=True, help="Have the server store it encrypted.")


# --- reading ----------------------------------------------------------------------------------------------------------


@click.command()
@with_store
@output_option("raw")
def namespaces(store: Store, form: str) -> None:
    """List the namespaces.

    A table tells how many entries each has, for a request per namespace.
    """
    _list_namespaces(store, form)


def _list_namespaces(store: Store, form: str) -> None:
    names = list(store)
    if form == "table":
        show([{"NAMESPACE": name, "ENTRIES": len(store[name])} for name in names], form)
    else:
        show(names, form)


@click.command()
@with_store
@namespace_argument
@output_option("raw")
def keys(store: Store, namespace: str, form: str) -> None:
    """List the keys of a namespace.

    A table tells the size of each value, and in the shared store when the entry was created, for a request per key.
    """
    _list_keys(store, namespace, form)


def _list_keys(store: Store, namespace: str, form: str) -> None:
    if form == "table":
        show(_described(store, namespace), form)
    else:
        show(store.datastore.list_keys(namespace, user=store is store.user), form)


@click.command()
@with_store
@click.argument("namespace", required=False, shell_complete=complete_namespace)
@output_option("raw")
def ls(store: Store, namespace: str | None, form: str) -> None:
    """List the namespaces, or the keys of a namespace, as namespaces and keys do."""
    if namespace is None:
        _list_namespaces(store, form)
    else:
        _list_keys(store, namespace, form)


def _described(store: Store, namespace: str) -> list[dict[str, str]]:
    from dhis2kv.datastore.many import pool_of

    entries = store[namespace].copy()
    if not entries and namespace not in store:
        raise errors.KeyNotFound(namespace)
    rows = [{"KEY": key, "SIZE": readable_size(len(compact(value).encode()))} for key, value in entries.items()]
    if store is not store.user:
        with pool_of(store.datastore.workers) as pool:
            for row, created in zip(rows, pool.map(lambda key: _created(store, namespace, key), entries), strict=True):
                row["CREATED"] = created
    return rows


def _created(store: Store, namespace: str, key: str) -> str:
    try:
        return f"{store.datastore.metadata(namespace, key).created:%Y-%m-%d %H:%M}"
    except errors.KeyNotFound:
        return "deleted meanwhile"


@click.command()
@with_store
@namespace_argument
@key_argument
@output_option("json")
def get(store: Store, namespace: str, key: str, form: str) -> None:
    """Print the value of an entry; numbers keep every digit."""
    show(_exactly(store, namespace, key), form)


@click.command()
@with_store
@namespace_argument
@key_argument
@output_option("json")
@click.pass_context
def exists(context: click.Context, store: Store, namespace: str, key: str, form: str) -> None:
    """Tell whether an entry exists: true, or false with exit status 3."""
    found = key in store[namespace]
    show(found, form)
    if not found:
        context.exit(NOT_FOUND)


# --- writing ----------------------------------------------------------------------------------------------------------


@click.command("set")
@with_store
@namespace_argument
@key_argument
@value_argument
@encrypt_option
@dry_run_option
def set_(store: Store, namespace: str, key: str, value: Any, encrypt: bool, dry_run: bool) -> None:
    """Create or update an entry.

    Over an encrypted entry write with --encrypt only: from 2.41 on a server would keep the old value and lay the new
    one open.
    """
    if dry_run:
        _show_write(store, namespace, key, value)
        return
    store.namespace(namespace, encrypt=encrypt)[key] = exact.dumps(value)
    _check_stored(store, namespace, key, value)
    say(f"set {namespace}/{key} on {server(store)}")


@click.command()
@with_store
@namespace_argument
@key_argument
@value_argument
@encrypt_option
@dry_run_option
def add(store: Store, namespace: str, key: str, value: Any, encrypt: bool, dry_run: bool) -> None:
    """Create an entry; exit status 5 when there is one already."""
    if dry_run:
        if key in store[namespace]:
            raise errors.KeyExists(f"there is already an entry {namespace}/{key}")
        _show_write(store, namespace, key, value)
    elif store.namespace(namespace, encrypt=encrypt).add(key, exact.dumps(value)):
        _check_stored(store, namespace, key, value)
        say(f"added {namespace}/{key} on {server(store)}")
    else:
        raise errors.KeyExists(f"there is already an entry {namespace}/{key}; nothing was written")


def _check_stored(store: Store, namespace: str, key: str, value: Any) -> None:
    """Look whether an entry holds what was written: for a namespace that is hidden a server says "created" in vain."""
    if not wire.same(_read(store, namespace, key), value):
        raise errors.NotStored(
            f"the server accepted {namespace}/{key} and does not hold it: the namespace is hidden from this account,"
            " the entry is encrypted (then the new value lies open now: set it again with --encrypt), or somebody else"
            " wrote meanwhile",
            sent=True,
        )


def _show_write(store: Store, namespace: str, key: str, value: Any) -> None:
    """Print what writing this would do; raises what the write would for a name or value that cannot be written."""
    wire.check_new_key(key)
    exact.dumps(value)
    before = _read(store, namespace, key)
    if before is _ABSENT:
        show_change("+", f"{namespace}/{key}")
    elif wire.same(before, value):
        say("nothing would change")
    else:
        show_change("~", f"{namespace}/{key}")


def _read(store: Store, namespace: str, key: str) -> Any:
    try:
        return _exactly(store, namespace, key)
    except errors.KeyNotFound:
        return _ABSENT


def _size(store: Store, namespace: str, key: str) -> str:
    """The size of an entry, which may be one whose value Python cannot hold."""
    text = store.datastore.get_text(namespace, key, user=store is store.user)
    with suppress(ValueError):  # then it is the size of what the server prints
        text = compact(exact.loads(text))
    return readable_size(len(text.encode()))


def _exactly(store: Store, namespace: str, key: str) -> Any:
    """The value of an entry with every digit."""
    text = store.datastore.get_text(namespace, key, user=store is store.user)
    try:
        return exact.loads(text)
    except ValueError as error:
        raise errors.ServerError(f"the value of {namespace}/{key} is none that Python can hold: {error}") from error


@click.command()
@with_store
@namespace_argument
@key_argument
@yes_option
@dry_run_option
def delete(store: Store, namespace: str, key: str, yes: bool, dry_run: bool) -> None:
    """Delete an entry, after asking."""
    if dry_run or not yes:
        size = _size(store, namespace, key)
        if dry_run:
            show_change("-", f"{namespace}/{key}")
            return
        confirm(f"Delete {namespace}/{key} ({size}) on {server(store)}?", yes)
    del store[namespace][key]
    say(f"deleted {namespace}/{key} on {server(store)}")


@click.command("delete-namespace")
@with_store
@namespace_argument
@yes_option
@dry_run_option
def delete_namespace(store: Store, namespace: str, yes: bool, dry_run: bool) -> None:
    """Delete a namespace with all its entries, after asking."""
    if dry_run or not yes:
        found = store.datastore.list_keys(namespace, user=store is store.user)
        if dry_run:
            for key in found:
                show_change("-", f"{namespace}/{key}")
            return
        more = ", ..." if len(found) > 5 else ""
        what = f"the namespace {namespace} with its {entries_of(len(found))} ({', '.join(found[:5])}{more})"
        confirm(f"Delete {what} on {server(store)}?", yes)
    del store[namespace]
    say(f"deleted the namespace {namespace} on {server(store)}")


@click.command()
@with_store
@namespace_argument
@key_argument
@click.argument("path")
@value_argument
@dry_run_option
def patch(store: Store, namespace: str, key: str, path: str, value: Any, dry_run: bool) -> None:
    """Set one member of a value, atomically, by its dotted PATH: theme.colour, list.0

    The member must be there already. Needs a server of 2.41 or later.
    """
    if dry_run:
        exact.dumps(value)
        _ = store[namespace][key]
        show_change("~", f"{namespace}/{key} {path}")
        return
    store[namespace].patch(key, path, exact.dumps(value))
    say(f"set {path} of {namespace}/{key} on {server(store)}")


@click.command()
@with_store
@namespace_argument
@key_argument
@value_argument
@click.option("--keep", type=click.IntRange(min=1), required=True, help="How many items to keep: the last ones.")
@dry_run_option
def roll(store: Store, namespace: str, key: str, value: Any, keep: int, dry_run: bool) -> None:
    """Append to a list, atomically, and keep its last items; creates the list when absent.

    Needs a server of 2.41 or later.
    """
    if dry_run:
        exact.dumps(value)
        show_change("+" if _read(store, namespace, key) is _ABSENT else "~", f"{namespace}/{key}")
        return
    store[namespace].roll(key, exact.dumps(value), keep)
    say(f"appended to {namespace}/{key} on {server(store)}")


# --- editing ----------------------------------------------------------------------------------------------------------


@click.command()
@with_store
@namespace_argument
@key_argument
@encrypt_option
@dry_run_option
def edit(store: Store, namespace: str, key: str, encrypt: bool, dry_run: bool) -> None:
    """Edit a value as JSON in $VISUAL or $EDITOR.

    Numbers keep every digit. Nothing is written when nothing changed, nor when somebody else wrote meanwhile (exit
    status 5). Text that was not stored is left in a file, whose name is told. An encrypted entry is edited with
    --encrypt, see set.
    """
    before = _exactly(store, namespace, key)
    path = _draft(before)
    try:
        after = _edited(path)
        if wire.same(before, after):
            say("nothing was changed")
        elif dry_run:
            _show_write(store, namespace, key, after)
        else:
            _check_unchanged(store, namespace, key, before)
            store.namespace(namespace, encrypt=encrypt)[key] = exact.dumps(after)
            _check_stored(store, namespace, key, after)
            say(f"set {namespace}/{key} on {server(store)}")
    except errors.Dhis2kvError:
        say(f"Your text is in {path}")
        raise
    path.unlink()


def _draft(value: Any) -> Path:
    """A file of the user's own with the value in it."""
    with tempfile.NamedTemporaryFile("w", prefix="dhis2kv-", suffix=".json", encoding="utf-8", delete=False) as file:
        file.write(exact.printed(value, indent=2, sort_keys=False) + "\n")
    return Path(file.name)


def _edited(path: Path) -> Any:
    """The value in the file once the editor has left JSON there."""
    while True:
        try:
            click.edit(filename=str(path))
        except click.ClickException:  # there is no such editor, or it failed
            path.unlink()
            raise
        try:
            return exact.loads(text_of(path.read_bytes()), strict=True)
        except ValueError as error:
            say(f"{path} is not JSON: {error}")
            if not click.confirm("Edit it again?", default=True, err=True):
                raise click.ClickException(f"nothing was written; your text is in {path}") from error


def _check_unchanged(store: Store, namespace: str, key: str, before: Any) -> None:
    now = _read(store, namespace, key)
    if now is _ABSENT:
        raise errors.Changed(f"somebody else deleted {namespace}/{key} meanwhile; nothing was written")
    if not wire.same(before, now):
        raise errors.Changed(f"somebody else wrote {namespace}/{key} meanwhile; nothing was overwritten")


COMMANDS = (namespaces, keys, ls, get, set_, delete, delete_namespace, exists, add, edit, patch, roll)
