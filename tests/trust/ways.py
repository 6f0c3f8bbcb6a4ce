"""Names and values by every way into a server and back: they come back the same, and nothing else is touched."""

import contextlib
import io
import itertools
import json
import random
import tempfile

from click.testing import CliRunner

from dhis2kv import Cache, InvalidKey, Store, snapshot
from dhis2kv.cache import RedisBackend
from dhis2kv.cli import cli
from dhis2kv.emulator import PROFILES, Emulator
from dhis2kv.mcp.tools import Tools
from dhis2kv.snapshot import folder

from . import drawn
from .promise import Budget, Promise
from .redis import INSTALLED, running

BESIDE = {"config": 1, "v1": 2, "x": 3, "keys": 4, "k.json": 5}
ACCOUNT = ("admin", "district")


def _store(emulator, **options):
    store = Store("http://dhis2.test", ACCOUNT, session=emulator.session(), **options)
    store.datastore.transport.sleep = lambda seconds: None
    return store


def in_process(emulator, namespace, key, value, random):
    """By assignment, and by one read, a bulk read, and a listing."""
    ns = _store(emulator)[namespace]
    ns[key] = value
    yield "read", ns[key]
    yield "copy()", ns.copy()[key]
    yield "get_many", ns.get_many([key, "absent"])[key]
    if not (key in ns and key in list(ns)):
        raise AssertionError("it is not listed")


def served(emulator, namespace, key, value, random):
    """Over a socket."""
    with emulator.serve() as server, Store(server.url, ACCOUNT) as store:
        store[namespace][key] = value
        yield "read", store[namespace][key]


def command_line(emulator, namespace, key, value, random):
    """By the commands ``set`` and ``get``."""
    with emulator.serve() as server:
        sign = {"DHIS2_URL": server.url, "DHIS2_USERNAME": "admin", "DHIS2_PASSWORD": "district"}
        written = CliRunner().invoke(cli, ["set", "--", namespace, key, "-"], input=json.dumps(value), env=sign)
        if written.exit_code:
            raise AssertionError(f"set ends with {written.exit_code}: {written.output}")
        read = CliRunner().invoke(cli, ["get", "-o", "json", "--", namespace, key], env=sign)
        yield "get", json.loads(read.stdout)


def agents(emulator, namespace, key, value, random):
    """By the tools of the MCP server."""
    tools = Tools(_store(emulator))
    tools.datastore_create(namespace, key, value)
    yield "datastore_get", tools.datastore_get(namespace, key)["value"]


def exported(emulator, namespace, key, value, random):
    """By an export, and an import on another server."""
    _store(emulator)[namespace][key] = value
    file = io.StringIO()
    snapshot.dump(file, {"dataStore": snapshot.read(_store(emulator))})
    other = Emulator(emulator.version)
    file.seek(0)
    store = _store(other)
    snapshot.apply(store, snapshot.plan(store, snapshot.load(file)["dataStore"]))
    yield "import", store[namespace][key]
    if store[namespace].keys() != _store(emulator)[namespace].keys():
        raise AssertionError("the other server holds something else")


def pulled(emulator, namespace, key, value, random):
    """By a folder, and a push to another server."""
    _store(emulator)[namespace][key] = value
    with tempfile.TemporaryDirectory() as place:
        # Servers without bulk reads do not show what is encrypted, and then nothing is pulled without being told so.
        folder.pull(_store(emulator), place, secrets=True).carry_out()
        other = Store("http://other.test", ACCOUNT, session=Emulator(emulator.version).session())
        folder.push(other, place, to_other_server=True).carry_out()
        yield "push", other[namespace][key]


class OverRedis:
    """By a cache on a Redis, read twice."""

    __name__ = "over_redis"

    def __init__(self, url):
        self._url = url

    def __call__(self, emulator, namespace, key, value, random):
        backend = RedisBackend(self._url, prefix=f"{random.random()}:")
        try:
            ns = _store(emulator, cache=Cache(60, backend=backend))[namespace]
            ns[key] = value
            yield "read", ns[key]
            yield "read again", ns[key]
        finally:
            backend._client.close()


def run(long):
    """A row a way, and one for names that no server can hold."""
    ways = [in_process, served, command_line, agents, exported, pulled]
    impossible = Promise("names that no server can hold: nothing is sent")
    with running() if INSTALLED else contextlib.nullcontext() as redis:
        ways += [OverRedis(redis.url)] if redis else []
        rows = {way: Promise(f"names and values: {way.__name__.replace('_', ' ')}") for way in ways}
        budget, seeds = Budget(400 if long else 60), itertools.count(1)
        for version, way in itertools.cycle(itertools.product(PROFILES, ways)):
            if not budget.left():
                break
            seed = next(seeds)
            _trial(rows[way], way, version, random.Random(seed), seed)
            _refused(impossible, version, random.Random(seed))
    return [*rows.values(), impossible]


def _trial(row, way, version, random, seed):
    emulator = Emulator(version)
    namespace, key, value = drawn.name(random), drawn.name(random), drawn.value(random)
    # The key "keys" has no address in the namespace "protections".
    hidden = {key, "keys"} if namespace == "protections" else {key}
    beside = {one: held for one, held in BESIDE.items() if one not in hidden}
    emulator.load({namespace: beside} | {one: BESIDE for one in ("my", "x", "app") if one != namespace})
    before = _store(emulator)
    others = {one: before[one].copy() for one in before if one != namespace}
    what = f"{way.__name__} on {version}, seed {seed}: {namespace!r:.60}/{key!r:.60} = {value!r:.100}"
    with row.trial(what):
        for step, found in way(emulator, namespace, key, value, random):
            row.check(drawn.same(found, value), f"{what}: {step} gives {found!r:.100}")
        row.check(before[namespace].copy().keys() == {*beside, key}, f"{what}: other keys")
        for one, held in others.items():
            row.check(before[one].copy() == held, f"{what}: {one} is touched")


def _refused(row, version, random):
    emulator = Emulator(version)
    ns, bad = _store(emulator)["app"], drawn.impossible(random)
    acts = (
        lambda: ns.set(bad, 1),
        lambda: ns.add(bad, 1),
        lambda: ns.update({"a": 1, bad: 2}),
        lambda: ns.__delitem__(bad),
    )
    for act in acts:
        try:
            act()
        except InvalidKey:
            row.check(emulator.requests == 0, f"{bad!r:.40} on {version}: something was sent")
        else:
            row.check(False, f"{bad!r:.40} on {version} was taken")
