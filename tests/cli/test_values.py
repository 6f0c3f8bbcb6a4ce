"""The values that commands take: from words, files and standard input."""

import pytest

from tests.conftest import sent

READS = {"GET", "HEAD"}


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


def test_a_value_below_nothing_says_how_it_is_written(line):
    """-5 looks like an option: the error says what to write before it; an unknown option has no such hint."""
    refused = line.run("set app limit -5")
    assert (refused.exit_code, "Write -- before a VALUE" in refused.stderr) == (2, True)
    assert line.run("set app limit -- -5").exit_code == 0
    assert "Write --" not in line.run("set app limit --colour 5").stderr
