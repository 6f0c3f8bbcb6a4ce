"""Files that hold secrets: for their owner's eyes only, and written whole or not at all; imports nothing of ours.

Here since profiles and the fallback of a configuration are such files, and a half-written one is worse than none.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all, with mode 0600; of a symbolic link the file that it leads to."""
    path = Path(os.path.realpath(path))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
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
