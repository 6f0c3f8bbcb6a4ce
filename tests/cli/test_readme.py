"""The tour of the commands in README.rst runs, line by line, and prints what the README shows."""

import os
import re
import shlex
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.rst"
SECTION = re.compile(r"^Command line\n=+\n(.*?)^[^\n]+\n=+\n", re.M | re.S)
BLOCK = re.compile(r"^\.\. code-block:: console\n\n((?:(?: {4}.*)?\n)+)", re.M)
PROMPT = re.compile(r"\[y/N\]: (\w+)$", re.M)


FOLDERS = re.compile(r"^Configuration as code\n-+\n(.*?)(?=^[^\n]+\n[-=]+\n|\Z)", re.M | re.S)


def tour():
    """The section on the command line; and of it the part on folders, which needs git."""
    text = SECTION.search(README.read_text(encoding="utf-8"))[1]
    return FOLDERS.sub("", text), FOLDERS.search(text)[1]


def steps(text):
    """Each line after a $, with what is shown below it."""
    for block in BLOCK.findall(text):
        for step in re.split(r"^\$ ", textwrap.dedent(block), flags=re.M)[1:]:
            command, _, shown = step.partition("\n")
            yield command, shown.strip("\n")


def git(words, home):
    """What git prints, in a repository in this folder, whatever is set up for who runs the tests."""
    who = {f"GIT_{role}_{what}": "test@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_PAGER": "cat"}
    ran = subprocess.run(
        shlex.split(words), cwd=home, env={**os.environ, **who, **nothing}, capture_output=True, text=True, check=True
    )
    return ran.stdout + ran.stderr


def walk(line, text):
    """Run each command of a text, in order against one server; it prints what the text shows. Returns how many."""
    line.is_terminal()
    status, ran = 0, 0
    for command, shown in steps(text):
        words, _, file = command.partition(" > ")
        said = ""
        if words == "echo $?":
            printed = str(status)
        elif words.startswith("cat "):
            printed = (line.home / words[4:]).read_text(encoding="utf-8")
        elif words.startswith("echo "):
            printed = " ".join(shlex.split(words)[1:]) + "\n"
        elif words.startswith("git "):
            printed = git(words, line.home)
        else:
            assert words.startswith("dhis2kv "), f"the tour can run dhis2kv, git, echo and cat, not {words!r}"
            answers = "".join(f"{answer}\n" for answer in PROMPT.findall(shown))
            result = line.run(words.removeprefix("dhis2kv "), input=answers)
            status, printed, said = result.exit_code, result.output, result.stderr
        if file:
            (line.home / file).write_text(result.stdout if said else printed, encoding="utf-8")
            printed = said
        assert printed.strip("\n") == shown, f"$ {command}"
        ran += 1
    return ran


def test_the_tour_prints_what_the_readme_shows(command_line):
    """Each command of the tour prints what the README shows."""
    assert walk(command_line, tour()[0]) > 20


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_configuration_as_code_works_with_git(command_line):
    """From pull over git diff to push --dry-run in a clone, each command prints what the README shows."""
    text = tour()[1]
    assert walk(command_line, text) > 12
    assert re.findall(r"run: dhis2kv (.*)", text) == ["push config --dry-run", "push config"]
