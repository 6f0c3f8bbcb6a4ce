"""Backups that prove themselves: strict files, whole files, every digit, what is left out, and the last look."""

import json
import os
import stat

import pytest

from dhis2kv import Query
from tests.cli.line import OTHER, SERVER
from tests.conftest import connect, sent

READS = {"GET", "HEAD"}
DIGITS = '{"n": [0.1234567890123456789012345, 1.50, 2000], "whole": 12345678901234567890.25}'
FORM = {"dhis2kv": 1, "dataStore": {"app": {"a": 1, "b": 2}}, "encrypted": {"dataStore": {"app": ["b"]}}}


@pytest.fixture
def line(command_line):
    command_line.emulator.load({"app": {"cfg": {"theme": "dark"}}, "zoo": {"ü": 1}})
    command_line.emulator.put("app", "secret", "hidden", encrypted=True)
    return command_line


@pytest.fixture
def run(line):
    return line.run


def as_alice(line, monkeypatch):
    for emulator in (line.emulator, line.other):
        emulator.add_user("alice", "Alice_pw_1!")
    monkeypatch.setenv("DHIS2_USERNAME", "alice")
    monkeypatch.setenv("DHIS2_PASSWORD", "Alice_pw_1!")


# --- strict files -----------------------------------------------------------------------------------------------------

SLIPS = [
    ({**FORM, "encrypt": {}}, "no member 'encrypt'"),
    ({"dhis2kv": 1, "datastore": {"app": {"a": 1}}}, "no member 'datastore'"),
    ({**FORM, "encrypted": {"dataStore": {"other": ["b"]}}}, "no entry other/b"),
    ({**FORM, "encrypted": {"datastore": {"app": ["b"]}}}, "'datastore' is no store"),
]


@pytest.mark.parametrize(("form", "told"), SLIPS, ids=[told for _, told in SLIPS])
@pytest.mark.parametrize("command", ["import x.json", "import x.json --dry-run", "diff @x.json", "serve --seed x.json"])
def test_a_slip_in_a_file_is_wrong_usage(line, form, told, command):
    """Whoever reads the format says line and column of a slip, status 2, and nothing is written."""
    (line.home / "x.json").write_text(json.dumps(form, indent=1))
    result = line.run(command)
    assert (result.exit_code, told in result.stderr, "line" in result.stderr) == (2, True, True)
    assert {method for method, _ in sent(line.emulator)} <= READS


def test_two_blocks_of_one_name_lose_nothing(line):
    """What a merge by git leaves, a namespace twice, is an error with the place of the second."""
    (line.home / "x.json").write_text('{"dhis2kv": 1, "dataStore": {\n "app": {"a": 1},\n "app": {"b": 1}}}')
    result = line.run("import x.json")
    assert (result.exit_code, "line 3 column 2: the name 'app' stands twice" in result.stderr) == (2, True)


def test_a_name_twice_in_a_value(line):
    """A VALUE in which a name stands twice is refused with the place; nothing is sent."""
    for words in (["set", "app", "n"], ["add", "app", "n"], ["patch", "app", "cfg", "theme"], ["roll", "app", "n"]):
        result = line.run([*words, '{"a": 1, "a": 2}', *(["--keep", "3"] if words[0] == "roll" else [])])
        assert (result.exit_code, "'a' stands twice in one object: line 1 column 10" in result.stderr) == (2, True)
    assert sent(line.emulator) == []


