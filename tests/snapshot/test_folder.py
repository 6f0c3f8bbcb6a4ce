"""Folders that git can keep: what pull writes, three sides compared, and what is never written."""

import contextlib
import json
import os

import pytest

from dhis2kv import Query, errors
from dhis2kv.emulator import Emulator
from dhis2kv.snapshot import folder
from tests.conftest import connect, sent


@pytest.fixture
def store(newest):
    newest.load({"app": {"cfg": {"theme": "dark", "n": 1}, "list": [1, 2]}, "zoo": {"a": 1}})
    newest.put("app", "secret", "hidden", encrypted=True)
    return connect(newest)


@pytest.fixture
def pulled(store, tmp_path):
    folder.pull(store, tmp_path).carry_out()
    return tmp_path


def files(place):
    """Every file that git would keep but for what the server held, by its path."""
    return {
        path.relative_to(place).as_posix(): path.read_text(encoding="utf-8")
        for path in place.rglob("*")
        if path.is_file() and path.relative_to(place).parts[0] != ".dhis2kv"
    }


def write(place, path, value):
    target = place / "dataStore" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(value), encoding="utf-8")


def changed(store, place):
    return [str(difference) for difference in folder.status(store, place)]


def planned(plan):
    return [str(change) for change in plan.changes]


# --- pull -------------------------------------------------------------------------------------------------------------


def test_one_file_a_key(pulled):
    """A value's file is indented JSON with sorted members and a newline at the end; encrypted entries have none."""
    assert files(pulled) == {
        "dataStore/app/cfg.json": '{\n  "n": 1,\n  "theme": "dark"\n}\n',
        "dataStore/app/list.json": "[\n  1,\n  2\n]\n",
        "dataStore/zoo/a.json": "1\n",
    }


def test_the_server_is_noted(pulled):
    """The folder knows where it was pulled from; of a value of the server it holds a fingerprint, of a secret none."""
    origin = json.loads((pulled / ".dhis2kv" / "server.json").read_text())
    assert origin["stores"]["dataStore"] == {
        "server": "http://dhis2.test",
        "account": None,
        "namespaces": None,
        "sharing": True,
    }
    base = json.loads((pulled / ".dhis2kv" / "dataStore" / "app.json").read_text())
    assert base["entries"].keys() == {"cfg", "list", "secret"}
    assert base["entries"]["secret"] == "encrypted"


def test_pull_again_brings_what_changed_there(store, pulled):
    """Entries that were created, updated and deleted on the server are so in the folder; a second pull does nothing."""
    store["app"]["cfg"] = 2
    store["app"]["new"] = 3
    del store["zoo"]
    plan = folder.pull(store, pulled)
    assert planned(plan) == ["~ app/cfg", "+ app/new", "- zoo/a"]
    plan.carry_out()
    assert files(pulled) == {
        "dataStore/app/cfg.json": "2\n",
        "dataStore/app/list.json": "[\n  1,\n  2\n]\n",
        "dataStore/app/new.json": "3\n",
    }
    assert planned(folder.pull(store, pulled)) == changed(store, pulled) == []
    assert sorted(os.listdir(pulled / "dataStore")) == ["app"]


def test_pull_keeps_what_changed_here(store, pulled):
    """A file that was edited, created or deleted stays so, as long as the server's entry is as it was."""
    write(pulled, "app/cfg.json", 5)
    write(pulled, "app/mine.json", 6)
    (pulled / "dataStore/zoo/a.json").unlink()
    store["app"]["list"] = 7
    assert planned(folder.pull(store, pulled)) == ["~ app/list"]


def test_pull_refuses_to_overwrite_what_changed_on_both_sides(store, pulled):
    """Then nothing is written, but with force, which takes what is on the server."""
    write(pulled, "app/cfg.json", 5)
    store["app"].update({"cfg": 6, "list": 7})
    before = files(pulled)
    plan = folder.pull(store, pulled)
    assert [str(conflict) for conflict in plan.conflicts] == ["both  ! app/cfg: changed here, changed there"]
    with pytest.raises(errors.Changed, match="nothing was written: app/cfg"):
        plan.carry_out()
    assert files(pulled) == before
    folder.pull(store, pulled, force=True).carry_out()
    assert files(pulled)["dataStore/app/cfg.json"] == "6\n"


