"""What is repeated, and what never."""

import contextlib
import random

import pytest

from dhis2kv import (
    Dhis2kvError,
    Rejected,
    ServerError,
    wire,
)
from dhis2kv.emulator import Emulator
from dhis2kv.transport import Transport
from tests.conftest import connect, sent

from .listening import Listener, reply

REPEATED = [("status", {"status": status}) for status in (429, 502, 503, 504)] + [
    ("refuse", {}),
    ("drop_before", {}),
    ("drop_after", {}),
    ("cut", {}),
]


class TestRepeats:
    @pytest.mark.parametrize(("fault", "how"), REPEATED)
    @pytest.mark.parametrize("version", ["2.36", "2.42"])
    def test_what_may_be_repeated_is(self, version, fault, how):
        """GET, HEAD and PUT survive each kind of passing trouble, and come to the right result."""
        emulator = Emulator(version=version)
        namespace = connect(emulator)["app"]
        namespace["k"] = 1
        for act, right in (
            (lambda: namespace["k"], 1),
            (lambda: "k" in namespace, True),
            (lambda: namespace.__setitem__("k", 2), None),
        ):
            trouble = emulator.fail(fault, **how)
            sent(emulator)
            assert act() == right
            methods = [method for method, _ in sent(emulator)]
            assert methods == methods[:1] * (1 if (methods[0], fault) == ("HEAD", "cut") else 2)
            assert trouble.times == 0

    @pytest.mark.parametrize(("fault", "how"), [REPEATED[0], ("refuse", {})])
    def test_a_delete_that_was_not_begun(self, fault, how):
        """A DELETE that was refused before anything was done is sent again; a 404 after that is an absence."""
        emulator = Emulator()
        namespace = connect(emulator)["app"]
        namespace["k"] = 1
        for absent in (False, True):
            emulator.fail(fault, method="DELETE", **how)
            sent(emulator)
            with pytest.raises(KeyError) if absent else contextlib.nullcontext():
                del namespace["k"]
            assert [method for method, _ in sent(emulator)] == ["DELETE", "DELETE"]

    @pytest.mark.parametrize(("fault", "how"), [*REPEATED[:4], ("drop_before", {}), ("drop_after", {}), ("cut", {})])
    def test_a_create_is_not_repeated(self, fault, how):
        """A POST is not sent again once it was sent: the error leaves open whether it was done."""
        emulator = Emulator()
        namespace = connect(emulator)["app"]
        emulator.fail(fault, method="POST", **how)
        with pytest.raises(Dhis2kvError):
            namespace.add("k", 1)
        assert len(sent(emulator)) == 1

    @pytest.mark.parametrize("duplicate", [False, True])
    def test_a_put_that_lost_a_race(self, duplicate):
        """A PUT that meets 409, in either of its texts, is sent once more, without a wait."""
        emulator = Emulator()
        namespace = connect(emulator)["app"]
        emulator.fail("put_race", duplicate=duplicate)
        namespace["k"] = 1
        assert [method for method, _ in sent(emulator)] == ["PUT", "PUT"]
        assert namespace["k"] == 1
        emulator.fail("put_race", times=2)
        with pytest.raises(Rejected):
            namespace["k"] = 2

    def test_three_times_more(self):
        """What may be repeated is sent four times in all, unless told otherwise."""
        with Listener(*[reply(b"{}", "503 ")] * 9) as server:
            transport, waits = Transport(server.url), []
            transport.sleep = waits.append
            assert transport.call(wire.call("GET", "dataStore", "app", "k")).status == 503
            assert (len(server.received), len(waits)) == (4, 3)

    @pytest.mark.parametrize(
        ("status", "once", "times"), [(409, False, 2), (500, False, 2), (409, True, 1), (500, True, 1), (400, False, 1)]
    )
    def test_how_often_a_put_that_lost_is_sent(self, status, once, times):
        """Both refusals that losers of a race meet are tried once more, but for a PUT that would act twice."""
        with Listener(*[reply(b"{}", f"{status} ")] * 5) as server:
            put = wire.call("PUT", "dataStore", "app", "k", body="1", once=once)
            assert Transport(server.url).call(put).status == status
            assert len(server.received) == times

    @pytest.mark.parametrize(("then", "how"), [("refuse", {}), ("put_race", {}), ("status", {"status": 429})])
    def test_what_was_sent_once_stays_sent(self, then, how):
        """After a try that the server may have acted on, no later one says that nothing was sent."""
        emulator = Emulator()
        namespace = connect(emulator)["app"]
        emulator.fail("status", status=503)
        emulator.fail(then, times=9, **how)
        with pytest.raises(Dhis2kvError) as caught:
            namespace["k"] = 1
        assert caught.value.sent is True

    def test_what_never_left_was_not_sent(self):
        """Where no try left, or each was refused, nothing has changed."""
        for fault in ("refuse", "put_race"):
            emulator = Emulator()
            emulator.fail(fault, times=9)
            with pytest.raises(Dhis2kvError) as caught:
                connect(emulator)["app"]["k"] = 1
            assert caught.value.sent is False

    @pytest.mark.parametrize("done", [False, True])
    def test_a_delete_that_lost_a_race(self, done):
        """A DELETE that meets 500 is sent once more; 404 is then a success."""
        emulator = Emulator()
        namespace = connect(emulator)["app"]
        namespace["k"] = 1
        emulator.fail("delete_race", done=done)
        del namespace["k"]
        assert "k" not in namespace

    @pytest.mark.parametrize("kind", ["application/json", "text/html"])
    def test_a_delete_that_fails_in_other_words(self, kind):
        """A 500 that does not come from DHIS2 may stand for a lost answer, and its DELETE is not sent again."""
        refusal = reply(b'{"httpStatusCode":500}' if kind == "text/html" else b'"oops"', "500 ", kind=kind)
        with Listener(*[refusal] * 9) as server:
            assert Transport(server.url).call(wire.call("DELETE", "dataStore", "app", "k")).status == 500
            assert len(server.received) == 1

    @pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("3600", 30.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)])
    def test_retry_after(self, asked, waited):
        """Retry-After is honoured, in seconds or as a date, up to half a minute."""
        emulator = Emulator()
        store = connect(emulator)
        waits = []
        store.datastore.transport.sleep = waits.append
        emulator.fail("status", status=429, retry_after=asked)
        assert store["app"].get("k") is None
        assert waits == [waited]

    @pytest.mark.parametrize("text", ["soon", "Fri, 31 Dec 99999 23:59:59 GMT", "9" * 400, "9" * 5000])
    def test_an_unreadable_retry_after(self, text):
        """What cannot be read is as if it were not there."""
        emulator = Emulator()
        emulator.fail("status", status=503, retry_after=text)
        assert connect(emulator)["app"].get("k") is None

    def test_no_wait_beyond_the_deadline(self):
        """A wait that would end after the call's time limit is not begun."""
        emulator = Emulator()
        store = connect(emulator, timeout=5)
        waits = []
        store.datastore.transport.sleep = waits.append
        emulator.fail("status", status=503, retry_after="20", times=9)
        with pytest.raises(ServerError):
            store["app"]["k"]
        assert waits == []

    @pytest.mark.parametrize(("wait", "waits"), [("4", [4.0]), ("5", [])])
    def test_a_wait_until_the_deadline(self, wait, waits):
        """A wait that leaves no time for the call is not begun, either."""
        emulator = Emulator()
        emulator.fail("status", status=503, retry_after=wait)
        waited = []
        transport = Transport(
            "http://dhis2.test",
            ("admin", "district"),
            session=emulator.session(),
            timeout=5,
            clock=lambda: 0.0,
            sleep=waited.append,
        )
        status = transport.call(wire.call("GET", "dataStore", "app", "k")).status
        assert (waited, status) == (waits, 404 if waits else 503)

    def test_waits_grow(self, monkeypatch):
        """Without a Retry-After a wait is a tenth of a second, then twice as long each time, give or take a half."""
        for bound, waits in (("low", [0.05, 0.1, 0.2]), ("high", [0.15, 0.3, 0.6])):
            monkeypatch.setattr(random, "uniform", lambda low, high, bound=bound: low if bound == "low" else high)
            emulator = Emulator()
            store = connect(emulator)
            waited = []
            store.datastore.transport.sleep = waited.append
            emulator.fail("status", times=3)
            assert store["app"].get("k") is None
            assert waited == pytest.approx(waits)

    def test_repeats_are_bounded(self):
        """After as many repeats as retries says, the error is raised; none with retries=0."""
        for retries in (0, 2):
            emulator = Emulator()
            emulator.fail("status", times=99)
            with pytest.raises(ServerError):
                connect(emulator, retries=retries)["app"]["k"]
            assert len(sent(emulator)) == retries + 1
