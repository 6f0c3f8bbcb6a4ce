"""The commands on single entries: what they print, what they ask, what they send, and how they end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dhis2kv import Query
from dhis2kv.cli import cli
from tests.cli import OTHER, SERVER, command_line  # noqa: F401 - the fixture
from tests.conftest import sent

READS = {"GET", "HEAD"}


@pytest.fixture
def line(command_line):  # noqa: F811 - pytest's way to use a fixture
    command_line.emulator.load({"app": {"cfg": {"theme": "dark", "size": 2}, "list": [1, 2], "name": "Ünï"}})
    return command_line


@pytest.fixture
def run(line):
    return line.run


# --- reading ----------------------------------------------------------------------------------------------------------


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


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        (["null"], None),
        (['{"a": [1, 2.5, true]}'], {"a": [1, 2.5, True]}),
        (["--string", "just text"], "just text"),
        (["--string", "null"], "null"),
        (["--", "-5"], -5),
        (["-"], {"from": "stdin"}),
        (["@value.json"], ["from", "a", "file"]),
        (["--string", "@value.json"], '["from", "a", "file"]'),
    ],
)
def test_values(line, words, stored):
    """A value is JSON from the argument, standard input or a file; with --string it is text; null is null."""
    (line.home / "value.json").write_text('["from", "a", "file"]')
    assert line.run(["set", "app", "new", *words], input='\ufeff{"from": "stdin"}').exit_code == 0
    assert line.store["app"]["new"] == stored


@pytest.mark.parametrize("text", ["hello", "", "{'a': 1}", "[1,", "01"])
def test_text_that_is_not_json_is_never_stored(line, text):
    """Text that is no JSON is an error that suggests --string, and nothing is sent."""
    result = line.run(["set", "app", "cfg", text])
    assert result.exit_code == 2
    assert "--string" in result.stderr
    assert sent(line.emulator) == []


@pytest.mark.parametrize("text", ["NaN", "1e9999999", '"\\u0000"'])
def test_json_that_cannot_be_kept_is_refused(line, text):
    """What the server would not give back the same is status 2, and nothing is sent, with --dry-run neither."""
    for more in ([], ["--dry-run"]):
        assert line.run(["set", "app", "cfg", text, *more]).exit_code == 2
    assert sent(line.emulator) == []


def test_files_that_cannot_be_read(line, run):
    """A file that is not there, or is no text, is status 2 and a sentence."""
    (line.home / "binary").write_bytes(b"\xff\xfe\x00")
    assert "No such file" in run("set app cfg @nope").stderr
    assert "UTF-8" in run("set app cfg @binary").stderr
    assert run("set app cfg @nope").exit_code == run("set app cfg @binary").exit_code == 2


# --- exit statuses and safety -----------------------------------------------------------------------------------------


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


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_a_profile_says_server_and_account(line, run):
    """--profile names another server, before or after the command."""
    line.other.load({"elsewhere": {"a": 1}})
    assert run("namespaces --profile there").stdout == "elsewhere\n"
    assert run("--profile there namespaces").stdout == "elsewhere\n"


def test_a_password_comes_from_standard_input(line, run):
    """--password-stdin takes one line as the password of --username."""
    line.emulator.add_user("alice", "Alice_pw_1!")
    result = run("whoami --username alice --password-stdin", input="Alice_pw_1!\n")
    assert json.loads(result.stdout)["username"] == "alice"
    assert run("whoami --username alice --password-stdin", input="wrong\n").exit_code == 4
    assert run(f"whoami --url {OTHER} --password-stdin", input="x\n").exit_code == 2
    result = run("set app cfg - --username alice --password-stdin", input="Alice_pw_1!\n1")
    assert (result.exit_code, "standard input gives the password already" in result.stderr) == (2, True)


def test_a_password_from_standard_input_counts_before_a_token(line, run, monkeypatch):
    """Who gives a password wants to sign in by it, whatever token the environment has."""
    monkeypatch.setenv("DHIS2_PAT", "d2p_wrong")
    assert run("namespaces").exit_code == 4
    assert run("namespaces --password-stdin", input="district\n").exit_code == 0


def test_a_password_is_asked_for(line, run):
    """Where a name has no password it is asked for on a terminal, unseen; without one it is an error."""
    line.emulator.add_user("alice", "Alice_pw_1!")
    assert run("whoami --username alice").exit_code == 2
    line.is_terminal()
    result = run("whoami --username alice", input="Alice_pw_1!\n")
    assert json.loads(result.stdout)["username"] == "alice"
    assert "Password of alice" in result.stderr
    assert "Alice_pw_1!" not in result.output


def test_credentials_are_not_sent_to_another_server(line, run):
    """--url takes no credentials along from the environment or a profile."""
    run(f"namespaces --url {OTHER}")
    run(f"namespaces --profile here --url {OTHER}")
    assert line.other.log
    assert not any("authorization" in map(str.lower, record.headers) for record in line.other.log)


def test_there_is_no_password_option():
    """A password on the command line would be seen by other users: no command takes one."""
    names = {name for command in cli.commands.values() for option in command.params for name in option.opts}
    assert "--username" in names
    assert not names & {"--password", "-p"}


def test_nothing_configured(line, run, monkeypatch):
    """Without a server the sentence says how to name one, and nothing secret is printed."""
    monkeypatch.delenv("DHIS2_URL")
    result = run("namespaces")
    assert (result.exit_code, "DHIS2_URL" in result.stderr) == (2, True)
    assert "district" not in result.output


# --- edit -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def editor(line, monkeypatch):
    """An editor that writes one text after another into what it is given, and what it found there."""

    def use(*texts):
        for number, text in enumerate(texts):
            (line.home / f"text{number}").write_text(text)
        script = line.home / "editor"
        script.write_text(
            '#!/bin/sh\ncd "$(dirname "$0")"\nn=$(ls found* 2>/dev/null | wc -l)\n'
            'cp "$1" found$n\necho "$1" > name\n[ -f text$n ] && cp text$n "$1"\nexit 0\n'
        )
        script.chmod(0o700)
        monkeypatch.setenv("VISUAL", str(script))

    return use


def test_edit_stores_what_the_editor_left(line, run, editor):
    """edit opens a .json file with the indented value, stores the new one, and removes the file."""
    editor('{"theme": "light"}')
    assert run("edit app cfg").exit_code == 0
    assert line.store["app"]["cfg"] == {"theme": "light"}
    assert json.loads((line.home / "found0").read_text()) == {"theme": "dark", "size": 2}
    name = (line.home / "name").read_text().strip()
    assert name.endswith(".json")
    assert not Path(name).exists()


def test_edit_writes_nothing_when_nothing_changed(line, run, editor):
    """The same value in another spelling is no change: nothing is written."""
    editor('{"size":2.0,"theme":"dark"}')
    assert "nothing was changed" in run("edit app cfg").stderr
    assert {method for method, _ in sent(line.emulator)} <= READS


def test_edit_opens_again_on_a_syntax_error(line, run, editor):
    """Text that is no JSON is told and edited again, as it was left."""
    editor("{oops", "[1]")
    result = run("edit app cfg", input="y\n")
    assert (result.exit_code, "not JSON" in result.stderr) == (0, True)
    assert (line.home / "found1").read_text() == "{oops"
    assert line.store["app"]["cfg"] == [1]


def test_edit_can_be_given_up(line, run, editor):
    """Giving up stores nothing and leaves the text in a file that is named."""
    editor("{oops")
    result = run("edit app cfg", input="n\n")
    path = Path((line.home / "name").read_text().strip())
    assert (result.exit_code, str(path) in result.stderr) == (1, True)
    assert path.read_text() == "{oops"
    assert path.stat().st_mode & 0o077 == 0
    path.unlink()
    assert line.store["app"]["cfg"] == {"theme": "dark", "size": 2}


def test_edit_refuses_when_somebody_else_wrote(line, run, editor):
    """A value that changed while the editor was open is not overwritten: status 5, and the text is kept."""
    editor('"ours"')
    with pytest.MonkeyPatch.context() as patch:
        real = click.edit

        def edit(**how):
            real(**how)
            line.store["app"]["cfg"] = "theirs"

        patch.setattr(click, "edit", edit)
        result = run("edit app cfg")
    path = Path((line.home / "name").read_text().strip())
    assert (result.exit_code, str(path) in result.stderr, path.read_text()) == (5, True, '"ours"')
    path.unlink()
    assert line.store["app"]["cfg"] == "theirs"


def test_edit_dry_run(line, run, editor):
    """edit --dry-run opens the editor, and prints instead of writing."""
    editor("7")
    assert run("edit app cfg --dry-run").stdout == "~ app/cfg\n"
    assert {method for method, _ in sent(line.emulator)} <= READS


def test_an_editor_that_fails(line, run, monkeypatch):
    """An editor that fails is a failure, and leaves no file behind."""
    monkeypatch.setenv("VISUAL", "false")
    assert run("edit app cfg").exit_code == 1


# --- around it --------------------------------------------------------------------------------------------------------


def test_colour_only_where_it_is_wanted(line, run, monkeypatch):
    """Changes are coloured on a terminal, plain in a pipe, and plain where NO_COLOR is set."""
    assert run("set app new 1 --dry-run").stdout == "+ app/new\n"
    assert "\x1b[" in run("set app new 1 --dry-run", color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert run("set app new 1 --dry-run", color=True).stdout == "+ app/new\n"


def test_raw_text_is_not_changed(line, run):
    """Text goes into a pipe as it is stored, escape sequences included."""
    line.emulator.load({"app": {"colour": "\x1b[31mred"}})
    assert run("get app colour -o raw").stdout == "\x1b[31mred\n"


def test_stored_control_characters_do_not_reach_a_terminal(line, run):
    """Names that others stored are shown with their control characters spelled out."""
    line.emulator.load({"bad": {"\x1b[2J\x07": 1}})
    assert run("delete-namespace bad --dry-run").stdout == "- bad/\\x1b[2J\\x07\n"
    assert "\\x1b[2J\\x07  1 B" in run("keys bad -o table").stdout


def test_the_help_lists_the_exit_statuses(run):
    """--help tells every exit status, and diff's."""
    told = run("--help").stdout
    for said in (
        "0  done",
        "1  failure",
        "2  wrong usage",
        "3  not found",
        "4  not signed in",
        "5  conflict",
        "diff, status: 0",
    ):
        assert said in told


