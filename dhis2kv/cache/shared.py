"""Records that processes and machines share, through a backend; imports the errors no more than the records need.

Here since what is true within one process has to be arranged between several: whether a record is older than a write,
and whose turn it is to ask the server.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from dhis2kv.cache.records import Name, Place, Record

T = TypeVar("T")
U = TypeVar("U")
_log = logging.getLogger("dhis2kv")

PAUSE = 10.0  # seconds for which a server or a backend that did not answer is not asked again
TURN = 10.0  # seconds, at most, for which processes wait for another one's read
_GENERATION = 30 * 86400.0  # seconds for which a generation outlives the records that carry it


class Backend(Protocol):
    """Where several processes keep their records: bytes under names, each for a number of seconds.

    A method raises ``OSError`` (``ConnectionError``, ``TimeoutError``) where the backend cannot do what it is asked.
    It may lose anything at any time, but never gives back what was overwritten or deleted. A ``Cache`` that is to be
    pickled needs a backend that can be.
    """

    def get(self, *names: str) -> Sequence[bytes | None]:
        """What is kept under each of these names; None where there is nothing, or not any more."""

    def set(self, name: str, data: bytes, seconds: float) -> None:
        """Keep this for so long, whatever was there before."""

    def add(self, name: str, data: bytes, seconds: float) -> bool:
        """Keep this for so long unless there is something; whether it was kept. This is also the lock that expires."""

    def delete(self, name: str) -> None:
        """Keep nothing under this name."""


class Turn(NamedTuple):
    generation: str | None  # under which what is read is kept; None: it is not, for the backend is away
    lock: str | None = None  # the name of the lock in the backend


class Shared:
    """The records in a backend, and what keeps a process from believing one that is older than a write of its own.

    A *generation* is a random text in the backend, one for each namespace and one for each origin; a record carries
    those that held when its read began, and is nothing where they are no longer the same. A write renews that of its
    namespace. A renewal that fails is owed, and while it is, no record of the namespace is believed.

    :param lifetime: seconds for which a record is kept at most.
    """

    def __init__(self, backend: Backend, clock: Callable[[], float], lifetime: float) -> None:
        self._backend, self._clock, self._lifetime = backend, clock, lifetime + _GENERATION
        self._away_until = -float("inf")
        # By the name of a generation; two writes or payments that meet cost one payment too many, never one too few.
        self._owed: dict[str, object] = {}
        self._paid: dict[str, object] = {}

    def get(self, name: Name) -> Record | None:
        generations = self._generations(name[1])
        if not all(self._pay(one) for one in generations):
            return None
        *found, data = self._read(*generations, _text(*name))
        if data is None or None in found:
            return None
        try:
            generation, born, until, content = json.loads(data)
        except (ValueError, TypeError):  # not ours: another program's, or another version's
            return None
        if generation != _joined(found) or born > self._clock() + PAUSE:
            return None
        return Record(content, born, until, generation)

    def generation(self, place: Place) -> str | None:
        """The generation for a read that begins now; None where the backend is away."""
        names = self._generations(place)
        if not all(self._pay(one) for one in names):
            return None
        found = self._read(*names)
        for name, generation in zip(names, found, strict=True):
            if generation is None:
                self._try(partial(self._backend.add, name, _random(), self._lifetime), False)
        if None in found:
            found = self._read(*names)
        return None if None in found else _joined(found)

    def put(self, name: Name, record: Record, seconds: float) -> None:
        """Keep a record for so long; what is kept under its name goes where that is 0."""
        if record.generation is None:
            return
        data = json.dumps([record.generation, record.born, record.until, record.content], ensure_ascii=False)
        if seconds:
            self._try(partial(self._backend.set, _text(*name), data.encode("utf-8", "surrogatepass"), seconds), None)
        else:
            self._try(partial(self._backend.delete, _text(*name)), None)

    def forget(self, place: Place) -> None:
        origin, space = self._generations(place)
        root = self._generations(Place(place.origin))[1]
        for name in [origin] if place.namespace is None else [space, root]:
            self._owed[name] = object()
            self._pay(name)

    def take_turn(self, kind: str, place: Place) -> Turn | None:
        """The right to ask the server for all processes; None while another one has it."""
        generation = self.generation(place)
        if generation is None:
            return Turn(None)
        lock = _text("turn", kind, place, generation)  # a read from before a write holds up nobody after it
        taken = self._try(partial(self._backend.add, lock, b"", TURN), None)
        if taken is None:
            return Turn(None)
        return Turn(generation, lock) if taken else None

    def end_turn(self, turn: Turn) -> None:
        if turn.lock is not None:
            self._try(partial(self._backend.delete, turn.lock), None)

    def _generations(self, place: Place) -> tuple[str, str]:
        (server, _, store), namespace, _ = place
        everyone = (server, None, store)  # what one account writes, all of them read
        return _text("origin", Place(everyone)), _text("generation", Place(everyone, namespace))

    def _pay(self, name: str) -> bool:
        """Renew a generation if that is owed; False where it is and cannot be done."""
        debt = self._owed.get(name)
        if debt is self._paid.get(name):
            return True

        def renew() -> bool:
            self._backend.set(name, _random(), self._lifetime)
            return True

        paid = self._try(renew, False)
        if paid:
            self._paid[name] = debt
        return paid

    def _read(self, *names: str) -> Sequence[bytes | None]:
        return self._try(partial(self._backend.get, *names), [None] * len(names))

    def _try(self, call: Callable[[], T], otherwise: U) -> T | U:
        """Ask the backend; where it is away, say so in the log and leave it alone for a while."""
        if 0 < self._away_until - self._clock() <= PAUSE:  # more: somebody has set the clock back
            return otherwise
        try:
            return call()
        except OSError as error:
            self._away_until = self._clock() + PAUSE
            _log.warning("the cache's backend is away (%s); the server is asked instead", error)
            return otherwise


def _text(*parts: Any) -> str:
    return json.dumps(parts)


def _random() -> bytes:
    return uuid.uuid4().hex.encode()


def _joined(generations: Sequence[bytes | None]) -> str:
    return " ".join(repr(generation) for generation in generations)
