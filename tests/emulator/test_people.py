"""Users and groups: whom an entry can be shared with, who finds them, and since when members read what groups may."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dhis2kv.emulator import PROFILES, Emulator

from .test_server import ask, value

ANN, BEN = "ann:a-Passw0rd", "ben:b-Passw0rd"


def server(version: str = "2.42", **options: Any) -> Emulator:
    """An emulator with two ordinary accounts, and an entry app/a of the superuser."""
    emulator = Emulator(version, **options)
    for name in (ANN, BEN):
        emulator.add_user(*name.split(":"))
    emulator.put("app", "a", 1)
    return emulator


def uid_of(emulator: Emulator, path: str) -> str:
    """The id in an answer."""
    return str(value(ask(emulator, "GET", path))["id"])


def share(emulator: Emulator, **accesses: object) -> int:
    """Set the sharing of app/a; the status."""
    uid = uid_of(emulator, "/api/dataStore/app/a/metaData")
    return ask(emulator, "PUT", f"/api/sharing?type=dataStore&id={uid}", {"object": accesses}).status


def shared(emulator: Emulator, who: str = "admin:district") -> Any:
    """The sharing dialog's view of app/a."""
    uid = uid_of(emulator, "/api/dataStore/app/a/metaData")
    return value(ask(emulator, "GET", f"/api/sharing?type=dataStore&id={uid}", as_=who))["object"]


def group_uid(emulator: Emulator, name: str) -> str:
    """The id of a group, as the search tells it."""
    found = value(ask(emulator, "GET", f"/api/sharing/search?key={quote(name)}"))["userGroups"]
    return next(str(group["id"]) for group in found if group["name"] == name)


@pytest.mark.parametrize("version", PROFILES)
def test_a_group_may_what_its_sharing_says(version: str) -> None:
    """Members read an entry, in lists and queries too, and write it where their group may; others do not."""
    emulator = server(version)
    emulator.add_group("Editors", ["ann"])
    for access, reads, writes in (("r-------", 200, 403), ("rw------", 200, 200), ("--------", 403, 403)):
        given = [{"id": group_uid(emulator, "Editors"), "access": access}]
        assert share(emulator, publicAccess="--------", userGroupAccesses=given) == 200
        open_ = not emulator.profile.sharing_on_reads
        for who, read, write in ((ANN, reads, writes), (BEN, 403, 403)):
            assert ask(emulator, "GET", "/api/dataStore/app/a", as_=who).status == (200 if open_ else read)
            assert ask(emulator, "PUT", "/api/dataStore/app/a", 2, as_=who).status == write
            listed = value(ask(emulator, "GET", "/api/dataStore/app", as_=who))
            assert listed == (["a"] if read == 200 or not emulator.profile.sharing_on_lists else [])


@pytest.mark.parametrize("version", ["2.36", "2.41", "2.42", "2.43", "2.44"])
def test_a_session_knows_the_groups_of_its_sign_in(version: str) -> None:
    """From 2.42 on a new member reads after signing in anew, without the cookie or by a token; before that, at once."""
    emulator = server(version)
    cookie = ask(emulator, "GET", "/api/me", as_=ANN).header("Set-Cookie") or ""
    emulator.add_group("Editors", ["ann"])
    share(
        emulator,
        publicAccess="--------",
        userGroupAccesses=[{"id": group_uid(emulator, "Editors"), "access": "r-------"}],
    )
    late = emulator.profile.groups_of_sign_in
    assert late is (version >= "2.42")
    for who in (ANN, None):
        reply = ask(emulator, "GET", "/api/dataStore/app/a", as_=who, Cookie=cookie)
        assert reply.status == (403 if late else 200)
    assert ask(emulator, "GET", "/api/dataStore/app/a", as_=ANN).status == 200
    if emulator.profile.token_sign_in:
        key = value(ask(emulator, "POST", "/api/apiToken", {}, as_=ANN))["response"]["key"]
        signed = f"ApiToken {key}"
        reply = ask(emulator, "GET", "/api/dataStore/app/a", as_=None, Authorization=signed, Cookie=cookie)
        assert reply.status == 200


