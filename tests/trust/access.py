"""Who may read what: no account reads a value that its sharing did not give it, whatever the owner does with it."""

import io
import itertools
import random

from dhis2kv import Forbidden, KeyNotFound, Sharing, Store, snapshot
from dhis2kv.emulator import Emulator

from .promise import Budget, Promise

ACCOUNTS = {name: (name, f"{name}_Pw_1!") for name in ("alice", "bob", "carol")}
GROUP = "Team, data"  # bob is in it
VERSIONS = ("2.39", "2.40", "2.41", "2.42", "2.43", "2.44", "2.41.0", "2.42.5", "2.43.0")
ACCESS = ("rw", "r-", "--")
KEYS = ("a", "token", "v1.json")


class World:
    """Three accounts on an emulated server, and what alice's entries hold and allow."""

    def __init__(self, version, seed):
        self.emulator = Emulator(version)
        for name, password in ACCOUNTS.values():
            self.emulator.add_user(name, password)
        self.emulator.add_group(GROUP, ["bob"])
        self.random, self.version = random.Random(seed), version
        self.stores = {name: self._store(auth) for name, auth in ACCOUNTS.items()}
        self.held = {}  # key: value, sharing, whether it is encrypted

    def _store(self, auth):
        store = Store("http://dhis2.test", auth, session=self.emulator.session())
        store.datastore.transport.sleep = lambda seconds: None
        return store

    def may_read(self, name, sharing):
        """Whether an account may read what is shared so."""
        by_group = name == "bob" and "r" in sharing.groups.get(GROUP, "--")
        return name == "alice" or "r" in sharing.public or "r" in sharing.users.get(name, "--") or by_group

    def drawn_sharing(self):
        """Sharing, at random."""
        draw = self.random.choice
        users = {name: draw(ACCESS[:2]) for name in ("bob", "carol") if self.random.random() < 0.3}
        return Sharing(draw(ACCESS), users, {GROUP: draw(ACCESS[:2])} if self.random.random() < 0.3 else {})


def act(world, number):
    """One thing that alice does; what it was."""
    draw, ns = world.random.choice, world.stores["alice"]["app"]
    key, value = draw(KEYS), f"secret {number}"
    now, sharing, encrypted = world.held.get(key, (None, Sharing(), False))
    kind = draw(("create", "set", "seal", "share", "delete", "replace", "restore"))
    if kind == "create" and key not in world.held:
        sharing = world.drawn_sharing()
        world.stores["alice"].namespace("app", sharing=sharing)[key] = value
        world.held[key] = value, sharing, False
    elif kind == "set" and not encrypted:
        ns[key] = value
        world.held[key] = value, sharing, False
    elif kind == "seal":
        ns.set(key, value, encrypt=True)
        world.held[key] = value, sharing, True
    elif kind == "share" and key in world.held:
        sharing = world.drawn_sharing()
        ns.share(key, public=sharing.public, users=sharing.users, groups=sharing.groups)
        world.held[key] = now, sharing, encrypted
    elif kind == "delete" and key in world.held:
        del ns[key]
        del world.held[key]
    elif kind == "replace":
        kept = {one: entry[0] for one, entry in world.held.items() if one != key}
        ns.replace(kept)
        world.held.pop(key, None)
    elif kind == "restore" and world.held:
        file = io.StringIO()
        snapshot.dump(file, {"dataStore": snapshot.read(world.stores["alice"], ["app"])})
        file.seek(0)
        entries = snapshot.load(file)["dataStore"]
        ns.clear()
        snapshot.apply(world.stores["alice"], snapshot.plan(world.stores["alice"], entries))
    return f"{kind} of {key} on {world.version}"


def look(world, row, what):
    """What the three accounts see now."""
    for name, store in world.stores.items():
        ns = store["app"]
        together = ns.copy()
        for key in KEYS:
            value, sharing, _ = world.held.get(key, (None, Sharing(), False))
            may = key in world.held and world.may_read(name, sharing)
            try:
                seen = ns[key]
            except (Forbidden, KeyNotFound):
                seen = None
            row.check(seen == (value if may else None), f"{what}: {name} reads {seen!r}, of {value!r} shared {sharing}")
            listed = together.get(key) == value if may else key not in together
            row.check(listed, f"{what}: {name}'s copy() has {together.get(key)!r} of {value!r} shared {sharing}")


def run(long):
    """One row."""
    row, budget = Promise("access: nobody reads what was not shared"), Budget(200 if long else 25)
    for seed, version in enumerate(itertools.cycle(VERSIONS)):
        world = World(version, seed)
        for number in range(15):
            if not budget.left():
                return [row]
            with row.trial(f"{version}, seed {seed}, step {number}"):
                look(world, row, act(world, number))
    raise AssertionError("there is always one more version")
