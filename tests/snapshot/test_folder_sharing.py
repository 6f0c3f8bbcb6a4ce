"""Who may read what is pulled and pushed."""

import contextlib
import json

import pytest
import requests

from dhis2kv import Sharing, snapshot
from dhis2kv.emulator import Emulator
from dhis2kv.snapshot import folder
from tests.conftest import connect, sent

PRIVATE = Sharing.private()
SHARED = Sharing("", {"alice": "r"}, {"Editors": "rw"})
NOTES = "dataStore/app/.dhis2kv.json"


def server():
    emulator = Emulator("2.42")
    emulator.add_user("alice", "Alice_pw_1!")
    emulator.add_group("Editors", ["alice"])
    return emulator


def share(ns, key, sharing):
    ns.share(key, public=sharing.public, users=sharing.users, groups=sharing.groups)


@pytest.fixture
def emulator():
    return server()


@pytest.fixture
def store(emulator):
    store = connect(emulator)
    store["app"].update(open=1, private=2, shared=3)
    store["app"].set("token", "secret", encrypt=True)
    for key, sharing in {"private": PRIVATE, "shared": SHARED, "token": PRIVATE}.items():
        share(store["app"], key, sharing)
    return store


@pytest.fixture
def pulled(store, tmp_path):
    folder.pull(store, tmp_path, secrets=True, sharing=True).carry_out()
    return tmp_path


def noted(place):
    return json.loads((place / NOTES).read_text())["sharing"]


def note(place, **sharings):
    notes = json.loads((place / NOTES).read_text())
    notes["sharing"] = {key: parts for key, parts in {**notes["sharing"], **sharings}.items() if parts is not None}
    (place / NOTES).write_text(json.dumps(notes))


def changed(store, place, *, sharing=False):
    return [str(difference) for difference in folder.status(store, place, sharing=sharing)]


def planned(plan):
    return [str(change) for change in plan.changes]


def sharings(store):
    return {key: store["app"].sharing(key) for key in store["app"]}


def test_one_file_a_namespace_tells_sharing_that_is_not_the_default(pulled):
    """By usernames and names of groups, so that it means the same on another server."""
    assert noted(pulled) == {
        "private": {"groups": {}, "public": "--", "users": {}},
        "shared": {"groups": {"Editors": "rw"}, "public": "--", "users": {"alice": "r-"}},
        "token": {"groups": {}, "public": "--", "users": {}},
    }


def test_push_to_another_server_shares_equally(store, pulled):
    """What is created there is shared as in the folder; what is there keeps its own."""
    other = connect(server())
    other["app"]["private"] = "theirs"
    folder.push(other, pulled, to_other_server=True).carry_out()
    assert sharings(other) == {**sharings(store), "private": Sharing()}


def test_sharing_that_changed_here_is_pushed(emulator, store, pulled):
    """It is asked for where it was changed in the folder, and nowhere else; opened by taking it out."""
    note(pulled, open={"public": "r"}, private=None)
    sent(emulator)
    assert changed(store, pulled) == ["here  ~ app/open", "here  ~ app/private"]
    assert sorted(target.split("?")[0] for _, target in sent(emulator) if "metaData" in target) == [
        "/api/dataStore/app/open/metaData",
        "/api/dataStore/app/private/metaData",
    ]
    plan = folder.push(store, pulled)
    assert planned(plan) == ["~ app/open (shared: r-)", "~ app/private (shared: rw)"]
    plan.carry_out()
    assert sharings(store) == {"open": Sharing("r"), "private": Sharing(), "shared": SHARED, "token": PRIVATE}
    assert changed(store, pulled, sharing=True) == planned(folder.push(store, pulled)) == []


def test_sharing_that_changed_there_is_pulled(store, pulled):
    """And no push undoes it."""
    store["app"].share("open", public="r")
    assert changed(store, pulled) == planned(folder.push(store, pulled, force=True)) == []
    assert changed(store, pulled, sharing=True) == ["there ~ app/open"]
    plan = folder.pull(store, pulled, secrets=True, sharing=True)
    assert planned(plan) == ["~ app/open (shared: r-)"]
    plan.carry_out()
    assert noted(pulled)["open"]["public"] == "r-"
    assert changed(store, pulled, sharing=True) == []


def test_sharing_that_changed_on_both_sides_is_a_conflict(store, pulled):
    """Equal changes are none; --force takes what is here, or there."""
    note(pulled, open={"public": "r"}, private={"public": "r"})
    store["app"].share("open", public="r")
    share(store["app"], "private", SHARED)
    for plan in (folder.push(store, pulled), folder.pull(store, pulled, secrets=True, sharing=True)):
        assert [conflict.name for conflict in plan.conflicts] == ["app/private"]
    folder.push(store, pulled, force=True).carry_out()
    assert store["app"].sharing("private") == Sharing("r")


