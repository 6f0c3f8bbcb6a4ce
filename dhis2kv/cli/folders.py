"""Configuration as code: pull, status, push.

Here since a conflict is neither success nor failure: each is named, nothing is written, and the exit status says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from dhis2kv.cli.carrying import (
    LeftOut,
    carry_out,
    dry_run_option,
    interruptible,
    no_sharing_option,
    server,
    show_plan,
    verify_option,
    yes_option,
)
from dhis2kv.cli.connection import complete_namespace, with_store
from dhis2kv.cli.failures import CONFLICT, FAILURE, USAGE, Comparison, Misconfigured
from dhis2kv.cli.many import open_option, telling, unknown_sharing
from dhis2kv.cli.output import COLOURS, harmless, progress, put, say

if TYPE_CHECKING:
    from dhis2kv.snapshot.folder import Plan
    from dhis2kv.store import Store

folder_argument = click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))


@contextmanager
def _told() -> Iterator[None]:
    """A folder that is none of its form, or of another server, is wrong usage."""
    from dhis2kv.snapshot.folder import BrokenFolder, OtherServer

    try:
        yield
    except (BrokenFolder, OtherServer) as error:
        raise Misconfigured(str(error)) from error


def _refuse_conflicts(context: click.Context, plan: Plan, advice: str) -> None:
    """Name what changed on both sides, and end with the status that means a conflict."""
    for conflict in plan.conflicts:
        say(harmless(f"conflict: {conflict.name}: {conflict.reason}"))
    if plan.conflicts:
        conflicts = "1 conflict" if len(plan.conflicts) == 1 else f"{len(plan.conflicts)} conflicts"
        say(f"Error: {conflicts}, and nothing was written. {advice}")
        context.exit(CONFLICT)


@click.command()
@with_store
@folder_argument
@click.argument("namespaces", nargs=-1, metavar="[NAMESPACE]...", shell_complete=complete_namespace)
@click.option("--secrets", is_flag=True, help="Encrypted entries, too: readable, and marked.")
@click.option("--force", is_flag=True, help="Take what is on the server where both sides changed.")
@no_sharing_option
@dry_run_option
@click.pass_context
def pull(
    context: click.Context,
    store: Store,
    folder: str,
    namespaces: tuple[str, ...],
    secrets: bool,
    force: bool,
    no_sharing: bool,
    dry_run: bool,
) -> None:
    """Bring these namespaces, or all, into a folder that git can keep: one file a key.

    What changed in the folder since the last pull stays, unless it changed on the server, too: that is a conflict, and
    then nothing is written (exit status 5). Encrypted entries stay on the server. Who may read entries that are not
    open to all is noted beside them, for a request an entry. With --user it is of the account's own store.

    What cannot be read is named on stderr, and then the exit status is 1.
    """
    from dhis2kv.snapshot import folder as folders

    left_out = LeftOut()
    with _told():
        with progress("Reading") as step:
            plan = folders.pull(
                store,
                folder,
                namespaces or None,
                secrets=secrets,
                sharing=not no_sharing,
                force=force,
                progress=telling(store, step, no_sharing),
                left_out=left_out,
            )
        _refuse_conflicts(context, plan, "Mend the files, or take the server's with --force")
        if dry_run:
            show_plan(plan.changes)
        else:
            total, what = len(plan.changes), f"files in {folder}"
            with progress("Writing") as bar, interruptible(what, 0, total, bar) as report:
                plan.carry_out(report)
            count = Counter(change.sign for change in plan.changes)
            made = f"{count['+']} created, {count['~']} updated, {count['-']} deleted"
            say(f"{made} in {folder}, as {server(store)} holds it")
    if left_out:
        context.exit(FAILURE)


@click.command(cls=Comparison)
@with_store
@folder_argument
@no_sharing_option
@click.pass_context
def status(context: click.Context, store: Store, folder: str, no_sharing: bool) -> None:
    """Tell what changed since a folder was pulled: here, there, or on both sides. Exit status 1 if anything did.

    A line an entry: where, what (+ created, ~ updated, - deleted, ! a conflict), and its name. Who may read it is
    compared, too, where the folder tells it.
    """
    from dhis2kv.snapshot import folder as folders

    found, left_out = False, LeftOut()
    with _told(), progress("Reading") as step:
        sharing = not no_sharing and folders.tells_sharing(store, folder)
        step = telling(store, step, not sharing)
        for difference in folders.status(store, folder, sharing=sharing, progress=step, left_out=left_out):
            found = True
            put(click.style(harmless(str(difference)), fg=COLOURS.get(difference.sign)))
    context.exit(USAGE if left_out else 1 if found else 0)


@click.command()
@with_store
@folder_argument
@click.option("--delete", is_flag=True, help="Delete on the server what was deleted in the folder.")
@click.option("--force", is_flag=True, help="Take what is in the folder where both sides changed.")
@click.option("--to-other-server", is_flag=True, help="Write all that the folder holds to a server it is not from.")
@open_option
@yes_option
@dry_run_option
@verify_option
@click.pass_context
def push(
    context: click.Context,
    store: Store,
    folder: str,
    delete: bool,
    force: bool,
    to_other_server: bool,
    open_: bool,
    yes: bool,
    dry_run: bool,
    verify: bool,
) -> None:
    """Write to the server what changed in a folder since it was pulled.

    What changed on both sides is a conflict, and then nothing is written (exit status 5). Nothing is deleted without
    --delete. Nothing in plain is written over an encrypted entry. What is created is shared as the folder says, before
    its value is there; what is there keeps its own sharing, unless that was changed in the folder.
    """
    from dhis2kv.snapshot import folder as folders

    left_out = LeftOut()
    with _told():
        unknown = unknown_sharing(not folders.tells_sharing(store, folder), open_)
        with progress("Reading") as step:
            plan = folders.push(
                store,
                folder,
                delete=delete,
                force=force,
                to_other_server=to_other_server,
                unknown=unknown,
                progress=step,
                left_out=left_out,
            )
        _refuse_conflicts(context, plan, "Pull and mend the files, or take those here with --force")
        carry_out(
            {store: plan.changes},
            yes=yes,
            dry_run=dry_run,
            act=lambda report: plan.carry_out(report, verify=verify),
        )
    if plan.kept:
        kept = "1 entry that was" if plan.kept == 1 else f"{plan.kept} entries that were"
        stay, them = ("stays", "it") if plan.kept == 1 else ("stay", "them")
        say(f"{kept} deleted in {folder} {stay} on {server(store)}; --delete deletes {them}")
    if left_out:
        context.exit(FAILURE)


COMMANDS = (pull, status, push)
