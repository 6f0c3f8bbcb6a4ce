"""A cache in front of reads: JSON text in, fresh values out; in the process, or in a backend that machines share."""

from __future__ import annotations

import copy
import json
import logging
import os
import random
import secrets
import sys
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast

import cachetools

from dhis2kv import errors

log = logging.getLogger("dhis2kv")

MAX_BYTES = 64 * 1024 * 1024
SPREAD = 0.05  # of the lifetime, at most: so that a fleet does not come back at once
PAUSE = 5.0  # seconds in which a server that is away is not asked again for the same thing
LOCK_SECONDS = 60.0  # how long one process may take to fetch for all the others
POLL_SECONDS = 0.05
WARN_SECONDS = 60.0

# What a record is about: origin, namespace, key, and the kind of read where it is not that of one value.
_Key = tuple[Any, ...]
_KINDS = ("entries", "listing")
_Content = (
    Any  # the text of a value, None for a key that is absent; {key: text} of a namespace; {name: None} of a listing
)


class Place(NamedTuple):
    """What a read or a write is about; ``key`` None is a whole namespace, ``namespace`` None the whole store.

    ``origin`` stands for the server, the account and the store: three texts, where a backend is to keep records.
    """

    origin: Hashable
    namespace: str | None = None
    key: str | None = None


