"""Operations over a network that fails: what is said of them is so.

A model of the namespace goes along. After an operation that came back, server and model agree, and what it gave is what
the model holds. After an error that says that nothing was sent, nothing has changed. After one that leaves it open,
each entry is as before or as it was to be. An absence is never made of anything but an absence.
"""

import itertools
import random
import time

from dhis2kv import BulkError, Dhis2kvError, KeyNotFound, Store
from dhis2kv.emulator import Emulator

from .promise import Budget, Promise
from .proxy import Proxy

KEYS = ("a", "b", "keys", "config.json", "ä ö")
SEALED = "sealed"  # always encrypted, for a plain write over an encrypted entry lays it open, which nobody can tell
VALUES = (None, True, 1, 12345678, 1.5, "text", "", [], [1, 2], {"x": 1}, {"deep": {"er": [None]}})
EVERY = (*KEYS, SEALED)
TOTAL = 3.0  # seconds for a call as a whole
SLACK = 2.0  # seconds that a busy machine may take besides
ABSENT = object()


class World:
    """An emulated server, a proxy before it, a store behind that, and what the namespace should hold."""

    def __init__(self, version, user, seed, rate):
        self.emulator = Emulator(version)
        self.served = self.emulator.serve()
        self.proxy = Proxy(self.served.url, seed, 0)
        self.random = random.Random(seed)
        self.user, self.rate = user, rate
        store = Store(self.proxy.url, ("admin", "district"), timeout=(1, 1, TOTAL), retries=2)
        store.datastore.transport.sleep = lambda seconds: None
        self.store = store.user if user else store
        self.namespace = self.store["app"]
        self.namespace.get("config.json")  # what a proxy makes of such names is found out in peace
        self.direct = _direct(self.emulator, user)

    def held(self):
        """What the server holds."""
        return self.direct.copy()

    def close(self):
        """End everything."""
        self.proxy.close()
        self.store.close()
        self.served.close()


def _direct(emulator, user):
    store = Store("http://dhis2.test", ("admin", "district"), session=emulator.session())
    return (store.user if user else store)["app"]


def operations(world, model):
    """One operation drawn at random: its name, what to do, what it gives, and what the namespace holds after it."""
    draw = world.random
    ns, key, value = world.namespace, draw.choice(KEYS), draw.choice(VALUES)
    some = {one: draw.choice(VALUES) for one in draw.sample(KEYS, 3)}
    there, now = key in model, model.get(key)
    without = {one: held for one, held in model.items() if one != key}

    def delete():
        del ns[key]

    def edit():
        with ns.edit(key) as held:
            held.append(7) if isinstance(held, list) else held.update(seven=7)

    choices = [
        ("set", lambda: ns.set(key, value), None, model | {key: value}),
        ("get", lambda: ns[key], now if there else KeyNotFound, model),
        ("get with a default", lambda: ns.get(key, "default"), now if there else "default", model),
        ("in", lambda: key in ns, there, model),
        ("add", lambda: ns.add(key, value), not there, {key: value} | model),
        ("del", delete, None if there else KeyNotFound, without),
        ("pop", lambda: ns.pop(key, "default"), now if there else "default", without),
        ("setdefault", lambda: ns.setdefault(key, value), now if there else value, {key: value} | model),
        ("copy", ns.copy, model, model),
        ("len", lambda: len(ns), len(model), model),
        ("get_many", lambda: ns.get_many(list(some)), {one: model[one] for one in some if one in model}, model),
        ("update", lambda: ns.update(some), None, model | some),
        ("replace", lambda: ns.replace(some), None, some),
        ("delete_many", lambda: ns.delete_many(list(some)), None, {k: v for k, v in model.items() if k not in some}),
        ("clear", ns.clear, None, {}),
    ]
    sealed = ("set encrypted", lambda: ns.set(SEALED, value, encrypt=True), None, model | {SEALED: value})
    opened = ("get encrypted", lambda: ns.get(SEALED, "none"), model.get(SEALED, "none"), model)
    choices += [sealed, opened]
    if there and isinstance(now, list | dict):
        changed = [*now, 7] if isinstance(now, list) else now | {"seven": 7}
        choices.append(("edit", edit, None, model | {key: changed}))
    return draw.choice(choices)


def one(world, model, outcome, hangs):
    """Do one operation under faults, and hold what it says against the server; what the server holds afterwards."""
    name, act, gives, after = operations(world, model)
    what = f"{name} on {world.emulator.version}{' (user)' if world.user else ''} of {model!r} to {after!r}"
    world.proxy.faults.clear()
    world.proxy.rate = world.rate
    began = time.monotonic()
    failure, found = None, None
    try:
        found = act()
    except Dhis2kvError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - the very thing that must not come
        outcome.check(False, f"{what}: {type(error).__name__}: {error}")
        failure = error
    taken = time.monotonic() - began
    what += f" ({', '.join(world.proxy.faults) or 'no fault'})"
    world.proxy.rate = 0
    world.proxy.settle()
    calls = 2 + 2 * len(KEYS)  # the most that one of these operations makes one after the other
    hangs.check(taken < TOTAL * calls + SLACK, f"{what} took {taken:.1f} s")
    held = world.held()
    if failure is None:
        # Of a DELETE whose answer was lost it can only be said that the entry is gone.
        gives = None if name == "del" and world.proxy.faults else gives
        right = repr(found) == repr(gives) and held == after
        outcome.check(right, f"{what}: gave {found!r} for {gives!r}, and the server holds {held!r}")
    elif isinstance(failure, KeyNotFound):
        outcome.check(
            gives is KeyNotFound and held == model, f"{what}: KeyNotFound, and the server holds {held!r:.120}"
        )
    elif isinstance(failure, Dhis2kvError) and not failure.sent:
        outcome.check(held == model, f"{what}: {failure!r:.150} says unsent, and the server holds {held!r:.120}")
    else:
        anew = name == "set encrypted" or world.user
        likely = all(
            _likely(held.get(key, ABSENT), model.get(key, ABSENT), after.get(key, ABSENT), anew) for key in EVERY
        )
        outcome.check(likely, f"{what}: {failure!r:.150}, and the server holds {held!r:.120}")
        if isinstance(failure, BulkError):
            done = all(held.get(key, ABSENT) == after.get(key, ABSENT) for key in failure.done)
            outcome.check(done, f"{what}: {failure.done} are said to be done, and the server holds {held!r:.120}")
    return held


def _likely(held, before, after, anew):
    """Whether an entry may be so after an operation of which it is not known how far it came."""
    return held in (before, after) or (anew and held is ABSENT)


def run(long):
    """A row for what is said of operations, and one for time."""
    outcome, hangs = Promise("operations over a failing network"), Promise("nothing hangs past its total time")
    budget, seeds = Budget(600 if long else 60), itertools.count(1)
    versions = [(version, user) for version in ("2.36", "2.40", "2.42", "2.44", "2.42.5") for user in (False, True)]
    for version, user in itertools.cycle(versions):
        if not budget.left():
            break
        world, model = World(version, user, next(seeds), 0.4), {}
        try:
            for _ in range(25):
                if budget.left():
                    model = one(world, model, outcome, hangs)
        finally:
            world.close()
    return [outcome, hangs]
