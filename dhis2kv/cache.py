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
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import cachetools

from dhis2kv import errors

log = logging.getLogger("dhis2kv")

MAX_BYTES = 64 * 1024 * 1024
SPREAD = 0.05  # of the lifetime, at most: so that a fleet does not come back at once
PAUSE = 5.0  # seconds in which a server or a backend that is away is not asked again for the same thing
LOCK_SECONDS = 10.0  # how long one process may take to fetch for all the others, and they wait for it
POLL_SECONDS = 0.05
LINGER_SECONDS = 1.0  # how long what one process fetched is there at least, for those that wait for it
MARK_SECONDS = 30 * 86400.0
WARN_SECONDS = 60.0

# What a record is about: origin, namespace, key, and the kind of read where it is not that of one value.
_Key = tuple[Any, ...]
# The text of a value, or KeyNotFound for an absent key; {key: text} of a namespace; {name: None} of a listing.
_Content = Any
_NOTHING: Any = object()


class Place(NamedTuple):
    """What a read or a write is about; ``key`` None is a whole namespace, ``namespace`` None the whole store.

    ``origin`` is the server, the account and the store: three texts, where a backend is to keep records.
    """

    origin: tuple[Hashable, Hashable, Hashable]
    namespace: str | None = None
    key: str | None = None


class CacheInfo(NamedTuple):
    """``misses`` are the reads that asked the server, ``hits`` those that were answered without.

    ``maxsize`` and ``currsize`` are in bytes; both are 0 where a backend keeps the records.
    """

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
        """Hold a lock for the block, at most so many seconds; gives whether it was free. Does not wait."""


@dataclass(slots=True)
class _Record:
    """``began`` is when its fetch began: what the server said can be as old as that, and not older."""

    content: _Content
    began: float
    fresh_until: float
    usable_until: float
    size: int = 0


@dataclass(slots=True, eq=False)
class _Flight:
    """A read that is under way, for one thread that fetches and any number that wait."""

    done: threading.Event = field(default_factory=threading.Event)
    content: _Content = _NOTHING
    error: Exception | None = None


_everyone: weakref.WeakSet[Cache] = weakref.WeakSet()


