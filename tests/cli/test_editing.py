"""``edit``: an entry in an editor."""

import json
from pathlib import Path

import click
import pytest

from tests.conftest import sent

READS = {"GET", "HEAD"}


@pytest.fixture
def editor(line, monkeypatch):
    """An editor that writes one text after another into what it is given, and what it found there."""

    def use(*texts):
        for number, text in enumerate(texts):
            (line.home / f"text{number}").write_text(text)
        script = line.home / "editor"
        script.write_text(
            '#!/bin/sh\ncd "$(dirname "$0")"\nn=$(ls found* 2>/dev/null | wc -l)\n'
            'cp "$1" found$n\necho "$1" > name\n[ -f text$n ] && cp text$n "$1"\nexit 0\n'
        )
        script.chmod(0o700)
        monkeypatch.setenv("VISUAL", str(script))

    return use


def test_edit_stores_what_the_editor_left(line, run, editor):
    """edit opens a .json file with the indented value, stores the new one, and removes the file."""
    editor('{"theme": "light"}')
    assert run("edit app cfg").exit_code == 0
    assert line.store["app"]["cfg"] == {"theme": "light"}
    assert json.loads((line.home / "found0").read_text()) == {"theme": "dark", "size": 2}
    name = (line.home / "name").read_text().strip()
    assert name.endswith(".json")
    assert not Path(name).exists()


def test_edit_writes_nothing_when_nothing_changed(line, run, editor):
    """The same value in another spelling is no change: nothing is written."""
    editor('{"size":2.0,"theme":"dark"}')
    assert "nothing was changed" in run("edit app cfg").stderr
    assert {method for method, _ in sent(line.emulator)} <= READS


def test_edit_opens_again_on_a_syntax_error(line, run, editor):
    """Text that is no JSON is told and edited again, as it was left."""
    editor("{oops", "[1]")
    result = run("edit app cfg", input="y\n")
    assert (result.exit_code, "not JSON" in result.stderr) == (0, True)
    assert (line.home / "found1").read_text() == "{oops"
    assert line.store["app"]["cfg"] == [1]


def test_edit_can_be_given_up(line, run, editor):
    """Giving up stores nothing and leaves the text in a file that is named."""
    editor("{oops")
    result = run("edit app cfg", input="n\n")
    path = Path((line.home / "name").read_text().strip())
    assert (result.exit_code, str(path) in result.stderr) == (1, True)
    assert path.read_text() == "{oops"
    assert path.stat().st_mode & 0o077 == 0
    path.unlink()
    assert line.store["app"]["cfg"] == {"theme": "dark", "size": 2}


def test_edit_refuses_when_somebody_else_wrote(line, run, editor):
    """A value that changed while the editor was open is not overwritten: status 5, and the text is kept."""
    editor('"ours"')
    with pytest.MonkeyPatch.context() as patch:
        real = click.edit

        def edit(**how):
            real(**how)
            line.store["app"]["cfg"] = "theirs"

        patch.setattr(click, "edit", edit)
        result = run("edit app cfg")
    path = Path((line.home / "name").read_text().strip())
    assert (result.exit_code, str(path) in result.stderr, path.read_text()) == (5, True, '"ours"')
    path.unlink()
    assert line.store["app"]["cfg"] == "theirs"


def test_edit_dry_run(line, run, editor):
    """edit --dry-run opens the editor, and prints instead of writing."""
    editor("7")
    assert run("edit app cfg --dry-run").stdout == "~ app/cfg\n"
    assert {method for method, _ in sent(line.emulator)} <= READS


def test_an_editor_that_fails(line, run, monkeypatch):
    """An editor that fails is a failure, and leaves no file behind."""
    monkeypatch.setenv("VISUAL", "false")
    assert run("edit app cfg").exit_code == 1
