"""Carrying out a plan: show it or ask, write, look once more, and say what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from dhis2kv import errors
from dhis2kv.cli.output import confirm, harmless, progress, say, show_change

if TYPE_CHECKING:
    from dhis2kv.snapshot import Changes, Mode
    from dhis2kv.store import Store

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only read, and print what would change: + ~ -")
verify_option = click.option(
    "--verify/--no-verify", default=True, help="Look at the end whether everything is there; the default."
)


def server(store: Store) -> str:
    """The server of a store, as questions and reports name it."""
    return f"{store.datastore.transport.base}"


def carry_out(
    plans: Mapping[Store, Changes],
    *,
    mode: Mode = "merge",
    yes: bool = False,
    dry_run: bool = False,
    verify: bool = True,
) -> bool:
    """Make these changes, which are of one server, after asking where something is deleted; or only show them.

    Says what was done, also when it is interrupted. Returns whether it was done, and not only shown.
    """
    from dhis2kv import snapshot

    if dry_run:
        for plan in plans.values():
            for sign, entry in plan:
                show_change(sign, f"{entry}{' (encrypted)' if entry.encrypted else ''}")
        return False
    where = server(next(iter(plans)))
    count: Counter[str] = Counter()
    doomed: list[str] = []
    for plan in plans.values():
        for sign, entry in plan:
            count[sign] += 1
            if sign == "-" and len(doomed) < 5:
                doomed.append(str(entry))
    if count["-"]:
        more = ", ..." if count["-"] > len(doomed) else ""
        confirm(f"Delete {count['-']} entries ({', '.join(doomed)}{more}) on {where}?", yes)
    before = 0
    for store, plan in plans.items():
        with progress("Writing") as bar, _interruptible(where, before, count.total()) as step:

            def report(done: int, total: int, bar: _Step | None = bar, step: _Step = step) -> None:
                step(done, total)
                if bar:
                    bar(done, total)

            snapshot.apply(store, plan, mode, progress=report, verify=verify)
        before += len(plan)
    say(f"{count['+']} created, {count['~']} updated, {count['-']} deleted on {where}")
    return True


_Step = Callable[[int, int], None]


@contextmanager
def _interruptible(where: str, before: int, total: int) -> Iterator[_Step]:
    """Say how far it came when it is interrupted."""
    reached = before

    def step(done: int, _: int) -> None:
        nonlocal reached
        reached = before + done

    try:
        yield step
    except KeyboardInterrupt:
        say(f"Interrupted: {reached} of {total} changes on {where} are made. Run it again for the rest.")
        raise


class LeftOut:
    """What could not be read: told on stderr as it comes, and counted."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, error: errors.Dhis2kvError) -> None:
        self.names.append(name)
        say(harmless(f"left out {name}: {error}"))

    def __bool__(self) -> bool:
        return bool(self.names)
