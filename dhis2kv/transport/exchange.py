"""What is known of a request while it is under way: whether it left, whether its reply broke off, what time it has.

Imports ``requests`` and what lies under it. Here since no exception of theirs tells whether a request had left, nothing
in their responses tells a body that ended from one that was cut, and their time limits begin anew with each byte.
"""

from __future__ import annotations

import io
import math
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from http.client import HTTPResponse
from queue import Empty, LifoQueue
from typing import Any

from requests.adapters import HTTPAdapter

PIECE = 65536  # bytes that are sent under one time limit


class Exchange:
    """One request of one thread and its reply; a context manager, within which the thread's connections report to it.

    ``watched`` says that they do; adapters of somebody else's need not use our connections. ``sent`` says that bytes
    of the request left; ``broke_off`` that the connection ended before the reply did.

    :param deadline: when its time is over, by ``clock``.
    :param pause: seconds that may pass between two bytes.
    """

    __slots__ = ("_clock", "_deadline", "_outer", "broke_off", "pause", "reply", "sent", "watched")

    def __init__(
        self, deadline: float = math.inf, pause: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._deadline, self.pause, self._clock = deadline, pause, clock
        self.watched = self.sent = self.broke_off = False
        self.reply: HTTPResponse | None = None

    @property
    def over(self) -> bool:
        """Whether its time is over."""
        return self._clock() > self._deadline

    def left(self) -> float:
        """How many seconds it has left; raises ``TimeoutError`` where there are none."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError("the time for the whole call is over")
        return left

    def __enter__(self) -> Exchange:
        self._outer = _thread.exchange
        _thread.exchange = self
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _thread.exchange = self._outer
        if kind and self.reply:
            self.reply.close()  # urllib3 forgets one that it cannot make sense of, and its socket stays open
        self.reply = None


class _Thread(threading.local):
    exchange = Exchange()


_thread = _Thread()


class _Arriving(io.RawIOBase):
    """The bytes of one reply as they arrive: no wait outlasts the exchange, and it learns when they end."""

    def __init__(self, bytes_in: io.RawIOBase, sock: Any, exchange: Exchange) -> None:
        self._bytes_in, self._sock, self._exchange = bytes_in, sock, exchange
        exchange.broke_off = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._exchange.left()
        limit = self._sock.gettimeout()
        if left < (math.inf if limit is None else limit):
            self._sock.settimeout(left)
        count = self._bytes_in.readinto(buffer)
        if not count:
            # Whoever reads a counted or chunked body to its end does not ask for more.
            self._exchange.broke_off = True
        return count

    def close(self) -> None:
        self._bytes_in.close()
        super().close()


class _Reply(HTTPResponse):
    """The reply on a connection of ours, or that of a proxy which opens one."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        exchange = _thread.exchange
        exchange.reply = self
        self.fp = io.BufferedReader(_Arriving(self.fp.detach(), sock, exchange))

    def begin(self) -> None:
        super().begin()
        while 101 < self.status < 200:  # what comes before the reply, such as 103 Early Hints
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first
            super().begin()


class _Connection:
    """Lets a class of connections report what becomes of a request."""

    response_class = _Reply
    _connecting = False
    sock: Any

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]  # of the class that it is mixed into
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        if self._connecting:  # what a proxy is told
            super().send(data)  # type: ignore[misc]  # as above
            return
        if self.sock is None:
            self.connect()
        exchange = _thread.exchange
        exchange.sent = True
        if len(data) <= PIECE:
            super().send(data)  # type: ignore[misc]  # as above
            return
        for start in range(0, len(data), PIECE):
            # urllib3 gives all of a body together as long as it may take to connect.
            self.sock.settimeout(min(exchange.pause, exchange.left()))
            super().send(memoryview(data)[start : start + PIECE])  # type: ignore[misc]  # as above


class _Queue(LifoQueue[Any]):
    """The idle connections of a pool; in a child of the process that they are of there are none to have.

    Whatever drops a pool takes all of them to close them, and a thread of the parent may have held the lock for it in
    the moment of the fork: the child would wait for ever.
    """

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._process = os.getpid()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if self._process != os.getpid():
            raise Empty
        return super().get(block, timeout)


class _Pool:
    """Lets a class of connection pools use connections that report."""

    QueueCls = _Queue

    @property
    def ConnectionCls(self) -> Any:  # noqa: N802 - the name is urllib3's
        return _reporting(super().ConnectionCls)  # type: ignore[misc]  # of the class that it is mixed into

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        _thread.exchange.watched = issubclass(self.ConnectionCls, _Connection)
        return super().urlopen(*args, **kwargs)  # type: ignore[misc]  # as above


class Watching:
    """Lets a class of adapters use pools of our own."""

    __slots__ = ()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)  # type: ignore[misc]  # of the class that it is mixed into
        _use_our_pools(self.poolmanager)  # type: ignore[attr-defined]  # as above

    def disconnect(self) -> None:
        """Close the connections; what else an adapter holds belongs to whoever made it."""
        HTTPAdapter.close(self)  # type: ignore[arg-type]  # of the class that it is mixed into

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)  # type: ignore[misc]  # as above
        _use_our_pools(manager)
        return manager


def watched(adapter: HTTPAdapter) -> HTTPAdapter:
    """An adapter like this one, of its class and sharing its attributes, with connections of its own that report."""
    kind: Any = type(adapter)
    twin: Any = object.__new__(_like(kind))
    twin.__dict__ = adapter.__dict__
    twin.proxy_manager = {}
    twin.init_poolmanager(twin._pool_connections, twin._pool_maxsize, block=twin._pool_block)
    return twin  # type: ignore[no-any-return]  # of the adapter's class


@cache
def _like(adapter: type) -> type:
    # What has a slot is the twin's own, although they share their attributes.
    return type(adapter.__name__, (Watching, adapter), {"__slots__": ("poolmanager", "proxy_manager")})


def _use_our_pools(manager: Any) -> None:
    manager.pool_classes_by_scheme = {name: _ours(pool) for name, pool in manager.pool_classes_by_scheme.items()}


@cache
def _ours(pool: type) -> type:
    return pool if issubclass(pool, _Pool) else type(pool.__name__, (_Pool, pool), {})


def _reporting(connection: Any) -> type:
    """The class of connections that reports; of those that answer in their own way, such as vcrpy's, themselves."""
    ordinary = connection.getresponse.__module__ in ("urllib3.connection", "http.client")
    return _mixed(connection) if ordinary else connection


@cache
def _mixed(connection: type) -> type:
    return type(connection.__name__, (_Connection, connection), {})
