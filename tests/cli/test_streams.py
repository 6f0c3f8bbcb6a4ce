"""What the commands print and read, in every script and on every kind of stream."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv.cli.bash import quoted
from dhis2kv.cli.output import harmless
from dhis2kv.emulator import Emulator

ODD = 'é数据🎉\x85"\x1b'


@pytest.fixture
def line(command_line):
    return command_line


@pytest.fixture
def run(line):
    return line.run


# --- tables -----------------------------------------------------------------------------------------------------------


def test_columns_are_measured_as_terminals_do(line, run):
    """Wide characters take two columns and combining marks none, so that the second column stands straight."""
    line.emulator.clock = lambda: 1767225600.0  # 2026-01-01
    line.emulator.load({"app": {"数据": 1, "e\u0301e\u0301": 2, "plain": 3}})
    assert run("keys app -o table").stdout.splitlines() == [
        "KEY    SIZE  CREATED",
        "e\u0301e\u0301     1 B   2026-01-01 00:00",
        "plain  1 B   2026-01-01 00:00",
        "数据   1 B   2026-01-01 00:00",
    ]


def test_a_key_is_never_cut(line, run):
    """Whatever length a key has, it stands in the table whole; long values end with an ellipsis, at 60 columns."""
    key = "k" * 200
    line.emulator.load({"app": {key: 1, "cfg": {"long": "数" * 100, "short": 1}}})
    assert key in run("keys app -o table").stdout
    assert run("get app cfg -o table").stdout.splitlines()[1] == f"long   {'数' * 29}…"


def test_characters_of_no_width_do_not_take_for_ever(line, run):
    """A value of nothing but combining marks is cut like another one."""
    line.emulator.load({"app": {"cfg": {"marks": "a" + "\u0301" * 300_000}}})
    assert len(run("get app cfg -o table").stdout) < 1000


@pytest.mark.parametrize("control", ["\x7f", "\x85", "\x9b2J", "\x1b[2J"])
@pytest.mark.parametrize("form", ["json", "compact", "table"])
def test_control_characters_are_disarmed(line, run, control, form):
    """No form but raw, into a pipe, prints a control character that somebody stored; JSON stays the same JSON."""
    line.emulator.load({"app": {"cfg": {"a": control}}})
    printed = run(f"get app cfg -o {form}").stdout
    assert harmless(printed) == printed
    if form != "table":
        assert json.loads(printed) == {"a": control}


# --- values -----------------------------------------------------------------------------------------------------------

LINES = "\ufeffone\r\ntwo\rthree\n"


def test_text_is_stored_as_it_stands(line, run):
    """--string keeps the ends of lines and a byte order mark, from a file and from standard input."""
    (line.home / "text").write_bytes(LINES.encode())
    assert run("set app a --string @text").exit_code == 0
    assert run("set app b --string -", input=LINES.encode()).exit_code == 0
    assert line.store["app"].copy() == {"a": LINES, "b": LINES}


def test_a_byte_order_mark_before_json_is_none_of_it(line, run):
    """Windows' editors put one before JSON, where it means nothing."""
    (line.home / "value").write_bytes('\ufeff{"a": 1}'.encode())
    assert run("set app a @value").exit_code == 0
    assert line.store["app"]["a"] == {"a": 1}


# --- encodings --------------------------------------------------------------------------------------------------------


@pytest.fixture
def process(tmp_path):
    """Run a command as a process of its own, with this environment besides, against a served emulator."""
    emulator = Emulator("2.44")
    emulator.load({"app": {"odd": ODD, ODD.replace('"', ""): 1}})
    with emulator.serve() as server:

        def process(*words, input=b"", **more):
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "DHIS2_URL": server.url,
                "DHIS2_USERNAME": "admin",
                "DHIS2_PASSWORD": "district",
                "PYTHONPATH": os.pathsep.join(sys.path),
                **more,
            }
            return subprocess.run(
                [sys.executable, "-m", "dhis2kv", *words], input=input, env=environment, capture_output=True
            )

        process.emulator = emulator
        yield process


