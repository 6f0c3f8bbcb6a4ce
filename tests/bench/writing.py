"""Writing many keys, against assigning in a loop, at a server that takes 20 ms for each request."""

from dhis2kv import Store

from . import servers
from .measuring import Row, seconds

KEYS = 200


def rows():
    """One row: how much faster ``update`` is."""
    with servers.emulator({}, latency=servers.LATENCY) as served:
        store = Store(served.url, ("admin", "district"))
        entries = {f"key{number:04}": {"number": number} for number in range(KEYS)}

        def loop():
            for key, value in entries.items():
                store["loop"][key] = value

        one_by_one = seconds(loop)
        together = seconds(lambda: store["update"].update(entries))
        if not store["loop"].copy() == store["update"].copy() == entries:
            raise ValueError("the two did not write the same")
    figure, against = f"{together:.2f} s", f"a loop {one_by_one:.2f} s"
    yield Row(
        f"update() of {KEYS} keys, {store.datastore.workers} workers", figure, against, one_by_one / together, 3, True
    )
