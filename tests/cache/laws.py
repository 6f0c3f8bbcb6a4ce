"""What holds wherever the records are: the laws of the cache, for one process and for several."""

from __future__ import annotations

import contextlib
import json
import threading

import pytest

from dhis2kv import errors
from dhis2kv.cache import Cache, Place
from tests.cache.away_laws import AwayLaws
from tests.cache.doubles import (
    ABSENT,
    APP,
    CFG,
    ORIGIN,
    ROOT,
    TTL,
    Clock,
    Held,
    Reader,
    Server,
    brought,
    in_child,
    reading,
    wait_for,
)
from tests.cache.text_laws import TextLaws


class Laws(TextLaws, AwayLaws):
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
        """Chance takes up to five per cent off each lifetime, and never adds to it."""
        cache = make(chance=lambda: 0.999, negative_ttl=TTL)

        def requests():
            cache.value(CFG, server.value(CFG))
            self.absent(cache, server)
            cache.many(APP, ["b"], lambda keys: {"b": server.value(Place(ORIGIN, "app", "b"))()[1]})
            return server.requests

        assert requests() == 3
        clock.now += TTL * 0.95
        assert requests() == 3
        clock.now += 0.1
        assert requests() == 6

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

    def test_names_of_every_kind(self, make):
        """Places that look alike, and names with anything in them, are different records."""
        cache = make()
        texts = ["a", "b", "a,b", '"', "a\\", "é", "\u2028", "\0", "\ud800", "", "null", "keys", "value"]
        places = [Place((a, b, "s"), c, d) for a in texts[:4] for b in texts[:4] for c in texts for d in texts]
        for number, place in enumerate(places):
            assert cache.value(place, reading(str(number))) == number
        for number, place in enumerate(places):
            assert cache.value(place, reading("-1")) == number

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
        cache.value(small, reading("1"))
        big = {"a": json.dumps("x" * 6000), "b": json.dumps("y" * 6000)}
        reads = []
        for _ in range(2):
            assert cache.entries(APP, lambda: reads.append(1) or big)["b"] == "y" * 6000
            assert cache.value(CFG, lambda: reads.append(1) or brought(json.dumps("z" * 12_000))) == "z" * 12_000
        assert len(reads) == 4
        assert cache.value(small, reading("2")) == 1

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
        assert cache.info()[:2] == (2, 1)
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

    def test_an_absent_namespace(self, make, server):
        """That a namespace is absent is not remembered, and says nothing of what is read in it next."""
        cache, asked = make(negative_ttl=10, stale_if_error=10), []

        def fetch():
            asked.append(1)
            raise errors.KeyNotFound("app", status=404)

        for _ in range(2):
            with pytest.raises(errors.KeyNotFound):
                cache.entries(APP, fetch)
        assert len(asked) == 2
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}

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

    def test_many_when_one_is_gone(self, make, clock):
        """What was deleted since is left out, however long it was remembered; each key is a hit or a miss."""
        cache, stored = make(stale_if_error=1000), {"a": "1", "b": "2"}

        def fetch(keys):
            return {key: stored[key] for key in keys if key in stored}

        assert cache.many(APP, ["a", "b"], fetch) == {"a": 1, "b": 2}
        assert cache.many(APP, ["b", "a"], None) == {"b": 2, "a": 1}
        assert cache.info()[:2] == (2, 2)
        clock.now += TTL
        del stored["b"]
        assert cache.many(APP, ["a", "b"], fetch) == {"a": 1}
        assert cache.info()[:2] == (2, 4)
        with pytest.raises(TypeError, match="several keys"):
            cache.many(APP, "ab", fetch)

    def test_a_miss_parses_nothing(self, make, server):
        """Who causes the request gets the very value that the fetch has made."""
        value = {"a": [1]}
        assert make().value(CFG, lambda: (value, '{"a": [1]}')) is value

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

    @pytest.mark.parametrize(("kind", "place"), [("value", CFG), ("entries", APP), ("listing", APP), ("listing", ROOT)])
    @pytest.mark.parametrize("written", [CFG, APP, ROOT])
    def test_a_read_from_before_a_write(self, make, server, kind, place, written):
        """A read that began before a write ended is neither joined by later ones nor kept, also when it comes last."""
        cache = make()
        early = Held(getattr(server, kind)(place))
        reader = Reader(lambda: getattr(cache, kind)(place, early))
        assert early.started.wait(30)
        with cache.writing(written):
            server.stored |= {"app": {"cfg": "new", "new": 1}, "made": {}}
        expected = {
            ("value", CFG): "new",
            ("entries", APP): {"cfg": "new", "new": 1},
            ("listing", APP): ["cfg", "new"],
            ("listing", ROOT): list(server.stored),
        }[kind, place]
        assert getattr(cache, kind)(place, getattr(server, kind)(place)) == expected
        early.go_on.set()
        assert reader.result() != expected
        assert getattr(cache, kind)(place, getattr(server, kind)(place)) == expected
        assert server.requests == 2

    @pytest.mark.parametrize(
        "written",
        [
            Place(ORIGIN, "elsewhere"),
            Place(ORIGIN, "elsewhere", "cfg"),
            Place(("https://other.test", *ORIGIN[1:])),
            Place((*ORIGIN[:2], "userDataStore"), "app", "cfg"),
        ],
    )
    def test_a_write_elsewhere(self, make, server, written):
        """A read that is on its way while somebody writes elsewhere is kept."""
        cache, early = make(), Held(server.value(CFG))
        reader = Reader(lambda: cache.value(CFG, early))
        assert early.started.wait(30)
        with cache.writing(written):
            pass
        early.go_on.set()
        reader.result()
        cache.value(CFG, server.value(CFG))
        assert server.requests == 1

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

    def test_the_failure_itself(self, make):
        """Who asked raises what the fetch raised, and no copy, which would not know where that was."""
        error = errors.Unreachable("no connection")

        def fails():
            raise error

        with pytest.raises(errors.Unreachable) as caught:
            make().value(CFG, fails)
        assert caught.value is error

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
