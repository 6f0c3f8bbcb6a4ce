"""The releases: which profile one is given, and what it does that the tip of its branch does not."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from dhis2kv.emulator import PROFILES, RELEASES, Emulator, Reply
from dhis2kv.emulator.releases import profile_of

from .conversations import recordings
from .test_server import ask, value

ANN = "ann:a-Passw0rd"
NAMES = ("version", "release", "build_day", "revision")


def server(version: str) -> Emulator:
    """An emulator with one ordinary account besides the superuser."""
    emulator = Emulator(version)
    emulator.add_user("ann", "a-Passw0rd")
    return emulator


def facts(version: str) -> dict[str, Any]:
    """What a version does, without how it calls itself."""
    found = dataclasses.asdict(profile_of(version))
    return {name: fact for name, fact in found.items() if name not in NAMES}


def status(reply: Reply) -> int:
    """The status, where nothing else is of interest."""
    return reply.status


# Names


def test_a_release_is_told_as_real_servers_tell_it() -> None:
    """``version`` is the release's number and ``buildTime`` a date; snapshots say so, some releases too."""
    for version, told in {
        "2.42.5": "2.42.5",
        "2.41.9.1": "2.41.9.1",
        "2.39.0.1": "2.39.0.1-SNAPSHOT",
        "2.42": "2.42.7-SNAPSHOT",
        "2.44": "2.44-SNAPSHOT",
    }.items():
        emulator = Emulator(version)
        info = value(ask(emulator, "GET", "/api/system/info"))
        assert (emulator.version, info["version"]) == (version, told)
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", info["buildTime"])


def test_snapshots_are_told_apart_by_their_build() -> None:
    """The tips were built after DHIS2-21740 was mended, 2026-07-03, in the branches that ever had it."""
    for version in ("2.41", "2.42", "2.43", "2.44"):
        info = value(ask(Emulator(version), "GET", "/api/system/info?fields=buildTime"))
        assert list(info) == ["buildTime"]
        assert info["buildTime"] > "2026-07-03"


@pytest.mark.parametrize(
    "version",
    [
        "",
        "2",
        "2.",
        "2.4",
        "2.35.1",
        "2.45.0",
        "2.42.",
        "2.42.x",
        "2.42.5.1.1",
        "2.42.05",
        "v2.42.5",
        "2.42.5-SNAPSHOT",
    ],
)
def test_other_texts_are_no_versions(version: str) -> None:
    """What is neither a tip nor the number of a release is refused, in words that show both."""
    with pytest.raises(ValueError, match=r'2\.36, .*2\.44.*"2\.41\.0"'):
        Emulator(version)


def test_a_release_has_the_facts_of_its_neighbours() -> None:
    """Between two changes all releases of a line are alike, and past the last as good as the tip."""
    for like, other in {
        "2.41.3": "2.41.1",
        "2.41.9.1": "2.41.9",
        "2.42.1": "2.42.0",
        "2.42.5.1": "2.42.5.2",
        "2.39.4.1": "2.39.4",
        "2.40.2.2": "2.40.2",
        "2.42.6": "2.42",
        "2.42.11": "2.42",
        "2.41.10": "2.41",
        "2.43.1": "2.43",
        "2.44.0": "2.44",
        "2.40.12": "2.40",
        "2.39.10.1": "2.39",
        "2.38.7": "2.38",
        "2.37.10": "2.37",
        "2.36.13.2": "2.36",
    }.items():
        assert facts(like) == facts(other), (like, other)


def test_listed_releases_differ() -> None:
    """Each of ``RELEASES`` does something that its tip does not, and is named as it is asked for."""
    for version, profile in RELEASES.items():
        line = ".".join(version.split(".")[:2])
        assert Emulator(version).profile == profile
        assert facts(version) != facts(line), version
    assert not set(RELEASES) & set(PROFILES)


# DHIS2-21740

