"""The cache of several processes, over a backend in memory."""

from __future__ import annotations

import json
import logging
import pickle
import threading

import pytest

from dhis2kv import errors
from dhis2kv.cache import Place
from tests.cache.doubles import (
    ABSENT,
    APP,
    CFG,
    ORIGIN,
    Held,
    Memory,
    Reader,
)
from tests.cache.shared_laws import SharedLaws

# The test of forks forks while threads run, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


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
        clock.now += 9.9
        cache.value(CFG, server.value(CFG))
        assert backend.asked == asked + 1
        clock.now += 0.1
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
        """Wherever a read meets the backend's end, it returns what the server says, and waits for nobody."""

        def away(*args):
            raise TimeoutError("too slow")

        cache = make(sleep=None)
        cache.listing(APP, server.listing(APP))  # so that there are generations
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

    @pytest.mark.parametrize(
        "content", ["[" * 100_000, "no JSON", "", "NaN", {"cfg": "[" * 100_000}, {"cfg": 7}, 7, [1]]
    )
    @pytest.mark.parametrize("kind", ["value", "entries", "listing"])
    def test_hostile_records(self, make, server, backend, kind, content):
        """A record whose generation is right, and which holds what nobody can read, counts for nothing either."""
        reads = {
            "value": lambda cache: cache.value(CFG, server.value(CFG)),
            "entries": lambda cache: cache.entries(APP, server.entries(APP)),
            "listing": lambda cache: cache.listing(APP, server.listing(APP)),
        }
        expected = reads[kind](make())
        for name, (data, until) in backend.kept.items():
            if json.loads(name)[0] == kind:
                generation, born, end, _ = json.loads(data)
                backend.kept[name] = json.dumps([generation, born, end, content]).encode(), until
        assert reads[kind](make()) == expected
        assert server.requests == 2

    def test_records_of_another_kind(self, make, server, backend):
        """Nor does one that holds what another kind of read brings."""
        cache = make()
        expected = [
            cache.value(CFG, server.value(CFG)),
            cache.entries(APP, server.entries(APP)),
            cache.listing(APP, server.listing(APP)),
        ]
        kept = {json.loads(name)[0]: name for name, (data, _) in backend.kept.items() if data.startswith(b"[")}
        contents = {kind: json.loads(backend.kept[name][0])[3] for kind, name in kept.items()}
        for kind, other in (("value", "entries"), ("entries", "listing"), ("listing", "value"), ("value", "listing")):
            data, until = backend.kept[kept[kind]]
            backend.kept[kept[kind]] = json.dumps([*json.loads(data)[:3], contents[other]]).encode(), until
            cache = make()
            assert [
                cache.value(CFG, server.value(CFG)),
                cache.entries(APP, server.entries(APP)),
                cache.listing(APP, server.listing(APP)),
            ] == expected

    def test_times_of_hostile_records(self, make, server, backend):
        """Nor does one whose times are no numbers."""
        make().value(CFG, server.value(CFG))
        for name, (data, until) in backend.kept.items():
            if data.startswith(b"["):
                generation, _, _, content = json.loads(data)
                for born, end in (("now", 2e9), (None, 2e9), ([], {}), (float("nan"), float("inf"))):
                    backend.kept[name] = json.dumps([generation, born, end, content]).encode(), until
                    before = server.requests
                    assert make().value(CFG, server.value(CFG)) == {"a": [1]}
                    assert server.requests == before + 1

    def test_a_backend_that_goes_back(self, two, server, backend, caplog):
        """Who has seen a write believes nothing from before it, though the backend gives back an older state."""
        writer, other = two
        writer.value(CFG, server.value(CFG))
        older = dict(backend.kept)
        with writer.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        backend.kept = older
        assert writer.value(CFG, server.value(CFG)) == "new"
        assert "gave back" in caplog.text
        assert other.value(CFG, server.value(CFG)) == "new", "the writer has told it"
        assert server.requests == 2

    @pytest.mark.parametrize("generation", [b"", b"\xff", b"x" * 32, b"-7 " + b"0" * 32, b"9" * 400 + b" " + b"0" * 32])
    def test_hostile_generations(self, make, server, backend, generation):
        """A generation that is none of ours is replaced by one."""
        make().value(CFG, server.value(CFG))
        for name, (data, until) in backend.kept.items():
            if not data.startswith(b"["):
                backend.kept[name] = generation, until
        for _ in range(2):
            assert make().value(CFG, server.value(CFG)) == {"a": [1]}
        assert server.requests == 2
        assert generation not in [data for data, _ in backend.kept.values()]

    @pytest.mark.parametrize(("ahead", "requests"), [(10, 1), (10.1, 2)])
    def test_from_the_future(self, make, server, clock, ahead, requests):
        """A record of a machine whose clock is far ahead is not believed, for it would live too long here."""
        make(clock=lambda: clock.now + ahead).value(CFG, server.value(CFG))
        make().value(CFG, server.value(CFG))
        assert server.requests == requests

    def test_lifetimes(self, make, server, backend, clock):
        """Whatever is kept in the backend has an end: a record when it can serve no more."""
        cache = make(stale_if_error=100)
        self.read_all(cache, server)
        lives = {name: until - clock() for name, (_, until) in backend.kept.items()}
        records = [life for name, life in lives.items() if json.loads(name)[0] in ("value", "entries", "listing")]
        assert records == [160.0] * 7
        assert all(life < 31 * 86400 for life in lives.values())

    def test_generations_outlive_records(self, make, server, backend, clock):
        """What a record is held against is there as long as the record, however long that is."""
        days = 86400
        cache = make(stale_if_error=90 * days)
        self.read_all(cache, server)
        lives = {name: until - clock() for name, (_, until) in backend.kept.items()}
        assert min(life for name, life in lives.items() if "generation" in name) >= 90 * days

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
        """Who has waited for ten seconds reads, whether the other one's lock has expired or not.

        What it reads is kept where it had a turn of its own.
        """
        other = make()
        held = threading.Event(), threading.Event()

        def fetch():
            held[0].set()
            assert held[1].wait(30)
            return server.value(CFG)()

        reader = Reader(lambda: other.value(CFG, fetch))
        assert held[0].wait(30)
        clock.now += 1
        slept = []
        sleep = clock.sleep if expires else slept.append
        assert make(sleep=sleep).value(CFG, server.value(CFG)) == {"a": [1]}
        assert server.requests == 1
        assert sum(slept) == pytest.approx(0 if expires else 10)
        assert ("value" in [json.loads(name)[0] for name in backend.kept]) is expires
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