@pytest.mark.parametrize("command", [[], ["get"], ["set"], ["export"], ["serve"], ["mcp"]])
def test_help_loads_no_requests(command):
    """--help answers without loading requests."""
    code = (
        "import sys\nfrom dhis2kv.cli import cli\n"
        f"try: cli({[*command, '--help']!r})\nexcept SystemExit: pass\n"
        "print('LOADED', 'requests' in sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage:" in ran.stdout
    assert ran.stderr.strip() == "LOADED False"


def test_a_closed_pipe_ends_quietly():
    """With a reader that has gone away, as after | head, nothing is said on stderr."""
    command = f"{sys.executable} -m dhis2kv --help | true"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stderr == ""


def test_without_the_extra_it_says_what_to_install():
    """Where click is missing, the command says what to install instead of a traceback."""
    code = "import sys; sys.modules['click'] = None; from dhis2kv.__main__ import main; main()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "pip install 'dhis2kv[cli]'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_mcp_says_what_is_missing(run, monkeypatch):
    """Without the SDK, mcp says which extra to install."""
    monkeypatch.setitem(sys.modules, "dhis2kv.mcp", None)
    result = run("mcp")
    assert (result.exit_code, "dhis2kv[mcp]" in result.stderr) == (1, True)


def test_mcp_serves_with_its_options(run, monkeypatch):
    """mcp hands the account's store and its options to the server, and leaves out what was not given."""
    served = []
    module = type(sys)("dhis2kv.mcp")
    module.serve = lambda store, **options: served.append(options)
    monkeypatch.setitem(sys.modules, "dhis2kv.mcp", module)
    assert run("mcp").exit_code == 0
    assert run("mcp --allow-write --namespace 'app, app2' --max-bytes 10").exit_code == 0
    assert served == [
        {"allow_write": False, "namespaces": None},
        {"allow_write": True, "namespaces": ["app", "app2"], "max_bytes": 10},
    ]


@pytest.mark.parametrize("names", ["", " ", ",", "app,", "app,,app2"])
def test_mcp_without_a_name_does_not_open_every_namespace(run, monkeypatch, names):
    """An empty name after --namespace, as of a variable that is not set, is wrong usage, and nothing is served."""
    served = []
    module = type(sys)("dhis2kv.mcp")
    module.serve = lambda store, **options: served.append(options)
    monkeypatch.setitem(sys.modules, "dhis2kv.mcp", module)
    result = run(["mcp", "--namespace", names])
    assert (result.exit_code, "empty name" in result.stderr) == (2, True)
    assert served == []


def test_demo_ends_as_the_tour_does(run, monkeypatch):
    """demo's exit status is the tour's."""
    monkeypatch.setattr("dhis2kv.demo.run", lambda live: {None: 0, "x": 2}[live])
    assert run("demo").exit_code == 0
    assert run("demo --live x").exit_code == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
@pytest.mark.parametrize("command", ["demo", "--version"])
def test_a_full_disk_is_told_in_a_sentence(command):
    """What cannot be printed, at once or from a buffer at the end, is a sentence and status 1."""
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "dhis2kv", command], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ran.returncode == 1
    assert ran.stderr == "Error: the command could not finish: [Errno 28] No space left on device\n"


