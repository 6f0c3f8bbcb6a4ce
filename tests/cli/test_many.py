"""The commands on whole namespaces: export, import, copy, diff, watch."""

import json

import pytest

from dhis2kv import Query
from tests.cli.line import OTHER, SERVER
from tests.conftest import connect, sent

READS = {"GET", "HEAD"}


@pytest.fixture
def line(command_line):
    command_line.emulator.load({"app": {"cfg": {"theme": "dark"}, "n": None}, "zoo": {"ü": 1}})
    command_line.emulator.put("app", "secret", "hidden", encrypted=True)
    command_line.emulator.load({"app": {"mine": 1}}, user="admin")
    return command_line


@pytest.fixture
def run(line):
    return line.run


@pytest.fixture
def backup(line):
    path = line.home / "backup.json"
    path.write_text(line.run("export").stdout, encoding="utf-8")
    sent(line.emulator)
    return path


# --- export and import ------------------------------------------------------------------------------------------------


def test_export_prints_one_store(run):
    """export prints the shared store, or the namespaces named, or with --user the account's own store."""
    assert json.loads(run("export").stdout) == {
        "dhis2kv": 1,
        "dataStore": {"app": {"cfg": {"theme": "dark"}, "n": None, "secret": "hidden"}, "zoo": {"ü": 1}},
        "encrypted": {"dataStore": {"app": ["secret"]}},
    }
    assert json.loads(run("export zoo").stdout)["dataStore"] == {"zoo": {"ü": 1}}
    assert json.loads(run("export --user").stdout) == {
        "dhis2kv": 1,
        "userDataStore": {"app": {"mine": 1}},
        "encrypted": {"userDataStore": {}},
    }


def test_export_of_what_is_not_there(run):
    """A namespace that does not exist is status 3, and no half export is printed."""
    result = run("export app nope")
    assert result.exit_code == 3
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(result.stdout)


def test_import_makes_a_server_the_same(line, run, backup):
    """An import writes what is missing, encrypted entries encrypted, and says what it did; again it does nothing."""
    result = run("import backup.json --profile there")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"4 created, 0 updated, 0 deleted on {OTHER}\n")
    other = connect(line.other)
    assert other["app"] == {"cfg": {"theme": "dark"}, "n": None, "secret": "hidden"}
    assert other.datastore.query("app", Query())[2] == {"key": "secret", "value": None}
    assert run("import backup.json --profile there").stderr == f"0 created, 0 updated, 0 deleted on {OTHER}\n"
    assert run("diff @backup.json --profile there").exit_code == 0


def test_import_from_standard_input(line, run, backup):
    """import - reads the export from a pipe."""
    assert run("import - --profile there", input=backup.read_text()).exit_code == 0
    assert connect(line.other)["zoo"] == {"ü": 1}


def test_import_puts_each_store_back(line, run):
    """Entries go to the store that they came from; with --user only those of the account's own store do."""
    both = {"dhis2kv": 1, "dataStore": {"a": {"k": 1}}, "userDataStore": {"u": {"k": 2}}}
    (line.home / "both.json").write_text(json.dumps(both))
    assert run("import both.json --user").stderr == f"1 created, 0 updated, 0 deleted on {SERVER}\n"
    assert ("a" in line.store, "u" in line.store.user) == (False, True)
    assert run("import both.json").stderr == f"1 created, 0 updated, 0 deleted on {SERVER}\n"
    assert "a" in line.store


def test_import_dry_run(line, run, backup):
    """--dry-run prints what each mode would do, and sends only reads."""
    line.store["app"].update({"cfg": 1, "more": 2})
    del line.store["zoo"]
    sent(line.emulator)
    assert run("import backup.json --dry-run").stdout.splitlines() == ["~ app/cfg", "+ zoo/ü"]
    assert run("import backup.json --dry-run --mode add").stdout.splitlines() == ["+ zoo/ü"]
    assert run("import backup.json --dry-run --mode replace").stdout.splitlines() == [
        "~ app/cfg",
        "- app/more",
        "+ zoo/ü",
    ]
    assert {method for method, _ in sent(line.emulator)} <= READS


