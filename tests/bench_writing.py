"""How long ``update`` takes for many keys, against assigning in a loop: ``python -m tests.bench_writing``.

Both write to one emulator that takes 20 ms for each request, one after the other, within one run.
"""

import multiprocessing
import sys
import time

from dhis2kv import Store
from dhis2kv.emulator import Emulator

KEYS = 1000
LATENCY = 0.02  # seconds
LEAST = 3.0


def serve(told):
    """Serve an emulator on a free port, in a process of its own, until told to end."""
    emulator = Emulator()
    emulator.latency = LATENCY
    with emulator.serve() as server:
        told.send(server.url)
        told.recv()


def seconds(act):
    """How long one call takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main():
    """Print both times and their ratio; exit with 1 where it is too small."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there,))
    server.start()
    store = Store(here.recv(), ("admin", "district"))
    entries = {f"key{number:04}": {"number": number} for number in range(KEYS)}

    def loop():
        for key, value in entries.items():
            store["loop"][key] = value

    one_by_one = seconds(loop)
    together = seconds(lambda: store["update"].update(entries))
    same = store["loop"].copy() == store["update"].copy() == entries
    here.send("end")
    server.join()
    print(f"a loop over {KEYS} keys   {one_by_one:6.2f} s")
    print(f"update, {store.datastore.workers} workers      {together:6.2f} s")
    print(f"ratio                  {one_by_one / together:6.2f}     (at least {LEAST})")
    if not same:
        sys.exit("the two did not write the same")
    if one_by_one / together < LEAST:
        sys.exit("update is too slow")


if __name__ == "__main__":
    main()
