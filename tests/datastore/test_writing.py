"""What each way of writing one entry does, on every version and in both stores."""

import re

import pytest
import responses

from dhis2kv import (
    Changed,
    InvalidValue,
    KeyExists,
    KeyNotFound,
    Rejected,
    ServerError,
    Store,
)
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent

from .acting import before, methods, nothing

# --- creating ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [False, True], ids=["already exists", "duplicate key"])
def test_who_loses_a_race_to_create(emulator, ns, foreign, duplicate):
    """``add`` is False in whichever words the server says so (up to 2.39: a 500), and the winner's value stays."""
    before(emulator, "POST", lambda: foreign("k", "theirs"))
    emulator.fail("put_race", method="POST", duplicate=duplicate)
    assert ns.add("k", "mine") is False
    assert ns["k"] == "theirs"
    before(emulator, "POST", lambda: foreign("l", "theirs"))
    emulator.fail("put_race", method="POST", duplicate=duplicate)
    assert ns.setdefault("l", "mine") == "theirs"


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("Key 'k' already exists in namespace 'app'", True),
        ('ERROR: duplicate key value violates unique constraint "keyjsonvalue_unique_key_in_namespace"', True),
        ("ERROR: value too long for type character varying(255)", False),
        ("Authentication principal is not supported; principal:anonymousUser", False),
    ],
)
def test_conflicts(message, lost):
    """A 409 about an existing entry, in either of its texts, is a False; one about anything else is an error."""
    with responses.RequestsMock() as mocked:
        about = {"httpStatusCode": 409, "message": message}
        mocked.post("http://dhis2.test/api/dataStore/app/k", status=409, json=about)
        namespace = Store("http://dhis2.test", ("a", "b"))["app"]
        if lost:
            assert namespace.add("k", 1) is False
        else:
            with pytest.raises(Rejected, match=re.escape(message)):
                namespace.add("k", 1)


@pytest.mark.parametrize("version", ["2.36", "2.39"])
def test_a_statement_that_fails_for_another_reason(emulator, ns):
    """Up to 2.39 "could not execute statement" is a lost race only where there is an entry."""
    emulator.fail("put_race", method="POST", duplicate=True)
    with pytest.raises(ServerError, match="could not execute statement"):
        ns.add("k", 1)
    assert "k" not in ns


def test_create_says_what_add_says(emulator, either):
    """The accessor's ``create`` raises ``KeyExists`` where ``add`` is False."""
    user = either is either.user
    either.datastore.create("app", "k", 1, user=user)
    with pytest.raises(KeyExists, match="app/k"):
        either.datastore.create("app", "k", 2, user=user)
    assert either["app"]["k"] == 1


def test_setdefault_never_overwrites(emulator, ns, foreign):
    """The default is created, or what a racing writer stored is returned, however late that one was."""
    assert ns.setdefault("k", [1]) == [1]
    assert ns.setdefault("k", [2]) == [1]
    before(emulator, "POST", lambda: foreign("l", "theirs"))
    assert ns.setdefault("l", "mine") == "theirs"
    assert ns["l"] == "theirs"
    assert ns.setdefault("n") is None
    assert ns["n"] is None


def test_setdefault_when_the_winner_goes_again(emulator, ns, foreign, rival):
    """A racing writer who deletes again at once leaves room for the default."""
    before(emulator, "POST", lambda: foreign("k", "theirs"))
    before(emulator, "GET", nothing, lambda: rival.__delitem__("k"))
    assert ns.setdefault("k", "mine") == "mine"
    assert methods(emulator) == ["GET", "POST", "DELETE", "GET", "POST"]
    assert ns["k"] == "mine"


# --- taking out -------------------------------------------------------------------------------------------------------


def test_pop(emulator, ns):
    """``pop`` takes an entry out; an absent one is the default, or a KeyError."""
    ns["k"] = None
    assert ns.pop("k", 7) is None
    assert ns.pop("k", 7) == 7
    with pytest.raises(KeyNotFound):
        ns.pop("k")
    assert ns.pop("no/key", 7) == 7


def test_popitem_passes_over_what_others_took(emulator, ns, rival):
    """``popitem`` gives the first entry that is still there, and a KeyError when there is none."""
    ns.update(a=1, b=2)
    before(emulator, "GET", nothing, lambda: rival.__delitem__("a"))
    assert ns.popitem() == ("b", 2)
    ns["c"] = 3
    before(emulator, "GET", nothing, lambda: rival.__delitem__("c"))
    for _ in range(2):
        with pytest.raises(KeyError, match="empty"):
            ns.popitem()


