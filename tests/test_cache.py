"""The cache's laws, in the process and over a backend: the same laws, so they are written once."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import pickle
import random
import signal
import threading
import time
from collections import defaultdict
from operator import attrgetter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dhis2kv import errors
from dhis2kv.cache import Cache, CacheInfo, Place, reads

from .conftest import OLD_MIDDLE_NEW, connect, sent

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
                return json.dumps(self.stored[place.namespace][place.key])
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


class Laws:
    """What holds wherever the records are; a subclass says where by ``backend``."""

    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def backend(self):
        return None

    @pytest.fixture
    def server(self):
        return Server(app={"cfg": {"a": [1]}, "b": 2, "a": None}, other={"x": 1})

    @pytest.fixture
    def make(self, clock, backend):
        def make(ttl=TTL, **options):
            options = {"clock": clock, "sleep": clock.sleep, "chance": lambda: 0.0, "backend": backend, **options}
            return Cache(ttl, **options)

        return make

    # --- freshness ----------------------------------------------------------------------------------------------------

    def test_once(self, make, server):
        """A value is asked for once within its TTL, and the counters say so."""
        cache = make()
        assert [cache.value(CFG, server.value(CFG)) for _ in range(3)] == [{"a": [1]}] * 3
        assert server.requests == 1
        assert cache.info()[:2] == (2, 1)

    def test_scribbling(self, make, server):
        """What a caller does to a value, a namespace or a listing shows to nobody else."""
        cache = make()
        cache.value(CFG, server.value(CFG))["a"].append("scribble")
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}
        cache.entries(APP, server.entries(APP))["cfg"]["a"].append("scribble")
        cache.entries(APP, server.entries(APP)).clear()
        assert cache.entries(APP, server.entries(APP)) == {"cfg": {"a": [1]}, "b": 2, "a": None}
        cache.listing(APP, server.listing(APP)).clear()
        assert cache.listing(APP, server.listing(APP)) == ["cfg", "b", "a"]

    @pytest.mark.parametrize("kind", ["value", "entries", "listing"])
    def test_expiry(self, make, server, clock, kind):
        """A record serves until its TTL has passed, and no longer."""
        cache, place = make(), CFG if kind == "value" else APP
        read = getattr(cache, kind)
        read(place, getattr(server, kind)(place))
        clock.now += TTL - 0.01
        read(place, getattr(server, kind)(place))
        assert server.requests == 1
        clock.now += 0.01
        read(place, getattr(server, kind)(place))
        assert server.requests == 2

    def test_spread(self, make, server, clock):
        """Chance takes up to five per cent off a lifetime, and never adds to it."""
        cache = make(chance=lambda: 0.999)
        cache.value(CFG, server.value(CFG))
        clock.now += TTL * 0.95
        cache.value(CFG, server.value(CFG))
        assert server.requests == 1
        clock.now += TTL * 0.95 + 0.1
        cache.value(CFG, server.value(CFG))
        assert server.requests == 2

    def test_age_counts_from_the_start(self, make, server, clock):
        """A read that takes long does not make its value younger."""
        cache = make()

        def slow():
            text = server.value(CFG)()
            clock.now += 50
            return text

        cache.value(CFG, slow)
        clock.now += 10
        cache.value(CFG, server.value(CFG))
        assert server.requests == 2

    def test_no_json(self, make, server):
        """A text that is not JSON is a ``ServerError``, and not kept."""
        cache = make()
        with pytest.raises(errors.ServerError, match="cannot be read"):
            cache.value(CFG, lambda: "<html>")
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}

    def test_texts_that_do_not_fit(self, make):
        """Texts of a namespace that are not one value each are an error, never values under other keys."""
        cache = make()
        for text in ("1,2", "", "[", "<html>"):
            with pytest.raises(errors.ServerError, match="cannot be read"):
                cache.entries(APP, lambda text=text: {"a": text, "b": "3"})
            with pytest.raises(errors.ServerError, match="cannot be read"):
                cache.many(APP, ["a", "b"], lambda keys, text=text: {"a": text, "b": "3"})

    def test_names_of_every_kind(self, make):
        """Places that look alike, and names with anything in them, are different records."""
        cache = make()
        texts = ["a", "b", "a,b", '"', "a\\", "é", "\u2028", "\0", "\ud800", "", "null", "keys", "value"]
        places = [Place((a, b, "s"), c, d) for a in texts[:4] for b in texts[:4] for c in texts for d in texts]
        for number, place in enumerate(places):
            assert cache.value(place, partial_text(number)) == number
        for number, place in enumerate(places):
            assert cache.value(place, partial_text(-1)) == number

    # --- whole namespaces -------------------------------------------------------------------------------------------

    def test_bulk(self, make, server):
        """After a bulk read neither another one nor a read of a key in it asks; the order is kept."""
        cache = make()
        for _ in range(2):
            assert list(cache.entries(APP, server.entries(APP)).items()) == list(server.stored["app"].items())
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}
        assert cache.value(Place(ORIGIN, "app", "a"), server.value(Place(ORIGIN, "app", "a"))) is None
        assert server.requests == 1

    def test_bulk_and_an_absent_key(self, make, server):
        """A key that a bulk read did not bring is asked for."""
        cache = make()
        cache.entries(APP, server.entries(APP))
        server.stored["app"]["new"] = 3
        new = Place(ORIGIN, "app", "new")
        assert cache.value(new, server.value(new)) == 3

    def test_bulk_expires_for_its_keys(self, make, server, clock):
        """A key out of a bulk read is as old as that."""
        cache = make()
        cache.entries(APP, server.entries(APP))
        clock.now += TTL
        cache.value(CFG, server.value(CFG))
        assert server.requests == 2

    def test_empty_namespace(self, make, server):
        """A namespace without entries is remembered as well."""
        cache, empty = make(), Place(ORIGIN, "none")
        for _ in range(2):
            assert cache.entries(empty, server.entries(empty)) == {}
            assert cache.listing(empty, server.listing(empty)) == []
        assert server.requests == 2

    def test_too_big(self, make):
        """What would take more than half of the cache is handed out and not kept, and nothing else goes for it."""
        cache, small = make(max_bytes=20_000), Place(ORIGIN, "app", "small")
        cache.value(small, lambda: "1")
        big = {"a": json.dumps("x" * 6000), "b": json.dumps("y" * 6000)}
        reads = []
        for _ in range(2):
            assert cache.entries(APP, lambda: reads.append(1) or big)["b"] == "y" * 6000
            assert cache.value(CFG, lambda: reads.append(1) or json.dumps("z" * 12_000)) == "z" * 12_000
        assert len(reads) == 4
        assert cache.value(small, lambda: "2") == 1

    # --- what is known ------------------------------------------------------------------------------------------------

    def test_known(self, make, server, clock):
        """Any fresh record tells whether a key exists, and an old one tells nothing."""
        here, absent = CFG, ABSENT
        for kind in ("entries", "listing"):
            cache = make()
            cache.drop(ROOT)
            assert cache.known(here) is None
            getattr(cache, kind)(APP, getattr(server, kind)(APP))
            assert (cache.known(here), cache.known(absent)) == (True, False)
            clock.now += TTL
            assert (cache.known(here), cache.known(absent)) == (None, None)
        cache = make(negative_ttl=TTL)
        cache.value(here, server.value(here))
        with pytest.raises(KeyError):
            cache.value(absent, server.value(absent))
        assert (cache.known(here), cache.known(absent)) == (True, False)

    def test_known_namespace(self, make, server):
        """The listing of namespaces tells whether one exists."""
        cache = make()
        assert cache.known(APP) is None
        assert cache.listing(ROOT, server.listing(ROOT)) == ["app", "other"]
        assert (cache.known(APP), cache.known(Place(ORIGIN, "none"))) == (True, False)

    def test_known_counts(self, make, server):
        """What is known is a hit; what is not, and is not asked for, is neither that nor a miss."""
        cache = make()
        cache.known(CFG)
        cache.value(CFG, server.value(CFG))
        cache.known(CFG)
        assert cache.info()[:2] == (1, 1)
        assert cache.exists(CFG, None) is True
        assert cache.exists(ABSENT, lambda: False) is False
        assert cache.info()[:2] == (2, 2)

    def test_existence(self, make, server, clock):
        """That an entry exists is remembered as its value is, that it does not for ``negative_ttl``."""
        cache, asked = make(negative_ttl=10), []

        def fetch():
            asked.append(1)
            return bool(len(asked) % 2)

        assert [cache.exists(CFG, fetch) for _ in range(3)] == [True] * 3
        clock.now += TTL
        assert [cache.exists(CFG, fetch) for _ in range(3)] == [False] * 3
        clock.now += 10
        assert cache.exists(CFG, fetch) is True
        with cache.writing(CFG):
            pass
        assert cache.exists(CFG, fetch) is False
        assert len(asked) == 4

    def test_existence_while_the_server_is_away(self, make, clock):
        """An outage is an error, never an absence; the last good answer serves where it may."""

        def away():
            raise errors.Unreachable("no connection")

        with pytest.raises(errors.Unreachable):
            make().exists(CFG, away)
        cache = make(stale_if_error=100)
        assert cache.exists(CFG, lambda: True) is True
        clock.now += TTL
        assert cache.exists(CFG, away) is True

    # --- absences -----------------------------------------------------------------------------------------------------

    def absent(self, cache, server):
        with pytest.raises(errors.KeyNotFound) as caught:
            cache.value(ABSENT, server.value(ABSENT))
        assert caught.value.args == ("absent",)
        assert (caught.value.namespace, caught.value.status) == ("app", 404)

    def test_absences_are_asked_for(self, make, server):
        """Unless told to, the cache remembers no absence."""
        cache = make()
        for _ in range(2):
            self.absent(cache, server)
        assert server.requests == 2

    def test_absences(self, make, server, clock):
        """An absence is remembered for ``negative_ttl``."""
        cache = make(negative_ttl=10)
        for _ in range(3):
            self.absent(cache, server)
        assert server.requests == 1
        clock.now += 10
        self.absent(cache, server)
        assert server.requests == 2

    def test_own_writes_end_absences(self, make, server):
        """Who writes a key finds it, whatever was remembered."""
        cache = make(negative_ttl=10)
        self.absent(cache, server)
        with cache.writing(ABSENT):
            server.stored["app"]["absent"] = 7
        assert cache.value(ABSENT, server.value(ABSENT)) == 7

    # --- writes -------------------------------------------------------------------------------------------------------

    def read_all(self, cache, server):
        """One read of each kind, and how many requests each took."""
        taken = {}
        for name, read, kind, place in (
            ("value", cache.value, server.value, CFG),
            ("entries", cache.entries, server.entries, APP),
            ("keys", cache.listing, server.listing, APP),
            ("namespaces", cache.listing, server.listing, ROOT),
            ("elsewhere", cache.entries, server.entries, Place(ORIGIN, "other")),
            ("other account", cache.value, server.value, CFG._replace(origin=("https://dhis2.test", "x", "dataStore"))),
            ("other store", cache.value, server.value, CFG._replace(origin=("https://dhis2.test", "admin", "user"))),
        ):
            before = server.requests
            read(place, kind(place))
            taken[name] = server.requests - before
        return [name for name, requests in taken.items() if requests]

    @pytest.mark.parametrize(
        ("place", "gone"),
        [
            (CFG, ["value", "entries", "keys", "namespaces", "other account"]),
            (APP, ["value", "entries", "keys", "namespaces", "other account"]),
            (ROOT, ["value", "entries", "keys", "namespaces", "elsewhere", "other account"]),
        ],
    )
    @pytest.mark.parametrize("fails", [False, True])
    def test_writes_drop(self, make, server, place, gone, fails):
        """A write, also one that fails, drops what it may have made stale, for all accounts, and nothing else."""
        cache = make()
        self.read_all(cache, server)
        assert self.read_all(cache, server) == []
        with contextlib.suppress(errors.TimedOut), cache.writing(place):
            if fails:
                raise errors.TimedOut("no answer in time", sent=True)
        assert self.read_all(cache, server) == gone

    def test_drop(self, make, server):
        """What is dropped is asked for again."""
        cache = make()
        self.read_all(cache, server)
        cache.drop(CFG)
        assert self.read_all(cache, server) == ["value", "entries", "keys", "namespaces", "other account"]

    def test_many(self, make, server, clock):
        """Chosen entries are asked for together, but those of which there is a fresh record; each is kept."""
        asked = []

        def fetch(keys):
            asked.append(keys)
            return {key: json.dumps(key) for key in keys if key != "absent"}

        cache = make(negative_ttl=3)
        assert cache.many(APP, ["a", "b"], fetch) == {"a": "a", "b": "b"}
        assert cache.many(APP, ["c", "b", "absent", "a"], fetch) == {"c": "c", "b": "b", "a": "a"}
        assert cache.many(APP, ["absent", "c"], fetch) == {"c": "c"}
        assert cache.value(Place(ORIGIN, "app", "a"), None) == "a"
        with cache.writing(Place(ORIGIN, "app", "a")):
            pass
        assert cache.many(APP, ["a"], fetch) == {"a": "a"}
        clock.now += 4
        assert cache.many(APP, ["absent"], fetch) == {}
        assert asked[:2] == [["a", "b"], ["c", "absent"]]
        assert asked[2][0] == "a"
        assert asked[-1] == ["absent"]

    def test_many_while_somebody_writes(self, make):
        """What was read before a write ended is handed out to whoever asked before it, and not kept."""
        cache = make()

        def fetch(keys):
            with cache.writing(Place(ORIGIN, "app", "a")):
                return dict.fromkeys(keys, "1")

        assert cache.many(APP, ["a", "b"], fetch) == {"a": 1, "b": 1}
        assert cache.many(APP, ["a"], lambda keys: dict.fromkeys(keys, "2")) == {"a": 2}

    def test_waiting_for_many(self, make, joining):
        """Who wants one of several entries that are on their way waits for them, also for one that turns out absent."""
        cache, early = make(), Held(lambda: {"a": "1"})
        reader = Reader(lambda: cache.many(APP, ["a", "b"], lambda keys: early()))
        assert early.started.wait(30)
        one = Reader(lambda: cache.value(Place(ORIGIN, "app", "a"), None))
        none = Reader(lambda: cache.value(Place(ORIGIN, "app", "b"), None))
        wait_for(joining, 2)
        early.go_on.set()
        assert reader.result() == {"a": 1}
        assert one.result() == 1
        with pytest.raises(errors.KeyNotFound):
            none.result()

    def test_many_while_the_server_is_away(self, make, clock, caplog):
        """Old records serve if there is one of each; else the error is raised."""

        def away(keys):
            raise errors.Unreachable("no connection")

        cache = make(stale_if_error=1000)
        cache.many(APP, ["a", "b"], lambda keys: dict.fromkeys(keys, "1"))
        clock.now += 500
        assert cache.many(APP, ["a", "b"], away) == {"a": 1, "b": 1}
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert cache.many(APP, ["a", "b"], None) == {"a": 1, "b": 1}, "asked again after a pause only"
        clock.now += 10
        with pytest.raises(errors.Unreachable):
            cache.many(APP, ["a", "c"], away)

    def test_a_write_of_another_key(self, make, server):
        """A key out of a bulk read is asked for again after a write to that namespace."""
        cache = make()
        cache.entries(APP, server.entries(APP))
        with cache.writing(Place(ORIGIN, "app", "b")):
            pass
        cache.value(CFG, server.value(CFG))
        assert server.requests == 2

    @pytest.mark.parametrize("kind", ["value", "entries", "listing"])
    @pytest.mark.parametrize("written", [CFG, APP])
    def test_a_read_from_before_a_write(self, make, server, kind, written):
        """A read that began before a write ended is neither joined by later ones nor kept, also when it comes last."""
        cache, place = make(), CFG if kind == "value" else APP
        early = Held(getattr(server, kind)(place))
        reader = Reader(lambda: getattr(cache, kind)(place, early))
        assert early.started.wait(30)
        with cache.writing(written):
            server.stored["app"] = {"cfg": "new", "new": 1}
        expected = {"value": "new", "entries": {"cfg": "new", "new": 1}, "listing": ["cfg", "new"]}[kind]
        assert getattr(cache, kind)(place, getattr(server, kind)(place)) == expected
        early.go_on.set()
        assert reader.result() != expected
        assert getattr(cache, kind)(place, getattr(server, kind)(place)) == expected
        assert server.requests == 2

    def test_the_early_read_comes_first(self, make, server):
        """A read that began before a write is not kept when it comes before the next one, either."""
        cache, early = make(), Held(server.value(CFG))
        reader = Reader(lambda: cache.value(CFG, early))
        assert early.started.wait(30)
        with cache.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        early.go_on.set()
        assert reader.result() == {"a": [1]}
        assert cache.value(CFG, server.value(CFG)) == "new"

    def test_an_early_read_that_falls_back(self, make, server, clock):
        """Nor is an old record kept by which such a read was answered because the server was away."""
        cache = make(stale_if_error=1000)
        cache.value(CFG, server.value(CFG))
        clock.now += TTL
        early = threading.Event(), threading.Event()

        def fetch():
            early[0].set()
            assert early[1].wait(30)
            raise errors.Unreachable("no connection")

        reader = Reader(lambda: cache.value(CFG, fetch))
        assert early[0].wait(30)
        with cache.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        early[1].set()
        assert reader.result() == {"a": [1]}
        assert cache.value(CFG, server.value(CFG)) == "new"

    # --- threads ------------------------------------------------------------------------------------------------------

    def test_32_threads(self, make, server, joining):
        """32 threads that miss the same key cause one request, and each gets a value of its own."""
        cache, fetch = make(), Held(server.value(CFG))
        readers = [Reader(lambda: cache.value(CFG, fetch)) for _ in range(32)]
        wait_for(joining, 31)
        fetch.go_on.set()
        found = [reader.result() for reader in readers]
        assert found == [{"a": [1]}] * 32
        assert len({id(value) for value in found}) == 32
        assert fetch.calls == 1
        assert cache.info()[:2] == (31, 1)

    def test_a_failure_is_shared(self, make, server, joining):
        """A failure is everybody's who waited: one request, an error object each, and the cause told."""
        cache, cause = make(), OSError("the cable")

        def fails():
            raise errors.Unreachable("no connection", url="https://dhis2.test") from cause

        started, go_on, calls = threading.Event(), threading.Event(), []

        def fetch():
            calls.append(1)
            started.set()
            assert go_on.wait(30)
            fails()

        readers = [Reader(lambda: cache.value(CFG, fetch)) for _ in range(8)]
        wait_for(joining, 7)
        go_on.set()
        caught = []
        for reader in readers:
            with pytest.raises(errors.Unreachable, match="no connection") as error:
                reader.result()
            caught.append(error.value)
        assert len({id(error) for error in caught}) == 8
        assert {error.url for error in caught} == {"https://dhis2.test"}
        assert {error.__cause__ for error in caught} == {cause}
        assert len(calls) == 1
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}

    @pytest.mark.parametrize("death", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
    def test_a_leader_dies(self, make, server, joining, death):
        """Who waited for a read that was interrupted reads by themselves."""
        cache, go_on, started = make(), threading.Event(), threading.Event()

        def dies():
            started.set()
            assert go_on.wait(30)
            raise death

        leader = Reader(lambda: cache.value(CFG, dies))
        assert started.wait(30)
        waiters = [Reader(lambda: cache.value(CFG, server.value(CFG))) for _ in range(4)]
        wait_for(joining, 4)
        go_on.set()
        with pytest.raises(death):
            leader.result()
        assert [reader.result() for reader in waiters] == [{"a": [1]}] * 4
        assert server.requests == 1

    def test_places_do_not_wait_for_each_other(self, make, server):
        """No lock is held during a request: a slow read holds up no other, nor a write."""
        cache, slow = make(), Held(server.value(CFG))
        reader = Reader(lambda: cache.value(CFG, slow))
        assert slow.started.wait(30)
        other = Place(ORIGIN, "app", "b")

        def busy():
            with cache.writing(other):
                cache.info()
            return cache.value(other, server.value(other))

        assert Reader(busy).result() == 2
        slow.go_on.set()
        reader.result()

    def test_fork(self, make, server):
        """A child, forked while a thread reads and another one holds the lock, reads for itself and does not wait."""
        cache, slow = make(), Held(server.value(CFG))
        reader = Reader(lambda: cache.value(CFG, slow))
        assert slow.started.wait(30)
        with cache._reads.lock:
            status = in_child(lambda: cache.value(CFG, server.value(CFG)) == {"a": [1]})
        slow.go_on.set()
        assert reader.result() == {"a": [1]}
        assert status == 0

    # --- a server that is away ----------------------------------------------------------------------------------------

    AWAY = (
        errors.Unreachable("no connection"),
        errors.TimedOut("no answer in time"),
        errors.ServerError("it is in trouble", status=500),
        errors.ServerError("it is starting", status=503),
    )
    REFUSALS = (
        errors.NotAuthenticated("who are you", status=401),
        errors.Forbidden("not for you", status=403),
        errors.ServerError("too many requests", status=429),
        errors.ServerError("not JSON", status=200),
        errors.ServerError("not JSON"),
        errors.KeyNotFound("cfg", namespace="app", status=404),
    )

    @pytest.mark.parametrize("kind", ["value", "entries", "listing"])
    @pytest.mark.parametrize("error", AWAY, ids=lambda error: f"{type(error).__name__}{error.status or ''}")
    def test_stale_if_error(self, make, server, clock, caplog, error, kind):
        """While the server is away the last good record serves for so long, with a warning and then a pause."""
        cache, place = make(stale_if_error=100), CFG if kind == "value" else APP

        def read():
            return getattr(cache, kind)(place, getattr(server, kind)(place))

        good, start = read(), clock.now
        clock.now += TTL
        server.error = error
        for requests in (2, 2):
            assert read() == good
            assert server.requests == requests
        assert [record.name for record in caplog.records] == ["dhis2kv"]
        assert str(error) in caplog.text
        clock.now += 10
        assert read() == good
        assert server.requests == 3
        clock.now = start + TTL + 99.9
        assert read() == good
        clock.now += 0.1
        with pytest.raises(type(error)):
            read()

    @pytest.mark.parametrize("error", REFUSALS, ids=lambda error: f"{type(error).__name__}{error.status or ''}")
    def test_refusals_are_no_outage(self, make, server, clock, error):
        """A refusal or an absence is never covered by what was read before."""
        cache = make(stale_if_error=100)
        cache.value(CFG, server.value(CFG))
        clock.now += TTL
        server.error = error
        with pytest.raises(type(error)):
            cache.many(APP, ["cfg"], lambda keys: {"cfg": server.value(CFG)()})
        with pytest.raises(type(error)):
            cache.value(CFG, server.value(CFG))

    def test_a_refusal_in_between(self, make, server, clock):
        """A refusal does not lose the last good record: it serves when the server goes away after that."""
        cache = make(stale_if_error=100)
        cache.value(CFG, server.value(CFG))
        clock.now += TTL
        server.error = errors.ServerError("too many requests", status=429)
        with pytest.raises(errors.ServerError):
            cache.value(CFG, server.value(CFG))
        server.error = errors.Unreachable("no connection")
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}

    @pytest.mark.parametrize("bulk_first", [True, False])
    def test_an_absence_is_the_last_word(self, make, server, clock, bulk_first):
        """A value that was found absent since does not come back when the server goes away."""
        cache = make(stale_if_error=100)
        (cache.entries(APP, server.entries(APP)) if bulk_first else cache.value(CFG, server.value(CFG)))
        clock.now += TTL
        stored = server.stored["app"].pop("cfg")
        with pytest.raises(errors.KeyNotFound):
            cache.value(CFG, server.value(CFG))
        server.error = errors.Unreachable("no connection")
        with pytest.raises(errors.Unreachable):
            cache.value(CFG, server.value(CFG))
        server.error, server.stored["app"]["cfg"] = None, stored
        assert cache.value(CFG, server.value(CFG)) == stored

    def test_an_absent_namespace_is_the_last_word(self, make, server, clock):
        """Nor does a listing of a namespace that was found absent since."""
        cache = make(stale_if_error=100)
        cache.listing(APP, server.listing(APP))
        clock.now += TTL
        server.error = errors.KeyNotFound("app", status=404)
        with pytest.raises(errors.KeyNotFound):
            cache.listing(APP, server.listing(APP))
        assert cache.known(CFG) is None
        server.error = errors.Unreachable("no connection")
        with pytest.raises(errors.Unreachable):
            cache.listing(APP, server.listing(APP))

    def test_stale_out_of_a_bulk_read(self, make, server, clock):
        """A key out of a bulk read survives an outage too; of two old records the newer one serves."""
        cache = make(stale_if_error=1000)
        cache.value(CFG, server.value(CFG))
        clock.now += 5
        server.stored["app"]["cfg"] = "newer"
        cache.entries(APP, server.entries(APP))
        clock.now += TTL
        server.error = errors.Unreachable("no connection")
        assert cache.value(CFG, server.value(CFG)) == "newer"

    def test_a_stale_bulk_read_outdoes_nothing(self, make, server, clock):
        """A namespace that serves although it is old takes the place of no younger single read."""
        cache = make(stale_if_error=1000)
        cache.entries(APP, server.entries(APP))
        clock.now += TTL
        server.stored["app"]["cfg"] = "newer"
        assert cache.value(CFG, server.value(CFG)) == "newer"
        clock.now += TTL
        server.error = errors.Unreachable("no connection")
        assert cache.entries(APP, server.entries(APP))["cfg"] == {"a": [1]}
        assert cache.value(CFG, server.value(CFG)) == "newer"

    def test_no_outage_without_asking_for_it(self, make, server, clock):
        """Without ``stale_if_error`` an outage is an error."""
        cache = make()
        cache.value(CFG, server.value(CFG))
        clock.now += TTL
        server.error = errors.Unreachable("no connection")
        with pytest.raises(errors.Unreachable):
            cache.value(CFG, server.value(CFG))

    def test_after_an_outage(self, make, server, clock):
        """When the pause is over and the server back, its new value is read."""
        cache = make(stale_if_error=1000)
        cache.value(CFG, server.value(CFG))
        clock.now += TTL
        server.error = errors.Unreachable("no connection")
        cache.value(CFG, server.value(CFG))
        server.error, server.stored["app"]["cfg"] = None, "new"
        clock.now += 10
        assert cache.value(CFG, server.value(CFG)) == "new"

    def test_own_writes_outdo_stale_records(self, make, server, clock):
        """After an own write nothing from before it serves, however far away the server is."""
        cache = make(stale_if_error=1000)
        cache.value(CFG, server.value(CFG))
        with cache.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        server.error = errors.Unreachable("no connection")
        with pytest.raises(errors.Unreachable):
            cache.value(CFG, server.value(CFG))


