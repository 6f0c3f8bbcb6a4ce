"""The command watch: what changes in a namespace, as it does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from dhis2kv import errors, wire
from dhis2kv.cli.connection import namespace_argument, with_store
from dhis2kv.cli.output import compact, put, say

if TYPE_CHECKING:
    from dhis2kv.store import Store


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
            put(compact({"seen": seen, "namespace": namespace, **change}))
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


COMMANDS = (watch,)
