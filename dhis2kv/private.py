"""Files for their owner's eyes only, written whole or not at all; imports nothing of ours.

Here since profiles, backups and the fallback of a configuration hold secrets, and one that was cut short must not take
the place of a good one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole_file(path: Path, *, sync: bool = True) -> Iterator[IO[str]]:
    """A file to write UTF-8 text to, which takes its place, with mode 0600, when the block has come to its end.

    Of a symbolic link the file that it leads to is written. With ``sync`` it outlives a power cut, for some
    milliseconds. Raises ``OSError``.
    """
    path = Path(os.path.realpath(path))
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".dhis2kv-")  # made with mode 0600
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # nobody knows the other name
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def check(path: Path, found: os.stat_result) -> None:
    """Raise ``ValueError`` for a file that others may read, or that somebody else owns, and say how to mend it."""
    if os.name == "nt":
        return  # permissions are not in the mode there
    if found.st_mode & 0o077:
        raise ValueError(f"others may read {path}, which is for secrets: chmod 600 '{path}'")
    if found.st_uid not in (0, os.getuid()):
        raise ValueError(f"{path} belongs to another user: it is not used, for it could send you to another server")
