"""Completion of names in a shell."""

import pytest

READS = {"GET", "HEAD"}


def complete(line, monkeypatch, words):
    for name, value in {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("_DHIS2KV_COMPLETE", "bash_complete")
    result = line.run([])
    return [row.partition(",")[2] for row in result.stdout.splitlines() if row], result.stderr


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("dhis2kv get a", ["app"]),
        ("dhis2kv get app ", ["cfg", "list", "name"]),
        ("dhis2kv get app c", ["cfg"]),
        ("dhis2kv get --user app ", ["mine"]),
        ("dhis2kv --profile there get e", ["elsewhere"]),
        ("dhis2kv export app e", []),
        ("dhis2kv diff a", ["app"]),
        ("dhis2kv who", ["whoami"]),
        ("dhis2kv get --profile th", ["there"]),
        ("dhis2kv profile show h", ["here"]),
        ("dhis2kv profile verify ", ["here", "there"]),
    ],
)
def test_completion(line, monkeypatch, words, names):
    """Namespaces and keys complete from the server, store and account that the line names."""
    line.emulator.load({"app": {"mine": 1}}, user="admin")
    line.other.load({"elsewhere": {"a": 1}})
    assert complete(line, monkeypatch, words) == (names, "")


def test_completion_is_silent_when_it_fails(line, monkeypatch):
    """Trouble (not asked again), an outage or a missing password completes to nothing, without a word or a question."""
    line.emulator.fail("status", times=1, status=503)
    assert complete(line, monkeypatch, "dhis2kv get a") == ([], "")
    line.emulator.down = True
    assert complete(line, monkeypatch, "dhis2kv get a") == ([], "")
    line.emulator.down = False
    line.is_terminal()
    monkeypatch.delenv("DHIS2_PASSWORD")
    assert complete(line, monkeypatch, "dhis2kv get a") == ([], "")
    monkeypatch.delenv("DHIS2_URL")
    assert complete(line, monkeypatch, "dhis2kv get a") == ([], "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(line, monkeypatch, shell):
    """Each of the three shells gets its script."""
    if shell == "bash":
        # click asks the machine's bash for its version, and its script serves every one that completes.
        monkeypatch.setattr("click.shell_completion.BashComplete._check_version", staticmethod(lambda: None))
    monkeypatch.setenv("_DHIS2KV_COMPLETE", f"{shell}_source")
    assert "dhis2kv" in line.run([]).stdout