def test_pull_into_a_folder_with_files_of_its_own(store, tmp_path):
    """Files that were there before are compared: the same are no conflict, others are."""
    write(tmp_path, "app/list.json", [1, 2.0])
    assert folder.pull(store, tmp_path).conflicts == []
    write(tmp_path, "app/cfg.json", 1)
    assert [conflict.name for conflict in folder.pull(store, tmp_path).conflicts] == ["app/cfg"]


def test_pull_of_some_namespaces(store, tmp_path):
    """A folder is about the namespaces that were pulled; pulling others widens it, and pulling all ends that."""
    folder.pull(store, tmp_path, ["zoo"]).carry_out()
    store["new"]["a"] = 1
    assert (list(files(tmp_path)), changed(store, tmp_path)) == (["dataStore/zoo/a.json"], [])
    folder.pull(store, tmp_path, ["app"]).carry_out()
    assert changed(store, tmp_path) == []
    assert len(files(tmp_path)) == 3
    folder.pull(store, tmp_path).carry_out()
    store["newer"]["a"] = 1
    assert changed(store, tmp_path) == ["there + newer/a"]
    with pytest.raises(errors.KeyNotFound, match="nope"):
        folder.pull(store, tmp_path, ["nope"])


def test_both_stores_lie_beside_each_other(store, tmp_path):
    """The account's own store has a folder of its own, and is that account's."""
    store.user["app"]["mine"] = 1
    folder.pull(store, tmp_path, ["zoo"]).carry_out()
    folder.pull(store.user, tmp_path).carry_out()
    assert files(tmp_path) == {"dataStore/zoo/a.json": "1\n", "userDataStore/app/mine.json": "1\n"}
    assert list(folder.status(store.user, tmp_path)) == changed(store, tmp_path) == []


def test_another_accounts_store_is_another_place(newest, store, tmp_path):
    """What was pulled from one account's own store is not pushed into another's."""
    newest.add_user("alice", "Alice_pw_1!")
    store.user["app"]["mine"] = 1
    folder.pull(store.user, tmp_path).carry_out()
    alice = connect(newest, ("alice", "Alice_pw_1!"))
    for act in (folder.pull, folder.push, lambda *place: list(folder.status(*place))):
        with pytest.raises(folder.OtherServer, match="another account"):
            act(alice.user, tmp_path)


# --- status -----------------------------------------------------------------------------------------------------------


def test_three_sides(store, pulled):
    """Status tells for each entry where it changed; equal changes on both sides are none, nor is another spelling."""
    store["app"].update({str(number): number for number in range(10)})
    folder.pull(store, pulled).carry_out()
    write(pulled, "app/0.json", "here")
    store["app"]["1"] = "there"
    write(pulled, "app/2.json", "here")
    store["app"]["2"] = "there"
    write(pulled, "app/3.json", {"b": 1, "a": 2})
    store["app"]["3"] = {"a": 2.0, "b": 1}
    (pulled / "dataStore/app/4.json").unlink()
    del store["app"]["5"]
    (pulled / "dataStore/app/6.json").unlink()
    store["app"]["6"] = "there"
    write(pulled, "app/7.json", "here")
    del store["app"]["7"]
    (pulled / "dataStore/app/8.json").unlink()
    del store["app"]["8"]
    (pulled / "dataStore/app/9.json").write_text("\r\n  9.0\r\n")
    write(pulled, "app/new.json", 1)
    store["app"]["newer"] = 1
    write(pulled, "more/k.json", 1)
    store["app"]["both"] = 1
    write(pulled, "app/both.json", 2)
    assert sorted(changed(store, pulled)) == [
        "both  ! app/2: changed here, changed there",
        "both  ! app/6: deleted here, changed there",
        "both  ! app/7: changed here, deleted there",
        "both  ! app/both: created here, created there",
        "here  + app/new",
        "here  + more/k",
        "here  - app/4",
        "here  ~ app/0",
        "there + app/newer",
        "there - app/5",
        "there ~ app/1",
    ]


