"""How processes that share a backend take turns at the server, and what they ask of the backend for it."""

from __future__ import annotations

import json

import pytest

from dhis2kv import errors
from dhis2kv.cache import Cache, Place
from tests.cache.doubles import APP, CFG, ORIGIN, TTL, Clock, Held, Memory, Reader, Server, brought


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def backend(clock):
    return Memory(clock)


@pytest.fixture
def make(clock, backend):
    def make(**options):
        options = {"clock": clock, "sleep": None, "chance": lambda: 0.0, **options}  # no read here is to wait
        return Cache(TTL, backend=backend, **options)

    return make


@pytest.fixture
def server():
    return Server(app={"cfg": {"a": [1]}, "b": 2}, other={"x": 1})


def test_what_a_read_asks_of_the_backend(make, server, backend, clock):
    """A hit is one round trip, and two out of a bulk read; a miss is six: to look twice, to take turns, to keep it."""
    cache, other = make(), Place(ORIGIN, "other")

    def asked(kind, place):
        before = backend.asked
        getattr(cache, kind)(place, getattr(server, kind)(place))
        return backend.asked - before

    assert asked("listing", APP) == 6 + 3, "a generation for the origin, and one for the namespace"
    assert asked("listing", other) == 6 + 2, "one for the namespace"
    assert asked("listing", APP) == 1
    clock.now += TTL
    assert asked("listing", APP) == 6
    cache.value(CFG, server.value(CFG))
    assert asked("value", CFG) == 1
    cache.drop(APP)
    cache.entries(APP, server.entries(APP))
    assert asked("value", CFG) == 2


def test_what_a_write_asks_of_the_backend(make, backend):
    """A write is four round trips: two generations are read and renewed, its namespace's and that of the listings."""
    cache = make()
    with cache.writing(CFG):
        pass
    assert backend.asked == 4


def test_somebody_brings_it_before_this_ones_turn(make, server, backend, clock, monkeypatch):
    """What another process has brought when this one's turn comes is taken, however long ago that read began."""
    other, early = make(), Held(server.value(CFG))
    reader = Reader(lambda: other.value(CFG, early))
    assert early.started.wait(30)
    clock.now += 30
    add = backend.add

    def late(*args):
        early.go_on.set()
        reader.result()
        return add(*args)

    cache = make()
    monkeypatch.setattr(backend, "add", late)
    assert cache.value(CFG, server.value(CFG)) == {"a": [1]}
    assert server.requests == 1


def test_a_turn_that_does_not_end(make, server, backend, monkeypatch):
    """What another process has brought is taken at once, although that one died before it ended its turn."""
    other, cache, add = make(), make(), backend.add

    def late(*args):
        monkeypatch.setattr(backend, "add", add)
        other.value(CFG, server.value(CFG))
        return add(*args)

    cache.listing(APP, server.listing(APP))  # so that there are generations
    monkeypatch.setattr(backend, "delete", lambda name: None)
    monkeypatch.setattr(backend, "add", late)
    assert cache.value(CFG, server.value(CFG)) == {"a": [1]}
    assert server.requests == 2


def test_a_backend_that_forgets_at_once(make, server, backend, monkeypatch):
    """Where no generation stays, nothing can be shared, and nobody waits for anybody."""
    monkeypatch.setattr(backend, "get", lambda *names: [None] * len(names))
    early = Held(server.value(CFG))
    reader = Reader(lambda: make().value(CFG, early))
    assert early.started.wait(30)
    assert make().value(CFG, server.value(CFG)) == {"a": [1]}
    early.go_on.set()
    assert reader.result() == {"a": [1]}


def test_a_reader_knows_what_it_has_seen(make, server, backend):
    """Nor does who has only read believe an older state of the backend than it has seen."""
    writer, reader = make(), make()
    writer.value(CFG, server.value(CFG))
    older = dict(backend.kept)
    with writer.writing(CFG):
        server.stored["app"]["cfg"] = "new"
    assert reader.value(CFG, server.value(CFG)) == "new"
    backend.kept = older
    assert reader.value(CFG, server.value(CFG)) == "new"
    assert server.requests == 3


def test_what_is_too_big_goes_nowhere(make, server, backend, clock, monkeypatch):
    """What is too big to keep is not sent to the backend, and what was kept before it never serves again."""
    cache, sent, keep = make(max_bytes=20_000, stale_if_error=1000), [], backend.set

    def note(name, data, seconds):
        sent.append(len(data))
        keep(name, data, seconds)

    cache.value(CFG, server.value(CFG))
    clock.now += TTL
    monkeypatch.setattr(backend, "set", note)
    assert len(cache.value(CFG, lambda: brought(json.dumps("z" * 12_000)))) == 12_000
    assert max(sent, default=0) < 1000
    server.error = errors.Unreachable("no connection")
    with pytest.raises(errors.Unreachable):
        cache.value(CFG, server.value(CFG))


@pytest.mark.parametrize("character", ["x", "é", "\N{SNOWMAN}", "\ud800"])
def test_texts_in_the_backend(make, backend, character):
    """A text takes as much as in UTF-8, and comes back as it was: also what UTF-8 cannot say, which keys may hold."""
    names = [character * 10_000]
    assert [make().listing(APP, lambda: names) for _ in range(2)] == [names] * 2
    size = 10_000 * len(character.encode("utf-8", "surrogatepass"))
    assert max(len(data) for data, _ in backend.kept.values()) < size + 200
    assert make().listing(APP, None) == names


def test_absences_in_the_backend(make, server, backend, clock):
    """An absence is kept as long as it is remembered, and no longer."""
    cache, absent = make(negative_ttl=5, stale_if_error=100), Place(ORIGIN, "app", "absent")
    with pytest.raises(errors.KeyNotFound):
        cache.value(absent, server.value(absent))
    assert [until - clock() for name, (_, until) in backend.kept.items() if name.startswith('["value"')] == [105.0]