def test_groups_are_made_and_deleted_by_requests() -> None:
    """POST makes a group of those that exist, and DELETE takes it out of the sharing of every entry."""
    emulator = server()
    ann = uid_of(emulator, "/api/userLookup/ann")
    made = ask(emulator, "POST", "/api/userGroups", {"name": "A, B", "users": [{"id": ann}, {"id": "abcdefghijk"}]})
    uid = value(made)["response"]["uid"]
    assert (made.status, made.header("Location")) == (201, f"http://dhis2.test/api/userGroups/{uid}")
    assert value(ask(emulator, "GET", f"/api/userGroups/{uid}"))["users"] == [{"id": ann}]
    assert ask(emulator, "POST", "/api/userGroups", {"name": "A, B"}).status == 409
    share(emulator, publicAccess="--------", userGroupAccesses=[{"id": uid, "access": "r-------"}])
    assert ask(emulator, "GET", "/api/dataStore/app/a", as_=ANN).status == 200
    for who, status in ((ANN, 403), ("admin:district", 200), ("admin:district", 404)):
        assert ask(emulator, "DELETE", f"/api/userGroups/{uid}", as_=who).status == status
    assert shared(emulator)["userGroupAccesses"] == []
    assert value(ask(emulator, "GET", "/api/dataStore/app/a/metaData"))["sharing"]["userGroups"] == {}
    assert ask(emulator, "GET", "/api/dataStore/app/a", as_=ANN).status == 403


def test_ordinary_accounts_make_no_groups() -> None:
    """POST of a group and the list of users need an authority; the list of groups, searches and look-ups do not."""
    emulator = server()
    emulator.add_user("hr", "h-Passw0rd", authorities=["F_USER_VIEW", "F_USERGROUP_PUBLIC_ADD"])
    assert ask(emulator, "POST", "/api/userGroups", {"name": "Mine"}, as_=ANN).status == 403
    assert ask(emulator, "GET", "/api/users", as_=ANN).status == 403
    assert ask(emulator, "POST", "/api/userGroups", {"name": "Mine"}, as_="hr:h-Passw0rd").status == 201
    assert ask(emulator, "GET", "/api/users", as_="hr:h-Passw0rd").status == 200
    for path in ("userGroups", "sharing/search?key=a", "userLookup?query=a", "userLookup/ben"):
        assert ask(emulator, "GET", f"/api/{path}", as_=ANN).status == 200
        assert ask(emulator, "GET", f"/api/{path}", as_=None).status == 401


def test_who_is_found() -> None:
    """The search finds parts of names in any case; a look-up one user by id or username, and nobody with no body."""
    emulator = server()
    emulator.add_group("Joanne's, and others", ["ben"])
    found = value(ask(emulator, "GET", "/api/sharing/search?key=ANN", as_=BEN))
    assert [user["username"] for user in found["users"]] == ["ann"]
    assert [group["name"] for group in found["userGroups"]] == ["Joanne's, and others"]
    ben = value(ask(emulator, "GET", "/api/userLookup/ben", as_=ANN))
    assert ben["username"] == "ben"
    assert value(ask(emulator, "GET", f"/api/userLookup/{ben['id']}", as_=ANN)) == ben
    nobody = ask(emulator, "GET", "/api/userLookup/be", as_=ANN)
    assert (nobody.status, nobody.body, nobody.header("Content-Type")) == (200, b"", None)
    for name, count in (("ben", 1), ("be", 0)):
        users = value(ask(emulator, "GET", f"/api/users?filter=username:eq:{name}&fields=username&paging=false"))
        assert users == {"users": [{"username": "ben"}] * count}


def test_a_comma_splits_a_filter() -> None:
    """A group with a comma in its name is not found by ``filter=name:eq:``, with the search it is."""
    emulator = server()
    for name in ("A", "A, B"):
        emulator.add_group(name, [])
    path = "/api/userGroups?fields=name&paging=false&filter=name:eq:"
    assert value(ask(emulator, "GET", f"{path}A"))["userGroups"] == [{"name": "A"}]
    assert value(ask(emulator, "GET", f"{path}A,%20B"))["userGroups"] == []
    assert group_uid(emulator, "A, B") != group_uid(emulator, "A")


def test_lists_are_paged() -> None:
    """Without ``paging=false`` a list comes in pages, with id and displayName of each."""
    emulator = server()
    for number in range(3):
        emulator.add_group(f"G{number}", [])
    page = value(ask(emulator, "GET", "/api/userGroups?pageSize=2&page=2"))
    assert page["pager"] == {"page": 2, "total": 3, "pageSize": 2, "pageCount": 2}
    assert [group.keys() for group in page["userGroups"]] == [{"id", "displayName"}]
    assert page["userGroups"][0]["displayName"] == "G2"