def test_replacing_asks_before_it_deletes(line, run, backup):
    """import --mode replace tells what will go and asks; without a terminal it needs --yes."""
    line.store["app"]["more"] = 2
    assert run("import backup.json --mode replace", input="y\n").exit_code == 2
    line.is_terminal()
    result = run("import backup.json --mode replace", input="\n")
    assert (result.exit_code, f"Delete 1 entry (app/more) on {SERVER}? [y/N]" in result.stderr) == (1, True)
    assert "more" in line.store["app"]
    assert run("import backup.json --mode replace --yes").exit_code == 0
    assert "more" not in line.store["app"]


def test_an_import_that_fails_half_way(line, run, backup):
    """A failure says what was done and what was not; run again, the import does the rest."""
    line.other.fail("status", times=2, method="PUT", match="zoo", status=500)
    result = run("import backup.json --profile there")
    assert (result.exit_code, "3 of 4 changes are made, 1 failed (zoo/ü: " in result.stderr) == (1, True)
    assert run("import backup.json --profile there").stderr == f"1 created, 0 updated, 0 deleted on {OTHER}\n"


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"dhis2kv": 1, "dataStore": {"app": 1}}'])
def test_import_of_what_is_no_export(line, text):
    """A file that is no export is status 2 and a sentence."""
    (line.home / "x.json").write_text(text)
    result = line.run("import x.json")
    assert (result.exit_code, "cannot read x.json" in result.stderr) == (2, True)


def test_what_is_left_out_is_told(line, run, monkeypatch):
    """A namespace that the account may not read is named on stderr, with status 1; by its name, too."""
    line.emulator.load({"sms-config": {"a": 1}})
    line.emulator.add_user("alice", "Alice_pw_1!")
    monkeypatch.setenv("DHIS2_USERNAME", "alice")
    monkeypatch.setenv("DHIS2_PASSWORD", "Alice_pw_1!")
    for command in ("export", "export sms-config"):
        result = run(command)
        assert (result.exit_code, result.stderr.startswith("left out sms-config: ")) == (1, True)


# --- copy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "where", "keys"),
    [
        ("copy app two", lambda line: line.store["two"], ["cfg", "n", "secret"]),
        ("copy app two --to-user", lambda line: line.store.user["two"], ["cfg", "n", "secret"]),
        ("copy zoo --to-user", lambda line: line.store.user["zoo"], ["ü"]),
        ("copy app two --user", lambda line: line.store.user["two"], ["mine"]),
        ("copy app two --user --to-shared", lambda line: line.store["two"], ["mine"]),
        ("copy app --to-profile there", lambda line: connect(line.other)["app"], ["cfg", "n", "secret"]),
        ("copy app two --to-profile there --user", lambda line: connect(line.other).user["two"], ["mine"]),
        ("copy app --to-profile there --user --to-shared", lambda line: connect(line.other)["app"], ["mine"]),
    ],
)
def test_copy(line, command, where, keys):
    """copy goes between namespaces, stores and servers, and --user means both sides unless the second is told."""
    assert line.run(command).exit_code == 0
    assert list(where(line).keys()) == keys


def test_a_copy_stays_encrypted(line, run):
    """An encrypted entry is encrypted in its copy."""
    run("copy app two")
    assert line.store.datastore.query("two", Query())[2] == {"key": "secret", "value": None}


def test_copy_onto_itself_is_refused(run):
    """Copying a namespace onto itself is wrong usage, as is copying one that does not exist not found."""
    assert run("copy app").exit_code == run("copy app app").exit_code == run("copy app --to-shared").exit_code == 2
    assert run("copy nope two").exit_code == 3


def test_copy_replace_asks(line, run):
    """copy --mode replace deletes what else is in the second namespace, after asking."""
    line.store["two"].update({"old": 1})
    assert run("copy zoo two --mode replace").exit_code == 2
    assert run("copy zoo two --mode replace --dry-run").stdout.splitlines() == ["+ two/ü", "- two/old"]
    assert run("copy zoo two --mode replace --yes").exit_code == 0
    assert line.store["two"] == {"ü": 1}


# --- diff -------------------------------------------------------------------------------------------------------------


def test_diff_of_two_namespaces(line, run):
    """A unified diff of indented JSON, status 1; 0 and nothing where both are the same JSON."""
    run("copy app two")
    assert (run("diff app two").exit_code, run("diff app two").stdout) == (0, "")
    line.store["two"]["cfg"] = {"theme": "light"}
    result = run("diff app two")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "--- app/cfg",
        "+++ two/cfg",
        "@@ -1,3 +1,3 @@",
        " {",
        '-  "theme": "dark"',
        '+  "theme": "light"',
        " }",
    ]
    assert "\x1b[31m-" in run("diff app two", color=True).stdout


