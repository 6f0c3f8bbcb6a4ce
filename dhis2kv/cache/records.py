"""What a cache remembers: records, and the places that they are about; imports nothing of ours.

Here since a record means the same whether a process keeps it or machines share it.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

_OVERHEAD = 600  # bytes that a record takes beside its text: its name and its share of the tables

VALUE, EXISTS, ENTRIES, LISTING = "value", "exists", "entries", "listing"  # the kinds of reads


class Place(NamedTuple):
    """What a record is about: server, account and store; a namespace (None: all of them); a key (None: all of them).

    ``origin`` is the server, the account and the store; all texts, and nothing secret, for a cache with a backend.
    """

    origin: tuple[Hashable, Hashable, Hashable]
    namespace: str | None = None
    key: str | None = None


class CacheInfo(NamedTuple):
    """How often a read was answered without asking the server, how often it was asked, and the sizes in bytes."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


Name = tuple[str, Place]  # of a record: the kind of the read and its place


@dataclass(frozen=True)
class Record:
    content: Any  # a text, None for an absent entry, or a dict of names to texts (in a listing: to None)
    born: float  # when the read that brought it began
    until: float  # fresh before
    generation: str | None = ""  # of its namespace in the backend when the read began; None: not to be kept

    @cached_property
    def size(self) -> int:
        names = self.content if isinstance(self.content, dict) else {}
        return _OVERHEAD + sys.getsizeof(self.content) + sum(map(sys.getsizeof, (*names, *names.values())))


def touched(table: Iterable[Name], place: Place) -> list[Name]:
    """The names of all records and flights that a write at this place may have made stale, whoever the account."""
    (server, _, store), namespace, key = place
    return [
        (kind, at)
        for kind, at in table
        if (namespace is None or at.namespace is None or at.namespace == namespace)
        and (key is None or at.key is None or at.key == key)
        and (at.origin[0], at.origin[2]) == (server, store)
    ]
