"""Two processes that race to create the same entries: one of them wins each, on every version."""

import multiprocessing

import pytest

from dhis2kv import Store
from dhis2kv.emulator import Emulator
from tests.conftest import ALL_VERSIONS

KEYS = [
    f"{way}{number}" for number in range(28) for way in ("add", "default")
]  # in both stores, on each version: 1,008


def race(mine, pipe, together):
    """Create each key at the same moment as the other process, and tell what came of it: True, False or the value."""
    outcomes = {}
    with Store(pipe.recv(), ("admin", "district")) as store:
        for user in (False, True):
            namespace = (store.user if user else store)["race"]
            for key in KEYS:
                together.wait(60)
                outcomes[user, key] = namespace.add(key, mine) if key[0] == "a" else namespace.setdefault(key, mine)
    pipe.send(outcomes)


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_one_winner(version):
    """Of two processes that add or setdefault the same key, exactly one is told that it did, and its value is there."""
    fork = multiprocessing.get_context("fork")
    together = fork.Barrier(2)
    pipes = {name: fork.Pipe() for name in ("first", "second")}
    racers = [fork.Process(target=race, args=(name, theirs, together)) for name, (_, theirs) in pipes.items()]
    for racer in racers:  # before there are threads: a fork leaves those behind
        racer.start()
    with Emulator(version=version).serve() as server, Store(server.url, ("admin", "district")) as store:
        for ours, theirs in pipes.values():
            theirs.close()
            ours.send(server.url)
        first, second = (ours.recv() for ours, _ in pipes.values())
        for racer in racers:
            racer.join()
        stored = {(False, key): value for key, value in store["race"].items()}
        stored |= {(True, key): value for key, value in store.user["race"].items()}
    assert len(stored) == 2 * len(KEYS)
    for (user, key), value in stored.items():
        added = key.startswith("add")
        expected = (value == "first", value == "second") if added else (value, value)
        assert (first[user, key], second[user, key]) == expected, (user, key)
    assert set(stored.values()) == {"first", "second"}  # they were about as fast