def test_serve_refuses_what_it_cannot_be(run):
    """A version that is not there, and an account without a password, are wrong usage."""
    assert "9.99" in run("serve --port 0 --version 9.99").stderr
    assert run("serve --port 0 --user alice").exit_code == 2


# --- completion -------------------------------------------------------------------------------------------------------


def complete(line, monkeypatch, words):
    for name, value in {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("_DHIS2KV_COMPLETE", "bash_complete")
    result = line.run([])
    return [row.partition(",")[2] for row in result.stdout.splitlines() if row], result.stderr


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("dhis2kv get a", ["app"]),
        ("dhis2kv get app ", ["cfg", "list", "name"]),
        ("dhis2kv get app c", ["cfg"]),
        ("dhis2kv get --user app ", ["mine"]),
        ("dhis2kv --profile there get e", ["elsewhere"]),
        ("dhis2kv export app e", []),
        ("dhis2kv diff a", ["app"]),
        ("dhis2kv who", ["whoami"]),
        ("dhis2kv get --profile th", ["there"]),
        ("dhis2kv profile show h", ["here"]),
        ("dhis2kv profile verify ", ["here", "there"]),
    ],
)
def test_completion(line, monkeypatch, words, names):
    """Namespaces and keys complete from the server, store and account that the line names."""
    line.emulator.load({"app": {"mine": 1}}, user="admin")
    line.other.load({"elsewhere": {"a": 1}})
    assert complete(line, monkeypatch, words) == (names, "")


