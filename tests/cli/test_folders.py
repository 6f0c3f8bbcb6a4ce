"""Configuration as code: pull, status and push."""

import json

import pytest

from tests.cli.line import OTHER, SERVER
from tests.conftest import connect, sent


@pytest.fixture
def line(command_line):
    command_line.emulator.load({"app": {"cfg": {"theme": "dark"}, "n": None}, "zoo": {"ü": 1}})
    command_line.emulator.put("app", "secret", "hidden", encrypted=True)
    return command_line


@pytest.fixture
def run(line):
    return line.run


@pytest.fixture
def pulled(line):
    assert line.run("pull config").exit_code == 0
    return line.home / "config" / "dataStore"


def test_pull_says_what_it_did(line, run):
    """pull creates the folder and says how many files it wrote, of which server; again it writes none."""
    result = run("pull config")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"3 created, 0 updated, 0 deleted in config, as {SERVER} holds it\n"
    assert (line.home / "config/dataStore/app/cfg.json").read_text() == '{\n  "theme": "dark"\n}\n'
    assert run("pull config").stderr == f"0 created, 0 updated, 0 deleted in config, as {SERVER} holds it\n"


def test_pull_dry_run(line, run, pulled):
    """--dry-run prints what pull would do to the files, and writes none."""
    line.store["app"].update({"cfg": 1, "new": 2})
    assert run("pull new --dry-run").stdout.splitlines() == ["+ app/cfg", "+ app/n", "+ app/new", "+ zoo/ü"]
    assert not (line.home / "new").exists()
    assert run("pull config --dry-run").stdout.splitlines() == ["~ app/cfg", "+ app/new"]
    assert json.loads((pulled / "app/cfg.json").read_text()) == {"theme": "dark"}


def test_pull_of_names(line, run):
    """pull takes the namespaces that are named, and with --user the account's own store; one that is not there is 3."""
    line.emulator.load({"app": {"mine": 1}}, user="admin")
    assert run("pull config zoo").exit_code == run("pull config --user").exit_code == 0
    found = sorted(path.relative_to(line.home / "config").as_posix() for path in (line.home / "config").rglob("*.json"))
    assert [path for path in found if not path.startswith(".")] == [
        "dataStore/zoo/ü.json",
        "userDataStore/app/mine.json",
    ]
    assert run("pull config nope").exit_code == 3


def test_status_is_an_answer(line, run, pulled):
    """status is 0 and silent where nothing changed, 1 with a line an entry where something did."""
    assert (run("status config").exit_code, run("status config").stdout) == (0, "")
    (pulled / "app/cfg.json").write_text("1")
    line.store["app"].update({"n": 2, "new": 3})
    result = run("status config")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        ["here  ~ app/cfg", "there ~ app/n", "there + app/new"],
    )
    (pulled / "app/n.json").write_text("3")
    assert "both  ! app/n: changed here, changed there" in run("status config").stdout


def test_push_does_what_its_dry_run_prints(line, run, pulled):
    """--dry-run prints the plan, and sends only reads; push then does just that, and status is 0."""
    (pulled / "app/cfg.json").write_text("1")
    (pulled / "new").mkdir()
    (pulled / "new/k.json").write_text("2")
    (pulled / "app/n.json").unlink()
    sent(line.emulator)
    assert run("push config --dry-run --delete").stdout.splitlines() == ["~ app/cfg", "- app/n", "+ new/k"]
    assert {method for method, _ in sent(line.emulator)} == {"GET"}
    result = run("push config --delete --yes")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"1 created, 1 updated, 1 deleted on {SERVER}\n"
    writes = [(method, target) for method, target in sent(line.emulator) if method != "GET"]
    assert sorted(writes) == [
        ("DELETE", "/api/dataStore/app/n"),
        ("PUT", "/api/dataStore/app/cfg"),
        ("PUT", "/api/dataStore/new/k"),
    ]
    assert run("status config").exit_code == 0


def test_push_deletes_only_when_told_and_asks(line, run, pulled):
    """What was deleted in the folder stays on the server without --delete; with it, push asks, naming the server."""
    (pulled / "app/n.json").unlink()
    result = run("push config")
    assert result.exit_code == 0
    assert f"1 entry that was deleted in config stays on {SERVER}; --delete deletes it" in result.stderr
    assert "n" in line.store["app"]
    assert run("push config --delete").exit_code == 2
    line.is_terminal()
    result = run("push config --delete", input="y\n")
    assert f"Delete 1 entry (app/n) on {SERVER}? [y/N]" in result.stderr
    assert "n" not in line.store["app"]