def test_a_changed_digit_is_a_change(newest, store, pulled):
    """Numbers that no double holds are compared, pulled and pushed with every digit."""
    newest.load({"app": {"n": "0.1234567890123456789012345"}}, texts=True)
    folder.pull(store, pulled).carry_out()
    path = pulled / "dataStore/app/n.json"
    assert path.read_text() == "0.1234567890123456789012345\n"
    path.write_text("0.1234567890123456789012346")
    assert changed(store, pulled) == ["here  ~ app/n"]
    folder.push(store, pulled).carry_out()
    assert store.datastore.get_text("app", "n") == "0.1234567890123456789012346"


# --- push -------------------------------------------------------------------------------------------------------------


def test_push_writes_what_changed_here(store, pulled):
    """What was created and updated here is written, what changed there is left alone, deletes are asked for."""
    write(pulled, "app/cfg.json", 5)
    write(pulled, "new/k.json", 6)
    (pulled / "dataStore/zoo/a.json").unlink()
    store["app"]["list"] = 7
    plan = folder.push(store, pulled)
    assert (planned(plan), plan.kept) == (["~ app/cfg", "+ new/k"], 1)
    plan.carry_out()
    assert (store["app"]["cfg"], store["app"]["list"], store["new"]["k"], "zoo" in store) == (5, 7, 6, True)
    assert sorted(changed(store, pulled)) == ["here  - zoo/a", "there ~ app/list"]
    plan = folder.push(store, pulled, delete=True)
    assert planned(plan) == ["- zoo/a"]
    plan.carry_out()
    assert "zoo" not in store
    assert changed(store, pulled) == ["there ~ app/list"]


def test_push_of_a_conflict_writes_nothing(store, pulled):
    """One conflict, also that of a delete here with a change there, stops all; force takes what is here."""
    write(pulled, "app/new.json", 1)
    (pulled / "dataStore/app/cfg.json").unlink()
    store["app"]["cfg"] = 5
    plan = folder.push(store, pulled)
    assert [str(conflict) for conflict in plan.conflicts] == ["both  ! app/cfg: deleted here, changed there"]
    with pytest.raises(errors.Changed):
        plan.carry_out()
    assert "new" not in store["app"]
    assert planned(folder.push(store, pulled, force=True)) == ["+ app/new"]
    assert planned(folder.push(store, pulled, force=True, delete=True)) == ["+ app/new", "- app/cfg"]


def test_planning_sends_only_reads(newest, store, pulled):
    """pull, status and push only read until they are carried out, and write no file."""
    write(pulled, "app/new.json", 1)
    sent(newest)
    before = files(pulled)
    folder.pull(store, pulled, force=True)
    list(folder.status(store, pulled))
    folder.push(store, pulled, delete=True, force=True)
    assert {method for method, _ in sent(newest)} == {"GET"}
    assert files(pulled) == before


def test_another_server_is_refused(pulled):
    """A folder is for the server that it is from, unless it is said: then all is written, and nothing is deleted."""
    other = connect(Emulator("2.42"))
    other.datastore.transport.base = "http://other.test"
    other["app"].update({"cfg": "theirs", "more": 1})
    for act in (folder.pull, folder.push, lambda *place: list(folder.status(*place))):
        with pytest.raises(folder.OtherServer, match=r"http://dhis2\.test.*http://other\.test"):
            act(other, pulled)
    folder.push(other, pulled, to_other_server=True, delete=True).carry_out()
    assert other["app"] == {"cfg": {"theme": "dark", "n": 1}, "list": [1, 2], "more": 1}
    assert other["zoo"] == {"a": 1}
    with pytest.raises(folder.OtherServer):
        folder.push(other, pulled)


def test_a_folder_from_nowhere(store, tmp_path):
    """A folder that was written by hand has no base: push and status say so, and push takes it when that is said."""
    write(tmp_path, "app/cfg.json", 1)
    for act in (folder.push, lambda *place: list(folder.status(*place))):
        with pytest.raises(folder.OtherServer, match="was not pulled"):
            act(store, tmp_path)
    assert planned(folder.push(store, tmp_path, to_other_server=True)) == ["~ app/cfg"]


