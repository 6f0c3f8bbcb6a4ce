"""The promises about names and values, tried on a real server, in a namespace of its own that is deleted after."""

import itertools
import os
import random
import secrets

from dhis2kv import InvalidKey, Store

from . import drawn
from .promise import Budget, Promise


def run(url, long):
    """A row a store; the account is the one that the environment names."""
    os.environ["DHIS2_URL"] = url
    store, name = Store.from_env(), f"dhis2kv-trust-{secrets.token_hex(8)}"
    rows = []
    for either, what in ((store, "dataStore"), (store.user, "userDataStore")):
        row = Promise(f"live, {what}: names and values")
        if name in either:
            raise SystemExit(f"{name} is there already")
        try:
            _trials(row, either[name], Budget(300 if long else 60))
        finally:
            either[name].clear()
        row.check(name not in either, f"{name} is left behind")
        rows.append(row)
    return rows


def _trials(row, ns, budget):
    held = {}
    for seed in itertools.count(1):
        if not budget.left():
            return
        draw = random.Random(seed)
        key, value = drawn.name(draw), drawn.value(draw)
        with row.trial(f"seed {seed}: {key!r:.60} = {value!r:.100}"):
            ns[key] = held[key] = value
            row.check(drawn.same(ns[key], value), f"seed {seed}: {key!r:.60} reads otherwise")
            row.check(drawn.same(ns.copy(), held), f"seed {seed}: copy() is otherwise")
            if draw.random() < 0.3:
                del ns[key]
                del held[key]
                row.check(key not in ns, f"seed {seed}: {key!r:.60} is still there")
            try:
                ns[drawn.impossible(draw)] = 1
            except InvalidKey:
                row.check(True, "refused")
            else:
                row.check(False, f"seed {seed}: a name was taken that no server can hold")
