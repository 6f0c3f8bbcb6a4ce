"""A command line for the tests: the commands run in this process, against emulated servers without sockets."""

import os
import shlex

import pytest
import requests
from click.testing import CliRunner

from dhis2kv.cli import cli, output
from dhis2kv.emulator import Emulator
from tests.conftest import connect

SERVER = "https://dhis2.example.org"
OTHER = "https://other.example.org"


class CommandLine:
    """Runs command lines: ``run("get app cfg")``; there are two servers, and the environment names the first."""

    def __init__(self, monkeypatch, home):
        self._adapters = {}
        self.become("2.44")
        self.other = Emulator("2.44")
        self._adapters[OTHER] = self.other.session().get_adapter(OTHER)

        def send(_, request, **options):
            return self._adapters["/".join(request.url.split("/")[:3])].send(request, **options)

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
        for name in [name for name in os.environ if name.startswith(("DHIS2_", "NO_COLOR"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
        monkeypatch.chdir(home)
        for name, value in {"URL": SERVER, "USERNAME": "admin", "PASSWORD": "district"}.items():
            monkeypatch.setenv(f"DHIS2_{name}", value)
        profile = home / ".config" / "dhis2kv" / "profiles.toml"
        profile.parent.mkdir(parents=True)
        profile.write_text(
            f'[profiles.here]\nbase_url = "{SERVER}"\nusername = "admin"\npassword = "district"\n'
            f'[profiles.there]\nbase_url = "{OTHER}"\nusername = "admin"\npassword = "district"\n'
        )
        profile.chmod(0o600)
        self.home = home
        self._monkeypatch = monkeypatch

    def become(self, version):
        """From now on the first server is a new one of this version."""
        self.emulator = Emulator(version)
        self._adapters[SERVER] = self.emulator.session().get_adapter(SERVER)

    @property
    def store(self):
        """A store on the first server."""
        return connect(self.emulator)

    def run(self, line, *, input=None, color=False):
        """The result of a command line: exit_code, stdout, stderr."""
        words = shlex.split(line) if isinstance(line, str) else line
        result = CliRunner().invoke(cli, words, input=input, prog_name="dhis2kv", color=color)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def is_terminal(self):
        """From now on there is a terminal to ask."""
        self._monkeypatch.setattr(output, "interactive", lambda: True)


@pytest.fixture
def command_line(monkeypatch, tmp_path):
    return CommandLine(monkeypatch, tmp_path)