def test_diff_of_stores_and_servers(line, run):
    """One name is compared with that of the other store or server, and the heads say which is which."""
    result = run("diff zoo --to-profile there")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (1, f"--- {SERVER}/api/dataStore zoo/ü")
    result = run("diff app --to-user")
    assert (result.exit_code, "+++ https://dhis2.example.org/api/userDataStore app/mine" in result.stdout) == (1, True)
    run("copy zoo --to-profile there")
    assert run("diff zoo --to-profile there").exit_code == 0


def test_diff_with_exports(line, run, backup):
    """An export is compared with the server, with one namespace, or with another export."""
    assert run("diff @backup.json").exit_code == 0
    assert run("diff @backup.json app").exit_code == 0
    line.store["zoo"]["new"] = [1]
    assert run("diff @backup.json").stdout.splitlines()[:2] == ["--- /dev/null", f"+++ {SERVER}/api/dataStore zoo/new"]
    assert run("diff @backup.json app").exit_code == 0
    assert run("diff zoo @backup.json").exit_code == 1
    (line.home / "second.json").write_text(run("export").stdout)
    result = run("diff @backup.json @second.json")
    assert (result.exit_code, result.stdout.splitlines()[1]) == (1, "+++ second.json zoo/new")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("diff app", 2),
        ("diff app app", 2),
        ("diff @nope app", 2),
        ("diff nope1 nope2", 3),
        ("diff app zoo --nonsense", 2),
        ("diff app zoo --url https://dhis2.example.org --username alice", 2),
    ],
)
def test_a_failure_of_diff_is_more_than_1(line, command, status):
    """What is no answer is never status 1."""
    assert line.run(command).exit_code == status


def test_trouble_and_refusals_of_diff(line, run, monkeypatch):
    """A server in trouble is 2 and a wrong password 4: neither looks like a difference."""
    line.emulator.fail("status", times=1, status=500)
    assert run("diff app zoo").exit_code == 2
    monkeypatch.setenv("DHIS2_PASSWORD", "wrong")
    assert run("diff app zoo").exit_code == 4


# --- watch ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def meanwhile(monkeypatch):
    """What others do while watch waits, step by step; then it is interrupted."""

    def does(*steps):
        todo = iter(steps)

        def rest(*_):
            step = next(todo, None)
            if step is None:
                raise KeyboardInterrupt
            step()
            return True

        monkeypatch.setattr("dhis2kv.store.watching.Watch._rest", rest)

    return does


def test_watch_prints_changes_as_lines(line, run, meanwhile):
    """Entries that are created, updated and deleted are a line of JSON each; another spelling is no change."""
    store = line.store
    meanwhile(
        lambda: store["app"].update({"cfg": {"theme": "light"}, "new": 1}),
        lambda: store["app"].update({"new": 1.0}),
        lambda: store["app"].delete_many(["new"]),
    )
    result = run("watch app")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [json.loads(text) for text in result.stdout.splitlines()]
    assert all(text.pop("seen").endswith("+00:00") for text in lines)
    assert lines == [
        {"namespace": "app", "key": "cfg", "change": "updated", "value": {"theme": "light"}},
        {"namespace": "app", "key": "new", "change": "created", "value": 1},
        {"namespace": "app", "key": "new", "change": "deleted"},
    ]


def test_watch_of_one_entry(line, run, meanwhile):
    """With a key, only that entry is watched, from before it exists."""
    store = line.store
    meanwhile(lambda: store["app"].update({"cfg": 1, "new": None}))
    assert [json.loads(text)["key"] for text in run("watch app new").stdout.splitlines()] == ["new"]


def test_watch_survives_an_outage(line, run, meanwhile, caplog):
    """Trouble is told in the log and taken for no change; a sign-in that is refused ends it."""
    store = line.store
    meanwhile(
        lambda: line.emulator.fail("status", times=1, match="app", status=500),
        lambda: store["app"].update({"new": 1}),
    )
    result = run("watch app")
    assert [json.loads(text)["change"] for text in result.stdout.splitlines()] == ["created"]
    assert "asked again" in caplog.text
    meanwhile(lambda: line.emulator.fail("status", times=1, match="app", status=403))
    assert run("watch app").exit_code == 4