def test_completion_is_silent_when_it_fails(line, monkeypatch):
    """Trouble (not asked again), an outage or a missing password completes to nothing, without a word or a question."""
    line.emulator.fail("status", times=1, status=503)
    assert complete(line, monkeypatch, "dhis2kv get a") == ([], "")
    line.emulator.down = True
    assert complete(line, monkeypatch, "dhis2kv get a") == ([], "")
    line.emulator.down = False
    line.is_terminal()
    monkeypatch.delenv("DHIS2_PASSWORD")
    assert complete(line, monkeypatch, "dhis2kv get a") == ([], "")
    monkeypatch.delenv("DHIS2_URL")
    assert complete(line, monkeypatch, "dhis2kv get a") == ([], "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(line, monkeypatch, shell):
    """Each of the three shells gets its script."""
    if shell == "bash":
        # click asks the machine's bash for its version, and its script serves every one that completes.
        monkeypatch.setattr("click.shell_completion.BashComplete._check_version", staticmethod(lambda: None))
    monkeypatch.setenv("_DHIS2KV_COMPLETE", f"{shell}_source")
    assert "dhis2kv" in line.run([]).stdout


def test_a_value_below_nothing_says_how_it_is_written(line):
    """-5 looks like an option: the error says what to write before it; an unknown option has no such hint."""
    refused = line.run("set app limit -5")
    assert (refused.exit_code, "Write -- before a VALUE" in refused.stderr) == (2, True)
    assert line.run("set app limit -- -5").exit_code == 0
    assert "Write --" not in line.run("set app limit --colour 5").stderr
