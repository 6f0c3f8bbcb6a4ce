"""The command as such: help, pipes, what is missing, the commands that serve."""

import os
import subprocess
import sys

import pytest

from tests.conftest import connect, sent

READS = {"GET", "HEAD"}


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


@pytest.mark.parametrize("status", [0, 1])
def test_demo_ends_as_the_tour_does(run, monkeypatch, status):
    """demo's exit status is the tour's."""
    monkeypatch.setattr("dhis2kv.demo.run", lambda: status)
    assert run("demo").exit_code == status


def test_a_live_demo_is_on_the_server_that_is_named(line, run, monkeypatch):
    """demo --live takes its tour where every command goes, and leaves nothing; a namespace that exists is refused."""
    for words, emulator in (("demo --live mine", line.emulator), ("--profile there demo --live mine", line.other)):
        emulator.load({"beside": {"k": 1}})
        sent(emulator)
        assert (run(words).exit_code, "beside/k" in str(sent(emulator))) == (0, False)
        assert "mine" not in connect(emulator)
        assert connect(emulator)["beside"].copy() == {"k": 1}
    assert run("demo --live app").exit_code == 2
    monkeypatch.delenv("DHIS2_URL")
    assert "which server?" in run("demo --live mine").stderr


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
