"""The commands on who may read and change entries: sharing, share, audit.

Here since an option speaks of a part of an entry's sharing, for one entry or for all of a namespace, and the rest has
to stay as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from dhis2kv import errors
from dhis2kv.cli.carrying import dry_run_option, server
from dhis2kv.cli.connection import complete_key, complete_namespace, namespace_argument, with_store
from dhis2kv.cli.failures import Comparison
from dhis2kv.cli.output import output_option, progress, say, show, show_change
from dhis2kv.wire.sharing import Sharing, access

if TYPE_CHECKING:
    from dhis2kv.store import Namespace, Store


# --- telling ----------------------------------------------------------------------------------------------------------


@click.command()
@with_store
@namespace_argument
@click.argument("key", required=False, shell_complete=complete_key)
@output_option("table")
def sharing(store: Store, namespace: str, key: str | None, form: str) -> None:
    """Tell who may read and change an entry, or each of a namespace.

    rw is reading and changing, r- reading, -- nothing. The owner and superusers may do both.
    """
    _check_shared(store)
    if key is not None:
        show(_shown(store[namespace].sharing(key)), form)
        return
    found = _sharings(store, namespace, store.datastore.list_keys(namespace))
    if form == "table":
        show([{"KEY": name, **{part.upper(): what for part, what in _shown(one).items()}} for name, one in found], form)
    else:
        show({name: _shown(one) for name, one in found}, form)


def _check_shared(store: Store) -> None:
    if store is store.user:
        from dhis2kv.datastore import no_sharing

        raise no_sharing()


def _shown(sharing: Sharing) -> dict[str, Any]:
    return {
        "public": sharing.public,
        "users": dict(sharing.users),
        "groups": dict(sharing.groups),
        "owner": sharing.owner,
    }


def _sharings(store: Store, namespace: str, keys: Iterable[str]) -> list[tuple[str, Sharing]]:
    """Who may read these entries, asked several at a time; without those that are gone meanwhile."""
    from dhis2kv.datastore.many import pool_of

    def look(key: str) -> Sharing | None:
        try:
            return store[namespace].sharing(key)
        except errors.KeyNotFound:
            return None

    keys = list(keys)
    found = []
    with progress("Reading") as step, pool_of(store.datastore.workers) as pool:
        for key, one in zip(keys, pool.map(look, keys), strict=True):
            if one is not None:
                found.append((key, one))
            if step:
                step(len(found), len(keys))
    return found


# --- changing ---------------------------------------------------------------------------------------------------------


def _pairs(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Names and what they may, of NAME=rw; the name may hold an equals sign itself."""
    pairs = {}
    for text in given:
        name, equals, may = text.rpartition("=")
        try:
            if not equals or not name:
                raise errors.InvalidValue(f"{text!r} is no NAME=rw")
            pairs[name] = _access(may)
        except errors.InvalidValue as error:
            raise click.BadParameter(str(error), param=option) from error
    return pairs


def _access(text: str) -> str:
    return access("" if text == "none" else text)


