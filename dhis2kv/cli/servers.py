"""The commands on servers: whoami, serve, demo, mcp.

Here since these are about a server as a whole, be it one that is started here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dhis2kv import wire
from dhis2kv.cli.connection import connection_options, current, with_store
from dhis2kv.cli.files import opened_export
from dhis2kv.cli.output import output_option, show
from dhis2kv.releases import FAULTS
from dhis2kv.wire import exact
from dhis2kv.wire.sharing import Sharing

if TYPE_CHECKING:
    from dhis2kv.store import Store


@click.command()
@with_store
@output_option("json")
def whoami(store: Store, form: str) -> None:
    """Tell which server this is, its version, and the account that is signed in.

    Known faults of that version that concern data are told, too; the library goes round them, other clients may not.
    """
    account = store.datastore.account()
    version = store.version
    faults = {fault.name: fault.sentence for fault in FAULTS if fault.concerns_data and fault.on(version)}
    show({"url": store.datastore.transport.base, "version": str(version), **account, "faults": faults}, form)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 picks a free one.")
@click.option("--host", metavar="ADDRESS", help="Where to listen; only this machine can reach it without.")
@click.option("--db", metavar="FILE", type=click.Path(dir_okay=False), help="Keep the data in this file.")
@click.option(
    "--seed",
    metavar="FILE",
    help="Store the entries of this export that are absent.",
)
@click.option("--version", default="2.42", show_default=True, help="The DHIS2 to be: 2.36 to 2.44, or a release.")
@click.option("--superuser", metavar="NAME:PASSWORD", default="admin:district", show_default=True)
@click.option("--user", "users", metavar="NAME:PASSWORD", multiple=True, help="An ordinary account; repeatable.")
@click.option("--group", "groups", metavar="NAME:MEMBER,MEMBER", multiple=True, help="A group of these; repeatable.")
def serve(
    port: int,
    host: str | None,
    db: str | None,
    seed: str | None,
    version: str,
    superuser: str,
    users: tuple[str, ...],
    groups: tuple[str, ...],
) -> None:
    """Serve an emulated DHIS2 data store until interrupted; the first line is its URL."""
    from dhis2kv.emulator.serve import serve_forever

    held = None if seed is None else _seed(seed)
    try:
        serve_forever(
            port=port, host=host, db=db, seed=held, version=version, superuser=superuser, users=users, groups=groups
        )
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from error


def _seed(file: str) -> dict[str, Any]:
    """What an export holds, with JSON texts in the place of values, which keep every digit."""
    from dhis2kv.snapshot.file import parts_of

    held: dict[str, Any] = {"dhis2kv": 1, "encrypted": {}, "sharing": {wire.SHARED: {}}}
    with opened_export(file) as saved:
        for kind in saved.namespaces:
            held[kind], held["encrypted"][kind] = {}, {}
            for entry in saved.entries(kind):
                held[kind].setdefault(entry.namespace, {})[entry.key] = exact.dumps(entry.value)
                if entry.encrypted:
                    held["encrypted"][kind].setdefault(entry.namespace, []).append(entry.key)
                if entry.sharing is not None and entry.sharing != Sharing():
                    held["sharing"][kind].setdefault(entry.namespace, {})[entry.key] = parts_of(entry.sharing)
    return held


@click.command()
@click.option("--live", metavar="NAMESPACE", help="On a real server, in this namespace, which must not exist.")
@connection_options
@click.pass_context
def demo(context: click.Context, live: str | None) -> None:
    """Walk through what the library does, on an emulated server; with --live on a real one, in both its stores."""
    from dhis2kv.demo import run, run_live

    if live is None:
        context.exit(run())
    with current().open() as store:
        context.exit(run_live(store, live))


def _names(_: click.Context, __: click.Parameter, given: str | None) -> list[str] | None:
    """The names in a list with commas; none at all is a mistake, for it must not mean every namespace."""
    if given is None:
        return None
    names = [name.strip() for name in given.split(",")]
    if not all(names):
        raise click.BadParameter(f"{given!r} holds an empty name; write NAME or NAME,NAME, or leave the option out")
    return names


@click.command()
@with_store
@click.option("--allow-write", is_flag=True, help="Offer the tools that write, too.")
@click.option(
    "--namespace",
    "namespaces",
    metavar="NAME,NAME",
    callback=_names,
    help="The only namespaces that can be seen or touched.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    help="How many bytes of names and values an answer holds at most, 50,000 if not given.",
)
def mcp(store: Store, allow_write: bool, namespaces: list[str] | None, max_bytes: int | None) -> None:
    """Serve the data store to an agent, as an MCP server on standard input and output."""
    try:
        from dhis2kv.mcp import serve
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"it needs the extra 'mcp' ({error.name} is missing). Install it with:  pip install 'dhis2kv[mcp]'"
        ) from error
    limit = {} if max_bytes is None else {"max_bytes": max_bytes}
    serve(store, allow_write=allow_write, namespaces=namespaces, **limit)


COMMANDS = (whoami, serve, demo, mcp)
