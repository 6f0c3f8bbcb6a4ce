"""Many at once: threads, processes, forks, and calls that are cancelled; and what a cache shows after an own write."""

import asyncio
import multiprocessing
import os
import random
import signal
import threading
import time

from dhis2kv import AsyncDatastore, Cache, KeyNotFound, Store
from dhis2kv.cache import RedisBackend
from dhis2kv.emulator import Emulator

from .promise import Budget, Promise
from .redis import INSTALLED, running

ACCOUNT = ("admin", "district")
THREADS = 8
FORKS = multiprocessing.get_context("fork")


def _in_threads(act):
    """Do something in several threads at once; what each gave, or the error that it raised."""
    found = [None] * THREADS
    start = threading.Barrier(THREADS)

    def one(number):
        start.wait()
        try:
            found[number] = act(number)
        except Exception as error:  # noqa: BLE001 - given back
            found[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def creates(budget, row):
    """Of many who create one entry, one does, whichever way the store is shared."""
    round_ = 0
    for version in ("2.36", "2.40", "2.42", "2.44"):
        with Emulator(version).serve() as server, Store(server.url, ACCOUNT) as store:
            for user in (False, True):
                ns = (store.user if user else store)["race"]
                for _ in range(10):
                    round_ += 1
                    key = f"k{round_}"
                    won = _in_threads(lambda number, ns=ns, key=key: ns.add(key, number))
                    kept = won.count(True) == 1 and won.count(False) == THREADS - 1 and won[ns[key]] is True
                    row.check(kept, f"add on {version}: {won!r:.200}")
                    if not budget.left():
                        return


def rolls(budget, row):
    """Of many who append to one list, none is lost."""
    for version in ("2.41", "2.42", "2.44"):
        with Emulator(version).serve() as server, Store(server.url, ACCOUNT) as store:
            ns = store["race"]
            for number in range(5):
                key = f"list{number}"
                ns[key] = []
                _in_threads(lambda number, ns=ns, key=key: ns.roll(key, number, keep=100))
                row.check(sorted(ns[key]) == list(range(THREADS)), f"roll on {version}: {ns[key]}")
                if not budget.left():
                    return


def caches(budget, row):
    """Nobody who has written reads what was there before, while others read and write beside."""
    with Emulator().serve() as server:
        store = Store(server.url, ACCOUNT, cache=Cache(60, stale_if_error=60, negative_ttl=60))
        for found in _in_threads(lambda number: _write_and_read(store["app"], number, budget)):
            row.check(found is None, f"a cached store: {found}")


def restarts(budget, row):
    """Neither where several processes' caches are in one Redis, that is killed and started again meanwhile."""
    if not INSTALLED:
        return
    with Emulator().serve() as server, running() as redis:
        # Time goes by fast, or what was away would be left alone for ten seconds.
        options = {"stale_if_error": 10_000, "negative_ttl": 10_000, "clock": lambda: time.time() * 50}
        stores = [
            Store(server.url, ACCOUNT, cache=Cache(10_000, backend=RedisBackend(redis.url), **options))
            for _ in range(THREADS // 2)
        ]
        stop = threading.Event()

        def restart():
            while not stop.wait(0.3):
                redis.kill()
                redis.start()

        restarting = threading.Thread(target=restart)
        restarting.start()
        try:
            while budget.left():
                found = _in_threads(lambda number: _write_and_read(stores[number // 2]["app"], number, budget))
                for one in found:
                    row.check(one is None, f"a cache in a Redis that is restarted: {one}")
        finally:
            stop.set()
            restarting.join()
        stores[0]["app"]["last"] = "word"
        said = [store["app"].get("last") for store in stores]
        row.check(said == ["word"] * len(stores), f"after the restarts: {said}")


def _write_and_read(ns, number, budget):
    """Write entries of one's own and read them at once, some turns; what was wrong, or None."""
    draw = random.Random(number)
    for turn in range(40):
        key = f"k{number}"
        ns[key] = turn
        seen = draw.choice((_one, _all, _some))(ns, key)
        if seen != turn:
            return f"{seen} after {turn}"
        del ns[key]
        if key in ns or ns.get(key, "gone") != "gone":
            return f"{key} after it was deleted"
        ns.get("shared")
        ns["shared"] = turn
        if not budget.left():
            break
    return None


def _one(ns, key):
    return ns[key]


def _all(ns, key):
    return ns.copy()[key]


def _some(ns, key):
    return ns.get_many([key])[key]


def forks(budget, row):
    """A child that is forked while threads read and write reads and writes, too, and gets its own answers."""
    with Emulator().serve() as server, Store(server.url, ACCOUNT, timeout=10) as store:
        ns = store["app"]
        ns.update({str(number): number for number in range(20)})
        stop = threading.Event()

        def busy(start):
            while not stop.is_set():
                for number in range(start, 20, 2):
                    if ns[str(number)] != number:
                        raise AssertionError("an answer to somebody else")

        threads = [threading.Thread(target=busy, args=(start,), daemon=True) for start in (0, 1)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                row.check(_child(ns) == 0, "a forked child hangs, fails, or gets another's answer")
                if not budget.left():
                    return
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _child(ns):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            fine = all(ns[str(number)] == number for number in range(20))
            ns[f"by {os.getpid()}"] = 1
            os._exit(0 if fine else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1]


def cancelled(budget, row):
    """A call that is cancelled leaves no connection that gives its answer to another call."""

    async def talk(url):
        store = Store(url, ACCOUNT)
        datastore = AsyncDatastore(store.datastore)
        for number in range(10):
            await datastore.set("app", str(number), number)
        for turn in range(60):
            calls = [asyncio.create_task(datastore.get("app", str(number))) for number in range(10)]
            await asyncio.sleep(0)
            calls[turn % 10].cancel()
            found = await asyncio.gather(*calls, return_exceptions=True)
            right = all(one == number or isinstance(one, asyncio.CancelledError) for number, one in enumerate(found))
            row.check(right, f"after a cancelled call: {found}")
            if not budget.left():
                return

    with Emulator().serve() as server:
        asyncio.run(talk(server.url))


def _increments(url, times):
    ns = Store(url, ACCOUNT)["app"]
    for _ in range(times):
        while True:
            try:
                value = ns["turn"]
            except KeyNotFound:
                continue
            if ns.add(f"turn{value}", os.getpid()):
                ns["turn"] = value + 1
                break


def processes(budget, row):
    """Processes that take turns by ``add`` count right."""
    with Emulator().serve() as server:
        store = Store(server.url, ACCOUNT)
        store["app"]["turn"] = 0
        children = [FORKS.Process(target=_increments, args=(server.url, 10)) for _ in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join(60)
            row.check(child.exitcode == 0, f"a process ends with {child.exitcode}")
        row.check(store["app"]["turn"] == 40, f"40 turns are {store['app']['turn']}")


def run(long):
    """A row for each kind of being many."""
    found = []
    for act in (creates, rolls, caches, restarts, forks, cancelled, processes):
        row = Promise(f"at once: {act.__name__}")
        for _ in range(5 if long else 1):
            with row.trial(act.__name__):
                act(Budget(60 if long else 6), row)
        found.append(row)
    return found
