"""The own store of another account: what superusers can do with it, and who is refused before harm is done."""

import json
import pickle

import pytest

from dhis2kv import KeyNotFound, Rejected, Store, where
from dhis2kv.emulator import Emulator
from tests.cli.line import command_line  # noqa: F401 - the fixture
from tests.conftest import connect, sent

LISTENING = ["2.38.1", "2.38", "2.39", "2.40", "2.42.5", "2.44"]
DEAF = ["2.36", "2.37", "2.38.0"]


def server(version):
    emulator = Emulator(version=version)
    emulator.add_user("alice", "pw")
    emulator.load({"app": {"a": "of alice", "n": {"x": 1}}}, user="alice")
    emulator.load({"app": {"a": "of admin"}}, user="admin")
    emulator.load({"app": {"a": "of all"}})
    return emulator


@pytest.mark.parametrize("version", LISTENING)
def test_it_is_a_store_as_others(version):
    """All that can be done with the own store can be done with another's, and nobody else's is touched."""
    emulator = server(version)
    store = connect(emulator)
    hers = store.of("alice")
    assert list(hers.keys()) == ["app"]
    namespace = hers["app"]
    assert namespace.copy() == {"a": "of alice", "n": {"x": 1}}
    assert namespace["a"] == "of alice"
    assert "b" not in namespace
    assert namespace.find(where("x") == 1) == {"n": {"x": 1}}
    assert namespace.get_many(["a", "b", "keys"]) == {"a": "of alice"}
    assert namespace.add("b", 1)
    assert not namespace.add("b", 2)
    namespace["a"] = "by admin"
    namespace["c.json"] = 3
    namespace.update(d=4, keys=5)
    assert namespace.pop("d") == 4
    del namespace["b"]
    with pytest.raises(KeyNotFound):
        namespace["b"]
    assert connect(emulator, auth=("alice", "pw")).user["app"].copy() == {
        "a": "by admin",
        "n": {"x": 1},
        "c.json": 3,
        "keys": 5,
    }
    hers.namespace("app", encrypt=True)["s"] = "secret"
    assert namespace["s"] == "secret"
    del hers["app"]
    assert namespace.copy() == {}
    assert store.user["app"].copy() == {"a": "of admin"}
    assert store["app"].copy() == {"a": "of all"}


@pytest.mark.parametrize("version", DEAF)
def test_a_server_that_does_not_listen_is_not_asked(version):
    """Where username= is ignored the answer would be one's own: it is refused before anything is read or written."""
    emulator = server(version)
    hers = connect(emulator).of("alice")
    for act in (
        lambda: hers["app"]["a"],
        lambda: hers["app"].copy(),
        lambda: list(hers),
        lambda: hers["app"].__setitem__("a", 1),
        lambda: hers["app"].clear(),
    ):
        with pytest.raises(Rejected, match=r"2\.38\.1"):
            act()
    assert not any("DataStore" in target for _, target in sent(emulator))


@pytest.mark.parametrize("write", [lambda ns: ns.add("a", 1), lambda ns: ns.__setitem__("a", 1), lambda ns: ns["a"]])
def test_who_may_not(write):
    """Who is no superuser, or asks for nobody, is told so: a refusal is not taken for an entry that is there."""
    emulator = server("2.44")
    with pytest.raises(Rejected, match="superusers"):
        write(connect(emulator, auth=("alice", "pw")).of("admin")["app"])
    with pytest.raises(Rejected, match="nobody"):
        write(connect(emulator).of("nobody")["app"])
    assert connect(emulator).user["app"].copy() == {"a": "of admin"}


def test_nobody_is_no_account():
    """A server takes an empty username for one's own: it is refused; so is what is no text."""
    store = Store("https://dhis2.example.org", ("a", "b"))
    for name in ("", " ", None, 7):
        with pytest.raises(ValueError, match="whose store"):
            store.of(name)


def test_it_costs_two_requests_at_first():
    """Making one sends nothing; its first call costs two more, the others none."""
    emulator = server("2.44")
    namespace = connect(emulator).of("alice")["app"]
    assert sent(emulator) == []
    assert namespace["a"] == "of alice"
    assert len(sent(emulator)) == 3
    assert namespace["a"] == "of alice"
    assert len(sent(emulator)) == 1


def test_the_cache_keeps_it_apart():
    """What a cache holds of one account's store is never given for another's."""
    store = connect(server("2.44"), ttl=60)
    for _ in range(2):
        assert [place["app"]["a"] for place in (store, store.user, store.of("alice"), store.of("admin"))] == [
            "of all",
            "of admin",
            "of alice",
            "of admin",
        ]
    store.of("alice")["app"]["a"] = "new"
    assert store.of("alice")["app"]["a"] == "new"
    assert store.user["app"]["a"] == "of admin"


def test_whose_it_is():
    """repr says it, .user and .of of it are what they are of the store, and a pickle keeps it."""
    store = Store("https://dhis2.example.org", ("admin", "pw"))
    hers = store.of("alice")
    assert repr(hers) == "<Store https://dhis2.example.org userDataStore of alice as admin>"
    assert repr(hers.datastore) == "<Datastore https://dhis2.example.org userDataStore of alice as admin>"
    assert hers.user is hers
    assert repr(hers.of("bob")) == "<Store https://dhis2.example.org userDataStore of bob as admin>"
    assert hers.of("bob").datastore.transport.plain is store.datastore.transport
    assert repr(pickle.loads(pickle.dumps(hers["app"]))._store) == repr(hers)


def test_on_the_command_line(command_line):  # noqa: F811 - pytest's way to use a fixture
    """--of names the account, before and after the command."""
    command_line.emulator.add_user("alice", "pw")
    command_line.emulator.put("app", "a", 1, user="alice")
    assert json.loads(command_line.run("get app a --of alice").stdout) == 1
    assert command_line.run("--of alice keys app").stdout == "a\n"
    assert command_line.run("set app b 2 --of alice").exit_code == 0
    assert command_line.run("delete app a --yes --of alice").exit_code == 0
    assert connect(command_line.emulator, auth=("alice", "pw")).user["app"].copy() == {"b": 2}
    assert command_line.run("get app b --user").exit_code == 3
    assert command_line.run("get app b --of nobody").exit_code == 1
    assert command_line.run(["get", "app", "b", "--of", ""]).exit_code == 2
