"""Whatever goes wrong at whatever step of a write, what the library says of it is true of the server.

A write returns, and then it is done; or it raises an error whose ``sent`` is false, and then nothing has changed; or
one whose ``sent`` is true, and then it is done or not, or the error's sentence names what else there may be.
"""

import logging
import math
import re

import pytest

from dhis2kv import BulkError, Dhis2kvError, Query
from dhis2kv.emulator import Emulator, Fault
from dhis2kv.emulator.faults import Delivery
from dhis2kv.emulator.messages import Reply
from tests.conftest import OLD_MIDDLE_NEW, connect

BEFORE = {"a": 1, "b": {"x": 1}, "l": [1, 2]}
SECRET = "Not for everybody"
ABSENT = object()
WITHOUT_A = {"b": {"x": 1}, "l": [1, 2]}
WITHOUT_B = {"a": 1, "l": [1, 2]}
DELETED = (
    (WITHOUT_A, "the old value of app/a (is|may be) deleted"),
    (WITHOUT_B, "the old value of app/b (is|may be) deleted"),
)
EMPTY = ((BEFORE | {"n": []}, "as an empty list|whether it was appended to app/n is not known"),)


def edit(namespace):
    with namespace.edit("b") as value:
        value["x"] = 2


class Operation:
    """A write, the state that is wanted, and other states that its errors may speak of: a sentence for each."""

    def __init__(self, act, after, value=None, *, encrypt=False, between=DELETED, **options):
        self.act, self.after, self.value, self.encrypt, self.options = act, after, value, encrypt, options
        self.between = between


OPERATIONS = {
    "assigning to a new key": Operation(lambda ns: ns.__setitem__("n", 7), BEFORE | {"n": 7}),
    "assigning to a key": Operation(lambda ns: ns.__setitem__("a", 7), BEFORE | {"a": 7}),
    "assigning, read back": Operation(lambda ns: ns.__setitem__("a", 7), BEFORE | {"a": 7}, read_back=True),
    "deleting": Operation(lambda ns: ns.__delitem__("a"), WITHOUT_A),
    "clear": Operation(lambda ns: ns.clear(), {}),
    "add": Operation(lambda ns: ns.add("n", 7), BEFORE | {"n": 7}, True),
    "add, read back": Operation(lambda ns: ns.add("n", 7), BEFORE | {"n": 7}, True, read_back=True),
    "add to a key": Operation(lambda ns: ns.add("a", 7), BEFORE, False),
    "setdefault": Operation(lambda ns: ns.setdefault("n", 7), BEFORE | {"n": 7}, 7),
    "setdefault of a key": Operation(lambda ns: ns.setdefault("a", 7), BEFORE, 1),
    "pop": Operation(lambda ns: ns.pop("a"), WITHOUT_A, 1),
    "popitem": Operation(lambda ns: ns.popitem(), WITHOUT_A, ("a", 1)),
    "edit": Operation(edit, BEFORE | {"b": {"x": 2}}),
    "update": Operation(lambda ns: ns.update(a=2, n=3, m=4), BEFORE | {"a": 2, "n": 3, "m": 4}),
    "replace": Operation(lambda ns: ns.replace({"a": 2, "l": [1, 2], "n": 3}), {"a": 2, "l": [1, 2], "n": 3}),
    "delete_many": Operation(lambda ns: ns.delete_many(["a", "none", "l"]), {"b": {"x": 1}}),
    "patch": Operation(lambda ns: ns.patch("b", "x", 5), BEFORE | {"b": {"x": 5}}),
    "roll": Operation(lambda ns: ns.roll("l", 3, 2), BEFORE | {"l": [2, 3]}),
    "roll of a new key": Operation(lambda ns: ns.roll("n", 3, 2), BEFORE | {"n": [3]}, between=EMPTY),
    "roll, read back": Operation(lambda ns: ns.roll("l", 3, 2), BEFORE | {"l": [2, 3]}, read_back=True),
    "encrypting a new key": Operation(lambda ns: ns.__setitem__("n", SECRET), BEFORE | {"n": SECRET}, encrypt=True),
    "encrypting a key": Operation(lambda ns: ns.__setitem__("a", SECRET), BEFORE | {"a": SECRET}, encrypt=True),
    "encrypting, read back": Operation(
        lambda ns: ns.__setitem__("a", SECRET), BEFORE | {"a": SECRET}, encrypt=True, read_back=True
    ),
    "encrypting two keys": Operation(
        lambda ns: ns.update(a=SECRET, n=SECRET), BEFORE | {"a": SECRET, "n": SECRET}, encrypt=True
    ),
}


class Words(Fault):
    """A success in the words of somebody in between, whether or not (``done``) the server acted."""

    def befall(self, request, handle, profile):
        if self.done:
            handle(request)
        body = b"" if request.method == "HEAD" else b"upstream said: ok"
        return Delivery(Reply(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body))


def fault(kind, **how):
    return Words("html", **how) if kind == "words" else Fault(kind, **how)


