"""Hostile servers: whatever they answer, a read ends in time, in bounded memory, and with an error of the library's."""

import itertools
import json
import random
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from dhis2kv import Dhis2kvError, Store

from . import drawn
from .promise import Budget, Promise

TOTAL = 3.0  # seconds for a call as a whole
SLACK = 3.0  # seconds that a busy machine may take besides
HEAD = b"HTTP/1.1 200 \r\nContent-Type: application/json\r\n"


class Raw:
    """A listening socket that gives each connection to a function, after it has read a request."""

    def __init__(self, answer):
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection:
            try:
                connection.recv(65536)
                self._answer(connection)
            except OSError:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()


def _slowly(*pieces, repeat=None, wait=0.05):
    """An answer that comes in pieces, the last of them again and again."""

    def answer(connection):
        for piece in itertools.chain(pieces, itertools.repeat(repeat) if repeat else ()):
            connection.sendall(piece)
            time.sleep(wait)

    return answer


ENDLESS = {
    "nothing": lambda connection: time.sleep(20),
    "a status line, byte by byte": _slowly(b"HTTP/1.1 200", repeat=b" "),
    "endless 100 Continue": _slowly(repeat=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless headers": _slowly(HEAD, repeat=b"X-More: more\r\n"),
    "an endless header": _slowly(HEAD + b"X-More: ", repeat=b"x"),
    "an endless body": _slowly(HEAD + b"\r\n[", repeat=b"1,"),
    "endless chunks": _slowly(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", repeat=b"1\r\n1\r\n"),
    "an endless chunk size": _slowly(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", repeat=b"0"),
    "endless trailers": _slowly(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n", repeat=b"X: y\r\n"),
}


def in_time(row):
    """Each endless answer is left when the time for the whole call is over."""
    trials = list(itertools.product(ENDLESS, ("get", "set", "copy")))
    with ThreadPoolExecutor(len(trials)) as pool:
        for (name, act), (failure, taken) in zip(trials, pool.map(_timed, *zip(*trials, strict=True)), strict=True):
            row.check(isinstance(failure, Dhis2kvError), f"{act} at {name}: {failure!r:.100}")
            row.check(taken < TOTAL + SLACK, f"{act} at {name} took {taken:.1f} s")


def _timed(name, act):
    with Raw(ENDLESS[name]) as server, Store(server.url, ("a", "b"), timeout=(1, 1, TOTAL), retries=0) as store:
        began = time.monotonic()
        return _failure(store["app"], act), time.monotonic() - began


def _failure(ns, act):
    """What comes of a call: the error, or None."""
    acts = {"get": lambda: ns["a"], "set": lambda: ns.set("a", 1), "copy": ns.copy, "in": lambda: "a" in ns}
    acts |= {
        "len": lambda: len(ns),
        "pop": lambda: ns.pop("a"),
        "find": lambda: ns.find("a:eq:1"),
        "del": lambda: ns.__delitem__("a"),
    }
    try:
        acts[act]()
    except Exception as error:  # noqa: BLE001 - its kind is what is looked at
        return error
    return None


def odd_answers(row, budget):
    """Whatever a server answers, an error is one of the library's, or Python's own about keys."""
    for seed in itertools.count(1):
        if not budget.left():
            return
        draw = random.Random(seed)
        body = draw.choice(
            (
                lambda draw: json.dumps(drawn.value(draw)).encode(),
                lambda draw: draw.randbytes(draw.randrange(50)),
                lambda draw: json.dumps({"version": drawn.value(draw), "id": drawn.value(draw)}).encode(),
                lambda draw: json.dumps([{"key": drawn.value(draw), "value": drawn.value(draw)}]).encode(),
                lambda draw: b"[" * draw.choice((10, 5000)) + b"1",
                lambda draw: b"9" * draw.choice((400, 6000)),
            )
        )(draw)
        status = draw.choice((200, 200, 200, 201, 204, 400, 401, 403, 404, 409, 500, 302))
        kind = draw.choice(("application/json", "text/html", "", "application/json;charset=UTF-8"))
        head = f"HTTP/1.1 {status} \r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with Raw(lambda connection, reply=head + body: connection.sendall(reply)) as server:
            store = Store(server.url, ("a", "b"), timeout=(1, 1, TOTAL), retries=0)
            acts = ["get", "set", "copy", "in", "len", "pop", "find", "del"]
            for act in draw.sample(acts, 3):
                failure = _failure(store["app"], act)
                fine = failure is None or isinstance(failure, Dhis2kvError)
                row.check(fine, f"{act} at {status} {kind} {body!r:.60}: {failure!r:.100}")


MEASURED = """
import resource, sys
from dhis2kv import Store
store = Store(sys.argv[1], ("a", "b"), timeout=(5, 5, 60), retries=0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    eval(sys.argv[2], {"ns": store["app"]})
except Exception as error:
    print(type(error).__name__, file=sys.stderr)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
MEGABYTE = 1024 * 1024


def in_memory(row):
    """A large answer takes some ten times its size, whatever is in it, and a flood is left at the limit."""
    size = 8 * MEGABYTE
    bodies = {
        "one key of 8 MB": b'[{"key":"%s","value":1}]' % (b"k" * size),
        "one text of 8 MB": b'[{"key":"k","value":"%s"}]' % (b"x" * size),
        "8 MB of backslashes": b'[{"key":"k","value":"%s"}]' % (b"\\\\" * (size // 2)),
        "8 MB of brackets": b"[" * size,
        "8 MB of digits": b"9" * size,
    }
    for name, body in bodies.items():
        head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
        for act in ("ns.copy()", "ns['k']"):
            with Raw(lambda connection, reply=head + body: connection.sendall(reply)) as server:
                ran = subprocess.run(
                    [sys.executable, "-c", MEASURED, server.url, act], capture_output=True, text=True, check=True
                )
            times = int(ran.stdout) / size
            row.check(times < 14, f"{act} of {name} takes {times:.0f} times the text")


def run(long):
    """A row each for time, memory, and odd answers."""
    rows = [
        Promise("hostile servers: in time"),
        Promise("hostile servers: in memory"),
        Promise("odd answers: our errors"),
    ]
    with rows[0].trial("in time"):
        in_time(rows[0])
    with rows[1].trial("in memory"):
        in_memory(rows[1])
    odd_answers(rows[2], Budget(200 if long else 20))
    return rows
