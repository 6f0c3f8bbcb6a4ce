"""Sharing as servers tell it and take it: by ids, in three forms, and with dates without a zone."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dhis2kv import errors
from dhis2kv.wire.sharing import Grants, Metadata, Sharing, given_id, grants, moment

RECORDINGS = Path(__file__).parents[1] / "recordings"
TO_THE_EAST = timezone(timedelta(hours=3))


def recorded():
    """What servers were seen to take, ``PUT /api/sharing``, each with what they told of the entry then."""
    for exchange in json.loads((RECORDINGS / "global-sharing.json").read_text())["exchanges"]:
        request = exchange["request"]
        if request["method"] == "PUT" and request["target"].startswith("/api/sharing"):
            taken = json.loads(request["body"])
        elif request["target"].endswith("/a/metaData") and request["as"] == "admin":
            for reply in exchange["replies"]:
                if reply["status"] == 200:
                    yield taken, json.loads(reply["body"])
        elif (request["method"], request["target"]) == ("POST", "/api/dataStore/app/a"):
            access = {"publicAccess": "rw------", "externalAccess": False}
            taken = {"object": {**access, "userAccesses": [], "userGroupAccesses": []}}


def test_what_servers_tell_is_what_they_took():
    """From an entry's metaData comes the body that had made it so; that of a new entry is the default."""
    told = list(recorded())
    for taken, about in told:
        found = grants(about)
        assert json.loads(found.body) == taken
        assert found.is_default is (taken["object"]["publicAccess"] == "rw------")
    assert len({json.dumps(taken) for taken, _ in told}) > 1


def test_nothing_is_left_out():
    """What is set back is all that was found: ids, accesses, and access without signing in, which old servers keep."""
    users = {"M5zQapPyTZI": {"id": "M5zQapPyTZI", "access": "r-------"}}
    groups = {"Vi19T3Zvjcb": {"id": "Vi19T3Zvjcb", "access": "rw------"}}
    found = grants({"sharing": {"public": "--------", "external": True, "users": users, "userGroups": groups}})
    assert found == Grants("--", {"M5zQapPyTZI": "r-"}, {"Vi19T3Zvjcb": "rw"}, external=True)
    assert json.loads(found.body)["object"] == {
        "publicAccess": "--------",
        "externalAccess": True,
        "userAccesses": [{"id": "M5zQapPyTZI", "access": "r-------"}],
        "userGroupAccesses": [{"id": "Vi19T3Zvjcb", "access": "rw------"}],
    }


@pytest.mark.parametrize(
    "change", [{"public": "r"}, {"users": {"a": "r-"}}, {"groups": {"a": "r-"}}, {"external": True}], ids=str
)
def test_what_is_not_the_default(change):
    """Anything that a new entry does not have."""
    assert Grants().is_default
    assert not Grants(**change).is_default


def test_users_and_groups_that_are_not_told_are_none():
    """A server that has nobody to name may leave them out, or say null."""
    for sharing in ({"public": "r-------"}, {"public": "r-------", "users": None, "userGroups": None}):
        assert grants({"sharing": sharing}) == Grants("r-", {}, {})


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"sharing": "rw------"},
        *(
            {"sharing": {"public": "rw------", name: wrong}}
            for name in ("users", "userGroups")
            for wrong in ([], "", 0)
        ),
        {"sharing": {"public": "rw------", "users": {"M5zQapPyTZI": "rw------"}}},
        {"sharing": {"public": "rw------", "users": {"M5zQapPyTZI": {"access": "all"}}}},
        *({"sharing": {"public": "rw------", "users": wrong}} for wrong in ([], "", 0)),
    ],
    ids=str,
)
def test_sharing_that_cannot_be_read(about):
    """It is never taken for another: setting back what was guessed could open an entry."""
    with pytest.raises(ValueError, match=r"sharing|no objects|no access"):
        grants(about)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("2024-07-01T12:00:00.000", "2024-07-01T12:00:00+03:00"),
        ("2024-07-01T12:00:00.000+0100", "2024-07-01T12:00:00+01:00"),
        ("2024-07-01T12:00:00Z", "2024-07-01T12:00:00+00:00"),
    ],
)
def test_a_date_is_in_the_servers_zone(text, there):
    """Unless it says its own."""
    assert moment(text, TO_THE_EAST).isoformat() == there


@pytest.mark.parametrize("wrong", [None, 1719835200000, "", "yesterday", ["2024-07-01"]])
def test_what_is_no_date(wrong):
    """It is an error, and not now, nor never."""
    with pytest.raises(ValueError, match=r"no date|isoformat"):
        moment(wrong, TO_THE_EAST)


def test_what_was_found_out_does_not_change():
    """Neither what is known of an entry nor its sharing can be edited in the belief that the server hears of it."""
    then = datetime(2024, 7, 1, tzinfo=TO_THE_EAST)
    about = Metadata("app", "k", "M5zQapPyTZI", then, then, "alice", None, Sharing())
    for found, name in ((about, "key"), (about.sharing, "public"), (Grants(), "public")):
        with pytest.raises(AttributeError, match="cannot assign"):
            setattr(found, name, "--")


def test_who_owns_an_entry_is_no_part_of_its_sharing():
    """What is read, with its owner, equals what was set, without; nobody owns what was not read."""
    assert Sharing("r", owner="alice") == Sharing("r") != Sharing("rw", owner="alice")
    assert {Sharing("r", owner="alice"): 1}[Sharing("r")] == 1
    assert Sharing().owner is None


@pytest.mark.parametrize(("name", "uid"), [("id:M5zQapPyTZI", "M5zQapPyTZI"), ("M5zQapPyTZI", None), ("id", None)])
def test_a_name_that_is_an_id(name, uid):
    """Only with its prefix: whoever is called like an id is not taken for one."""
    assert given_id(name) == uid


@pytest.mark.parametrize("name", ["id:", "id:M5zQapPyTZ", "id:M5zQapPyTZIX", "id:5MzQapPyTZI", "id:M5zQapPyTZI\n"])
def test_a_prefix_without_an_id(name):
    """It is refused, since the server drops such an id without a word."""
    with pytest.raises(errors.InvalidValue, match="holds no id"):
        given_id(name)
