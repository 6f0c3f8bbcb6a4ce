"""A guided tour: what the library does, each expression with its value and its requests.

Imports the store, ``testing`` and ``audit``. Here since whoever looks at the library for the first time should see it
at work, without a server, and be able to trust what is shown: each expression is run, and its value compared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from importlib import resources
from typing import Any, TextIO

from dhis2kv.audit import findings
from dhis2kv.store import Store
from dhis2kv.testing import Emulator

# Each stop of the tour: what is said, the expression or statement, and the value it must have; a class for an error.
# {ns!r} is the namespace's name. What an earlier line wrote, a later one reads.
_STOPS: list[tuple[str, list[tuple[str, Any]]]] = [
    ("The shared store is a dict of namespaces, and each namespace a dict of keys.", [("{ns!r} in store", True)]),
    (
        "Assignment creates or updates an entry; reading gives the value back.",
        [
            ('ns["cfg"] = {{"theme": "dark", "limits": [10, 2.5]}}', None),
            ('ns["cfg"]', {"theme": "dark", "limits": [10, 2.5]}),
            ('ns.get("missing", "a default")', "a default"),
            ('"cfg" in ns', True),
        ],
    ),
    (
        "Iterating lists the keys; copy() reads the whole namespace together.",
        [
            ("sorted(ns)", ["cfg", "dashboard", "facilities.closed", "thresholds"]),
            ('ns.copy()["thresholds"]["cold_chain"]', {"min": 2, "max": 8}),
        ],
    ),
    (
        "Nested changes are saved by edit(), which writes only what changed.",
        [
            ('with ns.edit("cfg") as cfg: cfg["theme"] = "light"', None),
            ('ns["cfg"]["theme"]', "light"),
        ],
    ),
    (
        "A name with a dot is taken whole, which DHIS2 itself does not see to.",
        [
            ('ns["config.json"] = "not config"', None),
            ('ns["config.json"]', "not config"),
            ('"config" in ns', False),
        ],
    ),
    (
        "A null is a value, and not the same as nothing.",
        [('ns["nothing"] = None', None), ('"nothing" in ns', True), ('ns["nothing"] is None', True)],
    ),
    (
        "A key that would wipe the whole namespace is refused before anything is sent.",
        [('del ns[""]', KeyError), ('ns["../other"] = 1', ValueError)],
    ),
    (
        "Each account has a store of its own, too.",
        [
            ('store.user[{ns!r}]["cfg"] = "mine"', None),
            ('store.user[{ns!r}]["cfg"]', "mine"),
            ('ns["cfg"]["theme"]', "light"),
            ("del store.user[{ns!r}]", None),
        ],
    ),
    (
        "Every account may read and change what is stored, until it is shared otherwise; an audit tells.",
        [
            ('[found.finding for found in findings(store, [{ns!r}]) if found.key == "cfg"]', ["open to writing"]),
            ('ns.share("cfg", public="r")', None),
            ('ns.sharing("cfg").public', "r-"),
        ],
    ),
    (
        "Deleting an entry is certain; an absent key is a KeyError, an outage never is.",
        [('del ns["cfg"]', None), ('ns["cfg"]', KeyError), ('ns.pop("config.json")', "not config")],
    ),
    (
        "At the end, the namespace goes with all that is in it.",
        [("del store[{ns!r}]", None), ("len(store[{ns!r}])", 0)],
    ),
]


def run(out: TextIO | None = None) -> int:
    """Walk through the library and return 0 if every value was right, else 1.

    On an emulated server, which it starts on a free port and fills with a small sample.
    """
    out = out or sys.stdout
    emulator = Emulator()
    direct = {"no_proxy": "127.0.0.1"}  # no proxy leads to this machine's own loopback
    with emulator.serve() as server, Store(server.url, ("admin", "district"), proxies=direct) as store:
        emulator.load(_sample())
        print(f"A DHIS2 of your own, emulated, with a small sample: {server.url}\n", file=out)
        return _tour(store, "immunization", out)


def run_live(store: Store, namespace: str, out: TextIO | None = None) -> int:
    """Take the same walk on a real server, in one namespace only.

    It must not exist before, in either store, and does not exist after; where it does, nothing is written and 2 is
    returned.
    """
    out = out or sys.stdout
    if namespace in store or namespace in store.user:
        print(f"The namespace {namespace!r} exists on {store!r}: name one that does not, for it is deleted.", file=out)
        return 2
    try:
        store[namespace].update(_sample()["immunization"])
        return _tour(store, namespace, out)
    finally:
        store[namespace].clear()
        store.user[namespace].clear()


def _sample() -> dict[str, dict[str, Any]]:
    sample = json.loads(resources.files("dhis2kv").joinpath("sample.json").read_text(encoding="utf-8"))
    namespaces: dict[str, dict[str, Any]] = sample["dataStore"]
    return namespaces


def _tour(store: Store, namespace: str, out: TextIO) -> int:
    names = {"store": store, "ns": store[namespace], "findings": findings}
    wrong = 0
    print(f">>> ns = store[{namespace!r}]", file=out)
    for text, lines in _STOPS:
        print(f"\n# {text}", file=out)
        for line, expected in lines:
            wrong += not _show(line.format(ns=namespace), expected, names, out)
    print(f"\n{wrong} values were wrong." if wrong else "\nEvery value was right.", file=out)
    return 1 if wrong else 0


def _show(line: str, expected: Any, names: dict[str, Any], out: TextIO) -> bool:
    """Run one line, print what came of it, and return whether that was right."""
    print(f">>> {line}", file=out)
    with _requests() as sent:
        try:
            code = compile(line, "<demo>", "eval")
        except SyntaxError:
            code = compile(line, "<demo>", "exec")
        try:
            value = eval(code, names)  # noqa: S307 - the lines above, and a namespace that was checked
        except (KeyError, ValueError) as error:
            print(f"{type(error).__name__}: {error}", file=out)
            right = isinstance(expected, type) and isinstance(error, expected)
        else:
            if value is not None:
                print(repr(value), file=out)
            right = value == expected
    for request in sent:
        print(f"    {request}", file=out)
    if not right:
        print(f"    WRONG: expected {expected!r}", file=out)
    return right


@contextlib.contextmanager
def _requests() -> Iterator[list[str]]:
    """The requests that the library sends meanwhile, as its log tells them."""
    sent: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.DEBUG:
                sent.append(record.getMessage())

    log, listener = logging.getLogger("dhis2kv"), Listener()
    level, propagate = log.level, log.propagate
    log.addHandler(listener)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        yield sent
    finally:
        log.removeHandler(listener)
        log.setLevel(level)
        log.propagate = propagate