def partial_text(number):
    return lambda: str(number)


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


# The test of forks forks while threads run, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class TestInProcess(Laws):
    def test_bulk_outdoes_older_single_reads(self, make, server, clock):
        """Who has seen a bulk read does not see what was read before it again, even if that is still fresh."""
        cache, b = make(chance=iter([0.0, 0.5, 0.9]).__next__), Place(ORIGIN, "app", "b")
        cache.value(CFG, server.value(CFG))
        clock.now += 5
        server.stored["app"] = {"cfg": "newer", "b": 2}
        assert cache.entries(APP, server.entries(APP))["cfg"] == "newer"
        assert cache.value(CFG, server.value(CFG)) == "newer"
        assert cache.value(b, server.value(b)) == 2
        assert server.requests == 2

    def test_bound(self, make):
        """The records never take more than ``max_bytes``, and those go first that were not read for longest."""
        cache = make(max_bytes=50_000)
        for number in range(100):
            place = Place(ORIGIN, "app", str(number))
            cache.value(place, lambda: json.dumps("x" * 1000))
            cache.value(Place(ORIGIN, "app", "0"), lambda: json.dumps("not kept"))
            assert 0 < cache.info().currsize <= cache.info().maxsize == 50_000
        assert cache.known(Place(ORIGIN, "app", "0"))
        assert cache.known(Place(ORIGIN, "app", "99"))
        assert cache.known(Place(ORIGIN, "app", "1")) is None

    def test_size_is_about_memory(self, make):
        """The size of a record is what its text takes in memory, wide characters included."""
        cache = make()
        cache.value(CFG, lambda: json.dumps("\N{SNOWMAN}" * 100_000, ensure_ascii=False))
        assert 200_000 <= cache.info().currsize <= 201_000

    def test_writes_leave_other_keys(self, make, server):
        """In the process a write drops no other key's record."""
        cache, other = make(), Place(ORIGIN, "app", "b")
        cache.value(other, server.value(other))
        with cache.writing(CFG):
            pass
        cache.value(other, server.value(other))
        assert server.requests == 1

    @pytest.mark.parametrize("renewed", [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))])
    def test_pickle(self, server, renewed):
        """A cache is pickled, and copied, as its settings: the copy is empty and works on its own."""
        cache = Cache(7, max_bytes=1000_000, negative_ttl=3, stale_if_error=5)
        cache.value(CFG, server.value(CFG))
        twin = renewed(cache)
        settings_of = attrgetter("ttl", "max_bytes", "negative_ttl", "stale_if_error", "backend")
        assert settings_of(twin) == settings_of(cache) == (7, 1000_000, 3, 5, None)
        assert twin.info() == CacheInfo(0, 0, 1000_000, 0)
        twin.value(CFG, server.value(CFG))
        assert server.requests == 2

    def test_real_time(self):
        """Without a clock of the test's the process's own is used, which nobody can set back."""
        assert Cache(1)._clock is time.monotonic
        assert Cache(1, backend=Memory(time.time))._clock is time.time

    @pytest.mark.parametrize(
        "options", [{"ttl": 0}, {"negative_ttl": -1}, {"stale_if_error": -1}, {"max_bytes": 0}, {"ttl": float("nan")}]
    )
    def test_bad_settings(self, options):
        """Settings that mean nothing are refused."""
        with pytest.raises(ValueError, match="more than 0"):
            Cache(**{"ttl": 1, **options})