class CacheInfo(NamedTuple):
    """``maxsize`` and ``currsize`` are in bytes; both are 0 where a backend keeps the records."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


class Backend(Protocol):
    """Where machines that share a cache keep it; records are opaque bytes.

    A method raises ``OSError`` when the backend is away: then a warning is logged and the server is asked directly.
    """

    def get(self, key: str) -> bytes | None:
        """The record, or None."""

    def set(self, key: str, record: bytes, lifetime: float) -> None:
        """Keep a record for so many seconds."""

    def delete(self, key: str) -> None:
        """Forget a record, if there is one."""

    def lock(self, key: str, lifetime: float) -> AbstractContextManager[bool]:
        """Hold a lock for the block, at most so many seconds; gives whether it was free."""


@dataclass(slots=True)
class _Record:
    content: _Content
    fresh_until: float
    usable_until: float
    size: int = 0


@dataclass(slots=True, eq=False)
class _Flight:
    """A read that is under way, for one thread that fetches and any number that wait."""

    done: threading.Event = field(default_factory=threading.Event)
    content: _Content = None
    error: Exception | None = None


_everyone: weakref.WeakSet[Cache] = weakref.WeakSet()


class Cache:
    """Keeps what was read for a while; pass it as ``Store(..., cache=Cache(ttl=60))``.

    Threads: one lock, never held while the server or a backend is asked. Threads that miss the same place wait for one
    of them to fetch it; its failure is theirs too, a copy each. Within one process no read is served or kept that began
    before a write there ended: a write takes the reads in flight off the table. Between processes and machines a value
    may be as old as ``ttl``. After a fork, parent and child have a cache each.

    It keeps text and hands out values that are new each time, so that nobody can change what another one gets.

    :param ttl: seconds for which a record is fresh; each gets up to 5 per cent less.
    :param max_bytes: bound of what is kept in this process, in bytes; what was not used for longest goes first. A
        namespace whose entries take more than half of it is not kept.
    :param negative_ttl: seconds for which an absent key is remembered; 0 asks each time.
    :param stale_if_error: seconds after ``ttl`` for which the last good record serves while the server is away (no
        connection, no answer in time, 5xx; never after 401, 403 or 404), with a warning in the log. A server that is
        away is asked again for the same thing after 5 seconds at the earliest.
    :param backend: a ``Backend`` that keeps the records instead, for all machines that use it. How old a record is, is
        told by the machines' clocks.
    """

    def __init__(
        self,
        ttl: float,
        *,
        max_bytes: int = MAX_BYTES,
        negative_ttl: float = 0,
        stale_if_error: float = 0,
        backend: Backend | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if ttl <= 0 or max_bytes < 1 or negative_ttl < 0 or stale_if_error < 0:
            raise ValueError("ttl and max_bytes are above 0, negative_ttl and stale_if_error at least 0")
        self.ttl, self.max_bytes, self.negative_ttl, self.stale_if_error = ttl, max_bytes, negative_ttl, stale_if_error
        self.backend = backend
        self._clock, self._wall, self._sleep = clock, wall, sleep
        self._begin()
        _everyone.add(self)

    def _begin(self) -> None:
        """Start empty, with locks that nobody holds."""
        self._lock = threading.Lock()
        self._records: cachetools.LRUCache[_Key, _Record] = cachetools.LRUCache(self.max_bytes, lambda one: one.size)
        self._flights: dict[_Key, _Flight] = {}
        self._hits = self._misses = 0
        longest = max(self.ttl + self.stale_if_error, self.negative_ttl)
        self._shared = _Shared(self.backend, longest, self._clock, self._wall) if self.backend else None

    # --- reading ------------------------------------------------------------------------------------------------------

    def value(self, place: Place | tuple[Any, ...], fetch: Callable[[], str]) -> Any:
        """The value of one entry; ``fetch`` gives its JSON text or raises ``KeyNotFound``."""
        with self._lock:
            record = self._records.get(place)
            if record is not None and self._clock() < record.fresh_until:
                self._hits += 1
                content = record.content
                flight = None
            else:
                content, flight, leads = self._in_bulk_or_flight(place)
        if flight is not None:
            content = self._lead(place, flight, fetch) if leads else _joined(flight)
        if content is None:
            raise errors.KeyNotFound(place[2], namespace=place[1])
        return json.loads(content)

    def entries(self, place: Place, fetch: Callable[[], Mapping[str, str]]) -> dict[str, Any]:
        """All entries of a namespace; ``fetch`` gives the JSON text of each."""
        texts = self._read((*place, "entries"), fetch)
        return dict(zip(texts, json.loads(f"[{','.join(texts.values())}]"), strict=True))

    def listing(self, place: Place, fetch: Callable[[], list[str]]) -> list[str]:
        """The keys of a namespace, or the namespaces."""
        return list(self._read((*place, "listing"), lambda: dict.fromkeys(fetch())))

    def known(self, place: Place) -> bool | None:
        """Whether an entry exists, if that is known without asking anybody; else None."""
        with self._lock:
            now = self._clock()
            record = self._records.get(place)
            if record is not None and now < record.fresh_until:
                return record.content is not None
            for kind in _KINDS:
                record = self._records.get((*place[:2], None, kind))
                if record is not None and now < record.fresh_until:
                    return place.key in record.content
        return None

    def info(self) -> CacheInfo:
        """Hits and misses since the start, and the sizes in bytes."""
        with self._lock:
            bound = 0 if self.backend else self.max_bytes
            return CacheInfo(self._hits, self._misses, bound, int(self._records.currsize))

    # --- writing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, place: Place) -> Iterator[None]:
        """Around a write: what it may have made old is forgotten at its end, also when it failed."""
        try:
            yield
        finally:
            self.drop(place)

    def drop(self, place: Place) -> None:
        """Forget a key (with the listings and bulk reads it is in), a namespace, or all of an origin."""
        origin, namespace, key = place

        def concerned(other: _Key) -> bool:
            if other[0] != origin or other[1] not in (namespace, None):
                return namespace is None and other[0] == origin
            return key is None or other[2] in (key, None)

        with self._lock:
            for other in [other for other in self._flights if concerned(other)]:
                del self._flights[other]
            if key is not None:  # the usual case, without a walk through all records
                kept = [place, *((origin, about, None, kind) for about in (namespace, None) for kind in _KINDS)]
            else:
                kept = [other for other in self._records if concerned(other)]
            for other in kept:
                self._records.pop(other, None)
        if self._shared:
            self._shared.disown(origin, namespace)

    # --- one fetch for all threads ------------------------------------------------------------------------------------

    def _read(self, about: _Key, fetch: Callable[[], _Content]) -> _Content:
        with self._lock:
            record = self._records.get(about)
            if record is not None and self._clock() < record.fresh_until:
                self._hits += 1
                return record.content
            flight, leads = self._flight(about)
        return self._lead(about, flight, fetch) if leads else _joined(flight)

    def _in_bulk_or_flight(self, place: tuple[Any, ...]) -> tuple[_Content, _Flight | None, bool]:
        """The text from a fresh bulk read, or the flight that fetches it and whether the caller leads it."""
        record = self._records.get((*place[:2], None, "entries"))
        if record is not None and place[2] in record.content and self._clock() < record.fresh_until:
            self._hits += 1
            return record.content[place[2]], None, False
        return None, *self._flight(place)

    def _flight(self, about: _Key) -> tuple[_Flight, bool]:
        flight = self._flights.get(about)
        if flight is not None:
            return flight, False
        self._misses += self._shared is None
        flight = self._flights[about] = _Flight()
        return flight, True

    def _lead(self, about: _Key, flight: _Flight, fetch: Callable[[], _Content]) -> _Content:
        """Fetch for all who wait; keep the result, unless a write took the flight off the table meanwhile."""
        record: _Record | None = None
        failure: Exception | None = errors.Unreachable("the read that this one waited for was interrupted; try again")
        try:
            if self._shared:
                record = self._fetch_shared(self._shared, about, fetch)
            else:
                record = self._fetch(about, fetch, self._records.get(about))
            failure = None
            return record.content
        except Exception as error:
            failure = error
            raise
        finally:
            flight.content, flight.error = record.content if record else None, failure
            with self._lock:
                if self._flights.get(about) is flight:
                    del self._flights[about]
                    if not self._shared:
                        self._keep(about, record)
            flight.done.set()

    def _keep(self, about: _Key, record: _Record | None) -> None:
        self._records.pop(about, None)
        if record is None or record.fresh_until <= self._clock():
            return
        record.size = _size(record.content)
        if record.size <= (self.max_bytes // 2 if len(about) > 3 else self.max_bytes):
            self._records[about] = record

    def _fetch(self, about: _Key, fetch: Callable[[], _Content], last: _Record | None) -> _Record:
        """What the server says, or the last good record when it is away."""
        try:
            return self._fresh(fetch())
        except errors.KeyNotFound:
            if len(about) > 3 or not self.negative_ttl:
                raise
            return self._absent()
        except errors.Dhis2kvError as error:
            return self._stale(about, last, error)

    def _fresh(self, content: _Content) -> _Record:
        fresh = self._clock() + self.ttl * (1 - SPREAD * random.random())  # noqa: S311 - spread, not a secret
        return _Record(content, fresh, fresh + self.stale_if_error)

    def _absent(self) -> _Record:
        until = self._clock() + self.negative_ttl
        return _Record(None, until, until)

    def _stale(self, about: _Key, last: _Record | None, error: errors.Dhis2kvError) -> _Record:
        """The last good record, made fresh for a moment, if it may serve in place of this error; else the error."""
        now = self._clock()
        if last is None or last.content is None or now >= last.usable_until or not _is_away(error):
            raise error
        log.warning("the server is away, so what it last said of %s serves: %s", about[1:3], error)
        return _Record(last.content, min(now + PAUSE, last.usable_until), last.usable_until)

    # --- a cache that machines share ----------------------------------------------------------------------------------

    def _fetch_shared(self, shared: _Shared, about: _Key, fetch: Callable[[], _Content]) -> _Record:
        """A fresh record of the backend, else what the server says: asked by one process while the others wait."""
        fetched: _Record | None = None
        patience = self._clock() + LOCK_SECONDS
        try:
            while not shared.is_distrusted(about) and self._clock() < patience:
                found = shared.find(about)
                if found is not None and self._clock() < found.fresh_until:
                    self._count(hit=True)
                    return found
                with shared.lock(about) as mine:
                    if mine and shared.find(about) == found:  # else somebody was faster
                        self._count(hit=False)
                        generation = shared.generation(about)
                        fetched = self._fetch(about, fetch, found)
                        shared.publish(about, fetched, generation)
                        return fetched
                if not mine:
                    self._sleep(POLL_SECONDS)
        except OSError as error:
            if isinstance(error, errors.Dhis2kvError):
                raise
            shared.warn(error)
        if fetched is None:
            self._count(hit=False)
            fetched = self._fetch(about, fetch, None)
        return fetched

    def _count(self, *, hit: bool) -> None:
        with self._lock:
            self._hits += hit
            self._misses += not hit

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickled cache is its settings: the records stay behind."""
        settings = (self.ttl, self.max_bytes, self.negative_ttl, self.stale_if_error, self.backend)
        return _cache, settings


