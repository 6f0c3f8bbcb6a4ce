"""The cache under everything at once: writers, time, failures, and callers who scribble."""

from __future__ import annotations

import contextlib
import copy
import random
from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dhis2kv import errors
from dhis2kv.cache import Cache, Place
from tests.cache.doubles import (
    ORIGIN,
    ROOT,
    TTL,
    Clock,
    Memory,
    Server,
)
from tests.cache.laws import Laws


class Machine(RuleBasedStateMachine):
    """A server, writers, time, failures and callers who scribble, against what may be read.

    The model is the server's history: a read may give what the server held at some instant since the last own write
    and within the TTL, and within ``stale_if_error`` more when a request has failed just now. Nothing else.
    """

    caches = 1
    backed = False
    NEGATIVE, STALE = 20.0, 100.0
    KEYS = st.sampled_from(["a", "b"])
    SPACES = st.sampled_from(["app", "other"])
    WHO = st.integers(0, 1)

    @initialize(stale=st.booleans(), negative=st.booleans(), small=st.booleans(), seed=st.integers(0, 9))
    def begin(self, stale, negative, small, seed):
        self.clock = Clock()
        self.server = Server()
        self.backend = Memory(self.clock) if self.backed else None
        self.stale = self.STALE if stale else 0.0
        self.all = [
            Cache(
                TTL,
                max_bytes=8000 if small else 100_000,
                negative_ttl=self.NEGATIVE if negative else 0,
                stale_if_error=self.stale,
                backend=self.backend,
                clock=self.clock,
                sleep=self.clock.sleep,
                chance=random.Random(seed).random,
            )
            for _ in range(self.caches)
        ]
        self.history = [(self.clock.now, {})]  # what was stored from then on
        # For each cache the first state that its reads may show: of a key, of a whole namespace, of all of them (None).
        self.first = [defaultdict(int) for _ in self.all]
        self.failed = -1000.0
        self.number = 0

    def _stored(self):
        """Note the server's state after a change, always a little later than anything before."""
        self.clock.now += 0.001
        self.history.append((self.clock.now, copy.deepcopy(self.server.stored)))
        self.clock.now += 0.001

    def _states(self, who, what):
        """The states that a read may show."""
        now = self.clock.now
        patience = TTL + (self.stale if now - self.failed <= 10.0 else 0)
        ends = [since for since, _ in self.history[1:]] + [float("inf")]
        return [
            state
            for number, ((_, state), end) in enumerate(zip(self.history, ends, strict=True))
            if end > now - patience and number >= self.first[who][what]
        ]

    def _read(self, read):
        """The result of a read, after which it is scribbled on; or the error, noted when it was asked for."""
        failing, before = self.server.error, self.server.requests
        try:
            found = read()
        except errors.Dhis2kvError as error:
            found = error
        if failing is not None and self.server.requests > before:
            self.failed = self.clock.now
        if isinstance(found, errors.KeyNotFound):
            return KeyError
        if isinstance(found, errors.Dhis2kvError):
            assert type(found) is type(failing)
            return None
        kept = copy.deepcopy(found)
        if isinstance(found, dict):
            for value in found.values():
                if isinstance(value, list):
                    value.append("scribble")
            found["scribble"] = 1
        elif isinstance(found, list):
            found.append("scribble")
        return kept

    def _change(self, namespace, key):
        self.number += 1
        self.server.stored.setdefault(namespace, {})[key] = [self.number]

    def _wrote(self, who, *what):
        self.first[who].update(dict.fromkeys(what, len(self.history) - 1))

    @rule(who=WHO, namespace=SPACES, key=KEYS)
    def value(self, who, namespace, key):
        who, place = who % self.caches, Place(ORIGIN, namespace, key)
        found = self._read(lambda: self.all[who].value(place, self.server.value(place)))
        if found is not None:
            states = self._states(who, (namespace, key))
            assert found in [state.get(namespace, {}).get(key, KeyError) for state in states]

    @rule(who=WHO, namespace=SPACES)
    def entries(self, who, namespace):
        who, place = who % self.caches, Place(ORIGIN, namespace)
        found = self._read(lambda: self.all[who].entries(place, self.server.entries(place)))
        if found is not None:
            assert found in [state.get(namespace, {}) for state in self._states(who, namespace)]

    @rule(who=WHO, namespace=st.sampled_from(["app", "other", None]))
    def listing(self, who, namespace):
        who, place = who % self.caches, Place(ORIGIN, namespace)
        found = self._read(lambda: self.all[who].listing(place, self.server.listing(place)))
        if found is not None:
            states = self._states(who, namespace)
            assert found in [list(state if namespace is None else state.get(namespace, {})) for state in states]

    @rule(who=WHO, namespace=SPACES, key=KEYS)
    def known(self, who, namespace, key):
        who, before = who % self.caches, self.server.requests
        known = self.all[who].known(Place(ORIGIN, namespace, key))
        states = self._states(who, (namespace, key))
        assert known is None or known in [key in state.get(namespace, {}) for state in states]
        known = self.all[who].known(Place(ORIGIN, namespace))
        assert known is None or known in [namespace in state for state in self._states(who, None)]
        assert self.server.requests == before

    @rule(who=WHO, namespace=SPACES, key=KEYS, effect=st.sampled_from(["ok", "nothing", "but done"]))
    def write(self, who, namespace, key, effect):
        who, place = who % self.caches, Place(ORIGIN, namespace, key)
        with contextlib.suppress(errors.TimedOut), self.all[who].writing(place):
            if effect != "nothing":
                self._change(namespace, key)
                self._stored()
            if effect != "ok":
                raise errors.TimedOut("no answer in time", sent=True)
        self._wrote(who, (namespace, key), namespace, None)

    @rule(who=WHO, namespace=SPACES)
    def delete_namespace(self, who, namespace):
        who = who % self.caches
        with self.all[who].writing(Place(ORIGIN, namespace)):
            self.server.stored.pop(namespace, None)
            self._stored()
        self._wrote(who, (namespace, "a"), (namespace, "b"), namespace, None)

    @rule(who=WHO)
    def refresh(self, who):
        who = who % self.caches
        self.all[who].drop(ROOT)
        spaces = ("app", "other")
        self._wrote(who, *[(namespace, key) for namespace in spaces for key in ("a", "b")], *spaces, None)

    @rule(namespace=SPACES, key=KEYS, delete=st.booleans())
    def foreign_write(self, namespace, key, delete):
        if delete:
            self.server.stored.get(namespace, {}).pop(key, None)
        else:
            self._change(namespace, key)
        self._stored()

    @rule(
        who=WHO,
        namespace=SPACES,
        key=KEYS,
        writer=WHO,
        kind=st.sampled_from(["value", "entries", "listing"]),
        foreign=st.booleans(),
    )
    def write_during_a_read(self, who, namespace, key, writer, kind, foreign):
        """A read is on its way; its answer is taken, then a write happens, then the answer arrives."""
        who, writer = who % self.caches, writer % self.caches
        place = Place(ORIGIN, namespace, key if kind == "value" else None)

        def fetch():
            found = getattr(self.server, kind)(place)()
            if foreign:
                self.foreign_write(namespace, key, False)
            else:
                self.write(writer, namespace, key, "ok")
            return found

        self._read(lambda: getattr(self.all[who], kind)(place, fetch))

    @rule(seconds=st.sampled_from([0.5, 3.0, 9.9, 21.0, 56.0, 60.0, 99.0, 200.0]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule(error=st.sampled_from([None, None, *Laws.AWAY, errors.NotAuthenticated("who are you", status=401)]))
    def server_fails(self, error):
        self.server.error = error

    @precondition(lambda self: self.backed)
    @rule(away=st.booleans())
    def backend_goes_away(self, away):
        self.backend.away = away

    @precondition(lambda self: self.backed)
    @rule(data=st.data())
    def backend_loses_something(self, data):
        if self.backend.kept:
            self.backend.kept.pop(data.draw(st.sampled_from(sorted(self.backend.kept))))

    @invariant()
    def bounded(self):
        for cache in getattr(self, "all", []):
            assert cache.info().currsize <= cache.info().maxsize


class SharedMachine(Machine):
    caches = 2
    backed = True


MANY = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestEverythingInProcess = Machine.TestCase
TestEverythingInProcess.settings = MANY
TestEverythingShared = SharedMachine.TestCase
TestEverythingShared.settings = MANY
