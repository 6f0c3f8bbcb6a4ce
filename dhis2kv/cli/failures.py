"""Errors as a sentence on stderr and an exit status.

Here since scripts act on the exit status, so that one table says which error has which.
"""

from __future__ import annotations

from typing import Any

import click

from dhis2kv import errors
from dhis2kv.cli.output import say

FAILURE, USAGE, NOT_FOUND, NOT_ALLOWED, CONFLICT = 1, 2, 3, 4, 5

_STATUS: tuple[tuple[tuple[type[errors.Dhis2kvError], ...], int], ...] = (
    ((errors.InvalidKey, errors.InvalidValue), USAGE),
    ((errors.KeyNotFound,), NOT_FOUND),
    ((errors.NotAuthenticated, errors.Forbidden), NOT_ALLOWED),
    ((errors.KeyExists, errors.Changed), CONFLICT),
)


def exit_status(error: errors.Dhis2kvError) -> int:
    """The exit status that means this error."""
    return next((status for kinds, status in _STATUS if isinstance(error, kinds)), FAILURE)


class Misconfigured(click.ClickException):
    """Wrong usage whose cure is in a file or the environment: the command's usage beside it would tell nothing."""

    exit_code = USAGE


class NotFound(click.ClickException):
    """Something that a file should hold, and does not."""

    exit_code = NOT_FOUND


class Commands(click.Group):
    """Commands in the order in which they were added, whose errors end in an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The commands with their summaries, whole; click cuts them at the end of the line."""
        rows = [(name, command.get_short_help_str(1000)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            if not error.option_name[1:2].isdigit():
                raise
            hint = f"{error.message} Write -- before a VALUE that begins with a minus."
            raise click.NoSuchOption(error.option_name, hint, ctx=error.ctx) from error
        except errors.Dhis2kvError as error:
            say(f"Error: {error}")
            ctx.exit(exit_status(error))


class Comparison(click.Command):
    """A command whose status 1 is an answer, so that what would be 1 as a failure is 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.Abort:
            say("Aborted!")
            ctx.exit(USAGE)
        except click.ClickException as error:
            error.show()
            ctx.exit(max(error.exit_code, USAGE))
        except errors.Dhis2kvError as error:
            say(f"Error: {error}")
            ctx.exit(max(exit_status(error), USAGE))