class SharedLaws(Laws):
    """What holds besides where caches of several processes share a backend; here they are two in one process."""

    @pytest.fixture
    def two(self, make):
        return make(), make()

    def test_shared(self, two, server):
        """What one process has read, no other asks for."""
        one, other = two
        self.read_all(one, server)
        assert self.read_all(other, server) == []

    def test_absences_are_shared(self, make, server):
        """Nor for what one has found absent."""
        for _ in range(2):
            self.absent(make(negative_ttl=10), server)
        assert server.requests == 1

    def test_nothing_stays_here(self, make, server, clock):
        """Nothing is kept in the process, so that no value gets older than its TTL on the way."""
        cache = make()
        cache.value(CFG, server.value(CFG))
        assert cache.info() == CacheInfo(0, 1, 64 * 2**20, 0)

    def test_writes_show_at_once(self, two, server):
        """What one process writes, the others read."""
        one, other = two
        self.read_all(other, server)
        with one.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        assert other.value(CFG, server.value(CFG)) == "new"

    def test_writes_show_to_other_accounts(self, two, server):
        """Whoever the account: what one writes to a namespace, all of them read."""
        one, other = two
        theirs = CFG._replace(origin=(ORIGIN[0], "somebody else", ORIGIN[2]))
        other.value(theirs, server.value(theirs))
        with one.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        assert other.value(theirs, server.value(theirs)) == "new"

    def test_a_foreign_read_from_before_a_write(self, two, server):
        """What another process began to read before a write of ours is not believed, although it comes after it."""
        one, other = two
        early = Held(server.value(CFG))
        reader = Reader(lambda: other.value(CFG, early))
        assert early.started.wait(30)
        with one.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        early.go_on.set()
        assert reader.result() == {"a": [1]}
        assert one.value(CFG, server.value(CFG)) == "new"
        assert other.value(CFG, server.value(CFG)) == "new"

    def test_outages_are_shared(self, make, server, clock):
        """While the server is away, one process at a time finds out, and the others use what it falls back to."""
        one, other = make(stale_if_error=100), make(stale_if_error=100)
        one.value(CFG, server.value(CFG))
        clock.now += TTL
        server.error = errors.Unreachable("no connection")
        assert [cache.value(CFG, server.value(CFG)) for cache in (one, other)] == [{"a": [1]}] * 2
        assert server.requests == 2


