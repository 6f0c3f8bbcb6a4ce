"""The tour of the commands in README.rst runs, line by line, and prints what the README shows."""

import re
import textwrap
from pathlib import Path

from tests.cli import command_line  # noqa: F401 - the fixture

README = Path(__file__).parents[1] / "README.rst"
SECTION = re.compile(r"^Command line\n=+\n(.*?)^[^\n]+\n=+\n", re.M | re.S)
BLOCK = re.compile(r"^\.\. code-block:: console\n\n((?:(?: {4}.*)?\n)+)", re.M)
PROMPT = re.compile(r"\[y/N\]: (\w+)$", re.M)


def steps():
    """Each line after a $ of the section, with what is shown below it."""
    for block in BLOCK.findall(SECTION.search(README.read_text(encoding="utf-8"))[1]):
        for step in re.split(r"^\$ ", textwrap.dedent(block), flags=re.M)[1:]:
            command, _, shown = step.partition("\n")
            yield command, shown.strip("\n")


def test_the_tour_prints_what_the_readme_shows(command_line):  # noqa: F811 - pytest's way to use a fixture
    """Each command of the tour, in order against one server, prints what the README shows."""
    command_line.is_terminal()
    status, ran = 0, 0
    for command, shown in steps():
        words, _, file = command.partition(" > ")
        if words == "echo $?":
            printed = str(status)
        elif words.startswith("cat "):
            printed = (command_line.home / words[4:]).read_text(encoding="utf-8")
        else:
            assert words.startswith("dhis2kv "), f"the tour can only run dhis2kv, echo $? and cat, not {words!r}"
            answers = "".join(f"{answer}\n" for answer in PROMPT.findall(shown))
            result = command_line.run(words.removeprefix("dhis2kv "), input=answers)
            status, printed = result.exit_code, result.output
        if file:
            (command_line.home / file).write_text(result.stdout, encoding="utf-8")
            printed = result.stderr
        assert printed.strip("\n") == shown, f"$ {command}"
        ran += 1
    assert ran > 20
