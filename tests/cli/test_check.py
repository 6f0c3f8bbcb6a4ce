"""The command check: which values do not fit, and where."""

import json

import pytest

pytest.importorskip("pydantic", reason="models need the extra 'models'")
pytest.importorskip("jsonschema", reason="schemas need the extra 'schema'")

from tests.conftest import sent

MODEL = """
from pydantic import BaseModel
class Limits(BaseModel):
    rows: int
class Settings(BaseModel):
    theme: str
    limits: Limits | None = None
    class Inner(BaseModel):
        x: int
days = (int, str)
"""
SCHEMA = {
    "type": "object",
    "required": ["theme"],
    "properties": {"theme": {"type": "string"}, "limits": {"$ref": "#/$defs/limits"}},
    "$defs": {"limits": {"properties": {"rows": {"type": "integer"}}}},
}


@pytest.fixture
def line(command_line):
    (command_line.home / "checked_models.py").write_text(MODEL)
    (command_line.home / "schema.json").write_text(json.dumps(SCHEMA))
    command_line.emulator.load(
        {"app": {"good": {"theme": "x"}, "bad": {"theme": 7, "limits": {"rows": "many"}}, "odd": []}}
    )
    return command_line


def test_against_a_model(line):
    """Each thing that does not fit is a line with key and path; the status is 1."""
    result = line.run("check app --model checked_models:Settings")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "bad theme: Input should be a valid string",
        "bad limits.rows: Input should be a valid integer, unable to parse string as an integer",
        "odd: Input should be an object",
    ]
    assert "2 of 3 entries do not fit" in result.stderr
    assert line.run("check app good --model checked_models:Settings").exit_code == 0
    assert line.run("check app good --model checked_models:Settings.Inner").stdout == "good x: Field required\n"
    assert line.run("check app good --model checked_models:days").exit_code == 1
    assert line.run("check app nope --model checked_models:Settings").exit_code == 3


def test_against_a_schema(line):
    """The same with a JSON Schema, whose references within it are followed."""
    result = line.run("check app --schema schema.json")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "bad limits.rows: 'many' is not of type 'integer'",
        "bad theme: 7 is not of type 'string'",
        "odd: [] is not of type 'object'",
    ]
    rows = json.loads(line.run("check app bad --schema schema.json -o json").stdout)
    assert [row["PATH"] for row in rows] == ["limits.rows", "theme"]
    table = line.run("check app odd --schema schema.json -o table").stdout.splitlines()
    assert table == ["KEY  PATH  PROBLEM", "odd        [] is not of type 'object'"]
    assert "all 1 entries fit" in line.run("check app good --schema schema.json").stderr


@pytest.mark.parametrize("words", ["--model checked_models:Settings", "--schema schema.json"])
def test_a_namespace_that_is_not_there(line, words):
    """It is not found, and nothing of it fits: who mistypes a name learns of it."""
    result = line.run(f"check none {words}")
    assert result.exit_code == 3
    assert "'none'" in result.stderr
    assert "fit" not in result.stderr


@pytest.mark.parametrize("words", ["--model checked_models:Settings", "--schema tree.json"])
@pytest.mark.parametrize(
    "part",
    ["9" * 400 + ".5", "7" * 5000, "[" * 1200 + "]" * 1200],
    ids=["no number of Python's", "digits", "deep"],
)
def test_what_cannot_be_held_or_checked_does_not_fit(line, words, part):
    """A value that Python cannot hold, or that is too much for what checks it, is named, and hides no other."""
    array = {"type": "array", "items": {"$ref": "#/$defs/array"}}
    (line.home / "tree.json").write_text(json.dumps({"properties": {"x": array}, "$defs": {"array": array}}))
    line.emulator.load({"big": {"huge": f'{{"theme": "a", "x": {part}}}', "left": '{"theme": "a"}'}}, texts=True)
    for place in ("big", "big huge"):
        result = line.run(f"check {place} {words} -o json")
        assert result.exit_code == 1
        assert {row["KEY"] for row in json.loads(result.stdout)} == {"huge"}
    assert line.run(f"check big left {words}").exit_code == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "give --model"),
        ("--model checked_models:Settings --schema schema.json", "give --model"),
        ("--model checked_models", "package.module:Class"),
        ("--model no_such_module:Settings", "cannot import"),
        ("--model checked_models:Nope", "cannot import"),
        ("--model json:decoder", "for a model"),
        ("--schema nope.json", "cannot read"),
        ("--schema broken.json", "is not JSON"),
        ("--schema odd.json", "no JSON Schema"),
    ],
)
def test_wrong_usage(line, words, why):
    """It is status 2 with a sentence, and nothing is sent."""
    (line.home / "broken.json").write_text("{")
    (line.home / "odd.json").write_text('{"type": 7}')
    result = line.run(f"check app {words}")
    assert result.exit_code == 2
    assert why in result.stderr
    assert sent(line.emulator) == []


def test_nothing_is_fetched_for_a_schema(line):
    """A schema that refers to another place is wrong usage: nobody is asked for it."""
    (line.home / "far.json").write_text('{"$ref": "http://127.0.0.1:1/schema.json"}')
    result = line.run("check app --schema far.json")
    assert result.exit_code == 2
    assert "not in it" in result.stderr


def test_a_failure_is_not_status_1(line):
    """Where 1 means that something does not fit, trouble is 2."""
    line.emulator.down = True
    assert line.run("check app --schema schema.json --url https://dhis2.example.org").exit_code == 2
