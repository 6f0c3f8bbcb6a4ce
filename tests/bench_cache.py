"""What a cached read and a bulk read cost: ``python -m tests.bench_cache``.

A cached read is set against ``json.loads`` of the same text, in turns, within one run, so that the ratio means
something on any machine. A bulk read is of an emulator in this process, whose own share is measured as well.
"""

import json
import statistics
import time
import tracemalloc

from dhis2kv.emulator import Emulator

from .conftest import connect

ROUNDS = 15
SECONDS = 0.02  # that one round takes of each
KEYS = (10, 1_000, 100_000)
VALUE = {"theme": "dark", "limits": [1, 2, 3], "title": "Overview"}


def texts():
    """Values whose JSON texts are about 200 B, 20 kB and 1 MB long: one text, which parses fastest, and an object."""
    for size in (200, 20_000, 1_000_000):
        yield f"text{size}", "x" * (size - 2)
        item = {"id": 12345, "name": "Malaria cases", "enabled": True, "share": 0.25}
        yield f"object{size}", {"items": [item] * round(size / len(json.dumps(item)))}


def seconds(act, calls):
    """How long one of so many calls takes."""
    start = time.perf_counter()
    for _ in range(calls):
        act()
    return (time.perf_counter() - start) / calls


def ratio(namespace, key, text):
    """Medians of a cached read and of json.loads, and the median of their ratios."""

    def ours():
        return namespace[key]

    def parse():
        return json.loads(text)

    assert ours() == parse()
    calls = max(1, int(SECONDS / seconds(parse, 3)))
    times = [(seconds(ours, calls), seconds(parse, calls)) for _ in range(ROUNDS)]
    our_median, parse_median = map(statistics.median, zip(*times, strict=True))
    return our_median, parse_median, statistics.median(one / other for one, other in times)


def cached_reads():
    """Print how a cached read compares to json.loads."""
    store = connect(Emulator(), ttl=3600)
    namespace = store["app"]
    print("cached read of               bytes      ns[k]  json.loads  ratio (at most 2.5)")
    for key, value in texts():
        namespace[key] = value
        text = store.datastore.get_text("app", key)
        ours, parse, times = ratio(namespace, key, text)
        print(f"{key:24}  {len(text):9}  {ours * 1e6:7.1f} us  {parse * 1e6:7.1f} us  {times:5.2f}")


def bulk_reads():
    """Print what a bulk read costs per key."""
    print("bulk read of              ms in all  us per key  of that the server's  peak bytes per key")
    for keys in KEYS:
        emulator = Emulator()
        emulator.load({"app": {f"key{number:06}": VALUE for number in range(keys)}})
        namespace = connect(emulator)["app"]
        server = [0.0]
        handle = emulator.handle

        def timed(request, handle=handle, server=server):
            start = time.perf_counter()
            reply = handle(request)
            server[0] += time.perf_counter() - start
            return reply

        emulator.handle = timed
        rounds = 1 if keys >= 100_000 else 9
        times = []
        for _ in range(rounds):
            server[0] = 0.0
            times.append((seconds(namespace.copy, 1), server[0]))
        whole, theirs = map(statistics.median, zip(*times, strict=True))
        emulator.handle = _replayed(handle)
        assert len(namespace.copy()) == keys  # the reply is made, and what comes now is the client's memory alone
        tracemalloc.start()
        entries = namespace.copy()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(entries) == keys
        print(
            f"{keys:7} keys  {whole * 1e3:20.1f}  {whole / keys * 1e6:10.1f}  {theirs / keys * 1e6:20.1f}"
            f"  {peak / keys:18.0f}"
        )


def _replayed(handle):
    """A server that answers as it has answered first."""
    replies = {}

    def answer(request):
        if request.target not in replies:
            replies[request.target] = handle(request)
        return replies[request.target]

    return answer


if __name__ == "__main__":
    cached_reads()
    bulk_reads()
