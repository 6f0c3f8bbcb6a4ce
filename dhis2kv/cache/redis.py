"""The backend of a cache in Redis, the extra ``redis``; imports nothing of ours.

Here since it alone knows that library.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis


class RedisBackend:
    """Keeps the records of a ``Cache`` in Redis; needs ``pip install dhis2kv[redis]``.

    From a URL it makes a client that gives up after two seconds, and that believes nothing which Redis kept before it
    was started: one that crashed gives back, from its dump, what was overwritten since. It asks each new connection
    which run of Redis it is (``INFO server``), and the names of all that is kept hold it. A client of your own is used
    as it is and has to answer in bytes (``decode_responses=False``); have its Redis lose nothing (``appendonly yes``,
    ``appendfsync always``), or empty it when it starts. Pickled, a backend carries its URL, with a password that is in
    it; made from a client it refuses to be pickled.

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
        self._run: str | None = None  # of Redis, as far as it is known
        # Any: redis types the answers of its plain and its asyncio client as one.
        self._client: Any = redis
        if isinstance(redis, str):
            # For a connection that Redis has closed meanwhile; who does not answer is not waited for again.
            once_more = Retry(NoBackoff(), 1, supported_errors=(library.ConnectionError,))
            self._client = library.Redis.from_url(
                redis,
                socket_timeout=2,
                socket_connect_timeout=2,
                retry=once_more,
                redis_connect_func=self._greet,
            )
        if self._client.get_encoder().decode_responses:
            raise ValueError("RedisBackend needs a client that answers in bytes: make it with decode_responses=False")

    def __reduce__(self) -> tuple[Callable[[], RedisBackend], tuple[()]]:
        if self._url is None:
            raise TypeError("a RedisBackend made from a client cannot be pickled: make it from a URL")
        return partial(RedisBackend, self._url, prefix=self._prefix), ()

    def get(self, *names: str) -> Sequence[bytes | None]:
        found: list[bytes | None] = self._ask(lambda prefix: self._client.mget([prefix + name for name in names]))
        return found

    def set(self, name: str, data: bytes, seconds: float) -> None:
        self._ask(lambda prefix: self._client.set(prefix + name, data, px=_milliseconds(seconds)))

    def add(self, name: str, data: bytes, seconds: float) -> bool:
        return bool(self._ask(lambda prefix: self._client.set(prefix + name, data, px=_milliseconds(seconds), nx=True)))

    def delete(self, name: str) -> None:
        self._ask(lambda prefix: self._client.delete(prefix + name))

    def _greet(self, connection: Any) -> None:
        """Begin a connection, and find out which run of Redis is at its other end."""
        connection.on_connect()
        connection.send_command("INFO", "server")
        found = re.search(rb"run_id:(\w+)", connection.read_response())
        self._run = found[1].decode() if found else ""

    def _ask(self, command: Callable[[str], Any]) -> Any:
        """What Redis answers to a command, which is given the prefix of all names; again where it was restarted."""
        with self._os_errors():
            if self._url is None:
                return command(self._prefix)
            if self._run is None:
                self._client.ping()
            for _ in range(3):
                run = self._run
                answer = command(f"{self._prefix}{run}:")
                if run == self._run:
                    return answer
        raise ConnectionError("Redis was started again and again")

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[None]:
        try:
            yield
        except self._trouble as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