# --- encrypted entries ------------------------------------------------------------------------------------------------


def test_encrypted_entries_are_left_alone(store, pulled):
    """Without secrets an encrypted entry is neither in the folder, nor a difference, nor touched by a push."""
    assert "hidden" not in "".join(path.read_text() for path in pulled.rglob("*") if path.is_file())
    store.namespace("app", encrypt=True)["secret"] = "other"
    assert changed(store, pulled) == planned(folder.push(store, pulled, delete=True, force=True)) == []


def test_a_plain_file_is_never_written_over_a_secret(store, pulled):
    """A file of that name is a conflict, also for another server; with force the entry stays encrypted."""
    write(pulled, "app/secret.json", "open")
    assert changed(store, pulled) == ["both  ! app/secret: a file in plain, and an encrypted entry on the server"]
    for options in ({}, {"to_other_server": True}):
        with pytest.raises(errors.Changed):
            folder.push(store, pulled, **options).carry_out()
    folder.push(store, pulled, force=True).carry_out()
    assert store["app"]["secret"] == "open"
    assert folder.push(store, pulled).conflicts != []  # it is still encrypted there, and a plain file here


def test_secrets_are_marked_and_encrypted_again(newest, store, pulled):
    """With secrets they are in the folder, marked, and push encrypts them, here and on another server."""
    folder.pull(store, pulled, secrets=True).carry_out()
    assert files(pulled)["dataStore/app/secret.json"] == '"hidden"\n'
    assert json.loads(files(pulled)["dataStore/app/.dhis2kv.json"]) == {"encrypted": ["secret"]}
    assert changed(store, pulled) == []
    write(pulled, "app/secret.json", "new")
    plan = folder.push(store, pulled)
    assert planned(plan) == ["~ app/secret (encrypted)"]
    plan.carry_out()
    other = Emulator("2.44")
    folder.push(connect(other), pulled, to_other_server=True).carry_out()
    for emulator in (newest, other):
        entry = next(iter(connect(emulator).datastore.get_many("app", ["secret"]).values()))
        assert entry == "new"
        assert '{"key":"secret","value":null}' in connect(emulator).datastore.query_text("app", Query())
    assert changed(store, pulled) == []
    folder.pull(store, pulled).carry_out()  # without secrets: it goes
    assert "dataStore/app/secret.json" not in files(pulled)
    assert "dataStore/app/.dhis2kv.json" not in files(pulled)


def test_marking_a_file_encrypts_the_entry(store, pulled):
    """A mark that somebody adds is a change: push stores that entry encrypted. Taking a mark away is a conflict."""
    notes = pulled / "dataStore/app/.dhis2kv.json"
    notes.write_text('{"encrypted": ["list"]}')
    assert changed(store, pulled) == ["here  ~ app/list"]
    folder.push(store, pulled).carry_out()
    assert changed(store, pulled) == []
    notes.unlink()
    assert changed(store, pulled) == ["both  ! app/list: a file in plain, and an encrypted entry on the server"]


def test_where_encryption_is_not_seen_secrets_has_to_be_said(tmp_path):
    """A server that does not show what is encrypted gives nothing without secrets, and says so."""
    emulator = Emulator("2.37")
    emulator.load({"app": {"a": 1}})
    told = []
    folder.pull(connect(emulator), tmp_path, left_out=lambda name, error: told.append((name, str(error)))).carry_out()
    assert files(tmp_path) == {}
    assert [name for name, _ in told] == ["app"]
    assert "of 1 entries" in told[0][1]
    folder.pull(connect(emulator), tmp_path, secrets=True).carry_out()
    assert files(tmp_path) == {"dataStore/app/a.json": "1\n"}
    write(tmp_path, "app/a.json", 2)
    folder.push(connect(emulator), tmp_path).carry_out()
    assert connect(emulator)["app"] == {"a": 2}


