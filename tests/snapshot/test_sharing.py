"""Who may read what is exported, imported, copied and compared."""

import io
import json
import logging

import pytest

from dhis2kv import Forbidden, InvalidValue, KeyNotFound, Sharing, snapshot
from dhis2kv.emulator import Emulator
from tests.cli.line import command_line  # noqa: F401 - the fixture
from tests.conftest import connect, sent

PRIVATE = Sharing.private()
SHARED = Sharing("", {"alice": "r"}, {"Editors": "rw"})
SECRET = "Not for everybody"


def people(emulator):
    emulator.add_user("alice", "Alice_pw_1!")
    emulator.add_user("carol", "Carol_pw_1!")
    emulator.add_group("Editors", ["alice"])
    return emulator


def server(release="2.42"):
    return people(Emulator(release))


def fill(store):
    ns = store["app"]
    ns.update(open=1, private=SECRET, shared=2)
    ns.set("token", SECRET + "!", encrypt=True)
    for key in ("private", "token"):
        ns.share(key, public="")
    ns.share("shared", public=SHARED.public, users=SHARED.users, groups=SHARED.groups)


FILLED = {"open": Sharing(), "private": PRIVATE, "shared": SHARED, "token": PRIVATE}


def sharings(store, name="app"):
    return {key: store[name].sharing(key) for key in store[name]}


def read_by(emulator, account="carol", name="app"):
    """What an account can read of a namespace."""
    ns = connect(emulator, (account, f"{account.title()}_pw_1!"))[name]
    found = {}
    for key in list(ns):
        try:
            found[key] = ns[key]
        except (Forbidden, KeyNotFound):
            continue
    return found


def written(entries, **how):
    file = io.StringIO()
    snapshot.dump(file, {"dataStore": entries}, **how)
    return file.getvalue()


def test_read_tells_sharing():
    """For a request more for each entry, unless it is told not to; not of the user store, which has none."""
    emulator = server()
    store = connect(emulator)
    fill(store)
    assert {entry.key: entry.sharing for entry in snapshot.read(store)} == FILLED
    assert {entry.sharing for entry in snapshot.read(store, sharing=False)} == {None}
    store.user["app"]["k"] = 1
    assert [entry.sharing for entry in snapshot.read(store.user, sharing=True)] == [None]


def test_a_file_holds_the_sharing_that_is_not_the_default():
    """By names, for those that are not open to all; what is read from it is what was written."""
    store = connect(server())
    fill(store)
    entries = list(snapshot.read(store, sharing=True))
    text = written(entries)
    assert json.loads(text)["sharing"] == {
        "dataStore": {
            "app": {
                "private": {"public": "--", "users": {}, "groups": {}},
                "shared": {"public": "--", "users": {"alice": "r-"}, "groups": {"Editors": "rw"}},
                "token": {"public": "--", "users": {}, "groups": {}},
            }
        }
    }
    assert snapshot.load(io.StringIO(text))["dataStore"] == entries
    plain = written([snapshot.Entry("app", "k", 1, False, Sharing())])
    assert "sharing" not in plain
    assert snapshot.load(io.StringIO(plain))["dataStore"][0].sharing is None


@pytest.mark.parametrize(
    ("sharing", "said"),
    [
        (1, "sharing is an object, or false"),
        ({"userDataStore": {}}, "not those of 'userDataStore'"),
        ({"dataStore": {"app": {"k": 1}}}, "public, users and groups, and no more"),
        ({"dataStore": {"app": {"k": {"external": True}}}}, "public, users and groups, and no more"),
        ({"dataStore": {"app": {"k": {"public": "x"}}}}, "'x' is no access"),
        ({"dataStore": {"app": {"k": {"users": ["alice"]}}}}, "users maps names"),
        ({"dataStore": {"app": {"none": {"public": ""}}}}, "no entry app/none that could be shared"),
    ],
)
def test_a_slip_in_a_file_opens_nothing(sharing, said):
    """What cannot be meant is an error before anything is written."""
    text = json.dumps({"dhis2kv": 1, "dataStore": {"app": {"k": 1}}, "sharing": sharing})
    with pytest.raises(ValueError, match=said):
        snapshot.load(io.StringIO(text))


@pytest.mark.parametrize("mode", ["merge", "add", "replace"])
@pytest.mark.parametrize("release", ["2.40", "2.41", "2.42", "2.44"])
def test_what_is_created_is_shared_as_its_source(release, mode):
    """By names, on another server whose ids are others; no other account can read it at any moment."""
    source, emulator = connect(server()), server(release)
    fill(source)
    target = connect(emulator)
    exposed = []

    def deliver(request):
        reply = Emulator.deliver(emulator, request)
        if request.method in ("POST", "PUT"):
            emulator.__dict__.pop("deliver")
            exposed.append((request.method, request.target, read_by(emulator)))
            emulator.deliver = deliver
        return reply

    emulator.deliver = deliver
    changes = snapshot.plan(target, snapshot.read(source, sharing=True), mode)
    snapshot.apply(target, changes, mode)
    del emulator.deliver
    assert sharings(target) == FILLED
    assert read_by(emulator) == {"open": 1}
    assert not [one for one in exposed if SECRET in one[2].values()]
    late = [method for method, _, seen in exposed if f"{SECRET}!" in seen.values()]
    assert late == ([] if release < "2.41" else ["POST"])  # an encrypted value must be there when it is created


