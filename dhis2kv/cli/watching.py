"""The command watch: what changes in a namespace, as it does.

Here since it goes on until it is interrupted, and prints each change for a script to read as it comes.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from dhis2kv.cli.connection import namespace_argument, with_store
from dhis2kv.cli.output import compact, put

if TYPE_CHECKING:
    from dhis2kv.store import Store


_WORDS = {"added": "created", "changed": "updated", "removed": "deleted"}


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
        for change in store[namespace].watch(every=interval, keys=None if key is None else [key]):
            seen = datetime.now(UTC).isoformat(timespec="seconds")
            told = {"seen": seen, "namespace": namespace, "key": change.key, "change": _WORDS[change.kind]}
            put(compact(told if change.kind == "removed" else {**told, "value": change.new}))


COMMANDS = (watch,)