class TestBackend(SharedLaws):
    @pytest.fixture
    def backend(self, clock):
        return Memory(clock)

    def test_a_lost_generation(self, two, server, backend):
        """A record from before a write does not come back when the backend forgets that there was one."""
        one, other = two
        early = Held(server.value(CFG))
        reader = Reader(lambda: other.value(CFG, early))
        assert early.started.wait(30)
        with one.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        backend.kept.clear()
        early.go_on.set()
        reader.result()
        assert one.value(CFG, server.value(CFG)) == "new"

    def test_away_while_reading(self, make, server, backend, clock, caplog):
        """A backend that is away is one warning in ten seconds and direct reads, never an error."""
        cache = make()
        cache.value(CFG, server.value(CFG))
        backend.away = True
        asked = backend.asked
        for requests in (2, 3, 4):
            assert cache.value(CFG, server.value(CFG)) == {"a": [1]}
            assert server.requests == requests
        assert cache.known(CFG) is None
        assert backend.asked == asked + 1
        assert [(record.name, record.levelno) for record in caplog.records] == [("dhis2kv", logging.WARNING)]
        assert "nobody there" in caplog.text
        clock.now += 10
        cache.value(CFG, server.value(CFG))
        assert len(caplog.records) == 2
        backend.away = False
        clock.now += 10
        before = server.requests
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}
        assert server.requests == before

    def test_the_clock_is_set_back(self, make, server, backend, clock):
        """A clock that somebody sets back makes the pause no longer."""
        cache = make()
        backend.away = True
        cache.value(CFG, server.value(CFG))
        backend.away = False
        clock.now -= 500
        cache.value(CFG, server.value(CFG))
        assert cache.known(CFG)

    @pytest.mark.parametrize("goes_away", ["get", "set", "add", "delete"])
    def test_away_in_the_middle(self, make, server, backend, monkeypatch, goes_away):
        """Wherever a read meets the backend's end, it returns what the server says."""

        def away(*args):
            raise TimeoutError("too slow")

        cache = make()
        monkeypatch.setattr(backend, goes_away, away)
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}

    def test_away_during_a_write(self, two, server, backend, clock):
        """While a write could not be told to the backend, its records of that namespace are not believed here."""
        one, other = two
        self.read_all(one, server)
        backend.away = True
        with one.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        backend.away = False
        assert one.value(CFG, server.value(CFG)) == "new"
        assert other.value(CFG, server.value(CFG)) == {"a": [1]}, "another process: as old as its TTL"
        assert one.value(Place(ORIGIN, "app", "b"), server.value(Place(ORIGIN, "app", "b"))) == 2
        clock.now += 10
        assert one.value(CFG, server.value(CFG)) == "new"
        assert other.value(CFG, server.value(CFG)) == "new", "told now"
        before = server.requests
        assert one.value(CFG, server.value(CFG)) == "new"
        assert server.requests == before

    def test_a_write_while_the_next_one_is_told(self, make, server, backend, monkeypatch):
        """A write that meets the telling of another one is told as well: two writes, at least two generations."""
        cache, told, inner = make(), [], []
        keep = backend.set

        def slow(name, data, seconds):
            told.append(data)
            if not inner:
                inner.append(1)
                with cache.writing(CFG):
                    pass
            keep(name, data, seconds)

        monkeypatch.setattr(backend, "set", slow)
        with cache.writing(CFG):
            pass
        assert len(set(told)) == len(told) >= 4

    @pytest.mark.parametrize("junk", [b"", b"\xff\xfe", b"{}", b"[1, 2]", b"7", b"null", b'["", 1, 2, 3, 4]'])
    def test_junk(self, make, server, backend, junk):
        """What is no record in the backend counts for nothing."""
        cache = make()
        cache.value(CFG, server.value(CFG))
        for name, (data, until) in backend.kept.items():
            if data.startswith(b"["):
                backend.kept[name] = junk, until
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}
        assert server.requests == 2
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}
        assert server.requests == 2

    def test_from_the_future(self, make, server, clock):
        """A record of a machine whose clock is far ahead is not believed, for it would live too long here."""
        make(clock=lambda: clock.now + 11).value(CFG, server.value(CFG))
        make().value(CFG, server.value(CFG))
        assert server.requests == 2

    def test_lifetimes(self, make, server, backend, clock):
        """Whatever is kept in the backend has an end: a record when it can serve no more."""
        cache = make(stale_if_error=100)
        self.read_all(cache, server)
        lives = {name: until - clock() for name, (_, until) in backend.kept.items()}
        records = [life for name, life in lives.items() if json.loads(name)[0] in ("value", "entries", "listing")]
        assert records == [160.0] * 7
        assert all(life < 31 * 86400 for life in lives.values())

    def test_waiting(self, make, server, backend, clock):
        """While another process reads, this one waits and takes what that one brings."""
        other, slept = make(), []
        held = threading.Event(), threading.Event()

        def fetch():
            held[0].set()
            assert held[1].wait(30)
            return server.value(CFG)()

        reader = Reader(lambda: other.value(CFG, fetch))
        assert held[0].wait(30)

        def sleep(seconds):
            slept.append(seconds)
            if len(slept) == 3:
                held[1].set()
                reader.result()

        assert make(sleep=sleep).value(CFG, server.value(CFG)) == {"a": [1]}
        assert server.requests == 1
        assert slept == [0.05] * 3

    def test_waiting_for_an_absence(self, make, server):
        """Who waits for another process's read takes the absence that it brings, though it is not remembered."""
        other, early = make(), Held(lambda: None)

        def fetch():
            early()
            return server.value(ABSENT)()

        reader = Reader(lambda: other.value(ABSENT, fetch))
        assert early.started.wait(30)

        def sleep(seconds):
            early.go_on.set()
            with pytest.raises(errors.KeyNotFound):
                reader.result()

        self.absent(make(sleep=sleep), server)
        assert server.requests == 1
        self.absent(make(sleep=None), server)
        assert server.requests == 2

    @pytest.mark.parametrize("expires", [True, False])
    def test_waiting_ends(self, make, server, backend, clock, expires):
        """Who has waited for ten seconds reads, whether the other one's lock has expired or not."""
        other = make()
        held = threading.Event(), threading.Event()

        def fetch():
            held[0].set()
            assert held[1].wait(30)
            return server.value(CFG)()

        reader = Reader(lambda: other.value(CFG, fetch))
        assert held[0].wait(30)
        slept = []
        sleep = clock.sleep if expires else slept.append
        assert make(sleep=sleep).value(CFG, server.value(CFG)) == {"a": [1]}
        assert server.requests == 1
        assert sum(slept) == pytest.approx(0 if expires else 10)
        held[1].set()
        reader.result()

    def test_a_failure_ends_the_turn(self, two, server):
        """A process whose read fails does not make the others wait."""
        one, other = two
        server.error = errors.Unreachable("no connection")
        with pytest.raises(errors.Unreachable):
            one.value(CFG, server.value(CFG))
        server.error = None
        other._reads._sleep = None
        assert other.value(CFG, server.value(CFG)) == {"a": [1]}

    def test_drop_while_the_backend_is_asked(self, make, server, backend, monkeypatch):
        """A reader that comes after a write does not join one that looked into the backend before it."""
        cache = make()
        cache.value(CFG, server.value(CFG))
        looked, go_on, get = threading.Event(), threading.Event(), backend.get

        def slow(*names):
            found = get(*names)
            if threading.current_thread() is not threading.main_thread():
                looked.set()
                assert go_on.wait(30)
            return found

        monkeypatch.setattr(backend, "get", slow)
        reader = Reader(lambda: cache.value(CFG, server.value(CFG)))
        assert looked.wait(30)
        with cache.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        assert cache.value(CFG, server.value(CFG)) == "new"
        go_on.set()
        assert reader.result() == {"a": [1]}

    def test_a_reader_while_a_write_is_told(self, make, server, backend, monkeypatch):
        """Nor one that looked there while the write was being told to it."""
        cache, early = make(), []
        cache.value(CFG, server.value(CFG))
        looked, go_on, get, keep = threading.Event(), threading.Event(), backend.get, backend.set

        def slow_get(*names):
            found = get(*names)
            if threading.current_thread() in early:
                looked.set()
                assert go_on.wait(30)
            return found

        def slow_set(name, data, seconds):
            if not early:
                early.append(reader := Reader.__new__(Reader))
                reader.__init__(lambda: cache.value(CFG, server.value(CFG)))
                looked.wait(1)  # a reader that is held off until the write is told is right as well
            keep(name, data, seconds)

        monkeypatch.setattr(backend, "get", slow_get)
        monkeypatch.setattr(backend, "set", slow_set)
        with cache.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        assert cache.value(CFG, server.value(CFG)) == "new"
        go_on.set()
        early[0].result()
        assert cache.value(CFG, server.value(CFG)) == "new"

    def test_names_carry_no_secret(self, make, server, backend):
        """The names in the backend are made of the place alone, and one can read them."""
        make().value(CFG, server.value(CFG))
        parts = {part for name in backend.kept for part in json.loads(name)[1][0] + json.loads(name)[1][1:]}
        assert parts == {*ORIGIN, "app", "cfg", None}

    def test_pickle_needs_a_backend_that_can(self, make):
        """A cache whose backend cannot be pickled says so, instead of leaving it behind."""
        with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
            pickle.dumps(make())