@pytest.mark.parametrize("command", ["push config", "push config --dry-run", "pull config", "pull config --dry-run"])
def test_a_conflict_is_named_and_nothing_is_written(line, run, pulled, command):
    """What changed on both sides is named on stderr, with status 5; neither side changes."""
    (pulled / "app/cfg.json").write_text("1")
    (pulled / "zoo/ü.json").write_text("5")
    line.store["app"].update({"cfg": 2, "n": 3})
    result = run(command)
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr.splitlines()[0] == "conflict: app/cfg: changed here, changed there"
    assert "1 conflict, and nothing was written." in result.stderr
    assert (line.store["app"]["cfg"], line.store["zoo"]["ü"]) == (2, 1)
    assert (pulled / "app/n.json").read_text() == "null\n"
    assert run(f"{command} --force").exit_code == 0


def test_other_servers(line, run, pulled):
    """A folder of another server is wrong usage, unless --to-other-server says that it is meant."""
    for command in ("push config", "pull config", "status config"):
        result = run(f"{command} --profile there")
        assert (result.exit_code, f"was pulled from {SERVER}, and this is {OTHER}" in result.stderr) == (2, True)
    assert run("push config --profile there --to-other-server").stderr.endswith(
        f"3 created, 0 updated, 0 deleted on {OTHER}\n"
    )
    assert connect(line.other)["app"] == {"cfg": {"theme": "dark"}, "n": None}


def test_secrets(line, run):
    """Encrypted entries come into the folder with --secrets alone, and push has them encrypted again."""
    run("pull config")
    assert "hidden" not in "".join(path.read_text() for path in (line.home / "config").rglob("*.json"))
    assert run("pull config --secrets").stderr.startswith("1 created")
    assert (
        run("push config --profile there --to-other-server --dry-run").stdout.splitlines()[2]
        == "+ app/secret (encrypted)"
    )
    run("push config --profile there --to-other-server")
    assert run("diff app --to-profile there").exit_code == 0
    (line.home / "config/dataStore/app/.dhis2kv.json").unlink()
    result = run("push config")
    assert (result.exit_code, "an encrypted entry on the server" in result.stderr) == (5, True)


def test_a_broken_file_is_wrong_usage_with_its_path(line, run, pulled):
    """A file that is no JSON is named with its path and place; status 2, for status too."""
    (pulled / "app/cfg.json").write_text('{"a": 1,\n "a": 2}')
    for command in ("push config", "pull config", "status config"):
        result = run(command)
        assert result.exit_code == 2
        assert "config/dataStore/app/cfg.json: it is not JSON: the name 'a' stands twice" in result.stderr
        assert "line 2 column 2" in result.stderr


def test_what_cannot_be_read_is_told(line, run, monkeypatch):
    """A namespace that the account may not read is named: pull ends with status 1, status with more."""
    line.emulator.load({"sms-config": {"a": 1}})
    line.emulator.add_user("alice", "Alice_pw_1!")
    monkeypatch.setenv("DHIS2_USERNAME", "alice")
    monkeypatch.setenv("DHIS2_PASSWORD", "Alice_pw_1!")
    result = run("pull config")
    assert (result.exit_code, "left out sms-config" in result.stderr) == (1, True)
    assert (line.home / "config/dataStore/app/cfg.json").exists()
    assert run("status config").exit_code == 0  # the folder has nothing to do with that namespace
    assert run("push config --dry-run").exit_code == 0
    place = line.home / "config/dataStore/sms-config"
    place.mkdir()
    (place / "a.json").write_text("1")
    assert run("status config").exit_code == 2


def test_a_hidden_namespace_is_no_push(line, run, monkeypatch):
    """Where the server says "created" in vain, push says so, and the folder does not take it for pushed."""
    line.emulator.add_user("alice", "Alice_pw_1!")
    monkeypatch.setenv("DHIS2_USERNAME", "alice")
    monkeypatch.setenv("DHIS2_PASSWORD", "Alice_pw_1!")
    run("pull config app")
    place = line.home / "config/dataStore/METADATASTORE"
    place.mkdir()
    (place / "a.json").write_text("1")
    result = run("push config")
    assert (result.exit_code, "is hidden from this account" in result.stderr) == (1, True)
    assert run("status config").stdout == "here  + METADATASTORE/a\n"


def test_sharing_goes_with_the_folder(line, run):
    """What is pulled tells who may read it; where that was not asked, what is pushed is closed, or open with --open."""
    line.store["app"].share("cfg", public="")
    run("pull asked app")
    run("pull unasked app --no-sharing")
    line.store["app"].share("cfg", public="r")
    assert (run("status asked").exit_code, run("status asked --no-sharing").exit_code) == (1, 0)
    for folder, expected in {"asked": "--", "unasked": "--", "unasked --open": "rw"}.items():
        assert run(f"push {folder} --to-other-server --profile there").exit_code == 0
        there = connect(line.other)
        assert there["app"].sharing("cfg").public == expected
        del there["app"]["cfg"]
    assert "is not known: what is created is closed" in run("push unasked --dry-run").stderr
