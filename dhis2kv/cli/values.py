"""Values on the command line: JSON as an argument, from standard input, or from a file.

Here since a shell gives texts: whether one is JSON or a text is said by the user and never guessed, and a number keeps
every digit.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dhis2kv import wire
from dhis2kv.cli.connection import current
from dhis2kv.cli.files import text_of
from dhis2kv.wire import exact


def value_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """The argument VALUE and its option ``--string``; the command is given the value itself, with every digit."""
    function = click.argument("value", callback=_value)(function)
    return click.option("--string", is_flag=True, is_eager=True, help="VALUE is text as it stands, not JSON.")(function)


def _value(context: click.Context, _: click.Parameter, given: str | None) -> Any:
    if given is None or context.resilient_parsing:
        return None
    text = _text(given)
    if context.params.pop("string"):  # it has told how to read the value, and the command takes only that
        return text
    text = text.removeprefix("\ufeff")
    try:
        wire.loads(text)  # what is new should be in the range of Python's numbers, which whoever reads it may need
        return exact.loads(text, strict=True)
    except ValueError as error:
        shown = given if given.startswith("@") else repr(text[:60])
        raise click.BadParameter(f"{shown} is not JSON ({error}); to store it as text, add --string") from error


def _text(given: str) -> str:
    """The text that is meant: of a file, of standard input, or as given."""
    try:
        if given == "-":
            if current().password_stdin:
                raise click.BadParameter("standard input gives the password already (--password-stdin)")
            return _decoded(sys.stdin.buffer.read())
        if given.startswith("@"):
            return _decoded(Path(given[1:]).read_bytes())
    except OSError as error:
        raise click.BadParameter(f"cannot read {given[1:]!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter("it is not text in UTF-8 or UTF-16") from error
    return given


def _decoded(data: bytes) -> str:
    """The text in these bytes, with the mark at its beginning, which a text may well begin with."""
    return f"\ufeff{text_of(data)}" if data.startswith(codecs.BOM_UTF8) else text_of(data)
