"""What holds besides where caches of several processes share a backend."""

from __future__ import annotations

import pytest

from dhis2kv import errors
from dhis2kv.cache import CacheInfo
from tests.cache.doubles import (
    CFG,
    ORIGIN,
    TTL,
    Held,
    Reader,
)
from tests.cache.laws import Laws


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