class _Shared:
    """Records in a backend, and what makes them trustworthy.

    Each write leaves a new generation beside the records of its namespace, and a record counts only with the
    generation that was there before it was fetched: so no machine serves one whose read began before that write. A
    process whose write could not leave its mark, because the backend was away, does not believe it until every record
    of that time is gone.
    """

    def __init__(self, backend: Backend, longest: float, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._backend, self._longest, self._clock, self._wall = backend, longest, clock, wall
        self._distrusted: dict[_Key, float] = {}
        self._warned = float("-inf")

    def find(self, about: _Key) -> _Record | None:
        """The record, fresh or stale; for one value the namespace's record may have it."""
        record = self._record(about)
        if record is None and len(about) == 3:
            whole = self._record((*about[:2], None, "entries"))
            if whole is not None and about[2] in whole.content:
                return _Record(whole.content[about[2]], whole.fresh_until, whole.usable_until)
        return record

    def _record(self, about: _Key) -> _Record | None:
        found = self._backend.get(_name(about))
        if found is None:
            return None
        generation, fresh, usable, content = json.loads(found)
        if generation != self.generation(about):
            return None
        past = self._clock() - self._wall()
        return _Record(content, fresh + past, usable + past)

    def publish(self, about: _Key, record: _Record, generation: str) -> None:
        """Keep a record that was fetched while this generation stood."""
        ahead = self._wall() - self._clock()
        text = json.dumps([generation, record.fresh_until + ahead, record.usable_until + ahead, record.content])
        self._backend.set(_name(about), text.encode(), max(record.usable_until - self._clock(), 0.001))

    def generation(self, about: _Key) -> str:
        """Which write was the last one here, "" where none was within the life of a record."""
        return (self._backend.get(_name((*about[:2], None, "generation"))) or b"").decode()

    def disown(self, origin: Hashable, namespace: str | None) -> None:
        """Make all records of a namespace, and the listing of namespaces, count no more."""
        for about in {(origin, namespace), (origin, None)}:
            try:
                mark = secrets.token_hex(8).encode()
                self._backend.set(_name((*about, None, "generation")), mark, 2 * self._longest)
            except OSError as error:
                self._distrusted[about] = self._clock() + self._longest
                self.warn(error)

    def is_distrusted(self, about: _Key) -> bool:
        """Whether this process wrote here while the backend was away, not long ago."""
        return self._clock() < self._distrusted.get(about[:2], float("-inf"))

    def lock(self, about: _Key) -> AbstractContextManager[bool]:
        """The right to fetch for everybody."""
        return self._backend.lock(_name(about) + ":lock", LOCK_SECONDS)

    def warn(self, error: OSError) -> None:
        """Say that the backend is away, once a minute."""
        if self._clock() - self._warned >= WARN_SECONDS:
            self._warned = self._clock()
            log.warning("the shared cache is away, so the server is asked directly: %s", error)


class RedisBackend:
    """Keeps a cache's records in Redis, for all machines that use the same one; needs the extra ``redis``.

    :param redis: a URL like ``redis://cache.example.org/0``, or a client of redis-py. Pickling takes a URL.
    :param prefix: what the names of all keys in Redis begin with.
    """

    def __init__(self, redis: Any, *, prefix: str = "dhis2kv:") -> None:
        try:
            import redis as library
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError("the Redis backend needs redis-py:  pip install 'dhis2kv[redis]'") from missing
        self._given, self._prefix, self._library = redis, prefix, library
        self._client = library.Redis.from_url(redis) if isinstance(redis, str) else redis

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._library.RedisError as error:
            raise ConnectionError(f"Redis: {error}") from error

    def get(self, key: str) -> bytes | None:
        """The record, or None."""
        with self._translated():
            return cast("bytes | None", self._client.get(self._prefix + key))

    def set(self, key: str, record: bytes, lifetime: float) -> None:
        """Keep a record for so many seconds."""
        with self._translated():
            self._client.set(self._prefix + key, record, px=max(int(lifetime * 1000), 1))

    def delete(self, key: str) -> None:
        """Forget a record, if there is one."""
        with self._translated():
            self._client.delete(self._prefix + key)

    @contextmanager
    def lock(self, key: str, lifetime: float) -> Iterator[bool]:
        """Hold a lock for the block, at most so many seconds; gives whether it was free."""
        held = self._client.lock(self._prefix + key, timeout=lifetime, blocking=False)
        with self._translated():
            free = bool(held.acquire())
        try:
            yield free
        finally:
            if free:
                try:
                    held.release()
                except self._library.exceptions.LockNotOwnedError:
                    log.warning("fetching took longer than the lock of the shared cache lives")
                except self._library.RedisError as error:
                    raise ConnectionError(f"Redis: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        if not isinstance(self._given, str):
            raise TypeError("a Redis backend made from a client cannot be pickled: make it from a URL")
        return _redis_backend, (self._given, self._prefix)


def _joined(flight: _Flight) -> _Content:
    """What the thread that leads a flight fetched, or a copy of its error."""
    flight.done.wait()
    if flight.error is not None:
        raise copy.copy(flight.error)
    return flight.content


def _size(content: _Content) -> int:
    """Bytes that a record takes, its key and bookkeeping by a rough estimate."""
    if isinstance(content, dict):
        return 512 + sys.getsizeof(content) + sum(sys.getsizeof(k) + sys.getsizeof(v) for k, v in content.items())
    return 512 + sys.getsizeof(content)


def _is_away(error: errors.Dhis2kvError) -> bool:
    return isinstance(error, errors.Unreachable | errors.TimedOut) or (
        isinstance(error, errors.ServerError) and (error.status or 0) >= 500
    )


def _name(about: _Key) -> str:
    """The name of a record in a backend: its origin, namespace, key and kind, told apart beyond doubt."""
    return json.dumps(about, ensure_ascii=False, separators=(",", ":"))


def _cache(ttl: float, max_bytes: int, negative_ttl: float, stale_if_error: float, backend: Backend | None) -> Cache:
    return Cache(ttl, max_bytes=max_bytes, negative_ttl=negative_ttl, stale_if_error=stale_if_error, backend=backend)


def _redis_backend(url: str, prefix: str) -> RedisBackend:
    return RedisBackend(url, prefix=prefix)


def _after_fork() -> None:
    for cache in list(_everyone):
        cache._begin()


os.register_at_fork(after_in_child=_after_fork)
