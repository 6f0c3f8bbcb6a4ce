"""The command diff: how namespaces, stores, servers or exports differ.

Here since it only reads: its two sides are whatever can be read, and a difference is an answer and no failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import click

from dhis2kv import errors
from dhis2kv.cli.carrying import LeftOut, no_sharing_option, server
from dhis2kv.cli.connection import (
    complete_namespace,
    kind_of,
    second,
    to_profile_option,
    to_store_option,
    with_store,
)
from dhis2kv.cli.failures import USAGE, Comparison
from dhis2kv.cli.files import opened_export
from dhis2kv.cli.output import COLOURS, harmless, put, say, show_change

if TYPE_CHECKING:
    from dhis2kv.snapshot import Entry, Export
    from dhis2kv.snapshot.comparing import Difference
    from dhis2kv.store import Store


@click.command(cls=Comparison)
@with_store
@click.argument("left", metavar="NAMESPACE|@FILE", shell_complete=complete_namespace)
@click.argument("right", metavar="[NAMESPACE|@FILE]", required=False, shell_complete=complete_namespace)
@click.option("--stat", "form", flag_value="stat", help="Only how many lines differ, a line an entry.")
@click.option("--name-only", "form", flag_value="names", help="Only the names of entries that differ.")
@no_sharing_option
@to_profile_option
@to_store_option
@click.pass_context
def diff(
    context: click.Context,
    store: Store,
    left: str,
    right: str | None,
    form: str | None,
    no_sharing: bool,
    to_profile: str | None,
    to_user: bool | None,
) -> None:
    """Compare two namespaces, stores, servers or exports; exit status 1 when they differ.

    Prints a unified diff of sorted, indented JSON for each entry that is not the same in every digit. Without a second
    argument, a namespace is compared with that of the other store or server, and an export with the server. Who may
    read the entries is compared, too, as far as both sides tell. A namespace whose name begins with @ is written
    ns:@NAME.
    """
    from dhis2kv import snapshot

    differ, left_out = False, LeftOut()
    with second(to_profile, to_user) as other, ExitStack() as stack:
        if right is None and not left.startswith("@"):
            right = left
        if left == right and other is store:
            raise click.UsageError("with what? Name something else, or give --to-profile, --to-user or --to-shared")
        both = store is not store.user and other is not other.user and not no_sharing
        one = _side(stack, store, left, left_out, both)
        two = _side(stack, other, right, left_out, both)
        labels = ("", "") if store is other and one.name and two.name else (one.label, two.label)
        for mine, theirs, by_key in _pairs(one, two):
            for difference in snapshot.differences(_named(mine, by_key), _named(theirs, by_key)):
                differ = True
                _show_difference(difference, form, labels)
    context.exit(USAGE if left_out else 1 if differ else 0)


class _Side(NamedTuple):
    """What one argument means: a namespace of a store, an export, or all of a store."""

    store: Store
    left_out: LeftOut
    with_sharing: bool
    name: str | None = None
    saved: Export | None = None
    file: str = ""

    @property
    def label(self) -> str:
        return self.file or f"{server(self.store)}/api/{kind_of(self.store)}"

    def has(self, name: str) -> bool:
        return name in (self.saved.namespaces[kind_of(self.store)] if self.saved else self.store)

    def entries(self, name: str) -> list[Entry]:
        """The entries of a namespace; none, and a sentence, where there is no such namespace."""
        from dhis2kv import snapshot

        if not self.has(name):
            say(harmless(f"there is no namespace {name!r} in {self.label}"))
            return []
        if self.saved:
            return [entry for entry in self.saved.entries(kind_of(self.store)) if entry.namespace == name]
        return list(snapshot.read(self.store, [name], left_out=self.left_out, sharing=self.with_sharing))

    def all(self) -> Iterator[tuple[str, list[Entry]]]:
        """The entries of an export, namespace by namespace."""
        assert self.saved  # noqa: S101 - a store is never asked for all
        for name, members in groupby(self.saved.entries(kind_of(self.store)), lambda entry: entry.namespace):
            yield name, list(members)

    def everything(self) -> Iterator[Entry]:
        """The entries of an export."""
        return (entry for _, part in self.all() for entry in part)


def _side(stack: ExitStack, store: Store, given: str | None, left_out: LeftOut, with_sharing: bool) -> _Side:
    if given and given.startswith("@"):
        return _Side(store, left_out, with_sharing, saved=stack.enter_context(opened_export(given)), file=given[1:])
    found = re.fullmatch("ns:((ns:)*@.*)", given or "", re.S)
    return _Side(store, left_out, with_sharing, name=found[1] if found else given)


def _pairs(one: _Side, two: _Side) -> Iterator[tuple[Iterable[Entry], Iterable[Entry], bool]]:
    """What is compared with what, part by part, and whether entries of one key are, or of one name."""
    if (one.name and two.name) or (one.name and two.saved) or (one.saved and two.name):
        mine, theirs = one.name or two.name or "", two.name or one.name or ""
        if not one.has(mine) and not two.has(theirs):
            raise errors.KeyNotFound(mine)
        yield one.entries(mine), two.entries(theirs), True
    elif two.saved:
        yield one.everything(), two.everything(), False
    else:
        for name, part in one.all():
            yield part, two.entries(name), False


def _named(entries: Iterable[Entry], by_key: bool) -> dict[str, Entry]:
    return {entry.key if by_key else str(entry): entry for entry in entries}


def _show_difference(difference: Difference, form: str | None, labels: tuple[str, str]) -> None:
    if form == "names":
        put(harmless(str(difference)))
    elif form == "stat":
        added, removed = difference.counts()
        show_change(difference.sign, f"{difference} | +{added} -{removed}")
    else:
        for line in difference.lines(labels):
            put(click.style(harmless(line), fg=COLOURS.get(line[0])))


COMMANDS = (diff,)
