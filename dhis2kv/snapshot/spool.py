"""JSON values one after the other, in a file of their own: lists that can be longer than memory.

It may import the library up to the store. Here since a plan is made whole before it is carried out.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from itertools import islice
from typing import Any

from dhis2kv.wire import exact

IN_MEMORY = 1 << 20  # bytes; what is more goes to the disk

_LINES = 1000  # read at a time


class Spool:
    """Values that are appended, and then read as often as one likes, in turn if need be; every digit is kept."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", newline="\n")  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._count = 0

    def append(self, value: Any) -> None:
        """Add a value at the end."""
        self._file.write(exact.printed(value, sort_keys=False, separators=(",", ":")) + "\n")
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        place = 0
        while True:
            self._file.seek(place)
            lines = list(islice(iter(self._file.readline, ""), _LINES))
            place = self._file.tell()
            yield from map(exact.loads, lines)
            if len(lines) < _LINES:
                return
