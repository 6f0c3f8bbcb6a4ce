"""The commands that read single entries, and how values are printed."""

import json

import pytest

READS = {"GET", "HEAD"}


def test_names_come_a_line_each(run):
    """Namespaces and keys are printed a line each, or as a JSON list."""
    assert run("namespaces").stdout == "app\n"
    assert run("keys app").stdout == "cfg\nlist\nname\n"
    assert run("keys app -o compact").stdout == '["cfg","list","name"]\n'


def test_a_value_is_printed_as_asked(run):
    """get prints indented JSON, one line of JSON, text without quotes, or a table."""
    assert json.loads(run("get app cfg").stdout) == {"theme": "dark", "size": 2}
    assert len(run("get app cfg").stdout.splitlines()) == 4
    assert run("get app list -o compact").stdout == "[1,2]\n"
    assert run("get app name").stdout == '"Ünï"\n'
    assert run("get app name -o raw").stdout == "Ünï\n"
    assert run("get app list -o raw").stdout == "1\n2\n"
    assert sorted(run("get app cfg -o table").stdout.splitlines()) == ["NAME   VALUE", "size   2", "theme  dark"]


def test_a_list_of_objects_is_a_table(line, run):
    """A table of a list of objects has a column for each member; long cells are cut."""
    line.emulator.load({"app": {"rows": [{"id": 1, "name": "a"}, {"id": 2, "note": "x" * 100}]}})
    assert run("get app rows -o table").stdout.splitlines() == [
        "id  name  note",
        "1   a",
        f"2         {'x' * 59}…",
    ]


def test_tables_show_sizes_and_dates(line, run):
    """The table of keys has readable sizes and dates; that of the user store, which knows no dates, sizes."""
    line.emulator.clock = lambda: 1767225600.0  # 2026-01-01
    line.emulator.load({"big": {"x": "x" * 12345, "z": 1}})
    rows = [row.split("  ") for row in run("keys big -o table").stdout.splitlines()]
    assert [[cell.strip() for cell in row if cell] for row in rows] == [
        ["KEY", "SIZE", "CREATED"],
        ["x", "12.3 kB", "2026-01-01 00:00"],
        ["z", "1 B", "2026-01-01 00:00"],
    ]
    line.emulator.load({"mine": {"x": 1}}, user="admin")
    assert run("keys mine --user -o table").stdout.split() == ["KEY", "SIZE", "x", "1", "B"]
    assert run("namespaces -o table").stdout.splitlines() == ["NAMESPACE  ENTRIES", "app        3", "big        2"]


def test_ls_lists_either(run):
    """ls is namespaces, and with a namespace keys; list, which others have, says so."""
    assert run("ls").stdout == run("namespaces").stdout != ""
    assert run("ls app -o table").stdout == run("keys app -o table").stdout != ""
    refused = run("list app")
    assert (refused.exit_code, "'keys NAMESPACE'" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    "command",
    ["keys nope", "ls nope", "keys nope -o table", "find nope", "find nope a:eq:1", "delete-namespace nope --yes"],
)
def test_an_absent_namespace_is_called_one(run, command):
    """Where a namespace is named that does not exist, the sentence says that it is a namespace."""
    refused = run(command)
    assert (refused.exit_code, refused.stderr.splitlines()[-1]) == (3, "Error: there is no namespace 'nope'")


@pytest.mark.parametrize("command", ["", "profile "])
def test_summaries_are_whole(run, command):
    """No summary of a command is cut in the help."""
    assert "..." not in run(f"{command}--help").stdout.partition("Commands:")[2].partition("Exit status")[0]


def test_exists_tells_by_its_status(run):
    """exists prints true or false, and false is status 3."""
    assert (run("exists app cfg").stdout, run("exists app cfg").exit_code) == ("true\n", 0)
    assert (run("exists app nope").stdout, run("exists app nope").exit_code) == ("false\n", 3)


def test_whoami(run):
    """whoami tells the server, its version and the account, and the known faults that concern data."""
    told = json.loads(run("whoami").stdout)
    assert (told["url"], told["version"], told["username"]) == ("https://dhis2.example.org", "2.44-SNAPSHOT", "admin")
    assert told["faults"].keys() == {"encrypted-laid-open", "empty-put-deletes"}


def test_user_means_the_accounts_own_store(line, run):
    """--user, before or after the command, means the per-user store everywhere."""
    assert run("set app mine 1 --user").exit_code == 0
    assert run("--user keys app").stdout == "mine\n"
    assert run("keys app --user").stdout == "mine\n"
    assert run("delete-namespace app --user --yes").exit_code == 0
    assert run("keys app --user").exit_code == 3
    assert list(line.store["app"].keys()) == ["cfg", "list", "name"]
