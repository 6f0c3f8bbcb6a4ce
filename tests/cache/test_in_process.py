"""The cache in one process."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import time
from operator import attrgetter

import pytest

from dhis2kv import errors
from dhis2kv.cache import Cache, CacheInfo, Place
from tests.cache.doubles import (
    ABSENT,
    APP,
    CFG,
    ORIGIN,
    TTL,
    Held,
    Memory,
    Reader,
    Server,
    reading,
)
from tests.cache.laws import Laws

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

    def test_bulk_outdoes_what_was_read_at_the_same_time(self, make, server):
        """So it is where no time passed in between by the clock; what another account has read stays."""
        cache, theirs = make(), CFG._replace(origin=(ORIGIN[0], "another", ORIGIN[2]))
        for place in (CFG, theirs):
            cache.value(place, server.value(place))
        server.stored["app"] = {"cfg": "newer"}
        assert cache.entries(APP, server.entries(APP)) == {"cfg": "newer"}
        assert cache.value(CFG, server.value(CFG)) == "newer"
        assert cache.known(theirs)

    def test_a_listing_outdoes_nothing(self, make, server, clock):
        """It holds no values, so that those which were read before it are still read from their records."""
        cache = make()
        cache.value(CFG, server.value(CFG))
        clock.now += 5
        assert cache.listing(APP, server.listing(APP)) == ["cfg", "b", "a"]
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}
        assert server.requests == 2

    def test_what_is_over_is_not_kept(self, make, server, clock):
        """No record is made of an absence that is not remembered, nor of a read that took longer than its TTL."""
        cache = make(ttl=1)

        def slow():
            clock.now += 1
            return server.value(CFG)()

        for place, fetch in ((ABSENT, server.value(ABSENT)), (CFG, slow)):
            with contextlib.suppress(KeyError):
                cache.value(place, fetch)
            assert cache.info().currsize == 0
        cache.value(CFG, server.value(CFG))
        assert cache.info().currsize > 0
        cache.value(CFG, server.value(CFG))
        assert cache.info()[:2] == (1, 3)

    def test_room_for_nothing(self, make, server):
        """A cache of one byte keeps nothing, and reads all the same."""
        cache = make(max_bytes=1)
        assert [cache.value(CFG, server.value(CFG)) for _ in range(2)] == [{"a": [1]}] * 2
        assert cache.info() == (0, 2, 1, 0)

    def test_a_write_of_another_key_meanwhile(self, make, server):
        """A read that is on its way while another key is written is kept."""
        cache, early = make(), Held(server.value(CFG))
        reader = Reader(lambda: cache.value(CFG, early))
        assert early.started.wait(30)
        with cache.writing(Place(ORIGIN, "app", "b")):
            pass
        early.go_on.set()
        reader.result()
        assert cache.known(CFG)

    def test_bound(self, make):
        """The records never take more than ``max_bytes``, and those go first that were not read for longest."""
        cache = make(max_bytes=50_000)
        for number in range(100):
            place = Place(ORIGIN, "app", str(number))
            cache.value(place, reading(json.dumps("x" * 1000)))
            cache.value(Place(ORIGIN, "app", "0"), reading(json.dumps("not kept")))
            assert 0 < cache.info().currsize <= cache.info().maxsize == 50_000
        assert cache.known(Place(ORIGIN, "app", "0"))
        assert cache.known(Place(ORIGIN, "app", "99"))
        assert cache.known(Place(ORIGIN, "app", "1")) is None

    def test_every_hit_counts(self, make, server):
        """However many reads end without a lock, each is a hit, and each uses its record."""
        cache, other = make(max_bytes=6000), Place(ORIGIN, "app", "b")
        cache.value(CFG, server.value(CFG))
        cache.value(other, server.value(other))
        for _ in range(2500):
            cache.value(other, server.value(other))
        cache.value(CFG, server.value(CFG))
        for number in range(8):
            cache.value(Place(ORIGIN, "app", str(number)), reading('"x"'))
        assert (cache.known(CFG), cache.known(other)) == (True, None)
        assert cache.info()[:2] == (2502, 10)

    @pytest.mark.parametrize("kind", ["value", "entries"])
    def test_a_hit_waits_for_nobody(self, make, server, kind):
        """A record is read while another thread holds the lock, also one out of a bulk read."""
        cache, place = make(), CFG if kind == "value" else APP
        getattr(cache, kind)(place, getattr(server, kind)(place))
        with cache._reads.lock:
            assert Reader(lambda: cache.value(CFG, None)).result() == {"a": [1]}

    def test_half_of_the_cache(self, make, clock):
        """A record of just half of the cache is kept, and one byte more is not."""
        whole = make()
        whole.value(CFG, reading(json.dumps("z" * 5000)))
        size = whole.info().currsize
        for max_bytes, kept in ((2 * size, True), (2 * size - 1, False)):
            cache = make(max_bytes=max_bytes)
            cache.value(CFG, reading(json.dumps("z" * 5000)))
            assert bool(cache.known(CFG)) is kept

    def test_too_big_to_take_the_old_ones_place(self, make, clock):
        """Where what was read last was not kept, what was read before it never serves again."""
        cache = make(max_bytes=20_000, stale_if_error=1000)
        cache.value(CFG, reading("1"))
        clock.now += TTL
        assert len(cache.value(CFG, reading(json.dumps("z" * 12_000)))) == 12_000
        away = Server()
        away.error = errors.Unreachable("no connection")
        with pytest.raises(errors.Unreachable):
            cache.value(CFG, away.value(CFG))

    def test_what_is_gone_leaves_nothing(self, make, server):
        """Of records that are gone not even the names of their places are kept: those come without end."""
        cache = make()
        self.read_all(cache, server)
        for place in (CFG, APP, Place(ORIGIN, "other")):
            cache.drop(place)
        cache.drop(Place((ORIGIN[0], "admin", "user")))
        records = cache._reads.records
        assert (cache.info().currsize, len(records.table), records._spaces) == (0, 0, {})

    def test_what_is_noted_of_reads_is_bounded(self, make, server):
        """However often a record is read, little is remembered of that."""
        cache = make()
        for _ in range(3000):
            cache.value(CFG, server.value(CFG))
        assert len(cache._reads.records._used) <= 1001

    def test_size_is_about_memory(self, make):
        """The size of a record is what its text takes in memory, wide characters included."""
        cache = make()
        cache.value(CFG, reading(json.dumps("\N{SNOWMAN}" * 100_000, ensure_ascii=False)))
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

    def test_settings(self):
        """Seconds can be less than one; a cache says what it was told, and where its records are."""
        cache = Cache(0.5, max_bytes=1000, negative_ttl=0.25, stale_if_error=0.75)
        assert (cache.ttl, cache.negative_ttl, cache.stale_if_error) == (0.5, 0.25, 0.75)
        assert repr(cache) == "<Cache for 0.5 seconds, up to 1000 bytes, in this process>"
        assert repr(Cache(60, backend=Memory(time.time))).endswith(", in a Memory>")

    @pytest.mark.parametrize(
        "options", [{"ttl": 0}, {"negative_ttl": -1}, {"stale_if_error": -1}, {"max_bytes": 0}, {"ttl": float("nan")}]
    )
    def test_bad_settings(self, options):
        """Settings that mean nothing are refused."""
        with pytest.raises(ValueError, match="more than 0"):
            Cache(**{"ttl": 1, **options})