def test_a_name_twice_in_the_editor(line, monkeypatch):
    """edit tells the place of a name that stands twice, and stores nothing."""
    monkeypatch.setenv("EDITOR", """sh -c 'printf "%s" "{\\"a\\": 1, \\"a\\": 2}" > "$0"'""")
    result = line.run("edit app cfg", input="n\n")
    assert (result.exit_code, "stands twice" in result.stderr) == (1, True)
    assert line.store["app"]["cfg"] == {"theme": "dark"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_of_files(line, encoding):
    """An export in UTF-8 or, with a byte order mark, UTF-16 is read: a file, @file, a pipe, a VALUE."""
    text = json.dumps({"dhis2kv": 1, "dataStore": {"app": {"ü": "€ 🎉"}}}, ensure_ascii=False)
    (line.home / "x.json").write_text(text, encoding=encoding)
    for command in ("import x.json", "import @x.json"):
        assert line.run(command).exit_code == 0
        assert line.store["app"].pop("ü") == "€ 🎉"
    assert line.run("import -", input=text.encode(encoding)).exit_code == 0
    assert line.store["app"].pop("ü") == "€ 🎉"
    assert line.run("set app file @x.json").exit_code == 0
    assert line.store["app"]["file"] == json.loads(text)


def test_what_is_no_text_is_told(line):
    """Bytes that are no text are wrong usage, and so is a file that is not there."""
    (line.home / "x.json").write_bytes(b'{"\xff')
    assert "not text in UTF-8 or UTF-16" in (result := line.run("import x.json")).stderr
    assert result.exit_code == line.run("import nope.json").exit_code == 2


# --- a file that is whole ---------------------------------------------------------------------------------------------


def test_export_to_a_file(line, run):
    """--output writes the file with mode 0600, says what is in it, and prints nothing."""
    result = run("export --output backup.json")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"3 entries of {SERVER} written to backup.json\n"
    path = line.home / "backup.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text(encoding="utf-8") == run("export").stdout


def test_an_export_that_fails_leaves_the_file_as_it_was(line, run):
    """When the server fails in the midst, the old backup stays, and nothing lies beside it."""
    run("export --output backup.json")
    before = (line.home / "backup.json").read_bytes()
    line.emulator.fail("status", times=99, match="zoo", status=500)
    assert run("export --output backup.json").exit_code == 1
    assert (line.home / "backup.json").read_bytes() == before
    assert sorted(os.listdir(line.home)) == [".config", "backup.json"]


def test_import_of_a_part(line, run):
    """--namespace takes one namespace of a file, --as stores it under another name; one that is not there is 3."""
    run("export --output backup.json")
    assert (
        run("import backup.json --namespace app --as copy").stderr == f"2 created, 0 updated, 0 deleted on {SERVER}\n"
    )
    assert line.store["copy"] == {"cfg": {"theme": "dark"}, "secret": "hidden"}
    assert line.store.datastore.query("copy", Query())[1] == {"key": "secret", "value": None}
    assert run("import backup.json --namespace zoo --profile there").exit_code == 0
    assert list(connect(line.other)) == ["zoo"]
    result = run("import backup.json --namespace nope")
    assert (result.exit_code, result.stderr) == (3, "Error: there is no namespace 'nope' in backup.json\n")
    assert run("import backup.json --as copy").exit_code == 2


# --- diff -------------------------------------------------------------------------------------------------------------


def test_diff_names_and_counts(line, run):
    """--name-only prints the names of what differs, --stat how many lines do; the status is that of diff."""
    line.store["two"].update({"cfg": {"theme": "light", "size": 1}, "new": [1]})
    assert run("diff app two --name-only").stdout.splitlines() == ["two/cfg", "two/new", "app/secret"]
    result = run("diff app two --stat")
    assert result.stdout.splitlines() == ["~ two/cfg | +2 -1", "+ two/new | +3 -0", "- app/secret | +0 -1"]
    assert result.exit_code == 1
    run("copy app three")
    assert (run("diff app three --stat").exit_code, run("diff app three --stat").stdout) == (0, "")


def test_diff_of_a_namespace_that_begins_with_at(line, run):
    """ns:@x is the namespace @x, and not a file."""
    line.emulator.load({"@x": {"cfg": {"theme": "dark"}}, "ns:@x": {"cfg": 1}})
    run("export @x --output x.json")
    assert run("diff ns:@x @x.json").exit_code == 0
    assert run("diff ns:@x app --name-only").stdout == "app/secret\n"
    assert run("diff ns:ns:@x app --name-only").stdout == "app/cfg\napp/secret\n"


def test_diff_says_which_namespace_is_not_there(line, run):
    """A namespace that one side lacks is named, for it looks like an empty one."""
    run("export zoo --output zoo.json")
    result = run("diff app nope")
    assert (result.exit_code, f"there is no namespace 'nope' in {SERVER}/api/dataStore" in result.stderr) == (1, True)
    result = run("diff @zoo.json app")
    assert (result.exit_code, "there is no namespace 'app' in zoo.json" in result.stderr) == (1, True)
    assert run("diff @zoo.json nope").exit_code == 3


# --- every digit ------------------------------------------------------------------------------------------------------


@pytest.fixture
def digits(line):
    line.emulator.load({"app": {"n": DIGITS}}, texts=True)
    return line


def held(emulator, name, key="n"):
    """The text that a server holds."""
    return connect(emulator).datastore.get_text(name, key)


def test_digits_are_carried(digits, run):
    """Export and import, copy, and get piped into set bring every digit to its place."""
    run("export app --output backup.json")
    run("import backup.json --profile there")
    run("copy app two")
    run(["set", "three", "n", run("get app n -o compact").stdout])
    for emulator, name in ((digits.other, "app"), (digits.emulator, "two"), (digits.emulator, "three")):
        text = held(emulator, name)
        assert "0.1234567890123456789012345" in text
        assert "12345678901234567890.25" in text
        assert "1.50" in text
    assert run("diff app two").exit_code == run("diff @backup.json --profile there").exit_code == 0
    assert run("import backup.json").stderr.startswith("0 created, 0 updated")


def test_a_digit_is_a_difference(digits, run):
    """diff, and import after it, see a change beyond what a double holds."""
    run("copy app two")
    run("export app --output backup.json")
    digits.emulator.load({"two": {"n": DIGITS.replace("12345,", "12346,")}}, texts=True)
    result = run("diff app two")
    assert result.exit_code == 1
    assert "+    0.1234567890123456789012346," in result.stdout
    assert run("import backup.json --namespace app --as two --dry-run").stdout == "~ two/n\n"


def test_editing_another_member_rewrites_no_number(digits, run, monkeypatch):
    """edit stores the numbers that it was not asked to change as they were; patch leaves them to the server."""
    monkeypatch.setenv("EDITOR", """sed -i 's/"whole"/"renamed"/'""")
    assert run("edit app n").exit_code == 0
    text = held(digits.emulator, "app")
    assert "renamed" in text
    assert "0.1234567890123456789012345" in text
    assert "12345678901234567890.25" in text
    assert run("patch app n n.1 0.00000000000000000000000012340").exit_code == 0
    text = held(digits.emulator, "app")
    assert "0.00000000000000000000000012340" in text
    assert "0.1234567890123456789012345" in text


def test_an_integer_of_5000_digits_is_carried(line, run):
    """What Python's own integers do not print is imported, exported, copied and compared whole."""
    number = "7" * 5000
    (line.home / "x.json").write_text(f'{{"dhis2kv": 1, "dataStore": {{"big": {{"n": {number}}}}}}}')
    assert run("import x.json").exit_code == 0
    assert number in run("export big").stdout
    assert run("copy big two").exit_code == run("diff big two").exit_code == run("diff @x.json big").exit_code == 0
    line.emulator.load({"two": {"n": "8" + number[1:]}}, texts=True)
    assert run("diff big two --name-only").stdout == "two/n\n"


# --- what cannot be read ----------------------------------------------------------------------------------------------


def test_a_backup_comes_to_its_end(line, run, monkeypatch):
    """A namespace that is forbidden, one with an impossible name, an entry to which no address leads, and one that
    the server cannot decrypt are named on stderr; all else is exported, and the status is 1."""
    line.emulator.load({"sms-config": {"a": 1}, "impossible": {"a": 1}, "odd": {"": 1, "good": 2}, "deep": {"ok": 1}})
    # Nothing but the database's own console could make it so.
    line.emulator._server.storage._db.execute(
        "UPDATE entry SET namespace = 'im/possible' WHERE namespace = 'impossible'"
    )
    line.emulator.put("deep", "down", "lost", encrypted=True)
    line.emulator.fail("status", times=99, match="deep/down", status=500)
    as_alice(line, monkeypatch)
    result = run("export --output backup.json")
    assert result.exit_code == 1
    told = [text.partition(":")[0] for text in result.stderr.splitlines()]
    assert told[:4] == ["left out deep/down", "left out im/possible", "left out odd/", "left out sms-config"]
    saved = json.loads((line.home / "backup.json").read_text(encoding="utf-8"))
    assert saved["dataStore"] == {
        "app": {"cfg": {"theme": "dark"}, "secret": "hidden"},
        "deep": {"ok": 1},
        "odd": {"good": 2},
        "zoo": {"ü": 1},
    }
    assert saved["encrypted"] == {"dataStore": {"app": ["secret"]}}


def test_a_copy_of_what_can_be_read(line, run):
    """copy leaves out what cannot be read, with status 1; with --mode replace it refuses, for it would delete that."""
    line.emulator.load({"app": {"": 1}})
    line.store["two"]["old"] = 1
    result = run("copy app two --mode replace --yes")
    assert (result.exit_code, "nothing was written" in result.stderr) == (1, True)
    assert line.store["two"] == {"old": 1}
    result = run("copy app two")
    assert (result.exit_code, "left out app/" in result.stderr) == (1, True)
    assert line.store["two"] == {"cfg": {"theme": "dark"}, "old": 1, "secret": "hidden"}


def test_what_cannot_be_compared_is_no_equality(line, run):
    """diff ends with more than 1 where an entry cannot be read: it is not known to be the same."""
    run("copy app two")
    line.emulator.load({"app": {"": 1}})
    assert run("diff app two").exit_code == 2


# --- interrupted ------------------------------------------------------------------------------------------------------


def test_an_interrupted_import_says_how_far_it_came(line, run, monkeypatch):
    """Ctrl-C while writing says what is done, where, and that it can be run again; that does the rest."""
    wanted = {"dhis2kv": 1, "dataStore": {"new": {f"k{number}": number for number in range(10)}}}
    (line.home / "x.json").write_text(json.dumps(wanted))

    interrupt(monkeypatch)
    result = run("import x.json --profile there")
    assert result.exit_code == 1
    assert f"Interrupted: 5 of 10 changes on {OTHER} are made. Run it again for the rest." in result.stderr
    assert len(connect(line.other)["new"]) >= 5
    result = run("import x.json --profile there")
    assert (result.exit_code, connect(line.other)["new"].copy()) == (0, wanted["dataStore"]["new"])


def interrupt(monkeypatch):
    """Whoever writes the first time is interrupted after five entries."""
    from dhis2kv.store import Namespace

    once = iter([True])
    real = Namespace.set_many

    def set_many(self, entries, *, progress=None):
        def step(done, total):
            if progress:
                progress(done, total)
            if done == 5 and next(once, False):
                raise KeyboardInterrupt

        real(self, entries, progress=step)

    monkeypatch.setattr(Namespace, "set_many", set_many)


def test_an_interrupted_export_says_that_it_is_none(line, run, monkeypatch):
    """Ctrl-C while reading says how many entries were read, and that the file is as it was."""
    from dhis2kv.datastore import Datastore

    real = Datastore.list_keys

    def list_keys(self, namespace, **options):
        if namespace == "zoo":
            raise KeyboardInterrupt
        return real(self, namespace, **options)

    monkeypatch.setattr(Datastore, "list_keys", list_keys)
    result = run("export --output backup.json")
    assert result.exit_code == 1
    assert f"Interrupted after 2 entries of {SERVER}: backup.json is as it was. Run it again." in result.stderr
    assert not (line.home / "backup.json").exists()


# --- the last look ----------------------------------------------------------------------------------------------------


def test_a_hidden_namespace_is_no_restore(line, run, monkeypatch):
    """Where the server says "created" and stores nothing, import, copy, set and add fail, and say why."""
    (line.home / "x.json").write_text(json.dumps({"dhis2kv": 1, "dataStore": {"METADATASTORE": {"a": 1}}}))
    as_alice(line, monkeypatch)
    for command in ("import x.json", "copy app METADATASTORE", "set METADATASTORE a 1", "add METADATASTORE b 1"):
        result = run(command)
        assert (result.exit_code, "is hidden from this account" in result.stderr) == (1, True), command
        assert "created" not in result.stderr.splitlines()[-1].partition("Error")[0]
    assert run("import x.json --no-verify").exit_code == 0


def test_on_2_36_nobody_can_restore_it(line, run):
    """Up to 2.36 that namespace is hidden from everybody, the superuser included."""
    line.become("2.36")
    result = run("set METADATASTORE a 1")
    assert (result.exit_code, "does not hold it" in result.stderr) == (1, True)


def test_the_last_look_costs_one_bulk_read(line, run):
    """After an import each namespace is listed and read once more; --no-verify leaves that out."""
    run("export app --output backup.json")
    sent(line.other)
    run("import backup.json --profile there --no-verify")
    plain = len(sent(line.other))
    del connect(line.other)["app"]
    sent(line.other)
    run("import backup.json --profile there")
    last = sent(line.other)[-3:]
    assert [method for method, _ in last] == ["GET"] * 3  # the keys, a page, the encrypted entry
    assert plain < len(last) + plain


def test_somebody_elses_write_is_told(line, run, monkeypatch):
    """An entry that holds something else at the end is named."""
    from dhis2kv import snapshot
    from dhis2kv.snapshot import changes

    real = changes.check

    def meanwhile(store, *what):
        store["app"]["cfg"] = "theirs"
        real(store, *what)

    monkeypatch.setattr(changes, "check", meanwhile)
    with pytest.raises(snapshot.changes.errors.NotStored, match=r"1 entries are not there.*app/cfg.*somebody else"):
        snapshot.apply(line.store, snapshot.plan(line.store, [snapshot.Entry("app", "cfg", 1)]))


# --- the server has a name --------------------------------------------------------------------------------------------


def test_questions_and_reports_name_the_server(line, run):
    """Whatever deletes or writes says on which server, in its question and when it is done."""
    line.is_terminal()
    assert run("set app n 1").stderr == f"set app/n on {SERVER}\n"
    assert run("add app m 1").stderr == f"added app/m on {SERVER}\n"
    assert run("patch app cfg theme 2").stderr == f"set theme of app/cfg on {SERVER}\n"
    assert run("roll app list 1 --keep 2").stderr == f"appended to app/list on {SERVER}\n"
    result = run("delete app n --profile there", input="y\n")
    assert result.exit_code == 3
    assert f"Delete app/n (1 B) on {SERVER}?" in run("delete app n", input="n\n").stderr
    assert f"(cfg, list, m, n, secret) on {SERVER}?" in run("delete-namespace app", input="n\n").stderr
    assert run("delete-namespace app --yes").stderr == f"deleted the namespace app on {SERVER}\n"


def test_what_cannot_be_read_can_be_deleted(line, run):
    """delete asks with the size of a value that Python cannot hold, too."""
    line.emulator.load({"app": {"deep": "[" * 995 + "]" * 995}}, texts=True)
    line.is_terminal()
    result = run("delete app deep", input="y\n")
    assert (result.exit_code, f"Delete app/deep (2.0 kB) on {SERVER}?" in result.stderr) == (0, True)
    assert "deep" not in line.store["app"]


# --- keys that must not be written ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["merge", "replace", "add"])
@pytest.mark.parametrize("command", ["import backup.json --profile there", "copy app --to-profile there"])
def test_a_key_that_must_not_be_written_is_left_out_and_named(line, run, command, mode):
    """What another client has made, and would break the bulk reads of a server, stays back; all else is written."""
    line.emulator.load({"app": {'a"b': 1, "plain": 2}})
    assert run("export app --output backup.json").exit_code == 0
    for extra in (" --dry-run", ""):
        result = run(f"{command} --mode {mode} --yes{extra}")
        assert result.exit_code == 1
        assert "left out app/a\"b: 'a\"b' cannot be written" in result.stderr
    assert sorted(connect(line.other)["app"]) == ["cfg", "plain", "secret"]


@pytest.mark.parametrize("mode", ["merge", "replace"])
def test_a_key_that_must_not_be_written_and_is_there_stays(line, run, mode):
    """Where it holds that value already nothing is left out; replacing does not delete it, for it is in the file."""
    line.emulator.load({"app": {'a"b': 1}})
    run("export app --output backup.json")
    line.emulator.load({"app": {"cfg": 3}})
    assert run(f"import backup.json --mode {mode} --yes").exit_code == 0
    assert sorted(line.store["app"]) == ['a"b', "cfg", "secret"]
    line.emulator.load({"app": {'a"b': 2}})
    assert run(f"import backup.json --mode {mode} --yes").exit_code == 1
    assert line.store["app"]['a"b'] == 2


def test_a_key_that_no_server_holds_is_an_error(line, run):
    """No export has it: somebody has edited the file, and nothing is written."""
    (line.home / "backup.json").write_text(json.dumps({"dhis2kv": 1, "dataStore": {"app": {"a/b": 1, "new": 2}}}))
    assert run("import backup.json").exit_code == 2
    assert "new" not in line.store["app"]


def test_diff_shows_what_is_encrypted_on_one_side_alone(line, run):
    """The value is the same, and who can read the database is not."""
    line.other.load({"app": {"cfg": {"theme": "dark"}, "secret": "hidden"}})
    result = run("diff app --to-profile there")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[2:] == [
        "@@ -1,2 +1,2 @@",
        "-encrypted: true",
        "+encrypted: false",
        ' "hidden"',
    ]
    assert run("diff app --to-profile there --stat").stdout == "~ app/secret | +1 -1\n"
    assert run("export app --output backup.json").exit_code == run("diff app @backup.json").exit_code == 0