# --- through a store ------------------------------------------------------------------------------------------------

DATA = {"a": 1, "b": {"x": [1, 2]}, "c": "text", "n": None}


@pytest.fixture
def cost(emulator, either):
    """Count the requests of expressions, one after the other, on a namespace of a store with an empty cache."""
    either["app"].update(DATA)
    store = connect(emulator, ttl=TTL)
    store = store.user if either is either.user else store

    def count(*expressions):
        store.refresh()
        counts = []
        for expression in expressions:
            sent(emulator)
            expression(store["app"])
            counts.append(len(sent(emulator)))
        return counts

    return count


@pytest.fixture
def bulk(version, either):
    """What reading all of DATA costs: one request, and one for its null; without bulk reads the listing and each."""
    return 2 if version >= ("2.40" if either is either.user else "2.38") else 1 + len(DATA)


def test_costs_of_one_entry(cost):
    """A read of an entry costs one request, and none within its TTL; nor does the question whether it is there."""
    again = [lambda ns: ns["a"], lambda ns: ns.get("a"), lambda ns: "a" in ns, lambda ns: ns.get_many(["a"])]
    assert cost(lambda ns: ns["a"], *again) == [1, 0, 0, 0, 0]
    assert cost(lambda ns: ns.get("a"), *again) == [1, 0, 0, 0, 0]
    assert cost(lambda ns: "a" in ns, lambda ns: ns["a"]) == [1, 1]
    assert cost(lambda ns: ns.get("none"), lambda ns: ns.get("none")) == [1, 1]


