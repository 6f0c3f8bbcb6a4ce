"""How commands end: exit statuses, questions before what cannot be undone, and trial runs."""

import pytest

from dhis2kv import Query
from tests.cli.line import SERVER
from tests.conftest import sent

READS = {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("get app cfg", 0),
        ("get app nope", 3),
        ("get nope cfg", 3),
        ("keys nope", 3),
        ("keys nope -o table", 3),
        ("delete app nope --yes", 3),
        ("delete app nope", 3),
        ("delete-namespace nope --yes", 3),
        ("patch app nope a 1", 3),
        ("get", 2),
        ("get app a/b", 2),
        ("frobnicate", 2),
        ("add app cfg 1", 5),
        ("add app cfg 1 --dry-run", 5),
        ("patch app cfg nope 1", 1),
        ("roll app cfg 1 --keep 2", 2),
    ],
)
def test_exit_statuses(run, command, status):
    """Each outcome has its status, and what is not 0 says why on stderr."""
    result = run(command)
    assert result.exit_code == status
    assert bool(result.stderr) is (status > 0)


def test_not_signed_in_or_not_allowed_is_4(line, run, monkeypatch):
    """A wrong password and a protected namespace are status 4."""
    line.emulator.add_user("alice", "Alice_pw_1!")
    monkeypatch.setenv("DHIS2_USERNAME", "alice")
    assert run("namespaces").exit_code == 4
    monkeypatch.setenv("DHIS2_PASSWORD", "Alice_pw_1!")
    assert run("namespaces").exit_code == 0
    line.emulator.load({"sms-config": {"a": 1}})
    assert run("get sms-config a").exit_code == 4


def test_trouble_is_1(line, run):
    """A server in trouble is status 1, never "not found"."""
    line.emulator.fail("status", times=2, status=500)
    assert run("get app cfg").exit_code == 1
    assert run("exists app cfg").exit_code == 1


def test_deleting_asks(line, run):
    """delete says what will go and asks; no is the default, and is status 1."""
    line.is_terminal()
    result = run("delete app cfg", input="\n")
    assert (result.exit_code, f"Delete app/cfg (25 B) on {SERVER}? [y/N]" in result.stderr) == (1, True)
    assert "cfg" in line.store["app"]
    assert run("delete app cfg", input="y\n").exit_code == 0
    assert "cfg" not in line.store["app"]
    result = run("delete-namespace app", input="n\n")
    assert (result.exit_code, "the namespace app with its 2 entries (list, name)" in result.stderr) == (1, True)
    assert "app" in line.store


@pytest.mark.parametrize("command", ["delete app cfg", "delete-namespace app"])
def test_without_a_terminal_nothing_is_deleted_unasked(line, command):
    """Where nobody can be asked, deleting needs --yes; "y" on standard input does not count."""
    result = line.run(command, input="y\n")
    assert (result.exit_code, "--yes" in result.stderr) == (2, True)
    assert {method for method, _ in sent(line.emulator)} <= READS
    assert line.run(f"{command} --yes").exit_code == 0
    assert "cfg" not in line.store["app"]


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("set app new 1", ["+ app/new"]),
        ("set app cfg 1", ["~ app/cfg"]),
        ('set app cfg {"size":2.0,"theme":"dark"}', []),
        ("add app new 1", ["+ app/new"]),
        ("delete app cfg", ["- app/cfg"]),
        ("delete-namespace app", ["- app/cfg", "- app/list", "- app/name"]),
        ("patch app cfg theme 1", ["~ app/cfg theme"]),
        ("roll app list 3 --keep 2", ["~ app/list"]),
        ("roll app log 3 --keep 2", ["+ app/log"]),
        ("copy app to", ["+ to/cfg", "+ to/list", "+ to/name"]),
    ],
)
def test_dry_run_only_reads(line, command, lines):
    """--dry-run prints what would be created, updated and deleted, and sends only reads."""
    result = line.run([*command.split(), "--dry-run"])
    assert (result.exit_code, result.stdout.splitlines()) == (0, lines)
    assert {method for method, _ in sent(line.emulator)} <= READS


def test_writing_says_so_on_stderr(line, run):
    """Writing commands print nothing on stdout, so that pipes hold data only."""
    for command in (
        "set app a 1",
        "add app b 2",
        "patch app cfg theme 3",
        "roll app list 3 --keep 2",
        "delete app a -y",
    ):
        result = run(command)
        assert (result.exit_code, result.stdout, bool(result.stderr)) == (0, "", True)
    assert line.store["app"] == {"b": 2, "cfg": {"theme": 3, "size": 2}, "list": [2, 3], "name": "Ünï"}


def test_encrypt(line, run):
    """What is written with --encrypt is hidden in bulk reads and a value when read singly."""
    run("set app secret 1 --encrypt")
    run("add app secret2 2 --encrypt")
    run("set app secret 3 --encrypt")
    found = line.store.datastore.query("app", Query())
    assert {row["key"]: row["value"] for row in found if "secret" in row["key"]} == {"secret": None, "secret2": None}
    assert run("get app secret").stdout == "3\n"
