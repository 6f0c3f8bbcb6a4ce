"""How a read is done once: by one of many threads and processes that want the same; imports the errors.

Here since who asks, who waits and what is kept hang together by one lock: a *flight* is a read on its way, and what
takes it off the table keeps its result from being kept.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dhis2kv import errors
from dhis2kv.cache.records import ENTRIES, EXISTS, VALUE, Name, Place, Record, Records, touched
from dhis2kv.cache.shared import PAUSE, TURN, Shared, Turn
from dhis2kv.cache.texts import read_texts, values_of

_log = logging.getLogger("dhis2kv")

_SPREAD = 0.05  # of a lifetime, at most, is taken off at random, so that a fleet does not come back at once
_POLL = 0.05  # seconds between looking whether another process's read has come
_LINGER = 1.0  # seconds, at least, for which it is there for those who wait


class Flight:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.record: Record | None = None
        self.error: errors.Dhis2kvError | None = None


class Reads:
    """The reads of one cache: their records, and those on their way.

    Threads: one lock, ``lock``, held for what is done with ``records`` only and never during a request. Most reads end
    with a look into ``records.table``, and take none.
    """

    def __init__(
        self,
        ttl: float,
        negative_ttl: float,
        stale_if_error: float,
        max_bytes: int,
        shared: Shared | None,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        chance: Callable[[], float],
    ) -> None:
        self._ttl, self._negative_ttl, self._stale_if_error = ttl, negative_ttl, stale_if_error
        self._max_bytes, self._shared = max_bytes, shared
        self._clock, self._sleep, self._chance = clock, sleep, chance
        self.renew()

    def renew(self) -> None:
        """Begin anew, with no record, no flight and a lock of its own."""
        self.lock = threading.Lock()
        self.records = Records(self._max_bytes)
        self._flights: dict[Name, Flight] = {}
        self.hits = self.misses = 0

    def held(self, place: Place) -> str | None:
        """The text of an entry by a fresh record in this process; None where there is none."""
        name: Name = (VALUE, place)
        record = self.records.table.get(name)
        if record is not None:
            text = record.content
        else:
            name = (ENTRIES, Place(place.origin, place.namespace))
            record = self.records.table.get(name)
            if record is None or record.content is None:
                return None
            text = record.content.get(place.key)
        if text is None or record.until <= self._clock():
            return None
        if self.records.use(name):
            with self.lock:
                self.records.settle()
        return text  # type: ignore[no-any-return]

    def read(self, kind: str, place: Place, fetch: Callable[[], Any]) -> Any:
        """What a read of this kind brings: joins the one that is on its way, or does it itself."""
        while True:
            mine = Flight()
            try:
                with self.lock:
                    flight = self._flights.setdefault((kind, place), mine)
                if flight is mine:
                    mine.record = self._lead(mine, kind, place, fetch)
                    return mine.record.content
            except errors.Dhis2kvError as error:
                mine.error = error
                raise
            finally:  # also for a KeyboardInterrupt: nobody may wait for a read that has ended
                with self.lock:
                    if self._flights.get((kind, place)) is mine:
                        del self._flights[kind, place]
                mine.done.set()
            flight.done.wait()
            if flight.error is not None:
                raise copy.copy(flight.error) from flight.error.__cause__
            if flight.record is not None:
                self.count(hit=True)
                return _present(flight.record, place)

    def _lead(self, flight: Flight, kind: str, place: Place, fetch: Callable[[], Any]) -> Record:
        """A fresh record, or one from the server; where processes share records, one asks and the others wait."""
        found, fresh = self.find(kind, place)
        turn: Turn | None = Turn(None)
        if self._shared is not None and not fresh:
            known = max(self._clock() - TURN, found.born if found is not None else 0)
            for _ in range(int(TURN / _POLL)):
                turn = self._shared.take_turn(kind, place)
                found, fresh = self.find(kind, place)  # whoever had the turn may have brought it
                fresh = fresh or (found is not None and found.born > known)  # also what is not to be remembered
                if fresh or turn is not None:
                    break
                self._sleep(_POLL)
        try:
            self.count(hit=fresh)
            if found is None or not fresh:
                return self._ask(flight, kind, place, fetch, found, turn.generation if turn is not None else None)
            _present(found, place)
            return found
        finally:
            if self._shared is not None and turn is not None:
                self._shared.end_turn(turn)

    def _ask(
        self,
        flight: Flight,
        kind: str,
        place: Place,
        fetch: Callable[[], Any],
        old: Record | None,
        generation: str | None,
    ) -> Record:
        """Ask the server and keep what it says; fall back to an old record where the server is in trouble."""
        born = self._clock()
        lifetime = 1 - _SPREAD * self._chance()
        try:
            record = Record(fetch(), born, born + self._ttl * lifetime, generation)
        except errors.KeyNotFound:
            # Of a namespace only this is remembered: that the old record is no longer good.
            remembered = self._negative_ttl if kind in (VALUE, EXISTS) else 0
            self._put(flight, kind, place, Record(None, born, born + remembered * lifetime, generation))
            raise
        except errors.Dhis2kvError as error:
            record = self._instead(error, old)
            _log.warning("%s; what was read %.0f seconds ago is served instead", error, self._clock() - record.born)
        self._put(flight, kind, place, record)
        return record

    def read_many(
        self,
        place: Place,
        missing: Mapping[str, Record | None],
        fetch: Callable[[list[str]], Mapping[str, str]],
    ) -> dict[str, Any]:
        """The values of several entries, by asking the server; others that want one of them wait.

        What it says of each is kept.
        """
        places = {key: place._replace(key=key) for key in missing}
        flights = {key: Flight() for key in missing}
        try:  # as in _read, nobody may wait for a read that has ended
            with self.lock:
                for key, at in places.items():
                    self._flights.setdefault((VALUE, at), flights[key])  # one that is on its way keeps its place
            born, generation = self._clock(), None if self._shared is None else self._shared.generation(place)
            lifetime = 1 - _SPREAD * self._chance()
            values, texts = read_texts(fetch(list(missing)), place)
            for key, flight in flights.items():
                text = texts.get(key)
                remembered = self._negative_ttl if text is None else self._ttl
                flight.record = Record(text, born, born + remembered * lifetime, generation)
                self._put(flight, VALUE, places[key], flight.record)
            return values
        except errors.Dhis2kvError as error:
            for flight in flights.values():
                flight.error = error
            instead = {key: self._instead(error, old) for key, old in missing.items()}
            _log.warning("%s; what was read of %d entries before is served instead", error, len(instead))
            for key, flight in flights.items():
                flight.error, flight.record = None, instead[key]
                self._put(flight, VALUE, places[key], instead[key])
            return values_of({key: record.content for key, record in instead.items()})
        finally:
            with self.lock:
                for key, at in places.items():
                    if self._flights.get((VALUE, at)) is flights[key]:
                        del self._flights[VALUE, at]
            for flight in flights.values():
                flight.done.set()

    def _instead(self, error: errors.Dhis2kvError, old: Record | None) -> Record:
        """The old record, good for a moment more, where the server is away and it may be served; else the error."""
        now = self._clock()
        away = isinstance(error, errors.Unreachable | errors.TimedOut) or (error.status or 0) >= 500
        if not away or old is None or old.content is None or now >= old.born + self._ttl + self._stale_if_error:
            raise error
        return replace(old, until=min(now + min(PAUSE, self._ttl), old.born + self._ttl + self._stale_if_error))

    def find(self, kind: str, place: Place) -> tuple[Record | None, bool]:
        """The newest record that answers, and whether it is fresh."""
        found = [self.get((kind, place))]
        if kind is VALUE and not self.is_fresh(found[0]):
            whole = self.get((ENTRIES, place._replace(key=None)))
            if whole is not None and whole.content is not None and place.key in whole.content:
                found.append(replace(whole, content=whole.content[place.key]))
        best = max(filter(None, found), key=lambda record: record.born, default=None)
        return best, self.is_fresh(best)

    def is_fresh(self, record: Record | None) -> bool:
        return record is not None and record.until > self._clock()

    def get(self, name: Name) -> Record | None:
        if self._shared is not None:
            return self._shared.get(name)
        with self.lock:
            return self.records.get(name)

    def _put(self, flight: Flight, kind: str, place: Place, record: Record) -> None:
        """Keep a record, unless a write has taken its flight off the table."""
        lifetime = self._negative_ttl if record.content is None else self._ttl
        seconds = record.born + lifetime + self._stale_if_error - self._clock()
        fits = record.size * 2 <= self._max_bytes
        with self.lock:
            if self._flights.get((kind, place)) is not flight:
                return
            if self._shared is None:
                self.records.pop((kind, place), None)
                if fits and seconds > 0:
                    if kind is ENTRIES:  # whoever sees it must not see older single reads again
                        for name in self.records.touched(place):
                            older = self.records[name].born <= record.born
                            if older and name[0] is VALUE and name[1].origin == place.origin:
                                del self.records[name]
                    self.records[kind, place] = record
        if self._shared is not None:
            self._shared.put((kind, place), record, max(seconds, _LINGER) if fits else 0)

    def count(self, hit: bool) -> None:
        with self.lock:
            self.hits += hit
            self.misses += not hit

    def drop(self, place: Place) -> None:
        """Forget records and flights that a write at this place may have made stale."""
        if self._shared is not None:
            self._shared.forget(place)
        with self.lock:
            for name in self.records.touched(place):
                del self.records[name]
            for name in touched(self._flights, place):
                del self._flights[name]


def _present(record: Record, place: Place) -> Any:
    """What a record holds; ``KeyNotFound`` where that is an absence."""
    if record.content is None:
        raise errors.KeyNotFound(place.key, namespace=place.namespace, status=404)
    return record.content