def test_costs_of_names(cost):
    """A listing costs one request, and none within its TTL, whatever it is asked for."""
    keys = [lambda ns: list(ns), lambda ns: len(ns), lambda ns: bool(ns), lambda ns: list(ns.keys())]
    for first in keys:
        assert cost(first, *keys, lambda ns: "b" in ns, lambda ns: "none" in ns) == [1, 0, 0, 0, 0, 0, 0]
    names = [
        lambda ns: "app" in ns._store,
        lambda ns: ns._store.get("app"),
        lambda ns: list(ns._store),
        lambda ns: len(ns._store),
        lambda ns: list(ns._store.items()),
    ]
    for first in names:
        assert cost(first, *names) == [1, 0, 0, 0, 0, 0]


def test_costs_of_all_entries(cost, bulk):
    """After a bulk read neither another one nor a read of an entry costs a request within the TTL."""
    everything = [
        lambda ns: ns.copy(),
        lambda ns: list(ns.items()),
        lambda ns: list(ns.values()),
        lambda ns: ns == DATA,
        lambda ns: ns | {"z": 1},
        lambda ns: {"z": 1} | ns,
        lambda ns: ns == ns._store["app"],
    ]
    single = [lambda ns: ns["b"], lambda ns: "n" in ns, lambda ns: ns["n"], lambda ns: ns.get_many(DATA)]
    for first in everything:
        assert cost(first, *everything, *single) == [bulk] + [0] * 11
    assert cost(lambda ns: dict(ns), lambda ns: {**ns}, lambda ns: ns["c"]) == [1 + len(DATA), 0, 0]