WRITES = ("POST", "PUT", "DELETE")
REFUSALS = [{"kind": "refuse"}, *({"kind": "status", "status": status} for status in (401, 403, 503))]
FAULTS = [
    *REFUSALS,
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "cut"},
    {"kind": "html"},
    {"kind": "words"},
    {"kind": "words", "done": True},
    {"kind": "status", "status": 500},
    {"kind": "put_race"},
    {"kind": "put_race", "duplicate": True},
    {"kind": "delete_race"},
    {"kind": "delete_race", "done": True},
]
# What happens to the request at which trouble begins, and what to all after it.
PLANS = [
    *(([one], None) for one in FAULTS),
    *(([{"kind": "status", "status": status}], None) for status in (429, 502, 504)),
    *(([], one) for one in FAULTS),
    *(([{"kind": "drop_after"}], one) for one in REFUSALS),
    ([{"kind": "drop_before"}], {"kind": "drop_after"}),
]


class Trouble:
    """Lets the requests to an emulator go wrong by a plan, from the ``first`` one on, and keeps their methods.

    ``wrote`` says whether the server may have acted on one that writes: whether not all of those were refused.
    """

    def __init__(self, emulator, first, plan):
        self.emulator, self.first, self.methods = emulator, first, []
        self.wrote = False
        self.once, self.then = list(plan[0]), plan[1]

    def deliver(self, request):
        self.methods.append(request.method)
        if len(self.methods) >= self.first:
            how = self.once.pop(0) if self.once else self.then
            trouble = how and fault(**how)
            if trouble and trouble.meets(request.method, request.target):
                self.wrote = self.wrote or (request.method in WRITES and how not in REFUSALS[:-1])
                return trouble.befall(request, self.emulator.handle, self.emulator.profile)
        self.wrote = self.wrote or request.method in WRITES
        return Emulator.deliver(self.emulator, request)

    def __enter__(self):
        self.emulator.deliver = self.deliver
        return self

    def __exit__(self, *_):
        del self.emulator.deliver


class Case:
    """One write on one store of one server."""

    def __init__(self, operation, version, user):
        self.operation, self.user = operation, user
        self.emulator = Emulator(version=version)
        self.witness = self.store()

    def store(self, **options):
        store = connect(self.emulator, **options)
        return store.user if self.user else store

    def check(self, first=math.inf, plan=((), None)):
        """Let the write meet a plan, and compare what it says with what there is then; returns its requests."""
        operation = self.operation
        self.emulator.reset()
        self.emulator.load({"app": BEFORE}, user="admin" if self.user else None)
        namespace = self.store(**operation.options).namespace("app", encrypt=operation.encrypt)
        error = value = None
        with Trouble(self.emulator, first, plan) as trouble:
            try:
                value = operation.act(namespace)
            except Dhis2kvError as raised:
                error = raised
        now = self.witness["app"].copy()
        said = f"{error!r}, sent={error.sent}" if error else f"returned {value!r}"
        about = f"{plan} at request {first}: {said}, and then there is {now}"
        if error is None:
            assert (now, value) == (operation.after, operation.value), about
        elif isinstance(error, BulkError):
            assert sorted([*error.done, *error.failed, *error.untried]) == bulk_keys(operation), about
            for key in {*BEFORE, *operation.after}:
                assert now.get(key, ABSENT) in allowed(operation, error, key), f"{key}: {about}"
        elif not trouble.wrote:
            assert (now, error.sent) == (BEFORE, False), about
        elif not error.sent:
            assert now == BEFORE, about
        else:
            assert now in possible(operation, error), about
        if operation.encrypt and self.emulator.version >= "2.40":
            open_values = self.witness.datastore.query("app", Query(include_all=False), user=self.user)
            assert SECRET not in [entry["value"] for entry in open_values], f"it lies open: {about}"
        return trouble.methods


def bulk_keys(operation):
    """The keys of which a BulkError must give an account."""
    changed = {key for key in {*BEFORE, *operation.after} if BEFORE.get(key) != operation.after.get(key)}
    return sorted(changed | ({"none"} if "none" in str(operation.act.__code__.co_consts) else set()))


def allowed(operation, error, key):
    """The values that an entry may have after this BulkError."""
    before, after = BEFORE.get(key, ABSENT), operation.after.get(key, ABSENT)
    if key in error.done:
        return [after]
    if key not in error.failed or not error.failed[key].sent:
        return [before]
    return [state.get(key, ABSENT) for state in possible(operation, error.failed[key])]


def possible(operation, error):
    """The states that an error with ``sent`` leaves open: as before, done, or another one, as far as it says."""
    sentence = str(error)
    states = [state for state, said in operation.between if re.search(said, sentence)]
    if not re.search("the new one is not stored|nothing was appended", sentence):
        states.append(operation.after)
    if not re.search("the old value of app/[ab] is deleted", sentence):
        states.append(BEFORE)
    return states


@pytest.mark.parametrize(
    ("version", "user"), [*zip(OLD_MIDDLE_NEW, [False, True, False], strict=True), ("2.42.5", True)]
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_said_is_true(name, version, user, caplog):
    """For each fault at each request of this write, what comes of it is what the library says."""
    caplog.set_level(logging.CRITICAL, "dhis2kv")  # each repeated request is a line there
    case = Case(OPERATIONS[name], version, user)
    calm = case.check()
    for first, method in enumerate(calm, 1):
        for plan in PLANS:
            if any(how and not fault(**how).meets(method, "") for how in [*plan[0], plan[1]]):
                continue
            requests = len(case.check(first, plan))
            assert requests <= 8 * len(calm), f"{requests} requests instead of {len(calm)}: {plan} at {first}"