class Cache:
    """Keeps what was read for a while; pass it as ``Store(..., cache=Cache(ttl=60))``.

    It keeps text and hands out values that are new each time, so that nobody can change what another one gets.

    Threads: one lock, never held while the server or a backend is asked. Threads that miss the same place wait for one
    of them to fetch it; its failure is theirs too, a copy each. No read is served or kept that began before a write
    ended, where both go through stores with this cache: a write takes the reads in flight off the table. After a fork,
    parent and child have a cache each. Between processes and machines a value may be as old as ``ttl``.

    :param ttl: seconds for which a record is fresh, from when it was asked for; each gets up to 5 per cent less.
    :param max_bytes: bound of what is kept in this process, in bytes; what was not used for longest goes first. A
        namespace whose entries take more than half of it is not kept; with a backend neither.
    :param negative_ttl: seconds for which an absent key is remembered; 0 asks each time.
    :param stale_if_error: seconds after ``ttl`` for which the last good record serves while the server is away (no
        connection, no answer in time, 5xx; never after 401, 403, 404 or 429), with a warning in the log. A server that
        is away is asked again for the same thing after 5 seconds at the earliest.
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
        self._clock = clock
        self._shared = _Shared(backend, clock, wall, sleep) if backend else None
        self._begin()
        _everyone.add(self)

    def _begin(self) -> None:
        """Start empty, with a lock that nobody holds."""
        self._lock = threading.Lock()
        self._records: cachetools.LRUCache[_Key, _Record] = cachetools.LRUCache(self.max_bytes, lambda one: one.size)
        self._flights: dict[_Key, _Flight] = {}
        self._reads = self._misses = 0

    # --- reading ------------------------------------------------------------------------------------------------------

    def value(self, place: Place, fetch: Callable[[], str]) -> Any:
        """The value of one entry; ``fetch`` gives its JSON text or raises ``KeyNotFound``."""
        content = _NOTHING
        with self._lock:  # a short way for the usual case: it is what a cached read costs
            record = self._records.get(place)
            if record is not None and self._clock() < record.fresh_until:
                self._reads += 1
                content = record.content
        if content is _NOTHING:
            content = self._read(place, lambda: _checked(fetch(), _value))
        return _value(content)

    def entries(self, place: Place, fetch: Callable[[], Mapping[str, str]]) -> dict[str, Any]:
        """All entries of a namespace; ``fetch`` gives the JSON text of each."""
        return _values(self._read((*place, "entries"), lambda: _checked(fetch(), _values)))

    def listing(self, place: Place, fetch: Callable[[], list[str]]) -> list[str]:
        """The keys of a namespace, or the namespaces."""
        return list(self._read((*place, "listing"), lambda: dict.fromkeys(fetch())))

    def known(self, place: Place) -> bool | None:
        """Whether an entry exists, if that is known without asking anybody; else None.

        That a key is absent is known for ``negative_ttl`` seconds only, whatever a listing said.
        """
        with self._lock:
            now = self._clock()
            for record in (self._last(place), self._records.get((*place[:2], None, "listing"))):
                if record is None or now >= record.fresh_until:
                    continue
                if isinstance(record.content, errors.KeyNotFound):
                    self._reads += 1
                    return False
                if isinstance(record.content, str) or place.key in record.content:
                    self._reads += 1
                    return True
        return None

    def info(self) -> CacheInfo:
        """Hits and misses since the start, and the sizes in bytes."""
        with self._lock:
            bound = 0 if self.backend else self.max_bytes
            return CacheInfo(self._reads - self._misses, self._misses, bound, int(self._records.currsize))

    # --- writing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, place: Place) -> Iterator[None]:
        """Around a write: what it may have made old is forgotten at its end, also when it failed."""
        try:
            yield
        finally:
            self.drop(place)

    def drop(self, place: Place) -> None:
        """Forget a key (with the listings and bulk reads it is in), a namespace, or a whole store, for every account.

        Reads that are under way will not be kept, and nobody joins them any more.
        """
        (server, _, store), namespace, key = place
        with self._lock:
            concerned = [
                about
                for about in (*self._flights, *self._records)
                if (namespace is None or about[1] is None or about[1] == namespace)
                and (key is None or about[2] is None or about[2] == key)
                and (about[0][0], about[0][2]) == (server, store)
            ]
            for about in concerned:
                self._flights.pop(about, None)
                self._records.pop(about, None)
        if self._shared:
            self._shared.drop(place)

    # --- one fetch for all threads ------------------------------------------------------------------------------------

    def _read(self, about: _Key, fetch: Callable[[], _Content]) -> _Content:
        """What a fresh record says, or what one thread fetches for all that ask meanwhile."""
        while True:
            mine = _Flight()
            try:  # begins before others can see the flight: whatever happens, nobody must wait for ever
                with self._lock:
                    self._reads += 1
                    record = self._last(about)
                    if record is not None and self._clock() < record.fresh_until:
                        return record.content
                    flight = self._flights.setdefault(about, mine)
                if flight is mine:
                    return self._lead(about, mine, fetch)
            finally:
                self._land(about, mine)
            flight.done.wait()
            if flight.error is not None:
                raise copy.copy(flight.error)
            if flight.content is not _NOTHING:
                return flight.content
            # The thread that fetched was interrupted: one of those that waited takes over.

    def _lead(self, about: _Key, flight: _Flight, fetch: Callable[[], _Content]) -> _Content:
        """Fetch for all who wait."""
        try:
            if self._shared:
                record = self._shared.read(about, lambda last: self._ask(about, fetch, last), self._fits)
            else:
                with self._lock:
                    last = self._last(about)
                record = self._ask(about, fetch, last)
                self._keep(about, flight, record)
        except Exception as error:
            flight.error = error
            raise
        flight.content = record.content
        return record.content

    def _land(self, about: _Key, flight: _Flight) -> None:
        try:
            with self._lock:
                if self._flights.get(about) is flight:
                    del self._flights[about]
        finally:
            flight.done.set()

    def _last(self, about: _Key) -> _Record | None:
        """The youngest record that tells, fresh or not; a value may stand in the bulk read of its namespace."""
        own = self._records.get(about)
        if len(about) == 3:
            whole = self._records.get(_whole(about))
            if whole is not None and about[2] in whole.content and (own is None or own.began < whole.began):
                return _part(whole, about[2])
        return own

    def _keep(self, about: _Key, flight: _Flight, record: _Record) -> None:
        """Keep a record in this process, unless a write took its flight off the table meanwhile."""
        with self._lock:
            last = self._last(about)
            if self._flights.get(about) is not flight or (last is not None and last.began > record.began):
                return
            self._records.pop(about, None)
            if about == _whole(about):  # who has seen it must not see the older single reads again
                for other in [other for other in self._records if len(other) == 3 and other[:2] == about[:2]]:
                    del self._records[other]
            if self._clock() < record.usable_until and self._fits(about, record):
                self._records[about] = record

    def _fits(self, about: _Key, record: _Record) -> bool:
        record.size = _size(record.content)
        return record.size <= (self.max_bytes // 2 if about == _whole(about) else self.max_bytes)

    def _ask(self, about: _Key, fetch: Callable[[], _Content], last: _Record | None) -> _Record:
        """What the server says, or the last good record when it is away."""
        with self._lock:
            self._misses += 1
        began, lifetime, stale = self._clock(), self.ttl, self.stale_if_error
        good = last if last is not None and not isinstance(last.content, errors.KeyNotFound) else None
        try:
            content = fetch()
        except errors.Dhis2kvError as error:
            if good is not None and _is_away(error) and self._clock() < good.usable_until:
                return self._again(about, good, error)
            if good is not None and isinstance(error, _REFUSALS):
                self._forget(about)
            if not isinstance(error, errors.KeyNotFound):
                raise
            # A copy has no traceback, which would keep alive whatever the calls in it hold.
            content, lifetime, stale = copy.copy(error), self.negative_ttl, 0
        fresh_until = began + lifetime * (1 - SPREAD * random.random())  # noqa: S311 - spread, not a secret
        return _Record(content, began, fresh_until, fresh_until + stale)

    def _again(self, about: _Key, good: _Record, error: errors.Dhis2kvError) -> _Record:
        """The last good record, made fresh for a moment."""
        log.warning("the server is away, so what it last said of %s serves: %s", about[1:3], error)
        fresh_until = min(self._clock() + PAUSE, good.usable_until)
        return _Record(good.content, good.began, fresh_until, good.usable_until)

    def _forget(self, about: _Key) -> None:
        """Forget what was good once: what the server refuses now must not come back when it is away."""
        if self._shared:
            self._shared.delete(about, _whole(about))
            return
        with self._lock:
            for other in (about, _whole(about)):
                self._records.pop(other, None)

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickled cache is its settings: the records stay behind."""
        settings = (self.ttl, self.max_bytes, self.negative_ttl, self.stale_if_error, self.backend)
        return _cache, settings


