"""Files that are written whole or not at all, for their owner's eyes only.

It may import nothing of ours. Here since a backup that was cut short must not take the place of a good one.
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
