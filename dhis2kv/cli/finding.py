"""The command find: entries by what they hold.

Here since conditions are typed in DHIS2's words, and a mistake in them is wrong usage, told before anything is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dhis2kv import errors
from dhis2kv.cli.connection import namespace_argument, with_store
from dhis2kv.cli.output import output_option, show

if TYPE_CHECKING:
    from dhis2kv.store import Store


@click.command()
@with_store
@namespace_argument
@click.argument("conditions", metavar="[CONDITION]...", nargs=-1)
@click.option("--fields", metavar="PATHS", help="Only these parts of each value: name,address.city")
@click.option("--order", metavar="PATH[:desc]", help="What to sort by; without it, the key.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="The first N of them.")
@click.option("--any", "any_", is_flag=True, help="Entries that meet at least one condition, not all.")
@output_option("json")
def find(
    store: Store,
    namespace: str,
    conditions: tuple[str, ...],
    fields: str | None,
    order: str | None,
    limit: int | None,
    any_: bool,
    form: str,
) -> None:
    """Print the entries that meet all conditions, by key.

    A CONDITION is DHIS2's own PATH:OPERATOR[:VALUE], as in age:gt:30, name:like:Ann, address.city:in:[Bo,Oslo],
    left:!null; the path . is the value itself, _ the key. A value in single quotes is a text. Operators: eq, !eq,
    lt, le, gt, ge, in, like, $like, like$, ilike, null, empty, and what DHIS2 has besides; ! turns one round.

    Encrypted entries are found by their keys only: no server looks into them.
    """
    entries = store[namespace]
    try:
        entries.find(*conditions, fields=fields, order=order, limit=limit, any=any_, explain=True)
    except ValueError as error:  # of words that mean nothing, for that sends nothing
        raise click.UsageError(str(error)) from error
    found = entries.find(*conditions, fields=fields, order=order, limit=limit, any=any_)
    if not found and namespace not in store:
        raise errors.KeyNotFound(namespace)
    show([_row(key, value) for key, value in found.items()] if form == "table" else found, form)


def _row(key: str, value: Any) -> dict[str, Any]:
    members = value if isinstance(value, dict) else {"VALUE": value}
    return {"KEY": key, **{name: member for name, member in members.items() if name != "KEY"}}


COMMANDS = (find,)