def test_what_serves_a_write_asks_the_server():
    """With a cache, ``pop``, ``popitem``, ``setdefault``, ``edit`` and ``replace`` see what others wrote."""
    emulator = Emulator()
    ns = connect(emulator, ttl=60)["app"]

    def afresh(value):
        emulator.put("app", "k", "old")
        ns.refresh()
        assert ns["k"] == "old"
        assert ns.copy() == {"k": "old"}
        emulator.put("app", "k", value)

    afresh("new")
    assert ns.pop("k") == "new"
    afresh("new")
    assert ns.popitem() == ("k", "new")
    afresh("new")
    assert ns.setdefault("k", 7) == "new"
    afresh({"x": 1})
    with ns.edit("k") as value:
        assert value == {"x": 1}
    afresh("new")
    ns.replace({"k": "old"})
    assert ns["k"] == "old"


# --- edit -------------------------------------------------------------------------------------------------------------


def test_edit_writes_what_changed(emulator, ns):
    """What the block changed is written; what is the same JSON is not; true is another value than 1."""
    for old, change, written in (
        ({"x": 1}, lambda value: value.update(y=[None]), True),
        ([1, 2], lambda value: value.append(3), True),
        ({"x": 1}, lambda value: value.update(x=True), True),
        ({"x": 1, "y": 2}, lambda value: value.update(x=1.0), False),
        ({"x": [1]}, lambda value: value.update(x=(1,)), False),
        ([], lambda value: None, False),
    ):
        ns["k"] = old
        sent(emulator)
        with ns.edit("k") as value:
            change(value)
            expected = value
        assert methods(emulator) == (["GET", "GET", "PUT"] if written else ["GET"])
        assert ns["k"] == (expected if written else old)


def test_edit_of_what_others_changed(ns, foreign, rival):
    """Who wrote or deleted meanwhile is not overwritten, unless by force; the same value again is no change."""

    def edit(meanwhile, **options):
        ns["k"] = {"x": 1, "y": 2}
        with ns.edit("k", **options) as value:
            value["x"] = "mine"
            meanwhile()

    with pytest.raises(Changed, match=r"'k'.*nothing was overwritten") as caught:
        edit(lambda: foreign("k", {"x": "theirs"}))
    assert not caught.value.sent
    assert ns["k"] == {"x": "theirs"}
    with pytest.raises(Changed, match="deleted 'k'"):
        edit(lambda: rival.__delitem__("k"))
    assert "k" not in ns
    with pytest.raises(Changed):
        edit(lambda: foreign("k", {"x": True, "y": 2}))
    edit(lambda: foreign("k", {"y": 2.0, "x": 1}))
    assert ns["k"] == {"x": "mine", "y": 2}
    edit(lambda: foreign("k", "theirs"), force=True)
    assert ns["k"] == {"x": "mine", "y": 2}
    edit(lambda: rival.__delitem__("k"), force=True)
    assert ns["k"] == {"x": "mine", "y": 2}


def test_edit_that_does_not_come_to_its_end(emulator, ns):
    """When the block raises, nothing is written; when the value cannot be stored, nothing more is asked."""
    ns["k"] = {"x": 1}

    def edit(change):
        sent(emulator)
        with ns.edit("k") as value:
            change(value)

    with pytest.raises(ZeroDivisionError):
        edit(lambda value: value.update(x=1 / 0))
    assert methods(emulator) == ["GET"]
    with pytest.raises(InvalidValue):
        edit(lambda value: value.update(x=float("nan")))
    assert methods(emulator) == ["GET"]
    assert ns["k"] == {"x": 1}


def test_what_cannot_be_edited(ns):
    """A text, a number and null cannot be changed in place; the error does not show them. An absent key is one."""
    for scalar in ("a secret text", 1, None):
        ns["k"] = scalar
        with pytest.raises(InvalidValue, match="assign") as caught, ns.edit("k"):
            pytest.fail("there is nothing to edit")
        assert "secret" not in str(caught.value)
    with pytest.raises(KeyNotFound), ns.edit("none"):
        pytest.fail("there is nothing to edit")
