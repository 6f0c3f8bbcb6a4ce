"""Records that processes and machines share, through a backend; imports the protocol.

Here since what is true within one process has to be arranged between several: whether a record is older than a write,
and whose turn it is to ask the server.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from dhis2kv import errors, wire
from dhis2kv.cache.records import ENTRIES, VALUE, Name, Place, Record

T = TypeVar("T")
U = TypeVar("U")
_log = logging.getLogger("dhis2kv")

PAUSE = 10.0  # seconds for which a server or a backend that did not answer is not asked again
TURN = 10.0  # seconds, at most, for which processes wait for another one's read
_FORM = re.compile(rb"(\d{1,18}) [0-9a-f]{32}")
_GENERATION = 30 * 86400.0  # seconds for which a generation outlives the records that carry it


class Backend(Protocol):
    """Where several processes keep their records: bytes under names, each for a number of seconds.

    A method raises ``OSError`` (``ConnectionError``, ``TimeoutError``) where the backend cannot do what it is asked.
    It may lose anything at any time, but never gives back what was overwritten or deleted, neither after a crash: a
    process that has not seen the write itself could not tell. A ``Cache`` that is to be pickled needs a backend that
    can be.
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

    A *generation* is a number and a random text in the backend, one for each namespace and one for each origin; a
    record carries those that held when its read began, and is nothing where they are no longer the same. A write renews
    that of its namespace. A renewal that fails is owed, and while it is, no record of the namespace is believed. What
    comes from the backend is looked at like what comes from the network: others may write there.

    :param lifetime: seconds for which a record is kept at most.
    """

    def __init__(self, backend: Backend, clock: Callable[[], float], lifetime: float) -> None:
        self._backend, self._clock, self._lifetime = backend, clock, lifetime + _GENERATION
        self._away_until = -float("inf")
        # By the name of a generation; two writes or payments that meet cost one payment too many, never one too few.
        self._owed: dict[str, object] = {}
        self._paid: dict[str, object] = {}
        self._seen: dict[str, int] = {}  # the highest number of each generation; it goes up with each renewal

    def get(self, name: Name) -> Record | None:
        """What is kept under a name and may be believed."""
        generations = self._generations(name[1])
        if not all(self._pay(one) for one in generations):
            return None
        seen = self._numbers(generations)
        *found, data = self._read(*generations, _text(*name))
        if data is None or not self._trusted(generations, found, seen):
            return None
        record = _record(name[0], data)
        if record is None or record.generation != _joined(found) or record.born > self._clock() + PAUSE:
            return None
        return record

    def generation(self, place: Place) -> str | None:
        """The generation for a read that begins now; None where the backend is away."""
        names = self._generations(place)
        for _ in range(3):  # it is there, or has to be made, or renewed
            seen = self._numbers(names)
            found = self._read(*names)
            if self._trusted(names, found, seen):
                return _joined(found)
            for name, generation in zip(names, found, strict=True):
                if generation is None:
                    new = _new(self._seen.get(name, 0) + 1)
                    self._try(partial(self._backend.add, name, new, self._lifetime), None)
        return None

    def _numbers(self, names: Sequence[str]) -> list[int]:
        """The highest numbers of these generations so far: before the backend is asked, for others may write then."""
        return [self._seen.get(name, 0) for name in names]

    def _trusted(self, names: Sequence[str], found: Sequence[bytes | None], seen: Sequence[int]) -> bool:
        """Whether these generations are all there, and none went back.

        One that did, as in a backend that was restored from an old copy of itself, is renewed: what carries it may be
        from before a write.
        """
        for name, generation, before in zip(names, found, seen, strict=True):
            if generation is not None and (number := _number(generation)) < before:
                _log.warning("the cache's backend gave back what was overwritten; it is believed from now on alone")
                self._owed[name] = object()
                self._pay(name)
                return False
            if generation is not None:
                self._seen[name] = max(number, self._seen.get(name, 0))
        return None not in found

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
            number = 1 + max(self._seen.get(name, 0), *map(_number, self._backend.get(name)))
            self._backend.set(name, _new(number), self._lifetime)
            self._seen[name] = number
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


def _new(number: int) -> bytes:
    return f"{number} {uuid.uuid4().hex}".encode()


def _number(generation: bytes | None) -> int:
    """The number in a generation; 0 where there is none, and less for what was never one of ours."""
    if generation is None:
        return 0
    found = _FORM.fullmatch(generation)
    return int(found[1]) if found else -1


def _record(kind: str, data: bytes) -> Record | None:
    """The record in these bytes; None where they are none of this kind, or hold a text that cannot be read."""
    try:
        generation, born, until, content = wire.loads(data.decode("utf-8", "surrogatepass"))
        if content is not None and kind is VALUE:
            content = _read(content)
        elif content is not None:
            read = _read if kind is ENTRIES else _none
            content = {name: read(text) for name, text in content.items()}
        return Record(content, float(born), float(until), str(generation))
    except (ValueError, TypeError, AttributeError):  # another program's, or another version's
        return None


def _read(text: str) -> str:
    """A text as a record holds it; ``ValueError`` for what is no JSON."""
    try:
        return wire.read(text)[1]
    except errors.Unreadable:
        return wire.Careful(text)  # its text is kept all the same


def _none(text: None) -> None:
    if text is not None:
        raise ValueError("a listing holds names alone")


def _joined(generations: Sequence[bytes | None]) -> str:
    return " ".join(repr(generation) for generation in generations)