# --- what cannot be read ----------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_neither_deleted_nor_changed(newest, store, pulled):
    """An entry that cannot be read stays in the folder and in the base; to change it is a conflict."""
    newest.fail("status", times=99, match="/zoo(\\?|$)", status=403)
    told = []
    plan = folder.pull(store, pulled, left_out=lambda name, error: told.append(name))
    assert (planned(plan), told) == ([], ["zoo"])
    plan.carry_out()
    assert changed(store, pulled) == []
    write(pulled, "zoo/a.json", 2)
    conflicts = folder.push(store, pulled, left_out=lambda *_: None).conflicts
    assert [str(conflict) for conflict in conflicts] == ["both  ! zoo/a: changed here, and it cannot be read there"]


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("app/cfg.json", '{"a": ', "it is not JSON"),
        ("app/cfg.json", '{"a": 1, "a": 2}', "'a' stands twice in one object: line 1 column 10"),
        ("app/cfg.json", b"\xff", "not text"),
        ("app/a%2Fb.json", "1", "servers refuse '/'"),
        ("app/100%.json", "1", "percent"),
        ("app/notes.txt", "1", "its key and .json"),
        ("app/.x.json", "1", "%2E"),
        ("app/%63fg.json", "1", "means the key 'cfg', as .*does"),
        ("app/deep/cfg.json", "1", "a file is expected"),
        ("app/x%~0123.json", "1", "does not say which key"),
        ("cfg.json", "1", "a folder is expected"),
        ("app/.dhis2kv.json", '{"encrypted": ["nope"]}', "no file of 'nope'"),
        ("app/.dhis2kv.json", '{"encrypt": ["cfg"]}', "encrypted, names, sharing, and nothing else"),
        ("app/.dhis2kv.json", '{"encrypted": "cfg"}', "a list of names"),
        ("app/.dhis2kv.json", '{"sharing": {"nope": {}}}', "no file of 'nope', which is to be shared"),
        ("app/.dhis2kv.json", '{"sharing": ["cfg"]}', "sharing is an object"),
        ("app/.dhis2kv.json", '{"sharing": {"cfg": {"publik": ""}}}', "cfg: sharing has public, users and groups"),
        ("app/.dhis2kv.json", '{"sharing": {"cfg": {"public": "x"}}}', "cfg: 'x' is no access"),
        (".dhis2kv.json", '{"encrypted": ["app"]}', "names, and nothing else"),
        ("../datastore/app/cfg.json", "1", "dataStore or userDataStore"),
        ("../.dhis2kv/server.json", "{}", "where the folder was pulled from"),
        ("../.dhis2kv/dataStore/app.json", '{"entries": {"a": "zz"}}', "what the server held"),
    ],
)
def test_what_does_not_belong_is_told_with_its_path(newest, store, pulled, path, text, told):
    """A file that is no JSON, a name twice, a name that no server holds, a slip in a name: an error with the path, and
    nothing is written."""
    target = pulled / "dataStore" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text if isinstance(text, bytes) else text.encode())
    sent(newest)
    for act in (folder.pull, folder.push, lambda *place: list(folder.status(*place))):
        with pytest.raises(folder.BrokenFolder, match="(?s)" + told) as caught:
            act(store, pulled)
        assert str(caught.value).startswith(str(pulled))
    assert {method for method, _ in sent(newest)} <= {"GET"}


def test_links_are_not_followed(store, pulled, tmp_path_factory):
    """A link in the folder, as a repository can hold one, is an error: what it leads to is not ours to write."""
    outside = tmp_path_factory.mktemp("outside") / "file"
    outside.write_text("1")
    (pulled / "dataStore/app/cfg.json").unlink()
    (pulled / "dataStore/app/cfg.json").symlink_to(outside)
    with pytest.raises(folder.BrokenFolder, match=r"cfg\.json"):
        folder.pull(store, pulled, force=True)


def test_what_editors_and_systems_leave_is_no_entry(store, pulled):
    """Files with a dot before their name, which no key has, are nobody's: of git, of the system, of editors."""
    for name in (".gitkeep", ".DS_Store", ".cfg.json.swp"):
        (pulled / "dataStore/app" / name).write_text("x")
    (pulled / "README.md").write_text("ours")
    assert changed(store, pulled) == []


