"""Servers to measure against, each in a process of its own."""

import asyncio
import contextlib
import multiprocessing
import re

from dhis2kv.emulator import Emulator

LATENCY = 0.02  # seconds that the slow emulator takes for each request, one after the other


HEAD = b"HTTP/1.1 200 \r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Static(asyncio.Protocol):
    """Answers every request with the same body, in which values have the name that a query gives them."""

    def __init__(self, pieces):
        self._pieces = pieces

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        named = re.search(rb"fields=.~hoist%28(\w+)%29", data)
        body = (b'","%s":' % (named[1] if named else b"value")).join(self._pieces)
        self.transport.write(HEAD % len(body) + body)


def _serve_static(told, body):
    async def run():
        pieces = body.split(b'","value":')
        server = await asyncio.get_running_loop().create_server(lambda: Static(pieces), "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextlib.contextmanager
def static(body):
    """The URL of a server that answers everything with this body, as fast as can be."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve_static, args=(there, body), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve_emulator(told, data, latency):
    emulator = Emulator()
    emulator.load(data)
    emulator.latency = latency
    with emulator.serve() as server:
        told.send(server.url)
        while told.recv() != "end":
            told.send(emulator.requests)


class Served:
    """An emulator in another process: its URL, and how many requests have reached it."""

    def __init__(self, url, pipe):
        self.url, self._pipe = url, pipe

    @property
    def requests(self):
        """Requests since it started."""
        self._pipe.send("requests")
        return self._pipe.recv()


@contextlib.contextmanager
def emulator(data, latency=0.0):
    """A served emulator that holds ``{namespace: {key: value}}``."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve_emulator, args=(there, data, latency), daemon=True)
    process.start()
    try:
        yield Served(here.recv(), here)
    finally:
        here.send("end")
        process.join()