def test_costs_of_some_entries(cost, version, either):
    """Of chosen entries only those are asked for of which nothing fresh is there."""
    asked = 1 if version >= ("2.40" if either is either.user else "2.38") else 3
    some = [lambda ns: ns.get_many(["a", "b"]), lambda ns: ns["a"], lambda ns: ns.get_many(["b", "a"])]
    assert cost(*some, lambda ns: ns.get_many(["b", "c"])) == [asked, 0, 0, 1]


def test_costs_after_writes(cost, version):
    """A write costs what it costs without a cache, and the next read asks the server."""

    def edit(ns):
        with ns.edit("b") as value:
            value["y"] = len(value)

    read = [lambda ns: ns["b"], lambda ns: "b" in ns]
    for write, requests in (
        (lambda ns: ns.__setitem__("b", {"x": 2}), 1),
        (lambda ns: ns.add("b", 1), 1),
        (lambda ns: ns.update({"a": 1, "b": {"x": 3}}), 2),
        (edit, 3),
    ):
        assert cost(*read, write, *read) == [1, 0, requests, 1, 0]
    assert cost(lambda ns: ns.copy(), lambda ns: ns.__delitem__("a"), lambda ns: len(ns), lambda ns: ns["b"])[1:] == [
        1,
        1,
        1,
    ]
    assert cost(lambda ns: len(ns._store), lambda ns: ns.clear(), lambda ns: len(ns._store)) == [1, 1, 1]


def test_reads_that_serve_writes(emulator, either):
    """What a write goes by is asked of the server, whatever is cached."""
    store = connect(emulator, ttl=TTL)
    cached, foreign = (store.user if either is either.user else store)["app"], either["app"]
    foreign.update(DATA)
    assert cached.copy() == DATA
    foreign.update({"a": 2, "b": {"y": 1}, "new": 3})
    assert cached.setdefault("new", 0) == 3
    assert cached.pop("a") == 2
    cached.refresh()
    cached.copy()
    foreign["b"] = {"z": 1}
    with cached.edit("b") as value:
        assert value == {"z": 1}
    cached.copy()
    foreign["a"] = 4
    assert cached.popitem() == ("a", 4)
    cached.copy()
    foreign["late"] = 5
    sent(emulator)
    cached.replace({"b": {"z": 1}})
    assert foreign.copy() == {"b": {"z": 1}}


def test_accounts(emulator, monkeypatch):
    """Stores that share a cache share what they read where server, account and store are the same, and only there."""
    emulator.add_user("alice", "Alice_pw_1!", superuser=True)
    cache = Cache(TTL)
    stores = [connect(emulator, auth, cache=cache) for auth in (("admin", "district"), ("alice", "Alice_pw_1!"))]
    for number, store in enumerate([stores[0], stores[0].user, stores[1], stores[1].user]):
        store["app"]["k"] = number
    assert [one["app"]["k"] for store in stores for one in (store, store.user)] == [2, 1, 2, 3]
    sent(emulator)
    assert connect(emulator, cache=cache).user["app"]["k"] == 1
    assert sent(emulator) == []


@pytest.mark.parametrize("version", OLD_MIDDLE_NEW)
def test_accounts_behind_tokens(emulator, version):
    """With a backend, who is signed in is asked once where the credentials do not tell; ``account`` spares that."""
    clock = Clock()
    backend = Memory(clock)

    class Opaque:
        """Signs in, and does not tell whom."""

        def __call__(self, request):
            request.headers["Authorization"] = "Basic YWRtaW46ZGlzdHJpY3Q="
            return request

    def store(**options):
        return connect(emulator, Opaque(), cache=Cache(TTL, backend=backend, clock=clock, sleep=None), **options)

    first = store()
    first["app"]["k"] = 1
    assert first["app"]["k"] == first["app"]["k"] == 1
    assert [target.partition("?")[0] for _, target in sent(emulator)].count("/api/me") == 1
    assert store()["app"]["k"] == 1
    assert [target.partition("?")[0] for _, target in sent(emulator)] == ["/api/me"]
    assert [store(account="admin")["app"]["k"] for _ in range(2)] == [1, 1]
    assert [target for _, target in sent(emulator)] == ["/api/dataStore/app/k"]
    kept = " ".join(backend.kept) + " ".join(str(data) for data, _ in backend.kept.values())
    assert "district" not in kept
    assert "YWRtaW4" not in kept
    assert '["http://dhis2.test", "admin", "dataStore"]' in kept


# --- everything at once -----------------------------------------------------------------------------------------------