def test_what_is_there_keeps_its_sharing_unless_it_is_asked_for():
    """A plan with ``sharing`` makes it as that of the entries, also where the values are the same."""
    source, target = connect(server()), connect(server())
    fill(source)
    target["app"].update(open="older", private=SECRET, shared="older")
    entries = list(snapshot.read(source, sharing=True))
    plan = snapshot.plan(target, entries)
    assert [str(change) for change in plan] == ["~ app/open", "~ app/shared", "+ app/token (encrypted; shared: --)"]
    snapshot.apply(target, plan)
    assert sharings(target) == {**dict.fromkeys(("open", "private", "shared"), Sharing()), "token": PRIVATE}
    plan = snapshot.plan(target, entries, sharing=True)
    assert [str(change) for change in plan] == [
        "~ app/private (shared: --)",
        "~ app/shared (shared: --, alice r-, Editors rw)",
    ]
    snapshot.apply(target, snapshot.Changes(plan))
    assert sharings(target) == FILLED
    assert snapshot.plan(target, entries, sharing=True) == []


def test_a_secret_that_is_more_open_than_its_source_is_named(caplog):
    """Who is killed before a new secret is closed leaves it open: the next import says so, and leaves it alone."""
    source, target = connect(server()), connect(server())
    fill(source)
    target["app"].set("token", SECRET + "!", encrypt=True)
    entries = list(snapshot.read(source, sharing=True))
    assert [str(change) for change in snapshot.plan(target, entries) if change.entry.key == "token"] == []
    assert "app/token is encrypted and open to all, and its source is not" in caplog.text
    caplog.clear()
    snapshot.apply(target, snapshot.plan(target, entries, sharing=True))
    assert snapshot.plan(target, entries) == []
    assert caplog.text == ""


def test_who_does_not_exist_there_is_left_out_and_named(caplog):
    """Users and groups that the other server has not are left out of the sharing, which is then narrower."""
    source, emulator = connect(server()), Emulator()
    emulator.add_user("alice", "Alice_pw_1!")
    fill(source)
    source["app"].share("private", groups={"Editors": "r"})
    target = connect(emulator)
    with caplog.at_level(logging.WARNING, "dhis2kv"):
        snapshot.apply(target, snapshot.plan(target, snapshot.read(source, sharing=True)))
    assert sharings(target) == FILLED | {"shared": Sharing("", {"alice": "r"})}
    assert [message for message in caplog.messages if "sharing" in message] == [
        "left out of the sharing: there is no group 'Editors'"
    ]


def test_the_user_store_takes_no_sharing():
    """It is the account's own: what is copied there needs none."""
    store = connect(server())
    fill(store)
    snapshot.apply(store.user, snapshot.plan(store.user, snapshot.read(store, sharing=True), sharing=True))
    assert store.user["app"].copy() == store["app"].copy()


def test_sharing_that_is_not_told_is_closed(caplog):
    """Where the account is not told who may read an entry, it is read all the same, and counts as closed."""
    emulator = server()
    store = connect(emulator)
    store["app"].update(a=1, b=2)
    emulator.fail("status", status=403, match="/app/a/metaData", times=9)
    found = {entry.key: (entry.value, entry.sharing) for entry in snapshot.read(store, sharing=True)}
    assert found == {"a": (1, PRIVATE), "b": (2, Sharing())}
    assert "who may read app/a is not told" in caplog.text


@pytest.mark.parametrize("there", [False, True])
def test_what_is_too_long_to_be_encrypted_is_found_first(there):
    """More than 159 bytes are refused by the plan, before anything is written; also where it is encrypted there."""
    store = connect(server())
    if there:
        store["app"].set("k", "short", encrypt=True)
    with pytest.raises(InvalidValue, match="app/k: the value has 162 bytes of JSON"):
        snapshot.plan(store, [snapshot.Entry("app", "k", "y" * 160, not there)])


def test_a_difference_of_sharing_is_one():
    """It is shown before the value, where both sides tell theirs."""
    one = {"k": snapshot.Entry("app", "k", 1, False, Sharing())}
    two = {"k": snapshot.Entry("app", "k", 1, False, SHARED)}
    assert list(snapshot.diff(one, two)) == [
        "--- app/k",
        "+++ app/k",
        "@@ -1,4 +1,4 @@",
        '-sharing public: "rw"',
        "-sharing users: {}",
        "-sharing groups: {}",
        '+sharing public: "--"',
        '+sharing users: {"alice": "r-"}',
        '+sharing groups: {"Editors": "rw"}',
        " 1",
    ]
    untold = {"k": snapshot.Entry("app", "k", 1)}
    assert list(snapshot.diff(one, untold)) == list(snapshot.diff(untold, two)) == []


