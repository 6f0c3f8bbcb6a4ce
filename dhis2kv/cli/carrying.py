"""Carrying out a plan: show it or ask, write, look once more, and say what came of it.

Here since whatever writes many entries asks before it deletes, and says how far it came when it is interrupted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from dhis2kv import errors
from dhis2kv.cli.output import confirm, entries_of, harmless, progress, say, show_change

if TYPE_CHECKING:
    from dhis2kv.snapshot import Change, Changes, Mode
    from dhis2kv.store import Store

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only read, and print what would change: + ~ -")
verify_option = click.option(
    "--verify/--no-verify", default=True, help="Look at the end whether everything is there; the default."
)
no_sharing_option = click.option(
    "--no-sharing", is_flag=True, help="Do not ask who may read each entry, which costs a request an entry."
)


Step = Callable[[int, int], None]


def server(store: Store) -> str:
    """The server of a store, as questions and reports name it."""
    return f"{store.datastore.transport.base}"


def show_plan(plan: Iterable[Change]) -> None:
    """Print what a plan would do, a line a change."""
    for change in plan:
        show_change(change.sign, str(change)[2:])


def carry_out(
    plans: Mapping[Store, Changes],
    *,
    mode: Mode = "merge",
    yes: bool = False,
    dry_run: bool = False,
    verify: bool = True,
    act: Callable[[Step], None] | None = None,
) -> None:
    """Make these changes, which are of one server, after asking where something is deleted; or only show them.

    ``act`` makes them where ``snapshot.apply`` is not all there is to do. Says what was done, also when interrupted.
    """
    from dhis2kv import snapshot

    if dry_run:
        for plan in plans.values():
            show_plan(plan)
        return
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
        confirm(f"Delete {entries_of(count['-'])} ({', '.join(doomed)}{more}) on {where}?", yes)
    before = 0
    for store, plan in plans.items():
        with progress("Writing") as bar, interruptible(f"changes on {where}", before, count.total(), bar) as report:
            if act is None:
                snapshot.apply(store, plan, mode, progress=report, verify=verify)
            else:
                act(report)
        before += len(plan)
    say(f"{count['+']} created, {count['~']} updated, {count['-']} deleted on {where}")


@contextmanager
def interruptible(what: str, before: int, total: int, bar: Step | None) -> Iterator[Step]:
    """A function of done and total for those who report progress; says how far they came when interrupted."""
    reached = before

    def step(done: int, of: int) -> None:
        nonlocal reached
        reached = before + done
        if bar:
            bar(done, of)

    try:
        yield step
    except KeyboardInterrupt:
        say(f"Interrupted: {reached} of {total} {what} are made. Run it again for the rest.")
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
