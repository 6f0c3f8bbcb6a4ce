"""A cached store, an uncached one and a dict side by side, on one server: they differ by what the TTL allows only.

The server's history is kept: a cached read may give what was stored at some instant within the TTL and since the last
own write, and within ``stale_if_error`` more when a request has just failed. An uncached read, and a read that serves a
write, gives what the dict holds, or the error that is the server's.
"""

import copy
import itertools
import math
from collections import defaultdict
from contextlib import contextmanager, nullcontext

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dhis2kv import errors
from dhis2kv.cache import Cache
from dhis2kv.emulator import Emulator
from tests.cache.doubles import Clock, Memory
from tests.conftest import OLD_MIDDLE_NEW, connect

TTL, NEGATIVE, STALE, PAUSE = 60.0, 20.0, 100.0, 10.0
ALL_KEYS = ["a", "b", "v1.2", "keys"]
KEYS = st.sampled_from(ALL_KEYS)
WHO = st.integers(0, 1)
LOOKS = st.sampled_from([None, "one", "everything", "some", "whether"])
ABSENT = object()

# What goes wrong with every request, the error that it means, and whether the server is away then.
TROUBLES = {
    "refuse": ({"kind": "refuse"}, errors.Unreachable, True),
    "503": ({"kind": "status", "status": 503}, errors.ServerError, True),
    "500": ({"kind": "status", "status": 500}, errors.ServerError, True),
    "429": ({"kind": "status", "status": 429}, errors.ServerError, False),
    "403": ({"kind": "status", "status": 403}, errors.Forbidden, False),
    "401": ({"kind": "status", "status": 401}, errors.NotAuthenticated, False),
    "login page": ({"kind": "html"}, errors.NotAuthenticated, False),
}


def scribble(value):
    """Spoil whatever was handed out."""
    if isinstance(value, dict):
        for inner in value.values():
            scribble(inner)
        value["scribble"] = 1
    elif isinstance(value, list):
        for inner in value:
            scribble(inner)
        value.append("scribble")


