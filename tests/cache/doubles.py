"""What the tests of the cache work with: time, a server, a backend, and threads that can be held."""

from __future__ import annotations

import copy
import json
import os
import signal
import threading

import pytest

from dhis2kv import errors
from dhis2kv.cache import Place, reads

TTL = 60.0
ORIGIN = ("https://dhis2.test", "admin", "dataStore")
CFG = Place(ORIGIN, "app", "cfg")
ABSENT = Place(ORIGIN, "app", "absent")
APP = Place(ORIGIN, "app")
ROOT = Place(ORIGIN)


class Clock:
    """Time that passes when told to; sleeping on it takes none."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Server:
    """What is stored, how often it was asked, and the error that it answers instead, if any."""

    def __init__(self, **namespaces):
        self.stored = namespaces
        self.requests = 0
        self.error = None

    def _asked(self):
        self.requests += 1
        if self.error is not None:
            raise copy.copy(self.error)

    def value(self, place):
        def fetch():
            self._asked()
            try:
                return brought(json.dumps(self.stored[place.namespace][place.key]))
            except KeyError:
                raise errors.KeyNotFound(place.key, namespace=place.namespace, status=404) from None

        return fetch

    def entries(self, place):
        def fetch():
            self._asked()
            return {key: json.dumps(value) for key, value in self.stored.get(place.namespace, {}).items()}

        return fetch

    def listing(self, place):
        def fetch():
            self._asked()
            return list(self.stored if place.namespace is None else self.stored.get(place.namespace, {}))

        return fetch


class Memory:
    """A backend for tests: in memory, with the test's time; it can go away and lose things."""

    def __init__(self, clock):
        self.clock, self.kept, self.away, self.asked = clock, {}, False, 0
        self._lock = threading.Lock()

    def _check(self):
        self.asked += 1
        if self.away:
            raise ConnectionError("nobody there")

    def _now(self, name):
        data, until = self.kept.get(name, (None, 0))
        return data if until > self.clock() else None

    def get(self, *names):
        self._check()
        with self._lock:
            return [self._now(name) for name in names]

    def set(self, name, data, seconds):
        self._check()
        with self._lock:
            self.kept[name] = data, self.clock() + seconds

    def add(self, name, data, seconds):
        self._check()
        with self._lock:
            if self._now(name) is not None:
                return False
            self.kept[name] = data, self.clock() + seconds
            return True

    def delete(self, name):
        self._check()
        with self._lock:
            self.kept.pop(name, None)


class Reader(threading.Thread):
    """A thread with a read of its own; ``result()`` is what came out of it."""

    def __init__(self, read):
        super().__init__(daemon=True)
        self._read, self.value, self.error = read, None, None
        self.start()

    def run(self):
        try:
            self.value = self._read()
        except BaseException as error:  # noqa: BLE001 - raised again by result()
            self.error = error

    def result(self):
        self.join(30)
        assert not self.is_alive(), "a read that never ends"
        if self.error is not None:
            raise self.error
        return self.value


class Held:
    """A fetch that starts, and goes on only when told to."""

    def __init__(self, fetch):
        self._fetch, self.started, self.go_on, self.calls = fetch, threading.Event(), threading.Event(), 0

    def __call__(self):
        self.calls += 1
        found = self._fetch()
        self.started.set()
        assert self.go_on.wait(30), "nobody let the fetch go on"
        return found


class Joining:
    """A stand-in for ``threading.Event`` that tells how many threads wait for a flight."""

    waiting = threading.Semaphore(0)
    event = threading.Event

    def __init__(self):
        self._done = self.event()
        self.set = self._done.set

    def wait(self):
        type(self).waiting.release()
        self._done.wait()


@pytest.fixture
def joining(monkeypatch):
    """Counts, as a semaphore, the threads that have joined a flight."""
    monkeypatch.setattr(Joining, "waiting", threading.Semaphore(0))
    monkeypatch.setattr(reads.Flight, "__init__", _flight_that_tells)
    return Joining


def _flight_that_tells(flight):
    flight.done, flight.record, flight.error = Joining(), None, None


def wait_for(joining, threads):
    for _ in range(threads):
        assert joining.waiting.acquire(timeout=30), "a thread did not join"


def brought(text):
    """What a fetch of an entry gives: its value and its text."""
    return json.loads(text), text


def reading(text):
    """Such a fetch."""
    return lambda: brought(text)


def in_child(check):
    """The exit status of a forked child: 0 when ``check()`` is true there; it is killed when it does not end."""
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1]
