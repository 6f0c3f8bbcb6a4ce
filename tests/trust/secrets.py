"""A marked password and a marked token: they are in no repr, error, log, output or name, and a pickle says so."""

import contextlib
import io
import logging
import os
import pickle
import tempfile
import traceback

from click.testing import CliRunner

from dhis2kv import AsyncDatastore, Cache, Config, Dhis2kvError, Store
from dhis2kv.cli import cli
from dhis2kv.emulator import Emulator
from dhis2kv.mcp.tools import Tools

from .promise import Promise
from .proxy import ANSWERS, CHANGES, KINDS, Proxy

PASSWORD = "Marked%3Apassword#1"
TOKEN = "d2pat_MarkedTokenMarkedTokenMarkedTokenMar1234567890"
MARKS = (PASSWORD, "Marked", "TWFya2Vk", "bWFya2Vk")  # as it is, a part of it, and the beginnings of base64


def _told(text):
    """The mark that a text holds, or None."""
    return next((mark for mark in MARKS if mark in text), None)


@contextlib.contextmanager
def _logged():
    """Everything that any logger says meanwhile, at its most talkative."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, levels = logging.StreamHandler(stream), {name: logging.getLogger(name).level for name in ("", "dhis2kv")}
    root.addHandler(handler)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


class _Memory(dict):
    """A backend of a cache, in memory."""

    def get(self, *names):
        return [super(_Memory, self).get(name) for name in names]

    def set(self, name, data, seconds):
        self[name] = data

    def add(self, name, data, seconds):
        return self.setdefault(name, data) is data

    def delete(self, name):
        self.pop(name, None)


def stores(url):
    """Stores that carry a secret in each of the ways there are."""
    host = url.removeprefix("http://")
    yield Store(url, ("marked", PASSWORD))
    yield Store(url, token=TOKEN)
    yield Store(f"http://marked:{PASSWORD.replace('#', '%23').replace('%3A', '%253A')}@{host}")
    yield Store(url, ("marked", PASSWORD), cache=Cache(60, backend=_Memory()), account="marked account")
    with _environment(url):
        yield Store.from_env()


@contextlib.contextmanager
def _environment(url):
    before = dict(os.environ)
    os.environ.update(DHIS2_URL=url, DHIS2_USERNAME="marked", DHIS2_PASSWORD=PASSWORD)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def said(store):
    """What a store and its parts say of themselves."""
    ns = store["app"]
    things = [
        store,
        store.user,
        ns,
        store.datastore,
        store.datastore.transport,
        Config(ns),
        AsyncDatastore(store.datastore),
    ]
    things += [ns.keys(), ns.items(), Tools(store)]
    return "".join(f"{thing!r} {thing!s}" for thing in things)


def failing(store, row, what):
    """Errors, their causes and their pickles, as they come."""
    ns = store["app"]
    for act in (
        lambda: ns["a"],
        lambda: ns.set("a", 1),
        lambda: ns.copy(),
        lambda: list(store),
        lambda: ns.update(a=1, b=2),
    ):
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever comes is looked at
            text = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
            with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
                text += pickle.dumps(error).decode("latin-1")
            row.check(not _told(text), f"{what}: {type(error).__name__} tells {_told(text)}")
        else:
            row.check(True, what)


def answering(store, row, what):
    """What the tools for agents answer, and what they say of failures."""
    tools = Tools(store)
    for act in (
        tools.datastore_list_namespaces,
        lambda: tools.datastore_get("app", "a"),
        lambda: tools.datastore_get_all("app"),
        lambda: tools.datastore_find("app", ["a:eq:1"]),
        lambda: tools.datastore_create("app", "a", 1),
        lambda: tools.datastore_delete("app", "a", confirm=True),
    ):
        try:
            text = repr(act())
        except Dhis2kvError as error:  # whose sentence is the answer
            text = f"{error} {error!r}"
        row.check(not _told(text), f"{what}: a tool tells {_told(text)}")


def run(long):
    """One row."""
    row = Promise("secrets are nowhere to be read")
    emulator = Emulator()
    emulator.add_user("marked", PASSWORD)
    with emulator.serve() as server, _logged() as log:
        proxy = Proxy(server.url, 1, 0)
        for index, store in enumerate(stores(proxy.url)):
            store.datastore.transport.sleep = lambda seconds: None
            row.check(not _told(said(store)), f"store {index} tells {_told(said(store))}")
            for kind in (*KINDS, *CHANGES, *ANSWERS):
                if kind != "for ever":
                    proxy.always = kind
                    failing(store, row, f"store {index} after {kind!r}")
                    answering(store, row, f"store {index} after {kind!r}")
            proxy.always = None
            failing(store, row, f"store {index}")
            answering(store, row, f"store {index}")
            row.check(not _told(repr(getattr(store._cache, "backend", None))), "the backend's names")
        proxy.close()
        for nobody in ("http://127.0.0.1:1", "http://no-such-host.invalid", "https://127.0.0.1:1"):
            store = Store(nobody, ("marked", PASSWORD), timeout=2, retries=0)
            failing(store, row, nobody)
        commands(row, server.url)
    row.check(not _told(log.getvalue()), f"the log tells {_told(log.getvalue())}")
    return [row]


def commands(row, url):
    """What commands print, with the most words they have."""
    with tempfile.TemporaryDirectory() as home, _environment(url):
        os.environ.update(HOME=home, XDG_CONFIG_HOME=home)
        for line in (
            "whoami",
            "keys app",
            "get app none",
            "set app a 1",
            "-vv keys app",
            "-v namespaces",
            "export",
            "find app",
        ):
            ran = CliRunner().invoke(cli, line.split())
            row.check(not _told(ran.output), f"dhis2kv {line} prints {_told(ran.output)}")
        os.environ["DHIS2_PASSWORD"] = PASSWORD + "wrong"
        for line in ("-vv whoami", "keys app"):
            ran = CliRunner().invoke(cli, line.split())
            row.check(not _told(ran.output), f"dhis2kv {line} prints {_told(ran.output)}")
