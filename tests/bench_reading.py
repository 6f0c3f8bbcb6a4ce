"""What cached and bulk reads cost: ``python -m tests.bench_reading``.

A cached read against ``json.loads`` of the same text, in turns within one run; a bulk read per key, from the emulator
in the process, whose own work is measured and shown apart.
"""

import gc
import json
import statistics
import time
import tracemalloc

from dhis2kv.emulator import Emulator
from dhis2kv.testing import connect

TURNS = 9
ITEM = {"id": 1234, "name": "Ngelehun CHC", "open": True, "at": [-11.4, 8.1]}
ADMIN = ("admin", "district")


def seconds(act, times):
    """How long one call takes, of so many."""
    start = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - start) / times


def cached():
    """Print how many times longer than json.loads a cached read takes."""
    emulator = Emulator()
    namespace = connect(emulator, ttl=3600)["app"]
    print("cached read         text    json.loads      ns[k]    ratio   (at most 2.50)")
    for items in (3, 300, 15_000):
        namespace["k"] = [ITEM] * items
        text = namespace._datastore.get_text("app", "k")
        namespace["k"]
        times = max(3, 2_000_000 // len(text))
        pairs = [
            (seconds(lambda text=text: json.loads(text), times), seconds(lambda: namespace["k"], times))
            for _ in range(TURNS)
        ]
        bare, ours = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
        print(f"{'':12}{len(text):10,} B {bare:10.1f} us {ours:9.1f} us {ours / bare:7.2f}")


def bulk():
    """Print time and peak memory of a bulk read, per key."""
    print("\nbulk read           keys      answer   time a key   of it the server   peak a key   of it the result")
    for keys in (10, 1_000, 100_000):
        emulator = Emulator()
        emulator.load({"app": {f"key{number:06}": ITEM for number in range(keys)}})
        namespace, session = connect(emulator)["app"], emulator.session()
        url = "http://dhis2.test/api/dataStore/app?fields=.&includeAll=true&headless=true&paging=false"
        size = len(session.get(url, auth=ADMIN).content)
        turns = max(1, 10_000 // keys)
        whole = seconds(namespace.copy, turns)
        server = seconds(lambda session=session, url=url: session.get(url, auth=ADMIN), turns)
        gc.collect()
        tracemalloc.start()
        result = namespace.copy()
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(
            f"{'':12}{len(result):12,} {size:9,} B {whole / keys * 1e6:9.1f} us {server / keys * 1e6:15.1f} us"
            f" {peak / keys:10,.0f} B {held / keys:15,.0f} B"
        )


if __name__ == "__main__":
    cached()
    bulk()