OF_ALL = ("2.41.0", "2.41.9", "2.41.9.1", "2.42.0", "2.42.5", "2.42.5.2", "2.43.0", "2.43.0.1")
OF_ONE = ("2.40", "2.40.0.1", "2.40.12", "2.41.10", "2.41", "2.42.6", "2.42", "2.43.1", "2.43", "2.44")


def put(emulator: Emulator, path: str, body: Any, who: str = "admin:district") -> int:
    """The status of a PUT in the user store; without a body for ``...``."""
    return ask(emulator, "PUT", f"/api/userDataStore/app/{path}", None if body is ... else body, as_=who).status


def read(emulator: Emulator, key: str, who: str) -> Any:
    """What an account reads of its own store; None where there is nothing."""
    reply = ask(emulator, "GET", f"/api/userDataStore/app/{key}", as_=who)
    return value(reply) if reply.status == 200 else None


def two_accounts(version: str) -> Emulator:
    """An emulator where two accounts have an entry of one name."""
    emulator = server(version)
    for who in ("admin:district", ANN):
        name = who.partition(":")[0]
        assert ask(emulator, "POST", "/api/userDataStore/app/k", {"of": name, "log": []}, as_=who).status == 201
    return emulator


@pytest.mark.parametrize("version", [*OF_ALL, *OF_ONE])
def test_update_of_one_account_is_of_all(version: str) -> None:
    """A PUT of an existing user entry writes every account's row in the releases that have the fault, else one's."""
    emulator = two_accounts(version)
    expected = 201 if version == "2.40.0.1" else 200
    assert put(emulator, "k", "mine") == expected
    assert read(emulator, "k", "admin:district") == "mine"
    assert read(emulator, "k", ANN) == ("mine" if version in OF_ALL else {"of": "ann", "log": []})


@pytest.mark.parametrize("version", [*OF_ALL, "2.41", "2.42", "2.44"])
def test_other_updates_are_of_all_too(version: str) -> None:
    """``path``, ``roll`` and a PUT without a body write each account's own row, or remove it."""
    emulator = two_accounts(version)
    hit = version in OF_ALL
    assert put(emulator, "k?path=of", "x") == 200
    assert read(emulator, "k", ANN) == {"of": "x" if hit else "ann", "log": []}
    assert put(emulator, "k?path=log&roll=2", 1) == 200
    assert read(emulator, "k", ANN)["log"] == ([1] if hit else [])
    assert put(emulator, "k", ...) == 200
    assert read(emulator, "k", "admin:district") is None
    assert (read(emulator, "k", ANN) is None) is hit


@pytest.mark.parametrize("version", OF_ALL)
def test_deleting_and_creating_are_of_one(version: str) -> None:
    """DELETE of an entry and of a namespace, and POST, touch the caller's rows alone; the shared store is apart."""
    emulator = two_accounts(version)
    ask(emulator, "POST", "/api/dataStore/app/k", "shared")
    assert put(emulator, "k", "all") == 200
    assert value(ask(emulator, "GET", "/api/dataStore/app/k")) == "shared"
    assert ask(emulator, "DELETE", "/api/userDataStore/app/k").status == 200
    assert ask(emulator, "POST", "/api/userDataStore/app/k", "new").status == 201
    assert read(emulator, "k", ANN) == "all"
    assert ask(emulator, "DELETE", "/api/userDataStore/app").status == 200
    assert read(emulator, "k", ANN) == "all"
    assert put(emulator, "k", "own") == 201
    assert read(emulator, "k", ANN) == "all"


def test_an_update_of_all_is_one_statement() -> None:
    """Where the database refuses one account's row, nobody's is written: a path into a scalar is refused."""
    emulator = server("2.42.5")
    ask(emulator, "POST", "/api/userDataStore/app/k", {"a": 1})
    ask(emulator, "POST", "/api/userDataStore/app/k", 5, as_=ANN)
    assert put(emulator, "k?path=a", 2) == 409
    assert read(emulator, "k", "admin:district") == {"a": 1}


