"""Which server and account a command is for, and where the password comes from."""

import json

from dhis2kv.cli import cli
from tests.cli.line import OTHER

READS = {"GET", "HEAD"}


def test_a_profile_says_server_and_account(line, run):
    """--profile names another server, before or after the command."""
    line.other.load({"elsewhere": {"a": 1}})
    assert run("namespaces --profile there").stdout == "elsewhere\n"
    assert run("--profile there namespaces").stdout == "elsewhere\n"


def test_a_password_comes_from_standard_input(line, run):
    """--password-stdin takes one line as the password of --username."""
    line.emulator.add_user("alice", "Alice_pw_1!")
    result = run("whoami --username alice --password-stdin", input="Alice_pw_1!\n")
    assert json.loads(result.stdout)["username"] == "alice"
    assert run("whoami --username alice --password-stdin", input="wrong\n").exit_code == 4
    assert run(f"whoami --url {OTHER} --password-stdin", input="x\n").exit_code == 2
    result = run("set app cfg - --username alice --password-stdin", input="Alice_pw_1!\n1")
    assert (result.exit_code, "standard input gives the password already" in result.stderr) == (2, True)


def test_a_password_from_standard_input_counts_before_a_token(line, run, monkeypatch):
    """Who gives a password wants to sign in by it, whatever token the environment has."""
    monkeypatch.setenv("DHIS2_PAT", "d2p_wrong")
    assert run("namespaces").exit_code == 4
    assert run("namespaces --password-stdin", input="district\n").exit_code == 0


def test_a_password_is_asked_for(line, run):
    """Where a name has no password it is asked for on a terminal, unseen; without one it is an error."""
    line.emulator.add_user("alice", "Alice_pw_1!")
    assert run("whoami --username alice").exit_code == 2
    line.is_terminal()
    result = run("whoami --username alice", input="Alice_pw_1!\n")
    assert json.loads(result.stdout)["username"] == "alice"
    assert "Password of alice" in result.stderr
    assert "Alice_pw_1!" not in result.output


def test_credentials_are_not_sent_to_another_server(line, run):
    """--url takes no credentials along from the environment or a profile."""
    run(f"namespaces --url {OTHER}")
    run(f"namespaces --profile here --url {OTHER}")
    assert line.other.log
    assert not any("authorization" in map(str.lower, record.headers) for record in line.other.log)


def test_there_is_no_password_option():
    """A password on the command line would be seen by other users: no command takes one."""
    names = {name for command in cli.commands.values() for option in command.params for name in option.opts}
    assert "--username" in names
    assert not names & {"--password", "-p"}


def test_nothing_configured(line, run, monkeypatch):
    """Without a server the sentence says how to name one, and nothing secret is printed."""
    monkeypatch.delenv("DHIS2_URL")
    result = run("namespaces")
    assert (result.exit_code, "DHIS2_URL" in result.stderr) == (2, True)
    assert "district" not in result.output