def test_a_pull_without_sharing_keeps_what_is_noted(store, pulled):
    """It asks nobody, and forgets nothing; but the folder does not tell all any more."""
    store["app"]["private"] = 3
    store["app"]["new"] = 4
    share(store["app"], "new", PRIVATE)
    before = noted(pulled)
    folder.pull(store, pulled, secrets=True, sharing=False).carry_out()
    assert noted(pulled) == before
    assert not folder.tells_sharing(store, pulled)
    other = connect(server())
    folder.push(other, pulled, to_other_server=True, unknown=PRIVATE).carry_out()
    assert sharings(other) == {"open": PRIVATE, "private": PRIVATE, "shared": SHARED, "token": PRIVATE, "new": PRIVATE}
    folder.pull(store, pulled, ["app"], secrets=True, sharing=True).carry_out()
    assert not folder.tells_sharing(store, pulled)  # it may hold other namespaces
    folder.pull(store, pulled, secrets=True, sharing=True).carry_out()
    assert folder.tells_sharing(store, pulled)
    assert noted(pulled).keys() == {"new", "private", "shared", "token"}


def test_the_user_store_has_no_sharing(emulator, store, tmp_path):
    """Nothing is asked there, and nothing is missing."""
    store.user["mine"]["k"] = 1
    sent(emulator)
    folder.pull(store.user, tmp_path, sharing=True).carry_out()
    assert not [target for _, target in sent(emulator) if "metaData" in target]
    assert folder.tells_sharing(store.user, tmp_path)


def test_a_key_that_must_not_be_written_is_left_out(emulator, store, tmp_path):
    """What another client has made comes into the folder, and all else is pushed elsewhere."""
    emulator.load({"app": {'a"b': 1}})
    folder.pull(store, tmp_path).carry_out()
    told = []
    other = connect(server())
    folder.push(other, tmp_path, to_other_server=True, left_out=lambda name, _: told.append(name)).carry_out()
    assert told == ['app/a"b']
    assert sorted(other["app"]) == ["open", "private", "shared"]
    assert changed(store, tmp_path) == []


# --- killed, and run again --------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What nobody catches."""


def killed_after(store, act, number, monkeypatch):
    """Do it, and stop at the request of this number; whether it came so far."""
    real, left = requests.Session.send, number

    def send(*args, **options):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return real(*args, **options)

    store.datastore.workers = 1
    with monkeypatch.context() as patched:
        patched.setattr(requests.Session, "send", send)
        with contextlib.suppress(Killed):
            act()
    return left < 0


def pushed(store, place):
    folder.push(store, place, delete=True).carry_out()


def test_a_push_that_is_killed_anywhere_ends_as_closed(store, tmp_path, monkeypatch):
    """What it has created and not closed yet, encrypted or null still, is closed by the next one, and no conflict."""
    folder.pull(store, tmp_path, secrets=True, sharing=True).carry_out()
    for number in range(1, 60):
        emulator = server()
        there = connect(emulator)
        there["app"].update(open=1)
        there["app"].set("token", "old", encrypt=True)
        there["app"].share("token", public="")
        place = tmp_path / str(number)
        folder.pull(there, place, secrets=True, sharing=True).carry_out()
        for name in (NOTES, *(f"dataStore/app/{key}.json" for key in ("open", "private", "shared", "token"))):
            (place / name).write_text((tmp_path / name).read_text())
        came = killed_after(there, lambda there=there, place=place: pushed(there, place), number, monkeypatch)
        pushed(connect(emulator), place)
        assert sharings(there) == sharings(store), number
        assert there["app"].copy() == store["app"].copy()
        if not came:
            return
    raise AssertionError("it never came to its end")


def test_an_import_that_is_killed_leaves_nothing_open_that_is_plain(store, monkeypatch):
    """What it has created and not closed yet has no value; the next one closes it first."""
    entries = [entry for entry in snapshot.read(store, sharing=True) if not entry.encrypted]
    for number in range(1, 60):
        emulator = server()
        there = connect(emulator)

        def act(there=there):
            snapshot.apply(there, snapshot.plan(there, entries))

        came = killed_after(there, act, number, monkeypatch)
        again = connect(emulator)
        snapshot.apply(again, snapshot.plan(again, entries))
        assert sharings(again) == {entry.key: entry.sharing for entry in entries}, number
        if not came:
            return
    raise AssertionError("it never came to its end")