def test_encrypted_entries_leak_the_others_values() -> None:
    """An encrypted entry of another account keeps its text, and shows the caller's in bulk."""
    emulator = server("2.42.5")
    ask(emulator, "POST", "/api/userDataStore/app/k?encrypt=true", "secret", as_=ANN)
    ask(emulator, "POST", "/api/userDataStore/app/k", 1)
    assert put(emulator, "k", "open") == 200
    assert read(emulator, "k", ANN) == "secret"
    bulk = ask(emulator, "GET", "/api/userDataStore/app?fields=.&headless=true", as_=ANN)
    assert value(bulk) == [{"key": "k", "value": "open"}]


# The other rows


@pytest.mark.parametrize(
    ("before", "good"), [("2.39.4.1", "2.39.5"), ("2.40.2.2", "2.40.3"), ("2.40.0", "2.41.0"), ("2.39.0", "2.42.0")]
)
def test_sharing_protects_no_reads(before: str, good: str) -> None:
    """A closed entry is read, listed and deleted with its namespace by everybody, and its 403s hold the value."""
    for version, open_ in ((before, True), (good, False)):
        emulator = server(version)
        ask(emulator, "POST", "/api/dataStore/app/a", "secret")
        uid = value(ask(emulator, "GET", "/api/dataStore/app/a/metaData"))["id"]
        closed = {"object": {"publicAccess": "--------"}}
        assert ask(emulator, "PUT", f"/api/sharing?type=dataStore&id={uid}", closed).status == 200
        for path in ("a", "a/metaData"):
            assert ask(emulator, "GET", f"/api/dataStore/app/{path}", as_=ANN).status == (200 if open_ else 403)
        assert value(ask(emulator, "GET", "/api/dataStore/app", as_=ANN)) == (["a"] if open_ else [])
        bulk = value(ask(emulator, "GET", "/api/dataStore/app?fields=.&headless=true", as_=ANN))
        assert bulk == ([{"key": "a", "value": "secret"}] if open_ else [])
        refused = ask(emulator, "DELETE", "/api/dataStore/app/a", as_=ANN)
        assert (refused.status, b"secret" in refused.body) == (403, open_)
        assert ask(emulator, "DELETE", "/api/dataStore/app", as_=ANN).status == (200 if open_ else 403)


@pytest.mark.parametrize(("before", "good"), [("2.38.0", "2.38.1"), ("2.37.10", "2.38.1")])
def test_username_is_not_listened_to(before: str, good: str) -> None:
    """A superuser who names another account reads the own store, where the parameter is not known."""
    for version, own in ((before, True), (good, False)):
        emulator = server(version)
        emulator.put("app", "a", "ann's", user="ann")
        emulator.put("app", "a", "mine", user="admin")
        found = value(ask(emulator, "GET", "/api/userDataStore/app/a?username=ann"))
        assert found == ("mine" if own else "ann's")


@pytest.mark.parametrize(
    ("before", "good"), [("2.38.4.3", "2.38.5"), ("2.39.2.1", "2.39.3"), ("2.40.0.1", "2.40.1"), ("2.37.10", "2.41.0")]
)
def test_put_does_not_create(before: str, good: str) -> None:
    """PUT of an absent key is 404 in both stores; over a user entry it then answers 201."""
    for version, creates in ((before, False), (good, True)):
        emulator = server(version)
        for store in ("dataStore", "userDataStore"):
            assert ask(emulator, "PUT", f"/api/{store}/app/a", 1).status == (201 if creates else 404)
            ask(emulator, "POST", f"/api/{store}/app/a", 1)
        assert put(emulator, "a", 2) == (200 if creates else 201)


@pytest.mark.parametrize(
    ("store", "before", "good"), [("dataStore", "2.39.4", "2.39.5"), ("userDataStore", "2.40.0.1", "2.40.1")]
)
def test_keys_is_a_key(store: str, before: str, good: str) -> None:
    """``/{ns}/keys`` is the entry of that name before it is the listing."""
    for version, found in ((before, 1), (good, ["keys"])):
        emulator = server(version)
        ask(emulator, "POST", f"/api/{store}/app/keys", 1)
        assert value(ask(emulator, "GET", f"/api/{store}/app/keys")) == found