class _AwayError(Exception):
    """The backend is away, and a warning has said so."""


class _Shared:
    """Records in a backend, and what makes them trustworthy.

    There is a mark for each namespace, for the list of namespaces, and for the whole store. A write leaves a new mark,
    and a record counts only with the marks that were there before it was fetched: so no machine serves one whose read
    began before that write ended. A mark that is missing is made anew, never assumed. A process whose write could not
    leave its mark, because the backend was away, leaves it before it believes the backend again.
    """

    def __init__(
        self,
        backend: Backend,
        clock: Callable[[], float],
        wall: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._backend, self._clock, self._wall, self._sleep = backend, clock, wall, sleep
        self._due: set[tuple[str, object]] = set()  # marks yet to be left; an object tells two of one name apart
        self._asked_again_at = self._warned_again_at = float("-inf")

    def read(
        self, about: _Key, ask: Callable[[_Record | None], _Record], fits: Callable[[_Key, _Record], bool]
    ) -> _Record:
        """A fresh record, or what ``ask`` gives: one process asks while the others wait for its answer.

        Where that one fails, each asks for itself; where the backend is away, too.
        """
        last = None
        try:
            last = self._find(about)
            if last is not None and self._clock() < last.fresh_until:
                return last
            with self._lock(about) as mine:
                if mine:
                    found = self._younger(about, last)  # somebody may have been faster
                    if found is None:
                        marks = self._marks(about)
                        found = ask(last)
                        if fits(about, found):
                            self._publish(about, found, marks)
                    return found
            awaited = self._wait(about, last)
            if awaited is not None:
                return awaited
        except _AwayError:
            last = None  # it may be what was left behind by a write that could not leave its mark
        return ask(last)

    def drop(self, place: Place) -> None:
        """Make records count no more: those of a namespace and the list of namespaces, or all of a store."""
        names = (place.namespace, None) if place.namespace is not None else (_NOTHING,)
        self._due |= {(_mark_name(place, name), object()) for name in names}
        with suppress(_AwayError):  # then they are due
            self._leave_marks()

    def delete(self, *abouts: _Key) -> None:
        """Forget records, where the backend is not away."""
        with suppress(_AwayError), self._asking():
            for about in abouts:
                self._backend.delete(_name(about))

    def _find(self, about: _Key) -> _Record | None:
        """The record, fresh or not; for one value the namespace's record may have it."""
        self._leave_marks()
        record = self._record(about)
        if record is None and len(about) == 3:
            whole = self._record(_whole(about))
            if whole is not None and about[2] in whole.content:
                return _part(whole, about[2])
        return record

    def _record(self, about: _Key) -> _Record | None:
        with self._asking():
            found = self._backend.get(_name(about))
        if found is None:
            return None
        marks, began, fresh, usable, content = json.loads(found)
        if marks != self._marks(about):
            return None
        if content is None:
            content = errors.KeyNotFound(about[2], namespace=about[1])
        past = self._clock() - self._wall()
        return _Record(content, began, fresh + past, usable + past)

    def _younger(self, about: _Key, last: _Record | None) -> _Record | None:
        """A record that is fresh, or that was not there before: what somebody fetched meanwhile."""
        found = self._find(about)
        if found is None or self._clock() < found.fresh_until or last is None or found.began != last.began:
            return found
        return None

    def _wait(self, about: _Key, last: _Record | None) -> _Record | None:
        """What another process fetches meanwhile; None if it fails or takes too long."""
        until = self._clock() + LOCK_SECONDS
        while self._clock() < until:
            self._sleep(POLL_SECONDS)
            with self._lock(about) as is_done:
                found = self._younger(about, last)
            if found is not None or is_done:
                return found
        return None

    def _publish(self, about: _Key, record: _Record, marks: list[str]) -> None:
        """Keep a record that was fetched while these marks stood."""
        content = None if isinstance(record.content, errors.KeyNotFound) else record.content
        ahead = self._wall() - self._clock()
        # When it began tells one record from another, also for those that come from other machines.
        text = json.dumps([marks, record.began, record.fresh_until + ahead, record.usable_until + ahead, content])
        with suppress(_AwayError), self._asking():
            lifetime = max(record.usable_until - self._clock(), LINGER_SECONDS)
            self._backend.set(_name(about), text.encode(), lifetime)

    def _marks(self, about: _Key) -> list[str]:
        """The marks that a record stands under: of the store, and of the namespace or the list of namespaces."""
        return [self._mark(about, _NOTHING), self._mark(about, about[1])]

    def _mark(self, about: _Key, scope: Any) -> str:
        name = _mark_name(about, scope)
        with self._asking():
            found = self._backend.get(name)
        return self._leave(name) if found is None else found.decode()

    def _leave(self, name: str) -> str:
        mark = secrets.token_hex(8)
        with self._asking():
            self._backend.set(name, mark.encode(), MARK_SECONDS)
        return mark

    def _leave_marks(self) -> None:
        for due in list(self._due):
            self._leave(due[0])
            self._due.discard(due)

    @contextmanager
    def _lock(self, about: _Key) -> Iterator[bool]:
        """The right to fetch for everybody; gives whether it was free."""
        lock = self._backend.lock(_name((*about, "lock")), LOCK_SECONDS)
        with self._asking():
            free = lock.__enter__()
        try:
            yield free
        finally:
            try:
                lock.__exit__(None, None, None)
            except OSError as error:  # it expires by itself
                self._warn(error)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Around what the backend is asked; ``_AwayError`` when it is away, and for a while after that."""
        if self._clock() < self._asked_again_at:
            raise _AwayError
        try:
            yield
        except OSError as error:
            self._asked_again_at = self._clock() + PAUSE
            self._warn(error)
            raise _AwayError from error

    def _warn(self, error: OSError) -> None:
        if self._clock() >= self._warned_again_at:
            self._warned_again_at = self._clock() + WARN_SECONDS
            log.warning("the shared cache is away, so the server is asked directly: %s", error)


class RedisBackend:
    """Keeps a cache's records in Redis, for all machines that use the same one; needs the extra ``redis``.

    :param redis: a URL like ``redis://cache.example.org/0``, or a client of redis-py. With a URL an answer is waited
        for 2 seconds, unless the URL says ``?socket_timeout=``. Pickling takes a URL, and **keeps the password in it**.
    :param prefix: what the names of all keys in Redis begin with.
    """

    def __init__(self, redis: Any, *, prefix: str = "dhis2kv:") -> None:
        try:
            import redis as library
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError("the Redis backend needs redis-py:  pip install 'dhis2kv[redis]'") from missing
        self._given, self._prefix, self._library = redis, prefix, library
        self._client = redis
        if isinstance(redis, str):
            # Once more, for a connection that Redis closed while it was idle; by itself redis-py waits for seconds.
            again = Retry(NoBackoff(), 1)
            self._client = library.Redis.from_url(redis, socket_timeout=2, socket_connect_timeout=2, retry=again)

    def get(self, key: str) -> bytes | None:
        """The record, or None."""
        with self._translated():
            found = self._client.get(self._prefix + key)
        return found.encode() if isinstance(found, str) else found  # a client that was passed in may decode

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
        """Hold a lock for the block, at most so many seconds; gives whether it was free. Does not wait."""
        held = self._client.lock(self._prefix + key, timeout=lifetime, blocking=False)
        with self._translated():
            free = bool(held.acquire())
        try:
            yield free
        finally:
            if free:
                with self._translated():
                    try:
                        held.release()
                    except self._library.exceptions.LockNotOwnedError:
                        log.warning("fetching took %g s or more, so others may have fetched too", lifetime)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._library.RedisError as error:
            raise ConnectionError(f"Redis: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        if not isinstance(self._given, str):
            raise TypeError("a Redis backend made from a client cannot be pickled: make it from a URL")
        return _redis_backend, (self._given, self._prefix)


_REFUSALS = (errors.KeyNotFound, errors.NotAuthenticated, errors.Forbidden)


def _is_away(error: errors.Dhis2kvError) -> bool:
    return isinstance(error, errors.Unreachable | errors.TimedOut) or (
        isinstance(error, errors.ServerError) and (error.status or 0) >= 500
    )


def _value(content: _Content) -> Any:
    """The value of a text, new each time."""
    if isinstance(content, errors.KeyNotFound):
        raise copy.copy(content)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise errors.ServerError(f"the stored value cannot be read: {error}", sent=True) from error


def _values(texts: Mapping[str, str]) -> dict[str, Any]:
    return dict(zip(texts, _value(f"[{','.join(texts.values())}]"), strict=True))


def _checked(content: _Content, read: Callable[[Any], Any]) -> _Content:
    """What was fetched, if it can be read."""
    read(content)
    return content


def _whole(about: _Key) -> _Key:
    """The bulk read of a namespace."""
    return (*about[:2], None, "entries")


def _part(whole: _Record, key: str) -> _Record:
    return _Record(whole.content[key], whole.began, whole.fresh_until, whole.usable_until)


def _size(content: _Content) -> int:
    """Bytes that a record takes, its key and bookkeeping by a rough estimate."""
    if isinstance(content, dict):
        return 512 + sys.getsizeof(content) + sum(sys.getsizeof(k) + sys.getsizeof(v) for k, v in content.items())
    return 512 + sys.getsizeof(content)


def _name(about: _Key) -> str:
    """The name of a record in a backend: its origin, namespace, key and kind, told apart beyond doubt."""
    return json.dumps(about, separators=(",", ":"))


def _mark_name(about: _Key, scope: Any) -> str:
    """The name of a mark; it has no account in it, for all share what is in a namespace."""
    (server, _, store), *_ = about
    return _name((server, store, "mark") if scope is _NOTHING else (server, store, "mark", scope))


def _cache(ttl: float, max_bytes: int, negative_ttl: float, stale_if_error: float, backend: Backend | None) -> Cache:
    return Cache(ttl, max_bytes=max_bytes, negative_ttl=negative_ttl, stale_if_error=stale_if_error, backend=backend)


def _redis_backend(url: str, prefix: str) -> RedisBackend:
    return RedisBackend(url, prefix=prefix)


def _after_fork() -> None:
    for cache in list(_everyone):
        cache._begin()


os.register_at_fork(after_in_child=_after_fork)