class Machine(RuleBasedStateMachine):
    """A server, writers, time, failures and callers who scribble, against what may be read.

    The model is the server's history: a read may give what the server held at some instant since the last own write
    and within the TTL, and within ``stale_if_error`` more when a request has failed just now. Nothing else.
    """

    caches = 1
    backed = False
    NEGATIVE, STALE = 20.0, 100.0
    KEYS = st.sampled_from(["a", "b"])
    SPACES = st.sampled_from(["app", "other"])
    WHO = st.integers(0, 1)

    @initialize(stale=st.booleans(), negative=st.booleans(), small=st.booleans(), seed=st.integers(0, 9))
    def begin(self, stale, negative, small, seed):
        self.clock = Clock()
        self.server = Server()
        self.backend = Memory(self.clock) if self.backed else None
        self.stale = self.STALE if stale else 0.0
        self.all = [
            Cache(
                TTL,
                max_bytes=8000 if small else 100_000,
                negative_ttl=self.NEGATIVE if negative else 0,
                stale_if_error=self.stale,
                backend=self.backend,
                clock=self.clock,
                sleep=self.clock.sleep,
                chance=random.Random(seed).random,
            )
            for _ in range(self.caches)
        ]
        self.history = [(self.clock.now, {})]  # what was stored from then on
        # For each cache the first state that its reads may show: of a key, of a whole namespace, of all of them (None).
        self.first = [defaultdict(int) for _ in self.all]
        self.failed = -1000.0
        self.number = 0

    def _stored(self):
        """Note the server's state after a change, always a little later than anything before."""
        self.clock.now += 0.001
        self.history.append((self.clock.now, copy.deepcopy(self.server.stored)))
        self.clock.now += 0.001

    def _states(self, who, what):
        """The states that a read may show."""
        now = self.clock.now
        patience = TTL + (self.stale if now - self.failed <= 10.0 else 0)
        ends = [since for since, _ in self.history[1:]] + [float("inf")]
        return [
            state
            for number, ((_, state), end) in enumerate(zip(self.history, ends, strict=True))
            if end > now - patience and number >= self.first[who][what]
        ]

    def _read(self, read):
        """The result of a read, after which it is scribbled on; or the error, noted when it was asked for."""
        failing, before = self.server.error, self.server.requests
        try:
            found = read()
        except errors.Dhis2kvError as error:
            found = error
        if failing is not None and self.server.requests > before:
            self.failed = self.clock.now
        if isinstance(found, errors.KeyNotFound):
            return KeyError
        if isinstance(found, errors.Dhis2kvError):
            assert type(found) is type(failing)
            return None
        kept = copy.deepcopy(found)
        if isinstance(found, dict):
            for value in found.values():
                if isinstance(value, list):
                    value.append("scribble")
            found["scribble"] = 1
        elif isinstance(found, list):
            found.append("scribble")
        return kept

    def _change(self, namespace, key):
        self.number += 1
        self.server.stored.setdefault(namespace, {})[key] = [self.number]

    def _wrote(self, who, *what):
        self.first[who].update(dict.fromkeys(what, len(self.history) - 1))

    @rule(who=WHO, namespace=SPACES, key=KEYS)
    def value(self, who, namespace, key):
        who, place = who % self.caches, Place(ORIGIN, namespace, key)
        found = self._read(lambda: self.all[who].value(place, self.server.value(place)))
        if found is not None:
            states = self._states(who, (namespace, key))
            assert found in [state.get(namespace, {}).get(key, KeyError) for state in states]

    @rule(who=WHO, namespace=SPACES)
    def entries(self, who, namespace):
        who, place = who % self.caches, Place(ORIGIN, namespace)
        found = self._read(lambda: self.all[who].entries(place, self.server.entries(place)))
        if found is not None:
            assert found in [state.get(namespace, {}) for state in self._states(who, namespace)]

    @rule(who=WHO, namespace=st.sampled_from(["app", "other", None]))
    def listing(self, who, namespace):
        who, place = who % self.caches, Place(ORIGIN, namespace)
        found = self._read(lambda: self.all[who].listing(place, self.server.listing(place)))
        if found is not None:
            states = self._states(who, namespace)
            assert found in [list(state if namespace is None else state.get(namespace, {})) for state in states]

    @rule(who=WHO, namespace=SPACES, key=KEYS)
    def known(self, who, namespace, key):
        who, before = who % self.caches, self.server.requests
        known = self.all[who].known(Place(ORIGIN, namespace, key))
        states = self._states(who, (namespace, key))
        assert known is None or known in [key in state.get(namespace, {}) for state in states]
        known = self.all[who].known(Place(ORIGIN, namespace))
        assert known is None or known in [namespace in state for state in self._states(who, None)]
        assert self.server.requests == before

    @rule(who=WHO, namespace=SPACES, key=KEYS, effect=st.sampled_from(["ok", "nothing", "but done"]))
    def write(self, who, namespace, key, effect):
        who, place = who % self.caches, Place(ORIGIN, namespace, key)
        with contextlib.suppress(errors.TimedOut), self.all[who].writing(place):
            if effect != "nothing":
                self._change(namespace, key)
                self._stored()
            if effect != "ok":
                raise errors.TimedOut("no answer in time", sent=True)
        self._wrote(who, (namespace, key), namespace, None)

    @rule(who=WHO, namespace=SPACES)
    def delete_namespace(self, who, namespace):
        who = who % self.caches
        with self.all[who].writing(Place(ORIGIN, namespace)):
            self.server.stored.pop(namespace, None)
            self._stored()
        self._wrote(who, (namespace, "a"), (namespace, "b"), namespace, None)

    @rule(who=WHO)
    def refresh(self, who):
        who = who % self.caches
        self.all[who].drop(ROOT)
        spaces = ("app", "other")
        self._wrote(who, *[(namespace, key) for namespace in spaces for key in ("a", "b")], *spaces, None)

    @rule(namespace=SPACES, key=KEYS, delete=st.booleans())
    def foreign_write(self, namespace, key, delete):
        if delete:
            self.server.stored.get(namespace, {}).pop(key, None)
        else:
            self._change(namespace, key)
        self._stored()

    @rule(
        who=WHO,
        namespace=SPACES,
        key=KEYS,
        writer=WHO,
        kind=st.sampled_from(["value", "entries", "listing"]),
        foreign=st.booleans(),
    )
    def write_during_a_read(self, who, namespace, key, writer, kind, foreign):
        """A read is on its way; its answer is taken, then a write happens, then the answer arrives."""
        who, writer = who % self.caches, writer % self.caches
        place = Place(ORIGIN, namespace, key if kind == "value" else None)

        def fetch():
            found = getattr(self.server, kind)(place)()
            if foreign:
                self.foreign_write(namespace, key, False)
            else:
                self.write(writer, namespace, key, "ok")
            return found

        self._read(lambda: getattr(self.all[who], kind)(place, fetch))

    @rule(seconds=st.sampled_from([0.5, 3.0, 9.9, 21.0, 56.0, 60.0, 99.0, 200.0]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule(error=st.sampled_from([None, None, *Laws.AWAY, errors.NotAuthenticated("who are you", status=401)]))
    def server_fails(self, error):
        self.server.error = error

    @precondition(lambda self: self.backed)
    @rule(away=st.booleans())
    def backend_goes_away(self, away):
        self.backend.away = away

    @precondition(lambda self: self.backed)
    @rule(data=st.data())
    def backend_loses_something(self, data):
        if self.backend.kept:
            self.backend.kept.pop(data.draw(st.sampled_from(sorted(self.backend.kept))))

    @invariant()
    def bounded(self):
        for cache in getattr(self, "all", []):
            assert cache.info().currsize <= cache.info().maxsize


class SharedMachine(Machine):
    caches = 2
    backed = True


MANY = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestEverythingInProcess = Machine.TestCase
TestEverythingInProcess.settings = MANY
TestEverythingShared = SharedMachine.TestCase
TestEverythingShared.settings = MANY
