"""The way in, as the README shows it: from ``profile add`` to the first ``get``, typed in a real terminal."""

import datetime
import os
import re
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .cli.test_terminal import READY, Terminal, pytestmark  # noqa: F401 - the mark that skips without tmux

README = Path(__file__).parents[1] / "README.rst"
SECTION = re.compile(r"^Say which server\n-+\n(.*?)^[^\n]+\n[=-]+\n", re.M | re.S)
BLOCK = re.compile(r"^\.\. code-block:: console\n\n((?:(?: {4}.*)?\n)+)", re.M)
PROMPT = re.compile(r"(URL of the server: |Username \(.*\): |Password of .*:)(.*)")
SHOWN = "https://play.example.org"


@pytest.fixture
def served():
    """``dhis2kv serve``, as a process of its own: its URL, and the superuser's name and password, as it prints them."""
    command = [sys.executable, "-m", "dhis2kv", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        url = process.stdout.readline().strip()
        account = re.search(r"superuser is (\S+), with the password (\S+)", process.stdout.readline())
        yield url, account[1], account[2]
        process.terminate()
        assert process.wait(60) == 0


@pytest.fixture
def terminal(tmp_path):
    """A terminal of somebody for whom nothing is configured, in which ``dhis2kv`` is a command."""
    command = tmp_path / "bin" / "dhis2kv"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dhis2kv "$@"\n')
    command.chmod(0o700)
    environment = {"PATH": f"{command.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    unset = " ".join(f"-u {name}" for name in os.environ if name.startswith(("DHIS2_", "XDG_CONFIG")))
    opened = Terminal(tmp_path, environment, shell=f"env {unset} sh" if unset else "sh")
    yield opened
    opened.close()


def test_the_way_in_as_the_readme_shows_it(served, terminal, tmp_path):
    """Each command of the README is typed, each question is answered, and each line that it shows comes."""
    url, name, password = served
    block = BLOCK.search(SECTION.search(README.read_text(encoding="utf-8"))[1])[1]
    ends = datetime.datetime.now().astimezone().date() + datetime.timedelta(days=365)
    commands = 0
    for line in textwrap.dedent(block).strip().splitlines():
        text = re.sub(r"\d{4}-\d{2}-\d{2}", str(ends), line).replace(SHOWN, url)
        if text.startswith("$ "):
            if commands:
                terminal.until(READY)
            terminal.type(text[2:])
            commands += 1
        elif found := PROMPT.fullmatch(text):
            terminal.until(f"{found[1].rstrip()} ")  # the blank comes once nothing that is typed is shown any longer
            assert found[2] in (url, "admin", ""), "what the README answers is what the server is"
            terminal.type({url: url, "admin": name, "": password}[found[2]])
        else:
            terminal.until(text)
    terminal.until(READY)
    assert commands == 3
    kept = tmp_path / ".config" / "dhis2kv" / "profiles.toml"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert password not in kept.read_text()
    assert password not in terminal.screen("-S", "-")


def test_the_same_in_python(served, terminal):
    """Then a program needs neither address nor secret."""
    url, name, password = served
    terminal.type(f"dhis2kv profile add play --url {url} --username {name}")
    terminal.until("Password of ")
    terminal.until(": ")
    terminal.type(password)
    terminal.until(READY)
    program = 'from dhis2kv import Store; s = Store.from_profile(); s["app"]["k"] = 7; print("it is", s["app"]["k"])'
    assert "it is 7" in terminal.run(f"{sys.executable} -c '{program}'")
