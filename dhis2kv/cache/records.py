"""What a cache remembers: records, the places that they are about, and the table of one process.

Here since a record means the same whether a process keeps it or machines share it. Imports nothing of ours.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple

from cachetools import LRUCache

_OVERHEAD = 600  # bytes that a record takes beside its text: its name and its share of the tables

_UNSETTLED = 1000  # uses

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
    """What one read brought, and until when it serves."""

    content: Any  # a text, None for an absent entry, or a dict of names to texts (in a listing: to None)
    born: float  # when the read that brought it began
    until: float  # fresh before
    generation: str | None  # of its namespace in the backend when the read began; None: not to be kept there

    @cached_property
    def size(self) -> int:
        names = self.content if isinstance(self.content, dict) else {}
        return _OVERHEAD + sys.getsizeof(self.content) + sum(map(sys.getsizeof, (*names, *names.values())))


class Records(LRUCache[Name, Record]):
    """The records of one process, the least recently used going first, found by what a write touches."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, getsizeof=attrgetter("size"))
        self.table: dict[Name, Record] = {}  # the same ones, to look at without a lock; see ``use``
        self.uses = 0  # of what was looked at there
        self._used: deque[Name] = deque()
        # By server and store, namespace and key: a write costs what it touches, however much else there is.
        self._spaces: dict[tuple[Hashable, Hashable], dict[str | None, dict[str | None, set[Name]]]] = {}

    def use(self, name: Name) -> bool:
        """Note without a lock that a record of ``table`` served; whether it is time to ``settle``, with one.

        The order of use matters when a record has to go, and is made up for then: each time, it would take as long as
        all the rest of a read.
        """
        self._used.append(name)
        return len(self._used) > _UNSETTLED

    def settle(self) -> None:
        """Make up for the order in which records were used."""
        used = [self._used.popleft() for _ in range(len(self._used))]
        self.uses += len(used)
        for name in reversed(dict.fromkeys(reversed(used))):  # the last use of each
            self.get(name)

    def __setitem__(self, name: Name, record: Record, *args: Any, **options: Any) -> None:
        self.settle()
        super().__setitem__(name, record, *args, **options)
        self.table[name] = record
        ((server, _, store), namespace, key) = name[1]
        spaces = self._spaces.setdefault((server, store), {})
        spaces.setdefault(namespace, {}).setdefault(key, set()).add(name)

    def __delitem__(self, name: Name, *args: Any, **options: Any) -> None:
        super().__delitem__(name, *args, **options)
        del self.table[name]
        ((server, _, store), namespace, key) = name[1]
        spaces = self._spaces[server, store]
        keys = spaces[namespace]
        keys[key].discard(name)
        if not keys[key]:
            del keys[key]
        if not keys:
            del spaces[namespace]
        if not spaces:
            del self._spaces[server, store]

    def touched(self, place: Place) -> list[Name]:
        """The names of all records that a write at this place may have made stale, whoever the account."""
        (server, _, store), namespace, key = place
        spaces = self._spaces.get((server, store), {})
        namespaces = spaces if namespace is None else (None, namespace)
        found = []
        for keys in (spaces[at] for at in namespaces if at in spaces):
            found += [name for at in (keys if key is None else (None, key)) for name in keys.get(at, ())]
        return found


def touched(table: Iterable[Name], place: Place) -> list[Name]:
    """The names of all flights that a write at this place may have made stale, whoever the account."""
    (server, _, store), namespace, key = place
    return [
        (kind, at)
        for kind, at in table
        if (namespace is None or at.namespace is None or at.namespace == namespace)
        and (key is None or at.key is None or at.key == key)
        and (at.origin[0], at.origin[2]) == (server, store)
    ]