class Reading(RuleBasedStateMachine):
    """One process with a cache."""

    shared = False

    @initialize(
        version=st.sampled_from(OLD_MIDDLE_NEW), user=st.booleans(), stale=st.booleans(), negative=st.booleans()
    )
    def begin(self, version, user, stale, negative):
        self.clock = Clock()
        self.emulator = Emulator(version=version)
        self.emulator.add_user("alice", "Alice_pw_1!", superuser=True)
        self.stale = STALE if stale else 0.0
        backend = Memory(self.clock) if self.shared else None
        chance = itertools.cycle([0.0, 0.7, 0.3, 0.99]).__next__

        def cache():
            options = {"negative_ttl": NEGATIVE if negative else 0, "stale_if_error": self.stale, "backend": backend}
            return Cache(TTL, clock=self.clock, sleep=self.clock.sleep, chance=chance, **options)

        stores = [connect(self.emulator, cache=cache(), retries=0, workers=1) for _ in range(1 + self.shared)]
        plain = connect(self.emulator, retries=0, workers=1)
        foreign = connect(self.emulator, retries=0) if user else connect(self.emulator, ("alice", "Alice_pw_1!"))
        self.stores, self.plain, self.foreign = [
            [store.user if user else store for store in stores],
            plain.user if user else plain,
            (foreign.user if user else foreign)["app"],
        ]
        self.cached = [store["app"] for store in self.stores]
        self.stored = {}
        self.history = [(self.clock.now, {})]
        self.first = [defaultdict(int) for _ in self.cached]  # state that a read may show, of a key or (None) of all
        self.newest = [defaultdict(int) for _ in self.cached]  # value of a key that a read has shown
        self.trouble, self.fault, self.failed = None, None, -math.inf
        self.number = 0

    # --- the model ----------------------------------------------------------------------------------------------------

    def _is(self, stored):
        """From now on the server holds this."""
        self.stored = stored
        self.clock.now += 0.001
        self.history.append((self.clock.now, copy.deepcopy(stored)))
        self.clock.now += 0.001

    def _value(self):
        self.number += 1
        return {"n": self.number, "list": [self.number]}

    def _states(self, who, what):
        """The states that a cached read may show."""
        oldest = self.clock.now - TTL - (self.stale if self.clock.now - self.failed <= PAUSE else 0)
        ends = [since for since, _ in self.history[1:]] + [math.inf]
        enough = self.first[who][what]
        states = [state for (_, state), end in zip(self.history, ends, strict=True) if end > oldest]
        return states[-(len(self.history) - enough) :]

    def _cached(self, read):
        """What a cached read gives, or None where it raises the error that it may raise now."""
        asked = self.emulator.requests
        _, expected, away = TROUBLES.get(self.trouble, (None, (), False))
        try:
            found = read()
        except errors.KeyNotFound:
            found = ABSENT
        except expected:
            found = None
        if self.trouble and self.emulator.requests > asked:
            assert found is None or away, "a refusal must not be hidden"
            if away:
                self.failed = self.clock.now
        return found

    def _check(self, who, found):
        """These entries may be shown; then they are scribbled on."""
        for key, value in found.items():
            states = self._states(who, key)
            assert value in [state.get(key, ABSENT) for state in states], (key, value, states)
            if value is not ABSENT:
                if not self.shared:
                    assert value["n"] >= self.newest[who][key], "what was seen is not unseen"
                self.newest[who][key] = value["n"]
            scribble(value)

    def _wrote(self, who, *keys):
        """A write through a cached store has ended: what was read before it must not be served any more."""
        for each in range(len(self.cached)) if self.shared else [who]:
            self.first[each].update(dict.fromkeys([*keys, None], len(self.history) - 1))

    # --- reads --------------------------------------------------------------------------------------------------------

    @rule(who=WHO, key=KEYS)
    def one(self, who, key):
        """Cached: ns[k]."""
        who %= len(self.cached)
        found = self._cached(lambda: self.cached[who][key])
        if found is not None:
            self._check(who, {key: found})

    @rule(who=WHO, key=KEYS)
    def whether(self, who, key):
        """Cached: k in ns."""
        who %= len(self.cached)
        found = self._cached(lambda: key in self.cached[who])
        if found is not None:
            # A listing may say it, whose state is as old as a bulk read may be.
            states = self._states(who, key) + self._states(who, None)
            assert found in [key in state for state in states]

    @rule(who=WHO)
    def everything(self, who):
        """Cached: ns.copy()."""
        who %= len(self.cached)
        found = self._cached(lambda: self.cached[who].copy())
        if found is not None:
            assert found in self._states(who, None)
            self._check(who, found)
            scribble(found)

    @rule(who=WHO, keys=st.lists(KEYS, min_size=1, max_size=4))
    def some(self, who, keys):
        """Cached: ns.get_many(keys)."""
        who %= len(self.cached)
        found = self._cached(lambda: self.cached[who].get_many(keys))
        if found is not None:
            self._check(who, {key: found.get(key, ABSENT) for key in keys})
            scribble(found)

    @rule(who=WHO)
    def listings(self, who):
        """Cached: the keys, and the namespaces."""
        who %= len(self.cached)
        for read, expected in (
            (lambda: list(self.cached[who].keys()), sorted),
            (lambda: len(self.cached[who]), len),
            (lambda: list(self.stores[who].keys()), lambda state: ["app"] if state else []),
        ):
            found = self._cached(read)
            if found is not None:
                assert found in [expected(state) for state in self._states(who, None)]
                scribble(found)

    @rule(who=WHO, key=KEYS, kind=st.sampled_from(["cut", "drop_before", "drop_after"]), bulk=st.booleans())
    def a_read_that_breaks(self, who, key, kind, bulk):
        """Cached: the first request of a read breaks, which looks like a connection that does."""
        who %= len(self.cached)
        fault = self.emulator.fail(kind, method="GET")
        if self.trouble:
            fault.times = 0
            return
        self.trouble, namespace = "refuse", self.cached[who]
        found = self._cached(namespace.copy if bulk else lambda: namespace[key])
        self.trouble, fault.times = None, 0
        if bulk and found is not None:
            assert found in self._states(who, None)
        elif found is not None:
            self._check(who, {key: found})

    @rule(key=KEYS)
    def uncached(self, key):
        """Uncached: what is stored, or the error that is the server's."""
        namespace = self.plain["app"]
        reads = [
            (lambda: namespace.get(key, ABSENT), self.stored.get(key, ABSENT)),
            (lambda: key in namespace, key in self.stored),
            (namespace.copy, self.stored),
            (lambda: namespace.get_many([key, "b"]), {k: v for k, v in self.stored.items() if k in (key, "b")}),
            (lambda: list(namespace.keys()), sorted(self.stored)),
            (lambda: list(self.plain.keys()), ["app"] if self.stored else []),
        ]
        for read, expected in reads:
            if self.trouble:
                with pytest.raises(TROUBLES[self.trouble][1]):
                    read()
            else:
                found = read()
                assert found == expected
                scribble(found)

    # --- writes -------------------------------------------------------------------------------------------------------

    def _write(self, who, keys, act, stored):
        """A write through a cached store, and what is stored after it if it gets through."""
        if self.trouble:
            with pytest.raises((TROUBLES[self.trouble][1], errors.BulkError)):
                act()
        else:
            act()
            self._is(stored)
        self._wrote(who, *keys)

    @rule(who=WHO, key=KEYS)
    def assign(self, who, key):
        """Cached: ns[k] = v."""
        who %= len(self.cached)
        value = self._value()
        self._write(who, [key], lambda: self.cached[who].__setitem__(key, value), {**self.stored, key: value})

    @rule(who=WHO, key=KEYS)
    def take(self, who, key):
        """Cached: ns.pop(k) gives what is stored, not what is cached."""
        who %= len(self.cached)
        if self.trouble:
            with pytest.raises(TROUBLES[self.trouble][1]):
                self.cached[who].pop(key, ABSENT)
            return
        expected = self.stored.get(key, ABSENT)
        found = self.cached[who].pop(key, ABSENT)
        assert found == expected
        if found is not ABSENT:
            self._is({k: v for k, v in self.stored.items() if k != key})
            self._wrote(who, key)

    @rule(who=WHO, key=KEYS)
    def settle(self, who, key):
        """Cached: ns.setdefault(k, v) gives what is stored, not what is cached."""
        who %= len(self.cached)
        value = self._value()
        if self.trouble:
            with pytest.raises(TROUBLES[self.trouble][1]):
                self.cached[who].setdefault(key, value)
        else:
            expected = self.stored.get(key, value)
            assert self.cached[who].setdefault(key, value) == expected
            if key not in self.stored:
                self._is({**self.stored, key: value})
                self._wrote(who, key)

    @rule(who=WHO, key=KEYS)
    def change(self, who, key):
        """Cached: ns.edit(k) shows what is stored, not what is cached."""
        who %= len(self.cached)
        if key in self.stored and not self.trouble:
            changed = self._value()
            with self.cached[who].edit(key) as value:
                assert value == self.stored[key]
                value.update(changed)
            self._is({**self.stored, key: changed})
            self._wrote(who, key)

    @rule(who=WHO, keys=st.lists(KEYS, max_size=3, unique=True), replace=st.booleans())
    def assign_several(self, who, keys, replace):
        """Cached: ns.update(m), and ns.replace(m), which goes by what is stored and not by what is cached."""
        who %= len(self.cached)
        values = {key: self._value() for key in keys}
        if replace:
            if values != self.stored or self.trouble:
                self._write(who, ALL_KEYS, lambda: self.cached[who].replace(values), values)
        elif values:
            self._write(who, ALL_KEYS, lambda: self.cached[who].update(values), {**self.stored, **values})

    @rule(who=WHO)
    def clear(self, who):
        """Cached: ns.clear()."""
        who %= len(self.cached)
        self._write(who, ALL_KEYS, lambda: self.cached[who].clear(), {})

    @rule(
        who=WHO, key=KEYS, kind=st.sampled_from(["drop_before", "drop_after", "status", "slow"]), delete=st.booleans()
    )
    def a_write_that_breaks(self, who, key, kind, delete):
        """Cached: a write fails, and may have been done; but of a deletion whose answer is lost a look tells that."""
        who %= len(self.cached)
        if self.trouble or (delete and key not in self.stored):
            return
        fault = self.emulator.fail(kind, times=2, method="DELETE" if delete else None)
        self.emulator.sleep = lambda seconds: None
        namespace, value = self.cached[who], self._value()
        trouble = (errors.Unreachable, errors.ServerError, errors.TimedOut)
        with nullcontext() if delete and kind in ("drop_after", "slow") else pytest.raises(trouble):
            namespace.__delitem__(key) if delete else namespace.__setitem__(key, value)
        fault.times = 0
        self._is(self.plain["app"].copy())
        self._wrote(who, key)

    @rule(who=WHO, whole=st.booleans(), key=KEYS)
    def refresh(self, who, whole, key):
        """Cached: refresh() forgets."""
        who %= len(self.cached)
        if whole:
            self.stores[who].refresh()
            self._wrote(who, *ALL_KEYS)
        else:
            self.cached[who].refresh(key)
            self._wrote(who, key)

    # --- the world ----------------------------------------------------------------------------------------------------

    @rule(key=KEYS, delete=st.booleans())
    def foreign_write(self, key, delete):
        """Somebody else writes, past every cache, and gets through."""
        with self._no_trouble():
            if delete:
                if self.foreign.pop(key, ABSENT) is not ABSENT:
                    self._is({k: v for k, v in self.stored.items() if k != key})
            else:
                value = self._value()
                self.foreign[key] = value
                self._is({**self.stored, key: value})

    @rule(
        seconds=st.sampled_from([0.0, 9.9, 21.0, 57.5, 60.0, 99.0, 161.0]),
        written=st.booleans(),
        trouble=st.sampled_from([None, None, None, *TROUBLES]),
        who=WHO,
        before=LOOKS,
        after=st.lists(LOOKS, max_size=2),
    )
    def time_passes(self, seconds, written, trouble, who, before, after):
        """Time passes, on the cache's clock alone; before, and after it, somebody looks at all there is.

        Perhaps others have written all entries meanwhile. From now on every request goes wrong, or none.
        """
        self._look(before, who)
        for key in ALL_KEYS if written else []:
            self.foreign_write(key, delete=False)
        if self.fault:
            self.fault.times = 0
        self.trouble = trouble
        self.fault = self.emulator.fail(times=math.inf, **TROUBLES[trouble][0]) if trouble else None
        self.clock.now += seconds
        for look in after:
            self._look(look, who)

    def _look(self, look, who):
        if look == "everything":
            self.everything(who)
        elif look == "some":
            self.some(who, ALL_KEYS)
        elif look:
            for key in ALL_KEYS:
                self.one(who, key) if look == "one" else self.whether(who, key)

    @contextmanager
    def _no_trouble(self):
        if self.fault:
            self.fault.times = 0
        yield
        if self.fault:
            self.fault.times = math.inf

    @invariant()
    def bounded(self):
        """A cache is never larger than it may be."""
        for store in getattr(self, "stores", []):
            assert store.cache_info().currsize <= store.cache_info().maxsize


class SharedReading(Reading):
    """Two processes whose caches share a backend: what one writes, both read."""

    shared = True


TestReading = Reading.TestCase
TestReading.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSharedReading = SharedReading.TestCase
TestSharedReading.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
