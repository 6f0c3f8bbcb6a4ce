"""Texts and exports that the command line names: a file, or standard input.

Here since editors and shells write texts in several encodings, and standard input may be taken already.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from dhis2kv.cli.connection import current
from dhis2kv.cli.failures import Misconfigured

if TYPE_CHECKING:
    from dhis2kv.snapshot import Export


def text_of(data: bytes) -> str:
    """The text in these bytes; raises ``UnicodeDecodeError``."""
    from dhis2kv.snapshot import encoding

    return data.decode(encoding(data[:3]))


def check_standard_input() -> None:
    """Refuse to read data from standard input where it gives the password."""
    if current().password_stdin:
        raise click.UsageError("standard input gives the password already (--password-stdin)")


@contextmanager
def opened_export(name: str) -> Iterator[Export]:
    """The export in a file (``FILE`` or ``@FILE``), or on standard input (``-``); read to its end, and checked."""
    from dhis2kv.snapshot import Export, decoded

    name = name.removeprefix("@")
    with tempfile.TemporaryFile() if name == "-" else _opened(name) as file:
        if name == "-":
            check_standard_input()
            shutil.copyfileobj(sys.stdin.buffer, file)
            file.seek(0)
        try:
            export = Export(decoded(file))
        except ValueError as error:
            what = "it is not text in UTF-8 or UTF-16" if isinstance(error, UnicodeDecodeError) else error
            raise Misconfigured(f"cannot read {'standard input' if name == '-' else name}: {what}") from error
        yield export


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - errors of those who read it are not ours
    except OSError as error:
        raise Misconfigured(f"cannot read {name!r}: {error.strerror}") from error
    with file:
        yield file