@click.command()
@with_store
@namespace_argument
@click.argument("keys", nargs=-1, metavar="[KEY]...", shell_complete=complete_key)
@click.option("--all", "all_", is_flag=True, help="All entries of the namespace, instead of KEYs.")
@click.option("--public", type=click.Choice(["rw", "r", "none"]), help="What every account may.")
@click.option("--with-user", metavar="NAME=rw", multiple=True, callback=_pairs, help="What a user may; repeatable.")
@click.option("--with-group", metavar="NAME=r", multiple=True, callback=_pairs, help="What a group may; repeatable.")
@click.option("--without-user", metavar="NAME", multiple=True, help="No longer shared with a user; repeatable.")
@click.option("--without-group", metavar="NAME", multiple=True, help="No longer shared with a group; repeatable.")
@dry_run_option
def share(
    store: Store,
    namespace: str,
    keys: tuple[str, ...],
    all_: bool,
    public: str | None,
    with_user: dict[str, str],
    with_group: dict[str, str],
    without_user: tuple[str, ...],
    without_group: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Change who may read and change entries; what no option speaks of stays.

    An access is rw, r or none. A NAME is a username or the name of a group, or id:ID.
    """
    if bool(keys) == all_:
        raise click.UsageError("which entries? Name them, or give --all, and not both")
    if public is None and not (with_user or with_group or without_user or without_group):
        raise click.UsageError("what is to change? Give --public, or --with-user, --without-group and the like")
    _check_shared(store)
    wished = store.datastore.list_keys(namespace) if all_ else dict.fromkeys(keys)
    now = dict(_sharings(store, namespace, wished))
    if gone := [key for key in keys if key not in now]:
        raise errors.KeyNotFound(gone[0], namespace=namespace)
    for names, part in ((without_user, "users"), (without_group, "groups")):
        if lost := [name for name in names if not any(name in getattr(one, part) for one in now.values())]:
            raise click.UsageError(f"none of these entries is shared with {lost[0]!r}; nothing was changed")
    wanted = {
        key: Sharing(
            one.public if public is None else _access(public),
            _changed(one.users, with_user, without_user),
            _changed(one.groups, with_group, without_group),
        )
        for key, one in now.items()
    }
    _carry_out(store[namespace], now, wanted, dry_run)
    if not dry_run:
        what = f"{len(wanted)} entries of {namespace}" if len(wanted) != 1 else f"{namespace}/{next(iter(wanted))}"
        say(f"shared {what} on {server(store)}")


def _changed(now: Mapping[str, str], more: Mapping[str, str], less: Iterable[str]) -> dict[str, str]:
    return {name: may for name, may in {**now, **more}.items() if name not in set(less)}


def _carry_out(place: Namespace, now: Mapping[str, Sharing], wanted: Mapping[str, Sharing], dry_run: bool) -> None:
    """Share the entries as they are wanted, those together that are wanted alike; or only show what would change."""
    alike: dict[tuple[Sharing, bool, bool], list[str]] = {}
    for key, sharing in wanted.items():
        if dry_run:
            for what in _differences(now[key], sharing):
                show_change("~", f"{place.name}/{key} {what}")
        elif sharing != now[key]:
            parts = (sharing.users != now[key].users, sharing.groups != now[key].groups)
            alike.setdefault((sharing, *parts), []).append(key)
    with progress("Writing") as step:
        for (sharing, users, groups), keys in alike.items():
            place.share_many(
                keys,
                public=sharing.public,
                users=sharing.users if users else None,
                groups=sharing.groups if groups else None,
                progress=step,
            )


def _differences(before: Sharing, after: Sharing) -> list[str]:
    found = [f"public: {before.public} to {after.public}"] if before.public != after.public else []
    for part in ("user", "group"):
        old, new = getattr(before, f"{part}s"), getattr(after, f"{part}s")
        found += [
            f"{part} {name}: {old.get(name, 'none')} to {new.get(name, 'none')}"
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        ]
    return found


# --- auditing ---------------------------------------------------------------------------------------------------------


@click.command(cls=Comparison)
@with_store
@click.argument("namespaces", nargs=-1, metavar="[NAMESPACE]...", shell_complete=complete_namespace)
@click.option("--check", is_flag=True, help="End with status 1 when there is anything.")
@output_option("table")
@click.pass_context
def audit(context: click.Context, store: Store, namespaces: tuple[str, ...], check: bool, form: str) -> None:
    """Tell what is worth knowing before it is too late; only reads.

    Entries that every account may change or read; among them those that look like secrets (passwords, tokens, keys,
    addresses with passwords); encrypted ones; names that other clients mistake, or that break bulk reads; protected
    namespaces. Values are never printed. Costs a request for each entry.
    """
    from dhis2kv.audit import findings

    with progress("Looking") as step:
        found = list(findings(store, namespaces or None, progress=step))
    if found or form != "table":
        rows = [finding._asdict() for finding in found]
        upper = [{name.upper(): what or "" for name, what in row.items()} for row in rows]
        show(upper if form == "table" else rows, form)
    else:
        say("nothing was found")
    context.exit(1 if check and found else 0)


COMMANDS = (sharing, share, audit)
