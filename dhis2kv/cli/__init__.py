"""The command line ``dhis2kv``: the library's calls as commands.

``connection`` finds the server and the account, ``values`` and ``files`` read what is given, ``output`` prints,
``carrying`` carries out plans, and the commands are in ``entries`` (one entry or the names of many), ``finding``,
``checking``, ``access`` (who may read), ``many`` (whole namespaces) and ``comparing`` (diff), ``folders``,
``watching``, ``profiles`` and ``servers``.

Here since a shell has ways of its own to give a value, to ask, to report and to fail; what is done to a store is done
by the library. These modules may import it, and ``models``, ``audit``, ``snapshot``, the emulator, ``demo`` and
``mcp``. What loads ``requests`` is imported where it is needed, for ``--help`` and completion should not wait for it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from dhis2kv import __version__
from dhis2kv.cli import (  # bash is there for click to find
    access,
    bash,  # noqa: F401
    checking,
    comparing,
    entries,
    finding,
    folders,
    many,
    profiles,
    servers,
    streams,
    watching,
)
from dhis2kv.cli.connection import connection_options
from dhis2kv.cli.failures import FAILURE, Commands
from dhis2kv.cli.output import say

_EXIT_STATUS = """\b
Exit status:
  0  done
  1  failure
  2  wrong usage
  3  not found
  4  not signed in, or not allowed
  5  conflict: it exists already, or somebody else wrote meanwhile
diff, status: 0 all the same, 1 differences, more than 1 as above (a failure is 2).

\b
Completion by the tab key, for the start file of your shell:
  eval "$(_DHIS2KV_COMPLETE=bash_source dhis2kv)"   bash
  eval "$(_DHIS2KV_COMPLETE=zsh_source dhis2kv)"    zsh
  _DHIS2KV_COMPLETE=fish_source dhis2kv | source    fish
"""


class _Verbs(Commands):
    """The commands of ``dhis2kv``; one that others have tells what it is here."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        if args[0] == "list":
            ctx.fail("there is no command 'list': 'namespaces' lists the namespaces, and 'keys NAMESPACE' their keys")
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXIT_STATUS)
@click.version_option(__version__, prog_name="dhis2kv")
@connection_options
@click.pass_context
def cli(context: click.Context) -> None:
    """The DHIS2 data store on the command line.

    The server and the account come from a profile, or from the environment: DHIS2_URL, and DHIS2_PAT, or
    DHIS2_USERNAME and DHIS2_PASSWORD (each also as ..._FILE, naming a file that holds it).

    A VALUE is JSON; - takes it from standard input and @FILE from a file, --string takes text as it is. Write -- before
    a VALUE that begins with a minus: dhis2kv set app limit -- -5
    """
    if os.environ.get("NO_COLOR"):
        context.color = False


for _command in (
    *entries.COMMANDS,
    *finding.COMMANDS,
    *checking.COMMANDS,
    *access.COMMANDS,
    *many.COMMANDS,
    *comparing.COMMANDS,
    *folders.COMMANDS,
    *watching.COMMANDS,
    *profiles.COMMANDS,
    *servers.COMMANDS,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; ends the process with the exit status that ``--help`` lists."""
    streams.prepare()
    try:
        try:
            cli(prog_name="dhis2kv")
        finally:
            if sys.stdout:
                sys.stdout.flush()  # while a full disk can still be told
    except OSError as error:
        say(f"Error: the command could not finish: {error}")
        if sys.stdout:
            # What is left in the buffer can go nowhere, and Python would try again, with a traceback, as it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILURE)
