"""The command find: what it prints, and what it refuses."""

import json

import pytest

from tests.conftest import sent


@pytest.fixture
def line(command_line):
    command_line.emulator.load(
        {"app": {"ann": {"name": "Ann", "age": 41}, "ben": {"name": "Ben", "age": 9}, "log": [1], "cid": {"age": 30.5}}}
    )
    return command_line


def test_entries_are_printed_by_key(line):
    """find prints an object of what was found, in the order asked for."""
    assert json.loads(line.run("find app age:gt:30").stdout) == {
        "ann": {"name": "Ann", "age": 41},
        "cid": {"age": 30.5},
    }
    found = line.run("find app 'age:gt:1' --order age:desc --limit 2 --fields age -o compact")
    assert found.stdout == '{"ann":{"age":41},"cid":{"age":30.5}}\n'
    assert line.run("find app age:eq:9 name:eq:Ann --any --fields name -o compact").stdout == (
        '{"ann":{"name":"Ann"},"ben":{"name":"Ben"}}\n'
    )
    assert line.run("find app age:eq:10").stdout == "{}\n"
    assert line.run("find none age:eq:9").exit_code == 3
    assert line.run("find app --user").exit_code == 3


def test_a_table(line):
    """A table has a column for the key, and one for each part."""
    assert line.run("find app _:!eq:log --fields name,age -o table").stdout.splitlines() == [
        "KEY  name  age",
        "ann  Ann   41",
        "ben  Ben   9",
        "cid        30.5",
    ]
    assert line.run("find app _:eq:log -o table").stdout.splitlines() == ["KEY  VALUE", "log  [1]"]


@pytest.mark.parametrize("words", ["age", "age:bad:3", "--order age:up", "--fields a..b", "--limit -1", "_:null"])
def test_words_that_mean_nothing(line, words):
    """They are wrong usage, and nothing is sent."""
    result = line.run(f"find app {words}")
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert sent(line.emulator) == []
