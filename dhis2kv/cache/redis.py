"""The backend of a cache in Redis, the extra ``redis``; imports nothing of ours.

Here since it alone knows that library.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis


class RedisBackend:
    """Keeps the records of a ``Cache`` in Redis; needs ``pip install dhis2kv[redis]``.

    From a URL it makes a client that gives up after two seconds; a client of your own is used as it is and has to
    answer in bytes (``decode_responses=False``). Pickled, it carries its URL, with a password that is in it; made from
    a client it refuses to be pickled.

    :param redis: a URL (``redis://host:6379/0``) or a ``redis.Redis``.
    :param prefix: what the names in Redis begin with.
    """

    def __init__(self, redis: str | redis.Redis, *, prefix: str = "dhis2kv:") -> None:
        try:
            import redis as library
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise ImportError("RedisBackend needs the package redis: pip install dhis2kv[redis]") from error
        self._url = redis if isinstance(redis, str) else None
        self._prefix = prefix
        self._trouble = library.RedisError
        # Any: redis types the answers of its plain and its asyncio client as one.
        self._client: Any = redis
        if isinstance(redis, str):
            once_more = Retry(NoBackoff(), 1)  # for a connection that Redis has closed meanwhile
            self._client = library.Redis.from_url(redis, socket_timeout=2, socket_connect_timeout=2, retry=once_more)
        if self._client.get_encoder().decode_responses:
            raise ValueError("RedisBackend needs a client that answers in bytes: make it with decode_responses=False")

    def __reduce__(self) -> tuple[Callable[[], RedisBackend], tuple[()]]:
        if self._url is None:
            raise TypeError("a RedisBackend made from a client cannot be pickled: make it from a URL")
        return partial(RedisBackend, self._url, prefix=self._prefix), ()

    def get(self, *names: str) -> Sequence[bytes | None]:
        with self._os_errors():
            found: list[bytes | None] = self._client.mget([self._prefix + name for name in names])
            return found

    def set(self, name: str, data: bytes, seconds: float) -> None:
        with self._os_errors():
            self._client.set(self._prefix + name, data, px=max(1, int(seconds * 1000)))

    def add(self, name: str, data: bytes, seconds: float) -> bool:
        with self._os_errors():
            return bool(self._client.set(self._prefix + name, data, px=max(1, int(seconds * 1000)), nx=True))

    def delete(self, name: str) -> None:
        with self._os_errors():
            self._client.delete(self._prefix + name)

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[None]:
        try:
            yield
        except self._trouble as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