def test_what_could_not_be_written_is_refused_before_anything_is(newest, store, pulled):
    """One file that no server can hold refuses the push, before a write."""
    write(pulled, "app/new.json", 1)
    write(pulled, "zoo/a.json", "\0")
    with pytest.raises(errors.InvalidValue, match="zoo/a"):
        folder.push(store, pulled)
    assert "new" not in store["app"]


def test_names_that_file_systems_mind(newest, store, tmp_path):
    """Names that collide, are reserved, end oddly, or are too long come into the folder and back."""
    names = [
        "Cfg",
        "cfg",
        "CFG",
        "CON",
        "aux.json",
        "a.",
        " b ",
        "config.json",
        "a:b",
        "é",
        "e\u0301",
        "🎉" * 255,
        "ü" * 255,
    ]
    newest.load({name: dict.fromkeys(names, name) for name in names})
    folder.pull(store, tmp_path, names).carry_out()
    assert changed(store, tmp_path) == []
    other = connect(Emulator("2.44"))
    folder.push(other, tmp_path, to_other_server=True).carry_out()
    assert {name: other[name].copy() for name in other} == {name: dict.fromkeys(names, name) for name in names}
    for name in names:
        del store[name]["🎉" * 255]
    folder.pull(store, tmp_path).carry_out()
    assert changed(store, tmp_path) == []
    longest = max(len(part.encode()) for path in tmp_path.rglob("*") for part in path.parts)
    assert longest <= 200


def test_a_name_that_comes_later_collides_with_none(newest, store, tmp_path):
    """When a key or namespace comes that some file system takes for one that is there, that one's file is renamed."""
    newest.load({"App": {"Cfg": 1, "x": 1}, "zoo": {"Key": 1}})
    folder.pull(store, tmp_path, ["App", "zoo"]).carry_out()
    assert (tmp_path / "dataStore/App/Cfg.json").exists()
    newest.load({"App": {"cfg": 2}, "zoo": {"KEY": 2}})
    folder.pull(store, tmp_path, ["App", "zoo", "app"]).carry_out()
    found = [path.casefold() for path in files(tmp_path)]
    assert len(set(found)) == len(found) == 8
    assert changed(store, tmp_path) == []
    assert planned(folder.pull(store, tmp_path)) == []


def test_a_pull_that_is_cut_short_is_pulled_again(store, tmp_path, monkeypatch):
    """Wherever writing files ends too early, the next pull comes to the same folder, marks and long names included."""
    from dhis2kv.snapshot import tree

    store["app"]["long" * 60] = 1
    whole = tmp_path / "whole"
    folder.pull(store, whole, secrets=True).carry_out()
    real, left = tree._write_json, 0

    def write_json(path, value):
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        real(path, value)

    monkeypatch.setattr(tree, "_write_json", write_json)
    for number in range(1, 9):
        place, left = tmp_path / str(number), number
        with contextlib.suppress(KeyboardInterrupt):
            folder.pull(store, place, secrets=True).carry_out()
        left = 0
        folder.pull(store, place, secrets=True).carry_out()
        assert files(place) == files(whole)
        assert changed(store, place) == []
        left = number
        with contextlib.suppress(KeyboardInterrupt):
            folder.pull(store, place).carry_out()  # the secrets go
        left = 0
        folder.pull(store, place).carry_out()
        assert "hidden" not in "".join(files(place).values())
        assert changed(store, place) == []


def test_a_push_that_was_cut_short_is_no_conflict(store, pulled):
    """What a push had deleted, and did not come to create anew, is created by the next; after a pull that is over."""
    from dhis2kv.snapshot.tree import Tree

    write(pulled, "app/cfg.json", 5)
    Tree(pulled, "dataStore").set_overwriting([("app", "cfg")])
    del store["app"]["cfg"]
    assert changed(store, pulled) == ["here  + app/cfg"]
    folder.push(store, pulled).carry_out()
    assert (store["app"]["cfg"], changed(store, pulled)) == (5, [])
    Tree(pulled, "dataStore").set_overwriting([("app", "cfg")])
    folder.pull(store, pulled).carry_out()
    write(pulled, "app/cfg.json", 6)
    del store["app"]["cfg"]
    assert changed(store, pulled) == ["both  ! app/cfg: changed here, deleted there"]
