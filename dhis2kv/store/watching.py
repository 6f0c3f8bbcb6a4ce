"""What changes in a namespace, as it does; imports the errors and the protocol.

Here since a server tells nobody of changes, and an update does not move an entry's date: only values, compared, do.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self

from dhis2kv import errors, wire
from dhis2kv.store.entries import V

log = logging.getLogger("dhis2kv")

_OUTAGES = (errors.ServerError, errors.Unreachable, errors.TimedOut)
_CLOSED: Any = object()


@dataclass(frozen=True)
class Change(Generic[V]):
    """One change of an entry: ``old`` is None where it was added, ``new`` where it was removed."""

    kind: Literal["added", "changed", "removed"]
    key: str
    old: V | None
    new: V | None


class Watch(Iterator[Change[V]]):
    """The changes of a namespace, one by one, without end; made by ``Namespace.watch``.

    It waits for the next one. ``close()``, from any thread, and leaving it as a context manager end it at once: a
    look that is under way then is not waited for, and no more of the changes that it has found already are given.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], dict[str, Any]],
        load: Callable[[str, Any], V],
        every: float,
    ) -> None:
        if not every > 0:
            raise ValueError("every is a number of seconds, more than 0")
        self._name, self._look, self._load, self._every = name, look, load, every
        self._told: queue.SimpleQueue[Any] = queue.SimpleQueue()  # what looks bring, and the end
        self._closed = threading.Event()
        self._changes: deque[tuple[Any, str, Any, Any]] = deque()
        self._away = False
        self._before = self._looked()

    def __next__(self) -> Change[V]:
        while not self._changes:
            if self._closed.is_set() or not self._rest(self._every):
                raise StopIteration
            now = self._looked()
            if now is not None and self._before is not None:
                self._changes.extend(_changes(self._before, now))
            self._before = self._before if now is None else now
        if self._closed.is_set():  # also with changes that nobody has asked for yet
            raise StopIteration
        kind, key, old, new = self._changes.popleft()
        return Change(
            kind,
            key,
            None if kind == "added" else self._load(key, old),
            None if kind == "removed" else self._load(key, new),
        )

    def close(self) -> None:
        """End it, from whatever thread: who waits for a change is told at once that there is none any more."""
        self._closed.set()
        self._told.put(_CLOSED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rest(self, seconds: float) -> bool:
        """Wait; False when it is closed meanwhile."""
        return not self._closed.wait(seconds)

    def _looked(self) -> dict[str, Any] | None:
        """What is there now; None during an outage, and when it is closed."""
        try:
            now = self._asked()
        except _OUTAGES as error:
            if not self._away:
                log.warning("watching %s: %s; it is asked again every %g seconds", self._name, error, self._every)
            self._away = True
            return None
        if self._away and now is not None:
            log.warning("watching %s: the server is there again", self._name)
            self._away = False
        return now

    def _asked(self) -> dict[str, Any] | None:
        """What a look brings; it has a thread of its own, for whoever closes this waits for no server."""

        def ask() -> None:
            try:
                self._told.put((self._look(), None))
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                self._told.put((None, error))

        try:
            threading.Thread(target=ask, name="dhis2kv-watch", daemon=True).start()
        except RuntimeError:  # a Python without threads
            return self._look()
        told = self._told.get()
        if told is _CLOSED:
            self._told.put(_CLOSED)
            return None
        now, error = told
        if error is not None:
            raise error
        found: dict[str, Any] = now
        return found


def _changes(before: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    for key in sorted(before.keys() | now.keys()):
        if key not in now:
            yield "removed", key, before[key], None
        elif key not in before:
            yield "added", key, None, now[key]
        elif not wire.same(before[key], now[key]):
            yield "changed", key, before[key], now[key]
