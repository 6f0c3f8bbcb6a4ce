"""The commands as real processes in a real terminal, whose screen is read: tmux, over a served emulator."""

import os
import select
import shutil
import subprocess
import sys
import threading

import pytest

from dhis2kv.emulator import Emulator

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")

READY = "ready> "
LONGEST = 60  # seconds to wait for something that does not come, before the test fails


class Terminal:
    """A shell in a terminal of 100 columns and 50 lines, and what it shows."""

    def __init__(self, home, environment, shell="sh"):
        self._socket = home / "tmux"
        self._fifo = home / "output"
        os.mkfifo(self._fifo)
        variables = " ".join(f"{name}='{value}'" for name, value in {"PS1": READY, **environment}.items())
        self._tmux("new-session", "-d", "-x", "100", "-y", "50", "cat")
        self._output = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK)
        self._tmux("pipe-pane", f"cat > {self._fifo}")
        self._tmux("respawn-pane", "-k", f"cd {home} && env {variables} {shell}")
        self._read = ""
        self.until(READY)

    def _tmux(self, *words):
        ran = subprocess.run(["tmux", "-f", "/dev/null", "-S", self._socket, *words], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def press(self, *keys):
        """Press keys that have names, such as Enter and C-c."""
        self._tmux("send-keys", *keys)

    def type(self, text):
        """Type a text, and Enter."""
        self._tmux("send-keys", "-l", text)
        self.press("Enter")

    def until(self, text):
        """Wait until the terminal has been sent this text, after what was waited for before."""
        while text not in self._read:
            readable, _, _ = select.select([self._output], [], [], LONGEST)
            assert readable, f"{text!r} does not come; the screen shows:\n{self.screen()}"
            self._read += os.read(self._output, 65536).decode("utf-8", "replace")
        self._read = self._read.partition(text)[2]

    def run(self, command):
        """Type a command, and give what the screen shows once it has ended, from it on."""
        self._tmux("send-keys", "-R")
        self._tmux("clear-history")
        self.type(command)
        self.until("\n")
        self.until(READY)
        return self.screen()

    def screen(self, *how):
        """What the screen shows."""
        return self._tmux("capture-pane", "-p", *how).rstrip()

    def close(self):
        self._tmux("kill-server")
        os.close(self._output)


@pytest.fixture
def emulator():
    emulator = Emulator("2.42")
    emulator.load({"app": {"cfg": {"theme": "dark"}, "limits": [1, 2]}})
    with emulator.serve() as server:
        emulator.url = server.url
        yield emulator


@pytest.fixture
def start(emulator, tmp_path):
    """Start a terminal whose environment names the emulated server, and in which ``dhis2kv`` is a command."""
    command = tmp_path / "bin" / "dhis2kv"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dhis2kv "$@"\n')
    command.chmod(0o700)
    opened = []

    def start(shell="sh", **more):
        environment = {
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "DHIS2_URL": emulator.url,
            "DHIS2_USERNAME": "admin",
            "DHIS2_PASSWORD": "district",
            **more,
        }
        opened.append(Terminal(tmp_path, environment, shell))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def test_reading_and_writing(start, emulator):
    """set, get, keys and the exit status, as somebody at a terminal sees them."""
    terminal = start()
    assert "set app/greeting" in terminal.run("""dhis2kv set app greeting '"Grüezi 🎉"'""")
    assert '"Grüezi 🎉"\n' in terminal.run("dhis2kv get app greeting")
    assert "cfg\ngreeting\nlimits\n" in terminal.run("dhis2kv keys app")
    screen = terminal.run("dhis2kv get app nope; echo status $?")
    assert "Error: there is no 'nope' in namespace 'app'\nstatus 3" in screen
    assert "KEY" in (screen := terminal.run("dhis2kv keys app -o table"))
    assert "limits    5 B" in screen


def test_deleting_asks(start, emulator):
    """delete and delete-namespace ask at the terminal; nothing goes without a yes."""
    terminal = start()
    terminal.type("dhis2kv delete app cfg")
    terminal.until("[y/N]: ")
    terminal.type("")
    terminal.until(READY)
    assert f"Delete app/cfg (16 B) on {emulator.url}? [y/N]:\nAborted!" in terminal.screen()
    terminal.type("dhis2kv delete-namespace app")
    terminal.until("with its 2 entries (cfg, limits) on ")
    terminal.until("? [y/N]: ")
    terminal.type("y")
    terminal.until(READY)
    assert "deleted the namespace app" in terminal.screen()
    assert "true" not in terminal.run("dhis2kv exists app cfg")


def test_a_password_is_not_seen(start, emulator):
    """A password is asked for, and what is typed then is not on the screen."""
    emulator.add_user("alice", "Alice_pw_1!")
    terminal = start()
    terminal.type("dhis2kv whoami --username alice -o compact")
    terminal.until("Password of alice at ")
    terminal.until(": ")
    terminal.type("Alice_pw_1!")
    terminal.until(READY)
    screen = terminal.screen()
    assert '"username":"alice"' in screen
    assert "Alice_pw_1!" not in screen


def test_colour(start, emulator):
    """Changes are coloured at a terminal, and not where NO_COLOR is set."""
    terminal = start()
    terminal.run("dhis2kv set app new 1 --dry-run")
    assert "\x1b[32m+ app/new" in terminal.screen("-e")
    terminal.run("NO_COLOR=1 dhis2kv set app new 1 --dry-run")
    assert "\x1b[32m" not in terminal.screen("-e")


def test_escape_sequences_of_others_are_not_obeyed(start, emulator):
    """Text that somebody stored is spelled out on the screen where it would command the terminal."""
    emulator.load({"app": {"title": "a\x1b]2;owned\x07b\x1b[2J"}})
    terminal = start()
    assert "a\\x1b]2;owned\\x07b\\x1b[2J" in terminal.run("dhis2kv get app title -o raw")


def test_an_export_on_the_screen_has_no_bar(start, emulator):
    """Where the data itself goes to the terminal, no progress bar is drawn into it."""
    terminal = start()
    screen = terminal.run("dhis2kv export")
    assert '"limits": [1, 2]' in screen
    assert "Reading" not in screen


def test_edit(start, emulator):
    """edit opens the editor of the environment on the value, and stores what it leaves."""
    terminal = start(VISUAL="sed -i s/dark/light/")
    assert "set app/cfg" in terminal.run("dhis2kv edit app cfg")
    assert '{"theme":"light"}' in terminal.run("dhis2kv get app cfg -o compact")
    assert "nothing was changed" in terminal.run("dhis2kv edit app cfg")


def test_export_import_diff(start, emulator):
    """A backup goes to a file with a progress bar beside it, and comes back; the bars are gone afterwards."""
    terminal = start()
    terminal.type("dhis2kv export > backup.json")
    terminal.until("Reading")
    terminal.until("2/2")
    terminal.until(READY)
    assert terminal.screen().count("\n") == 1
    terminal.run("dhis2kv delete-namespace app --yes")
    assert "+ app/cfg\n+ app/limits" in terminal.run("dhis2kv import backup.json --dry-run")
    terminal.type("dhis2kv import backup.json")
    terminal.until("Writing")
    terminal.until(READY)
    assert terminal.screen().splitlines()[-2].startswith("2 created, 0 updated, 0 deleted")
    assert "Writing" not in terminal.screen()
    assert "status 0" in terminal.run("dhis2kv diff @backup.json; echo status $?")


def test_bars_leave_the_lines_alone(start, emulator):
    """status over several namespaces prints its lines whole, and its bar counts each namespace from nothing."""
    emulator.load({"big": {f"key-{number}": number for number in range(5)}, "last": {"one": 1}})
    terminal = start()
    terminal.run("dhis2kv pull config")
    emulator.put("app", "cfg", {"theme": "light"})
    emulator.put("big", "key-1", 7)
    terminal.type("dhis2kv status config")
    terminal.until("1/1")
    terminal.until(READY)
    assert terminal.screen().splitlines()[-3:] == ["there ~ app/cfg", "there ~ big/key-1", READY.strip()]


def test_nothing_to_do_has_no_bar(start, emulator):
    """Neither a dry run nor a write of nothing nor an error leaves a bar behind."""
    terminal = start()
    assert terminal.run("dhis2kv share app cfg --public r --dry-run").splitlines()[1:-1] == [
        "~ app/cfg public: rw to r-"
    ]
    assert terminal.run("dhis2kv audit nope").splitlines()[1:-1] == ["Error: there is no namespace 'nope'"]


def test_a_pipe_that_ends_is_no_error(start, emulator):
    """| head shows its lines and nothing else."""
    emulator.load({"big": {f"key-{number}": "x" * 50 for number in range(5000)}})
    terminal = start()
    export = "dhis2kv export big --no-sharing 2>errors | head -2; cat errors"
    screen = terminal.run(f"dhis2kv get big key-1 | head -1; {export}")
    assert screen.splitlines()[-4:] == [f'"{"x" * 50}"', "{", '  "dhis2kv": 1,', READY.strip()]


def test_watch_until_interrupted(start, emulator):
    """watch prints a line for each change until Ctrl-C, and then ends quietly."""
    looked = threading.Event()

    class Log(list):
        def append(self, record):
            super().append(record)
            looked.set()

    emulator.log = Log()
    terminal = start()
    terminal.type("dhis2kv watch app --interval 0.1")
    assert looked.wait(LONGEST)
    emulator.put("app", "cfg", {"theme": "light"})
    terminal.until('"change":"updated","value":{"theme":"light"}}')
    terminal.press("C-c")
    terminal.until(READY)
    assert "Abort" not in terminal.screen()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_in_bash(start, emulator):
    """The tab key completes commands, namespaces and keys from the server."""
    terminal = start(shell="bash --norc --noprofile")
    terminal.run('eval "$(_DHIS2KV_COMPLETE=bash_source dhis2kv)"')
    terminal._tmux("send-keys", "-l", "dhis2kv get ap")
    terminal.press("Tab")
    terminal.until("app ")
    terminal._tmux("send-keys", "-l", "lim")
    terminal.press("Tab")
    terminal.until("limits ")
    terminal.press("Enter")
    terminal.until(READY)
    assert "[\n  1,\n  2\n]" in terminal.screen()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("begun", "name"),
    [
        ("col", "cold chain"),
        ("cold\\ ", "cold chain"),
        ("'cold c", "cold chain"),
        ('"cold c', "cold chain"),
        ("dol", "dollar$x"),
        ('"dol', "dollar$x"),
        ("st", "star*"),
        ("bac", "back`tick`"),
    ],
)
def test_completion_in_bash_quotes_names(start, emulator, begun, name):
    """What is completed is, for the shell, the name: blanks, dollars and the like are quoted as the word was begun."""
    emulator.load({"odd names": {name: f"value of {name}"}})
    terminal = start(shell="bash --norc --noprofile")
    terminal.run('eval "$(_DHIS2KV_COMPLETE=bash_source dhis2kv)"')
    terminal._tmux("send-keys", "-l", f"dhis2kv get odd\\ names {begun}")
    terminal.press("Tab")
    terminal._tmux("send-keys", "-l", "--", "-o raw")
    terminal.press("Enter")
    terminal.until(f"value of {name}")


def test_a_terminal_that_lacks_a_character_shows_its_number(start, emulator):
    """In a terminal with an old encoding no character ends in a traceback."""
    emulator.load({"app": {"title": "Grüezi 数 🎉"}})
    terminal = start(PYTHONIOENCODING="ascii")
    assert "Gr\\u00fcezi \\u6570 \\ud83c\\udf89" in terminal.run("dhis2kv get app title -o raw")
