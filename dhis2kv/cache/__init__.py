"""The cache: JSON text in, fresh values out, kept in the process or in a backend that machines share.

A *record* is what one read brought: the text of an entry (or that there is none), all texts of a namespace, or a
listing of names. A *flight* is a read on its way; threads that want the same join it. A write drops the records and
takes the flights off the table that it may have made stale, so that nothing read before it is served after it.

This room has the guarantees within a process; ``records`` says what is remembered, ``shared`` has the guarantees
between machines, ``redis`` one place where they keep it. Of ours they import the errors, for absence and outage have
to be told apart, and nothing else: whoever reads brings the texts.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any

from cachetools import LRUCache

from dhis2kv import errors
from dhis2kv.cache.records import ENTRIES, EXISTS, LISTING, VALUE, CacheInfo, Name, Place, Record, touched
from dhis2kv.cache.redis import RedisBackend
from dhis2kv.cache.shared import PAUSE, TURN, Backend, Shared, Turn

__all__ = ["Backend", "Cache", "CacheInfo", "Place", "RedisBackend"]

_log = logging.getLogger("dhis2kv")

_SPREAD = 0.05  # of a lifetime, at most, is taken off at random, so that a fleet does not come back at once
_POLL = 0.05  # seconds between looking whether another process's read has come
_LINGER = 1.0  # seconds, at least, for which it is there for those who wait


class _Flight:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.record: Record | None = None
        self.error: errors.Dhis2kvError | None = None


class Cache:
    """Remembers what was read for ``ttl`` seconds, for any number of threads, stores and accounts.

    Threads: every method may be called from any thread at any time. There is one lock, held for look-ups only and
    never during a request. Threads that miss the same thing at the same time cause one request and share its result,
    also when it is an error: each raises a copy of its own. Within a process nothing is ever served or kept that was
    read before a write of this process through this cache finished. A forked process starts with an empty cache, and
    so does one that a ``Cache`` is pickled to: its settings travel, its records do not.

    Every read gives new values, made from text: whatever a caller does to them, the cache is not changed.

    A backend (see ``RedisBackend``) keeps the records for several processes and machines: nothing stays in this
    process. While one process reads, the others wait for it (ten seconds at most). What was written elsewhere through
    such a cache shows at once, what was written past it after ``ttl``. The clocks of the machines must agree: a record
    from more than ten seconds ahead is not believed. A write makes the shared records of its whole namespace stale.
    While the backend is away, a warning is logged and the server is asked instead; the backend is asked again after
    ten seconds. All who share a backend should use the same settings.

    :param ttl: seconds for which a record is served, counted from the start of the read; up to five per cent less, at
        random, so that many processes do not come back at once.
    :param max_bytes: what the records in this process may take together; the least recently used go first. A record
        bigger than half of it, such as a large namespace, is not kept, in a backend neither.
    :param negative_ttl: seconds for which it is remembered that a single entry is absent; 0: not at all.
    :param stale_if_error: seconds beyond ``ttl`` for which the last good record is served, with a warning in the log,
        when the server cannot be reached, does not answer in time or answers 5xx; never at a refusal (401, 403), a 404
        or a 429. After each such failure the server is not asked again about the same for ten seconds, or ``ttl``
        where that is less.
    :param backend: where the records are kept instead of in this process.
    :param clock: the time in seconds; by default ``time.monotonic``, with a backend ``time.time``.
    """

    def __init__(
        self,
        ttl: float,
        *,
        max_bytes: int = 64 * 2**20,
        negative_ttl: float = 0,
        stale_if_error: float = 0,
        backend: Backend | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if not (ttl > 0 and max_bytes > 0 and negative_ttl >= 0 and stale_if_error >= 0):
            raise ValueError("ttl and max_bytes are more than 0, negative_ttl and stale_if_error at least 0")
        self._settings: dict[str, Any] = {  # what a pickle carries
            "ttl": ttl,
            "max_bytes": max_bytes,
            "negative_ttl": negative_ttl,
            "stale_if_error": stale_if_error,
            "backend": backend,
        }
        self.ttl, self.max_bytes, self.negative_ttl, self.stale_if_error = ttl, max_bytes, negative_ttl, stale_if_error
        self.backend = backend
        self._clock, self._sleep, self._chance = clock or time.monotonic, sleep, chance
        self._shared: Shared | None = None
        if backend is not None:
            self._clock = clock or time.time  # the one clock that machines have in common
            self._shared = Shared(backend, self._clock, ttl + stale_if_error)
        self._renew()
        _caches.add(self)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._records: LRUCache[Name, Record] = LRUCache(self.max_bytes, getsizeof=attrgetter("size"))
        self._flights: dict[Name, _Flight] = {}
        self._hits = self._misses = 0

    def __reduce__(self) -> tuple[Callable[[], Cache], tuple[()]]:
        return partial(Cache, **self._settings), ()

    # --- reading --------------------------------------------------------------------------------------------------

    def value(self, place: Place, fetch: Callable[[], str]) -> Any:
        """The value of an entry: from its record, from that of its whole namespace, or by ``fetch``.

        ``fetch`` returns JSON text or raises; it is called without the lock and must not read the same through this
        cache. Raises what it raises, ``KeyNotFound`` where that is remembered, and ``ServerError`` for what is no JSON.
        """
        with self._lock:  # the way of most reads, so it is short
            try:
                record = self._records[VALUE, place]
                text = record.content if record.until > self._clock() else None
            except KeyError:
                text = self._held_in_bulk(place)
            if text is not None:
                self._hits += 1
        if text is None:
            text = self._read(VALUE, place, lambda: _readable(fetch()))
        return json.loads(text)

    def _held_in_bulk(self, place: Place) -> Any:
        """The text of an entry by a fresh record of its whole namespace in this process; None where there is none."""
        whole = self._records.get((ENTRIES, Place(place.origin, place.namespace)))
        return whole.content.get(place.key) if whole is not None and whole.until > self._clock() else None

    def entries(self, place: Place, fetch: Callable[[], Mapping[str, str]]) -> dict[str, Any]:
        """Keys and values of a whole namespace, in the order of ``fetch``, which returns the JSON text of each."""
        return _values(self._read(ENTRIES, place, lambda: {key: _readable(text) for key, text in fetch().items()}))

    def many(
        self, place: Place, keys: Iterable[str], fetch: Callable[[list[str]], Mapping[str, str]]
    ) -> dict[str, Any]:
        """Keys and values of these entries of a namespace, absent ones left out.

        ``fetch`` is given the keys of which there is no fresh record, and returns the JSON text of those that exist.
        """
        if isinstance(keys, str):
            raise TypeError("keys is several keys, not one text, which would be taken for its characters")
        wanted = {key: self._find(VALUE, place._replace(key=key)) for key in keys}
        texts = {key: record.content for key, (record, fresh) in wanted.items() if record is not None and fresh}
        missing = {key: record for key, (record, fresh) in wanted.items() if not fresh}
        for key in wanted:
            self._count(hit=key not in missing)
        if missing:
            texts |= self._ask_many(place, missing, fetch)
        return _values({key: texts[key] for key in wanted if texts.get(key) is not None})

    def _ask_many(
        self,
        place: Place,
        missing: Mapping[str, Record | None],
        fetch: Callable[[list[str]], Mapping[str, str]],
    ) -> dict[str, Any]:
        """Ask the server for several entries and keep what it says of each; others that want one of them wait."""
        places = {key: place._replace(key=key) for key in missing}
        flights = {key: _Flight() for key in missing}
        try:  # as in _read, nobody may wait for a read that has ended
            with self._lock:
                for key, at in places.items():
                    self._flights.setdefault((VALUE, at), flights[key])  # one that is on its way keeps its place
            born, generation = self._clock(), "" if self._shared is None else self._shared.generation(place)
            lifetime = 1 - _SPREAD * self._chance()
            texts = {key: _readable(text) for key, text in fetch(list(missing)).items()}
            for key, flight in flights.items():
                text = texts.get(key)
                remembered = self.negative_ttl if text is None else self.ttl
                flight.record = Record(text, born, born + remembered * lifetime, generation)
                self._put(flight, VALUE, places[key], flight.record)
            return texts
        except errors.Dhis2kvError as error:
            for flight in flights.values():
                flight.error = error
            instead = {key: self._instead(error, old) for key, old in missing.items()}
            _log.warning("%s; what was read of %d entries before is served instead", error, len(instead))
            for key, flight in flights.items():
                flight.error, flight.record = None, instead[key]
                self._put(flight, VALUE, places[key], instead[key])
            return {key: record.content for key, record in instead.items()}
        finally:
            with self._lock:
                for key, at in places.items():
                    if self._flights.get((VALUE, at)) is flights[key]:
                        del self._flights[VALUE, at]
            for flight in flights.values():
                flight.done.set()

    def listing(self, place: Place, fetch: Callable[[], Iterable[str]]) -> list[str]:
        """The keys of a namespace, or the namespaces (``place.namespace`` None), in the order of ``fetch``."""
        return list(self._read(LISTING, place, lambda: dict.fromkeys(fetch())))

    def exists(self, place: Place, fetch: Callable[[], bool]) -> bool:
        """Whether an entry exists, by whatever record tells it, or by ``fetch``; see ``value`` for what it raises."""

        def ask() -> dict[str, None]:
            if not fetch():
                raise errors.KeyNotFound(place.key, namespace=place.namespace, status=404)
            return {}

        known = self.known(place)
        if known is None:
            try:
                self._read(EXISTS, place, ask)
            except errors.KeyNotFound:
                return False
        return True if known is None else known

    def known(self, place: Place) -> bool | None:
        """Whether a key (or, ``place.key`` None, a namespace) exists, by fresh records; None where none tells."""
        space, root = Place(place.origin, place.namespace), Place(place.origin)
        sources = [(VALUE, place), (EXISTS, place), (ENTRIES, space), (LISTING, space)]
        wanted = place.key
        if place.key is None:
            sources, wanted = [(LISTING, root)], place.namespace
        for kind, at in sources:
            record = self._get((kind, at))
            if record is not None and self._is_fresh(record):
                self._count(hit=True)
                return record.content is not None and (at == place or wanted in record.content)
        return None

    def _read(self, kind: str, place: Place, fetch: Callable[[], Any]) -> Any:
        """What a read of this kind brings: joins the one that is on its way, or does it itself."""
        while True:
            mine = _Flight()
            try:
                with self._lock:
                    flight = self._flights.setdefault((kind, place), mine)
                if flight is mine:
                    mine.record = self._lead(mine, kind, place, fetch)
                    return mine.record.content
            except errors.Dhis2kvError as error:
                mine.error = error
                raise
            finally:  # also for a KeyboardInterrupt: nobody may wait for a read that has ended
                with self._lock:
                    if self._flights.get((kind, place)) is mine:
                        del self._flights[kind, place]
                mine.done.set()
            flight.done.wait()
            if flight.error is not None:
                raise copy.copy(flight.error) from flight.error.__cause__
            if flight.record is not None:
                self._count(hit=True)
                return _present(flight.record, place)

    def _lead(self, flight: _Flight, kind: str, place: Place, fetch: Callable[[], Any]) -> Record:
        """A fresh record, or one from the server; where processes share records, one asks and the others wait."""
        found, fresh = self._find(kind, place)
        turn: Turn | None = Turn("")
        if self._shared is not None and not fresh:
            known = max(self._clock() - TURN, found.born if found is not None else 0)
            for _ in range(int(TURN / _POLL)):
                turn = self._shared.take_turn(kind, place)
                found, fresh = self._find(kind, place)  # whoever had the turn may have brought it
                fresh = fresh or (found is not None and found.born > known)  # also what is not to be remembered
                if fresh or turn is not None:
                    break
                self._sleep(_POLL)
        try:
            self._count(hit=fresh)
            if found is None or not fresh:
                return self._ask(flight, kind, place, fetch, found, turn.generation if turn is not None else None)
            _present(found, place)
            return found
        finally:
            if self._shared is not None and turn is not None:
                self._shared.end_turn(turn)

    def _find(self, kind: str, place: Place) -> tuple[Record | None, bool]:
        """The newest record that answers, and whether it is fresh."""
        found = [self._get((kind, place))]
        if kind is VALUE and not self._is_fresh(found[0]):
            whole = self._get((ENTRIES, place._replace(key=None)))
            if whole is not None and whole.content is not None and place.key in whole.content:
                found.append(replace(whole, content=whole.content[place.key]))
        best = max(filter(None, found), key=lambda record: record.born, default=None)
        return best, self._is_fresh(best)

    def _is_fresh(self, record: Record | None) -> bool:
        return record is not None and record.until > self._clock()

    def _ask(
        self,
        flight: _Flight,
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
            record = Record(fetch(), born, born + self.ttl * lifetime, generation)
        except errors.KeyNotFound:
            # Of a namespace only this is remembered: that the old record is no longer good.
            remembered = self.negative_ttl if kind in (VALUE, EXISTS) else 0
            self._put(flight, kind, place, Record(None, born, born + remembered * lifetime, generation))
            raise
        except errors.Dhis2kvError as error:
            record = self._instead(error, old)
            _log.warning("%s; what was read %.0f seconds ago is served instead", error, self._clock() - record.born)
        self._put(flight, kind, place, record)
        return record

    def _instead(self, error: errors.Dhis2kvError, old: Record | None) -> Record:
        """The old record, good for a moment more, where the server is away and it may be served; else the error."""
        now = self._clock()
        away = isinstance(error, errors.Unreachable | errors.TimedOut) or (
            isinstance(error, errors.ServerError) and (error.status or 0) >= 500
        )
        if not away or old is None or old.content is None or now >= old.born + self.ttl + self.stale_if_error:
            raise error
        return replace(old, until=min(now + min(PAUSE, self.ttl), old.born + self.ttl + self.stale_if_error))

    # --- writing --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self, place: Place) -> Iterator[None]:
        """Around a write of an entry, or of a whole namespace (``place.key`` None); drops it at the end in any case."""
        try:
            yield
        finally:
            self.drop(place)

    def drop(self, place: Place) -> None:
        """Forget an entry, a namespace, or all of an origin, with the listings that may name it.

        Whoever reads from now on asks the server, and joins no read that began before. Sends nothing to the server.
        """
        if self._shared is not None:
            self._shared.forget(place)
        with self._lock:
            for table in (self._records, self._flights):
                for name in touched(table, place):
                    table.pop(name, None)

    def info(self) -> CacheInfo:
        """Hits and misses of this process, and the sizes in bytes (``currsize`` is 0 with a backend)."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, self.max_bytes, int(self._records.currsize))

    # --- records --------------------------------------------------------------------------------------------------

    def _get(self, name: Name) -> Record | None:
        if self._shared is not None:
            return self._shared.get(name)
        with self._lock:
            return self._records.get(name)

    def _put(self, flight: _Flight, kind: str, place: Place, record: Record) -> None:
        """Keep a record, unless a write has taken its flight off the table."""
        lifetime = self.negative_ttl if record.content is None else self.ttl
        seconds = record.born + lifetime + self.stale_if_error - self._clock()
        fits = record.size * 2 <= self.max_bytes
        with self._lock:
            if self._flights.get((kind, place)) is not flight:
                return
            if self._shared is None:
                self._records.pop((kind, place), None)
                if fits and seconds > 0:
                    if kind is ENTRIES:  # whoever sees it must not see older single reads again
                        for name in touched(self._records, place):
                            older = self._records[name].born <= record.born
                            if older and name[0] is VALUE and name[1].origin == place.origin:
                                del self._records[name]
                    self._records[kind, place] = record
        if self._shared is not None:
            self._shared.put((kind, place), record, max(seconds, _LINGER) if fits else 0)

    def _count(self, hit: bool) -> None:
        with self._lock:
            self._hits += hit
            self._misses += not hit


_caches: weakref.WeakSet[Cache] = weakref.WeakSet()


def _after_fork() -> None:
    """A thread of the parent may have held a lock, or been on its way with a read: neither exists in the child."""
    for cache in _caches:
        cache._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _readable(text: str) -> str:
    """The text, if it is JSON; else ``ServerError``."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.ServerError(f"the stored value cannot be read: {error}", sent=True) from error
    return text


def _values(texts: Mapping[str, str]) -> dict[str, Any]:
    """The values of these texts, new each time."""
    return dict(zip(texts, json.loads(f"[{','.join(texts.values())}]"), strict=True))  # faster than one by one


def _present(record: Record, place: Place) -> Any:
    """What a record holds; ``KeyNotFound`` where that is an absence."""
    if record.content is None:
        raise errors.KeyNotFound(place.key, namespace=place.namespace, status=404)
    return record.content
