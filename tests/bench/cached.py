"""Reads and writes through a cache, against ``json.loads`` of the same text."""

import json

from dhis2kv.emulator import Emulator
from tests.conftest import connect

from .measuring import Row, compared, seconds, time_of

GOALS = {20: 1.35, 200: 1.35, 20_000: 1.1, 1_000_000: 1.1}
RECORDS = 10_000


def rows():
    """Rows about hits, misses, and what a write through a full cache costs."""
    store = connect(Emulator(), ttl=3600)
    namespace = store["app"]
    for key, value, goal in values():
        namespace[key] = value
        text = json.dumps(value, separators=(",", ":"))
        if namespace[key] != value:
            raise ValueError("a cached read is wrong")
        yield compared(
            f"cached read, {len(text):,} B ({key.rstrip('0123456789')})",
            "json.loads",
            lambda key=key: namespace[key],
            lambda text=text: json.loads(text),
            goal,
        )
    yield _miss()
    yield _write()


def values():
    """Keys, values whose JSON texts are about so many bytes long, and the goal: a text, parsed fastest, an object."""
    for size, goal in GOALS.items():
        yield f"text{size}", "x" * (size - 2), goal
        item = {"id": 12345, "name": "Malaria cases", "enabled": True, "share": 0.25}
        yield f"object{size}", item if size < 100 else {"items": [item] * round(size / len(json.dumps(item)))}, goal


def _miss():
    """A miss through the cache against a read without one."""
    emulator = Emulator()
    cached, plain = connect(emulator, ttl=3600), connect(emulator)
    plain["app"]["k"] = {"items": [{"id": 12345, "name": "Malaria cases"}] * 5000}

    def miss():
        cached["app"].refresh()
        return cached["app"]["k"]

    return compared("a miss, 200 kB", "without a cache", miss, lambda: plain["app"]["k"], 1.2, calls=1)


def _write():
    """A write through a cache that is full of others, against one through an empty cache."""
    emulator = Emulator()
    emulator.load({f"ns{number:02}": {f"k{key:03}": key for key in range(100)} for number in range(RECORDS // 100)})
    full, empty = connect(emulator, ttl=3600), connect(emulator, ttl=3600)
    for name in full:
        for key in full[name].copy():
            full[name].refresh()
            full[name][key]
    place = full._place("other", "k")
    ours = seconds(lambda: full._cache.drop(place), 1000)
    other = seconds(lambda: empty._cache.drop(place), 1000)
    return Row(
        f"a write's share of a cache of {RECORDS:,}", time_of(ours), f"an empty cache {time_of(other)}", ours / other
    )
