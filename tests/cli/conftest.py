"""What the command line's tests need: a command line, and a first server that holds some entries."""

import pytest

from tests.cli.line import command_line  # noqa: F401 - the fixture


@pytest.fixture
def line(command_line):  # noqa: F811 - pytest's way to use a fixture
    command_line.emulator.load({"app": {"cfg": {"theme": "dark", "size": 2}, "list": [1, 2], "name": "Ünï"}})
    return command_line


@pytest.fixture
def run(line):
    return line.run