# --- by the commands --------------------------------------------------------------------------------------------------


@pytest.fixture
def line(command_line):  # noqa: F811 - pytest's way to use a fixture
    people(command_line.emulator)
    people(command_line.other)
    fill(command_line.store)
    return command_line


def there(line):
    return connect(line.other)


def test_export_and_import_keep_sharing(line):
    """What is imported elsewhere is as closed as it was."""
    assert line.run("export app --output backup.json").exit_code == 0
    assert line.run("import backup.json --profile there").exit_code == 0
    assert sharings(there(line)) == FILLED


def test_an_export_seeds_an_emulator_as_closed_as_it_was(line, monkeypatch):
    """serve --seed reads the sharing of an export, too."""
    from dhis2kv.emulator import serve

    emulator = people(Emulator("2.44"))
    monkeypatch.setattr(
        serve, "serve_forever", lambda *, seed, **_: serve.load_seed(emulator, seed, superuser="admin", texts=True)
    )
    line.run("export app --output backup.json")
    assert line.run("serve --seed backup.json").exit_code == 0
    assert sharings(connect(emulator)) == FILLED


def test_an_export_that_cannot_be_written_says_where(line):
    """The file that was asked for, not one that nobody knows."""
    with pytest.raises(FileNotFoundError) as caught:
        line.run("export app --output nowhere/backup.json")
    assert caught.value.filename == str(line.home.resolve() / "nowhere" / "backup.json")


def test_without_sharing_what_is_created_is_closed(line):
    """--no-sharing asks nothing of it; what is imported from that is closed, and said so, unless --open is given."""
    sent(line.emulator)
    line.run("export app --no-sharing --output backup.json")
    assert not [target for _, target in sent(line.emulator) if "metaData" in target]
    assert json.loads((line.home / "backup.json").read_text())["sharing"] is False
    result = line.run("import backup.json --profile there")
    assert "is not known: what is created is closed" in result.stderr
    assert set(sharings(there(line)).values()) == {PRIVATE}
    there(line)["app"].clear()
    assert "is not known" not in line.run("import backup.json --open --profile there").stderr
    assert set(sharings(there(line)).values()) == {Sharing()}


def test_copy_keeps_sharing(line):
    """A copy is as closed as its source; without asking, closed altogether; from the own store, closed."""
    assert line.run("copy app other").exit_code == 0
    assert sharings(line.store, "other") == FILLED
    line.run("copy app --to-profile there --no-sharing")
    assert set(sharings(there(line)).values()) == {PRIVATE}
    line.store.user["mine"]["k"] = SECRET
    line.run("copy mine --user --to-shared")
    assert sharings(line.store, "mine") == {"k": PRIVATE}
    line.run("copy mine opened --user --to-shared --open")
    assert sharings(line.store, "opened") == {"k": Sharing()}
    assert line.run("copy app --to-user").exit_code == 0
    assert line.store.user["app"]["private"] == SECRET


def test_sharing_of_what_is_there_is_changed_on_request(line):
    """--sharing makes it as in the file; --dry-run shows it."""
    line.run("export app --output backup.json")
    line.store["app"].share_many(["private", "shared"], public="rw", users={}, groups={})
    assert line.run("import backup.json").stderr.startswith("0 created, 0 updated")
    assert line.run("import backup.json --sharing --dry-run").stdout.splitlines() == [
        "~ app/private (shared: --)",
        "~ app/shared (shared: --, alice r-, Editors rw)",
    ]
    assert line.run("import backup.json --sharing").exit_code == 0
    assert sharings(line.store) == FILLED


@pytest.mark.parametrize(
    "command", ["import backup.json --open", "copy app app2 --no-sharing", "copy app --user --to-shared"]
)
def test_sharing_that_is_not_known_is_given_to_nothing(line, command):
    """--sharing is refused where the source does not tell its own: what is there is neither closed nor opened."""
    line.run("export app --no-sharing --output backup.json")
    result = line.run(f"{command} --sharing")
    assert result.exit_code == 2
    assert "--sharing needs to know who may read" in result.stderr
    assert sharings(line.store) == FILLED


def test_diff_shows_sharing(line):
    """What is shared otherwise differs, unless it is not asked."""
    line.run("copy app --to-profile there")
    assert line.run("diff app --to-profile there").exit_code == 0
    there(line)["app"].share("open", public="r")
    result = line.run("diff app --to-profile there --name-only")
    assert (result.exit_code, result.stdout) == (1, "app/open\n")
    assert '+sharing public: "r-"' in line.run("diff app --to-profile there").stdout
    assert line.run("diff app --to-profile there --no-sharing").exit_code == 0


def test_long_work_is_announced(line, monkeypatch):
    """Where there is much to ask, it is said first, and how to leave it out."""
    from dhis2kv.cli import many

    assert "Asking who may read" not in line.run("export app").stderr
    monkeypatch.setattr(many, "MANY", 3)
    assert (
        "Asking who may read each entry, a request each; --no-sharing leaves that out." in line.run("export app").stderr
    )