def test_a_public_access_of_null() -> None:
    """Left out, public access is null: shown as open, open in lists, and closed for who reads the entry."""
    emulator = server()
    for access in ({}, {"publicAccess": None}, {"publicAccess": ""}):
        assert share(emulator, publicAccess="--------") == 200
        assert share(emulator, **access) == 200
        assert shared(emulator)["publicAccess"] == "rw------"
        assert "public" not in value(ask(emulator, "GET", "/api/dataStore/app/a/metaData"))["sharing"]
        assert value(ask(emulator, "GET", "/api/dataStore/app", as_=ANN)) == ["a"]
        assert ask(emulator, "GET", "/api/dataStore/app/a", as_=ANN).status == 403


@pytest.mark.parametrize("version", ["2.36", "2.40", "2.41"])
def test_accesses_in_metadata(version: str) -> None:
    """``sharing`` has users and groups by id; up to 2.40 lists of both stand beside, each with its id twice."""
    emulator = server(version)
    emulator.add_group("Editors", ["ann"])
    ann, editors = uid_of(emulator, "/api/userLookup/ann"), group_uid(emulator, "Editors")
    share(
        emulator,
        publicAccess="--------",
        userAccesses=[{"id": ann, "access": "rw------"}],
        userGroupAccesses=[{"id": editors, "access": "r-------"}, {"id": "abcdefghijk", "access": "r-------"}],
    )
    about = value(ask(emulator, "GET", "/api/dataStore/app/a/metaData"))
    assert about["sharing"]["users"] == {ann: {"access": "rw------", "id": ann}}
    assert about["sharing"]["userGroups"] == {editors: {"access": "r-------", "id": editors}}
    lists = {name: about.get(name) for name in ("userAccesses", "userGroupAccesses")}
    if version == "2.41":
        assert lists == {"userAccesses": None, "userGroupAccesses": None}
    else:
        assert lists == {
            "userAccesses": [{"access": "rw------", "userUid": ann, "id": ann}],
            "userGroupAccesses": [{"access": "r-------", "userGroupUid": editors, "id": editors}],
        }


def test_groups_of_the_emulator() -> None:
    """``add_group`` replaces the group of that name, whose id stays; members need accounts; ``reset`` leaves groups."""
    emulator = server()
    emulator.add_group("Editors", ["ann"])
    uid = group_uid(emulator, "Editors")
    emulator.add_group("Editors", ["ben"])
    emulator.reset()
    assert group_uid(emulator, "Editors") == uid
    members = value(ask(emulator, "GET", f"/api/userGroups/{uid}"))["users"]
    assert members == [{"id": uid_of(emulator, "/api/userLookup/ben")}]
    with pytest.raises(ValueError, match=r"'eve'.*'Editors'.*account"):
        emulator.add_group("Editors", ["eve"])


def test_groups_outlive_the_emulator(tmp_path: Path) -> None:
    """Groups, and sharing with them, are there again after a restart on the same file."""
    db = str(tmp_path / "store.db")
    first = server(db=db)
    first.add_group("Editors", ["ann"])
    share(first, publicAccess="--------", userGroupAccesses=[{"id": group_uid(first, "Editors"), "access": "r-------"}])
    first.close()
    second = Emulator(db=db)
    second.add_user(*ANN.split(":"))
    assert ask(second, "GET", "/api/dataStore/app/a", as_=ANN).status == 200
    second.close()


def test_a_file_of_an_earlier_version_is_taken(tmp_path: Path) -> None:
    """A database from before there were groups gets what it lacks, and keeps what it has."""
    db = str(tmp_path / "store.db")
    first = server(db=db)
    key = value(ask(first, "POST", "/api/apiToken", {}))["response"]["key"]
    first.close()
    with contextlib.closing(sqlite3.connect(db)) as database:
        database.executescript(
            "ALTER TABLE entry DROP COLUMN groups; ALTER TABLE token DROP COLUMN methods; DROP TABLE user_group;"
        )
    second = server(db=db)
    second.add_group("Editors", ["ann"])
    signed = f"ApiToken {key}"
    assert value(ask(second, "GET", "/api/dataStore/app/a", as_=None, Authorization=signed)) == 1
    second.close()
