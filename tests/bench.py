"""How long an uncached read takes, against bare requests doing the same: ``python -m tests.bench``.

Both ask one fast server, in turns, within one run, so that the ratio means something on any machine.
"""

import asyncio
import multiprocessing
import statistics
import sys
import time

import requests

from dhis2kv import Store

CALLS = 2000
BODY = b'{"theme": "dark", "limits": [1, 2, 3]}'
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Static(asyncio.Protocol):
    """Answers every request with the same reply."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(REPLY)


def serve(told):
    """Serve on a free port, in a process of its own."""

    async def run():
        server = await asyncio.get_running_loop().create_server(Static, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def seconds(act):
    """How long one call takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main():
    """Print the medians and their ratio."""
    told, tell = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(tell,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{told.recv()}"
    namespace = Store(url, ("admin", "district"))["app"]
    session = requests.Session()
    headers = {"Accept": "application/json", "X-Requested-With": "XMLHttpRequest"}

    def bare():
        return session.get(f"{url}/api/dataStore/app/k", auth=("admin", "district"), headers=headers, timeout=30).json()

    def ours():
        return namespace["k"]

    if bare() != ours():
        sys.exit("the two do not read the same")
    times = [(seconds(bare), seconds(ours)) for _ in range(CALLS)]
    bare_median, our_median = (statistics.median(column) * 1e6 for column in zip(*times, strict=True))
    print(f"requests.Session.get  {bare_median:7.1f} us")
    print(f'store["app"]["k"]     {our_median:7.1f} us')
    print(f"ratio                 {our_median / bare_median:7.2f}     (at most 0.90)")
    server.terminate()


if __name__ == "__main__":
    main()