def test_the_user_store_of_2_40_0() -> None:
    """No entries query, DELETE of a namespace that is not there is 200, and JSON is read no further than a value."""
    for version, old in (("2.40.0.1", True), ("2.40.1", False)):
        emulator = server(version)
        emulator.put("app", "a", 1, user="admin")
        bulk = value(ask(emulator, "GET", "/api/userDataStore/app?fields=.&headless=true"))
        assert bulk == (["a"] if old else [{"key": "a", "value": 1}])
        assert ask(emulator, "DELETE", "/api/userDataStore/none").status == (200 if old else 404)
        entry = ask(emulator, "GET", "/api/userDataStore/app/a")
        assert ("no-store" in (entry.header("Cache-Control") or "")) is old
        missing = value(ask(emulator, "GET", "/api/userDataStore/app/none"))
        assert missing["message"].startswith("The key" if old else "Key")


def test_queries_of_old_releases() -> None:
    """A comma too many in 2.38.0; ``paging=false`` is a bare array; a ``lastUpdated`` that finds nothing is 404."""
    for version, tail in (("2.38.0", b'50,},"entries"'), ("2.38.1", b'50},"entries"')):
        emulator = server(version)
        emulator.put("app", "a", 1)
        assert tail in ask(emulator, "GET", "/api/dataStore/app?fields=.").body
        late = ask(emulator, "GET", "/api/dataStore/app?lastUpdated=2999")
        assert late.status == (404 if version == "2.38.0" else 200)
    for before, good in (("2.38.5.1", "2.38.6"), ("2.39.4.1", "2.39.5"), ("2.40.2.2", "2.40.3")):
        for version, kind in ((before, list), (good, dict)):
            emulator = server(version)
            emulator.put("app", "a", 1)
            assert isinstance(value(ask(emulator, "GET", "/api/dataStore/app?fields=.&paging=false")), kind)


@pytest.mark.parametrize(
    ("before", "good"), [("2.40.10", "2.40.11"), ("2.41.7", "2.41.8"), ("2.42.4.1", "2.42.5"), ("2.39.9", "2.43.0")]
)
def test_refusals_of_the_database(before: str, good: str) -> None:
    """A name too long is 500 without the database's words, or 409 with them."""
    for version, expected in ((before, 500), (good, 409)):
        reply = ask(server(version), "POST", "/api/dataStore/app/" + "k" * 256, 1)
        assert reply.status == expected
        told = "could not execute statement" if expected == 500 else "value too long"
        assert told in value(reply)["message"]


def test_capture_is_open() -> None:
    """The namespace ``capture`` may be written by everybody before it is guarded."""
    for before, good in (("2.39.5", "2.39.6"), ("2.40.4.1", "2.40.5"), ("2.41.0.1", "2.41.1")):
        for version, expected in ((before, 201), (good, 403)):
            assert ask(server(version), "POST", "/api/dataStore/capture/a", 1, as_=ANN).status == expected


def test_external_access_is_shown() -> None:
    """``external`` stands in sharing up to 2.41.8 and 2.42.5, and in none from 2.43.0 on."""
    for version, shown in (
        ("2.41.8.2", 1),
        ("2.41.9", 0),
        ("2.42.5.2", 1),
        ("2.42.6", 0),
        ("2.43.0", 0),
        ("2.40.0", 1),
    ):
        emulator = server(version)
        emulator.put("app", "a", 1)
        about = value(ask(emulator, "GET", "/api/dataStore/app/a/metaData"))
        dialog = value(ask(emulator, "GET", f"/api/sharing?type=dataStore&id={about['id']}"))
        found = ["external" in about["sharing"], "externalize" in about["access"]]
        found += ["allowExternalAccess" in dialog["meta"], "externalAccess" in dialog["object"]]
        assert found == [bool(shown)] * 4, version


