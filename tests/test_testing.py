"""The public door to the emulator."""

import pytest
import responses

from dhis2kv import NotAuthenticated, Store, testing
from dhis2kv.emulator import PROFILES
from dhis2kv.testing import VERSIONS, Clock, Emulator, connect
from dhis2kv.transport import Transport


@pytest.fixture
def emulator():
    found = Emulator()
    yield found
    found.close()


def test_every_name_is_documented():
    """What is public here exists, and the module's docstring speaks of it."""
    for name in testing.__all__:
        assert hasattr(testing, name)
        assert name in testing.__doc__


def test_versions_are_all_oldest_first():
    """``VERSIONS`` are those that can be emulated, in the order of their numbers."""
    assert sorted(VERSIONS, key=lambda version: [int(part) for part in version.split(".")]) == list(VERSIONS)
    assert set(VERSIONS) == set(PROFILES)


def test_a_clock_stands_still_until_moved():
    """A clock gives the same time until it is moved, by default from the start of 2026."""
    clock = Clock()
    assert clock() == clock() == 1767225600
    clock.advance(1.5)
    assert clock() == 1767225601.5
    assert Clock(7)() == 7


def test_connect_sends_nothing(emulator):
    """Making a store is no request; its first use is the first."""
    store = connect(emulator)
    assert emulator.requests == 0
    assert list(store.keys()) == []
    assert emulator.requests == 1


def test_connect_signs_in_as_the_superuser(emulator):
    """The store's account is ``admin``, unless another is given."""
    emulator.add_user("alice", "Alice_pw_1!")
    assert connect(emulator).datastore.account()["username"] == "admin"
    assert connect(emulator, ("alice", "Alice_pw_1!")).datastore.account()["username"] == "alice"


def test_connect_takes_a_token(emulator):
    """With ``auth=None`` a personal access token signs in."""
    made = emulator.session().post(
        "http://dhis2.test/api/apiToken", json={}, auth=("admin", "district"), headers={"Accept": "application/json"}
    )
    store = connect(emulator, auth=None, token=made.json()["response"]["key"])
    assert store.datastore.account()["username"] == "admin"
    with pytest.raises(NotAuthenticated):
        list(connect(emulator, auth=None, token="d2p_nonsense"))


def test_connect_passes_options(emulator):
    """Options are those of ``Store``."""
    store = connect(emulator, ttl=60)
    store["app"]["cfg"] = 1
    emulator.log.clear()
    assert [store["app"]["cfg"], store["app"]["cfg"]] == [1, 1]
    assert len(emulator.log) == 1


def test_connect_finds_the_context_path():
    """An emulator that lives below a path is found there."""
    emulator = Emulator(context_path="/dhis")
    connect(emulator)["app"]["cfg"] = 1
    assert emulator.log[-1].target == "/dhis/api/dataStore/app/cfg"
    emulator.close()


def test_stores_of_two_accounts_stay_apart(emulator):
    """Two stores on one emulator share no session: each account has a user store of its own."""
    emulator.add_user("alice", "Alice_pw_1!")
    admin, alice = connect(emulator), connect(emulator, ("alice", "Alice_pw_1!"))
    admin.user["app"]["k"], alice.user["app"]["k"] = 1, 2
    assert (admin.user["app"]["k"], alice.user["app"]["k"]) == (1, 2)


def test_repeats_do_not_wait(emulator, monkeypatch):
    """A store of ``connect`` repeats at once, where an ordinary one waits."""
    waited = []
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "sleep", waited.append)
    emulator.put("app", "cfg", 1)
    emulator.fail("status", times=2, status=503, retry_after=20)
    assert connect(emulator)["app"]["cfg"] == 1
    assert waited == []
    emulator.fail("status", times=2, status=503, retry_after=20)
    assert Store("http://dhis2.test", ("admin", "district"), session=emulator.session())["app"]["cfg"] == 1
    assert waited == [20, 20]


@responses.activate
def test_an_emulator_stays_reachable_under_responses(emulator):
    """``responses`` catches what goes to adapters of ``requests``, and not what goes to an emulator."""
    responses.get("http://dhis2.test/api/dataStore/app/cfg", json="mocked")
    emulator.put("app", "cfg", "emulated")
    assert connect(emulator)["app"]["cfg"] == "emulated"
    assert Store("http://dhis2.test", ("admin", "district"))["app"]["cfg"] == "mocked"
