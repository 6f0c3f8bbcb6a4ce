"""The cache: JSON text in, fresh values out, kept in the process or in a backend that machines share.

A *record* is what one read brought: the text of an entry (or that there is none), all texts of a namespace, or a
listing of names. A write drops the records that it may have made stale, so that nothing read before it is served after
it. Here since when a record counts, and when no longer, is one matter, whoever reads and writes.

This room says what may be asked of a cache. ``records`` says what is remembered, ``texts`` how it becomes values,
``reads`` how a read is done once, ``shared`` what machines agree on, and ``redis`` is one place where they keep it. Of
ours they import errors and wire: whoever reads brings the texts.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from dhis2kv import errors
from dhis2kv.cache.reads import Reads
from dhis2kv.cache.records import ENTRIES, EXISTS, LISTING, VALUE, CacheInfo, Place
from dhis2kv.cache.redis import RedisBackend
from dhis2kv.cache.shared import Backend, Shared
from dhis2kv.cache.texts import read_texts, value_of, values_of

__all__ = ["Backend", "Cache", "CacheInfo", "Place", "RedisBackend"]


class Cache:
    """Remembers what was read for ``ttl`` seconds, for any number of threads, stores and accounts.

    Threads: every method may be called from any thread at any time. There is one lock, held for moments only and
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
        # Machines have one clock in common.
        self._clock = clock or (time.monotonic if backend is None else time.time)
        shared = None if backend is None else Shared(backend, self._clock, ttl + stale_if_error)
        self._reads = Reads(ttl, negative_ttl, stale_if_error, max_bytes, shared, self._clock, sleep, chance)
        _caches.add(self)

    def __repr__(self) -> str:
        place = "in this process" if self.backend is None else f"in a {type(self.backend).__name__}"
        return f"<{type(self).__name__} for {self.ttl:g} seconds, up to {self.max_bytes} bytes, {place}>"

    def __reduce__(self) -> tuple[Callable[[], Cache], tuple[()]]:
        return partial(Cache, **self._settings), ()

    # --- reading --------------------------------------------------------------------------------------------------

    def value(self, place: Place, fetch: Callable[[], tuple[Any, str]]) -> Any:
        """The value of an entry: from its record, from that of its whole namespace, or by ``fetch``.

        ``fetch`` returns the value and its JSON text, or raises; it is called without a lock and must not read the same
        through this cache. Raises what it raises, ``KeyNotFound`` where that is remembered, and ``Unreadable`` for a
        value in a bulk read that Python cannot hold.
        """
        text = self._reads.held(place)
        if text is not None:
            return value_of(text, place)
        read: list[Any] = []

        def ask() -> str:
            value, text = fetch()
            read.append(value)
            return text

        text = self._reads.read(VALUE, place, ask)
        return read[0] if read else value_of(text, place)

    def entries(self, place: Place, fetch: Callable[[], Mapping[str, str]]) -> dict[str, Any]:
        """Keys and values of a whole namespace, in the order of ``fetch``, which returns the JSON text of each."""
        read: list[dict[str, Any]] = []

        def ask() -> Mapping[str, str]:
            values, texts = read_texts(fetch(), place)
            read.append(values)
            return texts

        texts = self._reads.read(ENTRIES, place, ask)
        return read[0] if read else values_of(texts)

    def many(
        self, place: Place, keys: Iterable[str], fetch: Callable[[list[str]], Mapping[str, str]]
    ) -> dict[str, Any]:
        """Keys and values of these entries of a namespace, absent ones left out.

        ``fetch`` is given the keys of which there is no fresh record, and returns the JSON text of those that exist.
        """
        if isinstance(keys, str):
            raise TypeError("keys is several keys, not one text, which would be taken for its characters")
        wanted = {key: self._reads.find(VALUE, place._replace(key=key)) for key in keys}
        texts = {key: record.content for key, (record, fresh) in wanted.items() if record is not None and fresh}
        missing = {key: record for key, (record, fresh) in wanted.items() if not fresh}
        for key in wanted:
            self._reads.count(hit=key not in missing)
        values = values_of({key: text for key, text in texts.items() if text is not None})
        if missing:
            values |= self._reads.read_many(place, missing, fetch)
        return {key: values[key] for key in wanted if key in values}

    def listing(self, place: Place, fetch: Callable[[], Iterable[str]]) -> list[str]:
        """The keys of a namespace, or the namespaces (``place.namespace`` None), in the order of ``fetch``."""
        return list(self._reads.read(LISTING, place, lambda: dict.fromkeys(fetch())))

    def exists(self, place: Place, fetch: Callable[[], bool]) -> bool:
        """Whether an entry exists, by whatever record tells it, or by ``fetch``; see ``value`` for what it raises."""

        def ask() -> dict[str, None]:
            if not fetch():
                raise errors.KeyNotFound(place.key)
            return {}

        known = self.known(place)
        if known is None:
            try:
                self._reads.read(EXISTS, place, ask)
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
            record = self._reads.get((kind, at))
            if record is not None and self._reads.is_fresh(record):
                self._reads.count(hit=True)
                return record.content is not None and (at == place or wanted in record.content)
        return None

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
        self._reads.drop(place)

    def info(self) -> CacheInfo:
        """Hits and misses of this process, and the sizes in bytes (``currsize`` is 0 with a backend)."""
        with self._reads.lock:
            self._reads.records.settle()
            hits = self._reads.hits + self._reads.records.uses
            return CacheInfo(hits, self._reads.misses, self.max_bytes, int(self._reads.records.currsize))


_caches: weakref.WeakSet[Cache] = weakref.WeakSet()


def _after_fork() -> None:
    """A thread of the parent may have held a lock, or been on its way with a read: neither exists in the child."""
    for cache in _caches:
        cache._reads.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