OLD = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def test_what_goes_into_a_pipe_is_utf8(process):
    """Whatever the machine's own encoding is, here ASCII, a program that reads the output reads UTF-8."""
    ran = process("get", "app", "odd", **OLD)
    assert (json.loads(ran.stdout.decode("utf-8")), ran.stderr) == (ODD, b"")
    assert ODD.replace('"', "") in process("keys", "app", **OLD).stdout.decode("utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437"])
def test_what_cannot_be_shown_is_escaped(process, encoding):
    """A character that the encoding lacks is written as JSON writes it, also in errors: never a traceback."""
    ran = process("get", "app", "odd", PYTHONIOENCODING=encoding)
    assert json.loads(ran.stdout.decode(encoding)) == ODD
    ran = process("get", "app", "数", PYTHONIOENCODING=encoding)
    assert ran.stderr.decode(encoding).splitlines() == ["Error: there is no '\\u6570' in namespace 'app'"]


def test_standard_input_is_utf8(process):
    """A password in a pipe is read as UTF-8, whatever the machine's own encoding is."""
    process.emulator.add_user("alice", "Älice_pw_数1!")
    ran = process("whoami", "--username", "alice", "--password-stdin", input="Älice_pw_数1!\n".encode(), **OLD)
    assert json.loads(ran.stdout)["username"] == "alice"


@pytest.mark.parametrize("module", ["click", "dhis2kv.cli", "dhis2kv.cli.many"])
def test_an_interrupt_at_startup_is_no_traceback(module):
    """Ctrl-C while modules are still being loaded ends the command with a word."""
    code = f"""
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from dhis2kv.__main__ import main
main()
"""
    ran = subprocess.run([sys.executable, "-c", code, "namespaces"], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (1, "Aborted!\n")


# --- names in bash ----------------------------------------------------------------------------------------------------


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1), max_size=20)
)
def test_bash_reads_a_completed_name_back(names):
    """Each name that is completed is, to bash, that name as one word: outside of quotes, and within either kind."""
    words = [f"{quote}{quoted(name, quote)}{quote}" for name in names for quote in ("", "'", '"')]
    script = "\n".join(f"printf '%s\\0' {word}" for word in words)
    ran = subprocess.run(["bash", "--norc"], input=script.encode(), capture_output=True, check=True)
    assert ran.stdout.decode().split("\0")[:-1] == [name for name in names for _ in range(3)]


# --- the log ----------------------------------------------------------------------------------------------------------


def test_an_error_is_one_line(process):
    """What is tried again is not told, and what came of it in one line."""
    process.emulator.fail("status", status=503, times=4)  # the first, and three more
    ran = process("get", "app", "cfg")
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    process.emulator.fail("status", status=503, times=1)
    assert process("get", "app", "odd").stderr == b""


def test_v_shows_the_requests(process):
    """-v, before or after the command, prints each request and each repeat on standard error; data stays data."""
    for words in (("-v", "get", "app", "odd"), ("get", "app", "odd", "-v")):
        process.emulator.fail("status", status=503, times=1)
        ran = process(*words)
        assert json.loads(ran.stdout) == ODD
        first, repeat, second = ran.stderr.decode().splitlines()
        assert first.startswith("GET http://127.0.0.1:")
        assert "status 503; again in " in repeat
        assert "/api/dataStore/app/odd: 200, " in second


def test_vv_shows_the_headers(process):
    """-vv prints the headers, too, without what could sign somebody in."""
    told = process("-vv", "get", "app", "odd", DHIS2_PASSWORD="district").stderr.decode()
    assert "> Authorization: ********" in told
    assert "> X-Requested-With: XMLHttpRequest" in told
    assert "< Set-Cookie: ********" in told
    assert "< Content-Type: application/json" in told
    assert "YWRtaW46ZGlzdHJpY3Q" not in told
    assert "JSESSIONID" not in told