def test_sharing_of_what_may_not_be_read() -> None:
    """``/api/sharing`` about a closed entry is 404 before it is 403."""
    for before, good in (("2.36.6", "2.36.7"), ("2.37.2", "2.37.3")):
        for version, expected in ((before, 404), (good, 403)):
            emulator = server(version)
            emulator.put("app", "a", 1)
            uid = value(ask(emulator, "GET", "/api/dataStore/app/a/metaData"))["id"]
            about = f"/api/sharing?type=dataStore&id={uid}"
            ask(emulator, "PUT", about, {"object": {"publicAccess": "--------"}})
            assert ask(emulator, "GET", about, as_=ANN).status == expected


def test_ping_is_unknown() -> None:
    """``/api/ping`` needs no sign-in where it is known, and is 401 where it is not."""
    for before, good in (("2.37.9.1", "2.37.10"), ("2.38.3.1", "2.38.4"), ("2.39.1.2", "2.39.2")):
        assert ask(server(before), "GET", "/api/ping", as_=None).status == 401
        assert ask(server(good), "GET", "/api/ping", as_=None).status == 200


# Tokens


def token(emulator: Emulator, *methods: str) -> Reply:
    """The reply to making a token that is limited to these methods."""
    limits = [{"type": "MethodAllowedList", "allowedMethods": list(methods)}] if methods else []
    return ask(emulator, "POST", "/api/apiToken", {"attributes": limits})


def test_tokens_break_me() -> None:
    """On 2.42.5 alone ``/api/me`` of an account with tokens is 500; another account's is not."""
    for version, expected in (("2.42.4.1", 200), ("2.42.5", 500), ("2.42.5.1", 200)):
        emulator = server(version)
        assert ask(emulator, "GET", "/api/me").status == 200
        assert token(emulator).status == 201
        assert ask(emulator, "GET", "/api/me").status == expected
        assert ask(emulator, "GET", "/api/me", as_=ANN).status == 200


@pytest.mark.parametrize("version", ["2.38", "2.40", "2.41.0", "2.42", "2.44"])
def test_token_limited_to_methods(version: str) -> None:
    """A token that may GET signs no HEAD and no PUT in; one without limits signs all in."""
    emulator = server(version)
    emulator.put("app", "a", 1)
    limited, free = (value(reply)["response"]["key"] for reply in (token(emulator, "GET"), token(emulator)))
    for key, statuses in ((limited, [200, 401, 401]), (free, [200, 200, 200])):
        signed = f"ApiToken {key}"
        found = [
            ask(emulator, method, "/api/dataStore/app/a", body, as_=None, Authorization=signed).status
            for method, body in (("GET", None), ("HEAD", None), ("PUT", 1))
        ]
        assert found == statuses


def test_head_cannot_always_be_allowed() -> None:
    """A token for GET and HEAD can be made from 2.40.9, 2.41.6 and 2.42.2 on; before, HEAD is no method."""
    for before, good in (("2.40.8.2", "2.40.9"), ("2.41.5.1", "2.41.6"), ("2.42.1", "2.42.2")):
        refused = token(server(before), "GET", "HEAD")
        assert (refused.status, value(refused)["message"]) == (400, "Not a valid http method, value=HEAD")
        emulator = server(good)
        emulator.put("app", "a", 1)
        signed = f"ApiToken {value(token(emulator, 'GET', 'HEAD'))['response']['key']}"
        assert ask(emulator, "HEAD", "/api/dataStore/app/a", as_=None, Authorization=signed).status == 200


# Recordings of a 2.42 before DHIS2-21740 was mended


def test_what_was_recorded_of_the_fault() -> None:
    """The recordings of the fault are among those that are replayed, on the release that has it."""
    assert "2.42.5" in recordings()["user-update-of-all"]["servers"]
