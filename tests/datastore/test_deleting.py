"""Deleting: nothing of somebody else's goes with it, and nothing is said to be gone that may be there."""

import pytest

from dhis2kv import Dhis2kvError, Forbidden, KeyNotFound, ServerError, TimedOut, Unreachable
from dhis2kv.emulator import Emulator, Fault
from tests.conftest import OLD_MIDDLE_NEW, connect, sent

LOST = [
    ("drop_before", {}),
    ("drop_after", {}),
    ("cut", {}),
    ("html", {}),
    *(("status", {"status": status}) for status in (500, 502, 503, 504)),
]
DELETE = {
    "an entry": (lambda namespace: namespace.__delitem__("k"), "app/k"),
    "an entry of some": (lambda namespace: namespace.delete_many(["k"]), "app/k"),
    "pop": (lambda namespace: namespace.pop("k"), "app/k"),
    "a namespace": (lambda namespace: namespace.clear(), "app"),
}


class Interruption:
    """Somebody else's doing between the first request of this method and the next one."""

    def __init__(self, emulator, method, act):
        self.emulator, self.method, self.act = emulator, method, act

    def deliver(self, request):
        outcome = Emulator.deliver(self.emulator, request)
        if request.method == self.method:
            del self.emulator.deliver
            self.act()
        return outcome

    def __enter__(self):
        self.emulator.deliver = self.deliver

    def __exit__(self, *_):
        self.emulator.__dict__.pop("deliver", None)


def methods(emulator):
    return [method for method, _ in sent(emulator)]


@pytest.fixture(params=OLD_MIDDLE_NEW)
def emulator(request):
    return Emulator(version=request.param)


@pytest.fixture(params=[False, True], ids=["dataStore", "userDataStore"])
def namespace(request, emulator):
    store = connect(emulator)
    namespace = (store.user if request.param else store)["app"]
    namespace["k"] = 1
    sent(emulator)
    return namespace


@pytest.mark.parametrize("what", DELETE)
@pytest.mark.parametrize(("fault", "how"), LOST)
def test_one_delete_and_one_look(emulator, namespace, what, fault, how):
    """After an answer that was lost no DELETE is sent again: where it is gone it is done, else that is not known."""
    act, name = DELETE[what]
    emulator.fail(fault, method="DELETE", **how)
    acted = Fault(fault, **how).acted
    try:
        act(namespace)
    except Dhis2kvError as error:
        failure = next(iter(getattr(error, "failed", {}).values()), error)
        assert not isinstance(failure, KeyError)
        assert failure.sent
        assert f"whether {name} was deleted is not known: there is one" in str(failure)
        assert not acted
    else:
        assert acted
    asked = methods(emulator)
    assert asked.count("DELETE") == 1
    assert asked[-1] in ("HEAD", "GET")
    assert len(asked) == (3 if what == "pop" else 2)
    assert ("k" in namespace) is not acted


@pytest.mark.parametrize("what", DELETE)
@pytest.mark.parametrize(("fault", "how"), LOST)
def test_what_somebody_else_creates_meanwhile_stays(emulator, namespace, what, fault, how):
    """What is there after a lost answer may be somebody else's: it stays, and the error does not call it the old."""
    act, name = DELETE[what]
    emulator.fail(fault, method="DELETE", **how)
    with (
        Interruption(emulator, "DELETE", lambda: namespace.__setitem__("k", "theirs")),
        pytest.raises(Dhis2kvError) as caught,
    ):
        act(namespace)
    assert namespace["k"] == "theirs"
    failure = next(iter(getattr(caught.value, "failed", {}).values()), caught.value)
    assert f"whether {name} was deleted is not known" in str(failure)


def test_a_look_that_fails(emulator, namespace):
    """Where the look fails too, the error is the first one's, and says that nothing is known."""
    emulator.fail("drop_after", method="DELETE")
    emulator.fail("status", times=9, status=403)
    with pytest.raises(Unreachable, match="whether app/k is deleted is not known") as caught:
        del namespace["k"]
    assert caught.value.sent


def test_no_answer_in_time(emulator):
    """A DELETE that was not answered in time is looked after like any other."""
    emulator.sleep = lambda seconds: None
    namespace = connect(emulator, timeout=1)["app"]
    namespace["k"] = 1
    emulator.fail("slow", method="DELETE")
    del namespace["k"]
    emulator.fail("slow", method="DELETE")
    emulator.fail("slow", method="HEAD")
    with pytest.raises(TimedOut, match="whether app/k is deleted is not known"):
        del namespace["k"]


def test_a_refusal_is_not_looked_after(emulator, namespace):
    """A DELETE that was refused, or met nothing, costs no second request."""
    for status, kind in ((403, Forbidden), (404, ServerError)):
        emulator.fail("status", method="DELETE", status=status)
        with pytest.raises(kind):
            del namespace["k"]
        assert methods(emulator) == ["DELETE"]
    with pytest.raises(KeyNotFound):
        del namespace["none"]
    assert methods(emulator) == ["DELETE"]


def test_a_race_is_tried_again(emulator, namespace):
    """After the 500 of a race, in DHIS2's own words, nothing was done: a second DELETE acts, or finds it gone."""
    for gone in (False, True):
        namespace["k"] = 1
        emulator.fail("delete_race", done=gone)
        sent(emulator)
        del namespace["k"]
        assert methods(emulator) == ["DELETE", "DELETE"]
        assert "k" not in namespace
