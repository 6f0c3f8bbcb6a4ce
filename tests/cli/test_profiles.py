"""The commands on profiles: what they ask, what they keep, and what they never show."""

import json
import re
import stat
import sys
import time
import tomllib
import types

import pytest
import responses

from dhis2kv import Store, errors, wire
from dhis2kv.cli import tokens
from dhis2kv.profiles import files
from dhis2kv.testing import Emulator, connect
from tests.cli.line import OTHER, SERVER


@pytest.fixture
def line(command_line, monkeypatch):
    """A command line on which nothing is configured."""
    for name in ("URL", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"DHIS2_{name}")
    files.own().unlink()
    return command_line


@pytest.fixture
def run(line):
    return line.run


def token_of(emulator):
    """A personal access token of the superuser."""
    call = wire.Call("POST", "/api/apiToken", body='{"attributes": []}')
    return connect(emulator).datastore.transport.call(call).json()["response"]["key"]


def kept():
    return tomllib.loads(files.own().read_text(encoding="utf-8"))


def test_add_asks_checks_and_keeps(line, run):
    """On a terminal it asks for address, name and hidden password, and tells who the server takes that for."""
    line.is_terminal()
    added = run("profile add play", input=f"{SERVER}/api\nadmin\ndistrict\n")
    assert added.exit_code == 0, added.stderr
    assert f"signed in to {SERVER} as admin; it is a DHIS2 2.44" in added.stderr
    assert "district" not in added.output
    assert kept() == {
        "default": "play",
        "profiles": {"play": {"base_url": SERVER, "username": "admin", "password": "district"}},
    }
    line.store["app"]["cfg"] = 1
    assert run("get app cfg").stdout == "1\n"
    assert Store.from_profile()["app"]["cfg"] == 1


def test_the_file_is_for_its_owners_eyes(line, run):
    """The file has mode 0600 and its folder, where there was none, 0700."""
    files.own().parent.rmdir()
    run(f"profile add play --url {SERVER} --username admin --password-stdin", input="district\n")
    assert stat.S_IMODE(files.own().stat().st_mode) == 0o600
    assert stat.S_IMODE(files.own().parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_the_file_is_written_whole_or_not_at_all(line, run, monkeypatch, step):
    """When the disk is full the profiles that there are stay as they are."""
    run(f"profile add play --url {SERVER} --username admin --password-stdin", input="district\n")
    before = files.own().read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(f"os.{step}", full)
        with pytest.raises(OSError, match="No space"):
            run(f"profile add more --url {SERVER} --username admin --password-stdin", input="district\n")
    assert files.own().read_bytes() == before
    assert [path.name for path in files.own().parent.iterdir()] == ["profiles.toml"]


def test_scripts_give_all_by_options_and_variables(line, run, monkeypatch):
    """Without a terminal each answer has an option or a variable, and no secret is an argument."""
    monkeypatch.setenv("DHIS2_PASSWORD", "district")
    assert run(f"profile add a --url {SERVER} --username admin").exit_code == 0
    assert run(f"profile add b --url {SERVER} --username admin --password-stdin", input="district\n").exit_code == 0
    monkeypatch.setenv("DHIS2_URL", SERVER)
    monkeypatch.setenv("DHIS2_USERNAME", "admin")
    assert run("profile add c").exit_code == 0
    monkeypatch.setenv("DHIS2_PAT", token_of(line.emulator))
    assert run("profile add d").exit_code == 0
    assert [sorted(one) for one in kept()["profiles"].values()] == [["base_url", "password", "username"]] * 3 + [
        ["base_url", "token"]
    ]
    help_ = run("profile add --help").stdout
    assert "--password " not in help_
    assert "--token " not in help_


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("", "--url, or set DHIS2_URL"),
        (f"--url {SERVER}", "--username, or set DHIS2_USERNAME, or DHIS2_PAT"),
        (f"--url {SERVER} --username admin", "--password-stdin, or set DHIS2_PASSWORD"),
    ],
)
def test_what_is_missing_without_a_terminal_is_named(run, options, wanted):
    """Where nobody can be asked, the sentence names the option that is missing, and nothing is kept."""
    added = run(f"profile add play {options}")
    assert added.exit_code == 2
    assert wanted in added.stderr
    assert not files.own().exists()


def test_what_signs_in_at_one_server_is_not_sent_to_another(line, run, monkeypatch):
    """The credentials of the environment are for the server and the account that it names."""
    for name, value in {"URL": SERVER, "USERNAME": "admin", "PASSWORD": "district", "PAT": "d2p_secret"}.items():
        monkeypatch.setenv(f"DHIS2_{name}", value)
    assert run(f"profile add other --url {OTHER}").exit_code == 2
    assert run(f"profile add other --url {OTHER} --username admin").exit_code == 2
    assert run("profile add other --username alice").exit_code == 2
    assert not line.other.log
    assert not line.emulator.log


def test_wrong_credentials_are_not_kept(run, monkeypatch):
    """What the server refuses is not written, and the status says that it is not allowed."""
    monkeypatch.setenv("DHIS2_PASSWORD", "wrong")
    added = run(f"profile add play --url {SERVER} --username admin")
    assert added.exit_code == 4
    assert not files.own().exists()


def test_a_server_makes_a_token(line, run):
    """--token-from-server keeps a token with an end instead of the password; it works, and ends when it was said."""
    given = f"profile add play --url {SERVER} --username admin --password-stdin"
    added = run(f"{given} --token-from-server --days 7", input="district\n")
    assert added.exit_code == 0, added.stderr
    assert "only for GET, HEAD, POST, PUT, DELETE; it ends on " in added.stderr
    settings = kept()["profiles"]["play"]
    assert sorted(settings) == ["base_url", "token"]
    assert settings["token"] not in added.output
    assert "admin" in run("profile verify play").stderr
    line.emulator.clock = lambda: time.time() + 6.9 * 86400
    assert run("profile verify play").exit_code == 0
    line.emulator.clock = lambda: time.time() + 7.1 * 86400
    assert run("profile verify play").exit_code == 4


@pytest.mark.parametrize("version", ["2.36", "2.37"])
def test_servers_that_take_no_tokens(version):
    """2.36 makes no token, and 2.37 one that it does not take: both are told, and how to go on."""
    emulator = Emulator(version)
    with pytest.raises(errors.Dhis2kvError, match=r"(Leave --token-from-server out|personal access tokens)"):
        tokens.make(connect(emulator), 7, lambda key: connect(emulator, auth=None, token=key))


DONE = {"httpStatusCode": 200, "status": "OK"}
CREATED = {"httpStatusCode": 201, "status": "OK"}
MADE = {**CREATED, "response": {"uid": "tokenuid001", "key": "d2p_made"}}


def attributes(call):
    return [one["allowedMethods"] for one in json.loads(call.request.body)["attributes"]]


def test_a_server_that_cannot_allow_head_makes_a_token_without_limit():
    """Where HEAD is no method that can be chosen, the token is made without a list of methods."""
    store = Store("https://t.example.org", auth=("admin", "district"), retries=0)
    with responses.RequestsMock() as mocked:
        refused = {"httpStatusCode": 400, "message": "Not a valid http method, value=HEAD"}
        mocked.post("https://t.example.org/api/apiToken", json=refused, status=400)
        mocked.post("https://t.example.org/api/apiToken", json=MADE, status=201)
        mocked.get("https://t.example.org/api/dataStore", json=[])
        mocked.head(re.compile(".*"), status=404, content_type="application/json")
        token = tokens.make(store, 7, lambda key: Store("https://t.example.org", token=key))
        assert token == ("tokenuid001", "d2p_made", False)
        assert [attributes(mocked.calls[at]) for at in (0, 1)] == [[list(tokens.METHODS)], []]
        assert mocked.calls[2].request.headers["Authorization"] == "ApiToken d2p_made"


def test_a_token_that_cannot_be_used_is_deleted():
    """A server that makes limited tokens and refuses them at sign-in: the first is deleted, the second kept."""
    store = Store("https://t.example.org", auth=("admin", "district"), retries=0)
    with responses.RequestsMock() as mocked:
        mocked.post("https://t.example.org/api/apiToken", json=MADE, status=201)
        mocked.get("https://t.example.org/api/dataStore", json={"message": "no"}, status=401)
        mocked.delete("https://t.example.org/api/apiToken/tokenuid001", json=DONE)
        second = {**CREATED, "response": {"uid": "u2", "key": "d2p_2"}}
        mocked.post("https://t.example.org/api/apiToken", json=second, status=201)
        mocked.get("https://t.example.org/api/dataStore", json=[])
        mocked.head(re.compile(".*"), status=404, content_type="application/json")
        token = tokens.make(store, 7, lambda key: Store("https://t.example.org", token=key))
        assert token == ("u2", "d2p_2", False)


def test_an_outage_makes_no_second_token():
    """When the server is away nobody knows whether it made a token: it is told, and no other one is made."""
    store = Store("https://t.example.org", auth=("admin", "district"), retries=0)
    with responses.RequestsMock() as mocked:
        mocked.post("https://t.example.org/api/apiToken", json={}, status=503)
        with pytest.raises(errors.ServerError, match="503"):
            tokens.make(store, 7, lambda key: Store("https://t.example.org", token=key))
        assert len(mocked.calls) == 1


@pytest.fixture
def two(line, run):
    """Two profiles, the first of which is the default, and a comment that somebody wrote."""
    for name, url in {"here": SERVER, "there": OTHER}.items():
        run(f"profile add {name} --url {url} --username admin --password-stdin", input="district\n")
    files.own().write_text("# mine\n" + files.own().read_text())
    line.emulator.load({"app": {"cfg": "here"}})
    line.other.load({"app": {"cfg": "there"}})
    return line


def test_list_and_show_tell_no_secret(two, run):
    """The list has name, server, account and which is the default; what is shown of one is masked."""
    assert run("profile list").stdout.splitlines() == [
        "NAME   URL                        ACCOUNT  DEFAULT",
        "here   https://dhis2.example.org  admin    *",
        "there  https://other.example.org  admin",
    ]
    assert json.loads(run("profile list -o json").stdout)[1] == {
        "name": "there", "url": OTHER, "account": "admin", "default": False,
    }  # fmt: skip
    shown = json.loads(run("profile show here").stdout)
    assert shown["password"] == "********"
    assert (shown["default"], shown["file"]) == (True, str(files.own()))
    assert json.loads(run("profile show").stdout) == shown


def test_a_list_of_none_says_how_to_make_one(run):
    """Where there is no profile, the list on stdout is empty, and a sentence says what makes one."""
    listed = run("profile list")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert listed.stderr == "there is no profile. Make one with:  dhis2kv profile add NAME\n"


def test_default_and_remove(two, run):
    """The default is what counts without a name; who removes it has none, and a comment stays."""
    assert run("get app cfg -o raw").stdout == "here\n"
    assert run("profile default there").exit_code == 0
    assert run("get app cfg -o raw").stdout == "there\n"
    refused = run("profile remove there")
    assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
    two.is_terminal()
    assert run("profile remove there", input="n\n").exit_code == 1
    assert run("profile remove there", input="y\n").exit_code == 0
    assert list(kept()) == ["profiles"]
    assert run("get app cfg").exit_code == 2
    assert run("get app cfg --profile here -o raw").stdout == "here\n"
    assert run("profile default here").exit_code == 0
    assert run("get app cfg -o raw").stdout == "here\n"
    assert files.own().read_text().count("# mine") == 1


def test_replacing_asks(two, run):
    """A profile that is there is not replaced unasked, and what is asked is answered no by itself."""
    again = f"profile add here --url {OTHER} --username admin --password-stdin"
    assert run(again, input="district\n").exit_code == 2
    assert kept()["profiles"]["here"]["base_url"] == SERVER
    assert run(f"{again} --yes", input="district\n").exit_code == 0
    assert kept()["profiles"]["here"]["base_url"] == OTHER
    assert kept()["default"] == "here"


@pytest.mark.parametrize("name", ["nope", "a.b", 'with "quotes"', "größe", "# no comment", "two\nlines"])
def test_any_name_is_kept(run, monkeypatch, name):
    """A name with TOML's own signs is that name, also as the default."""
    monkeypatch.setenv("DHIS2_PASSWORD", "district")
    assert run(["profile", "add", name, "--url", SERVER, "--username", "admin"]).exit_code == 0
    assert run(["profile", "add", "x", "--url", SERVER, "--username", "admin"]).exit_code == 0
    assert (kept()["default"], list(kept()["profiles"])) == (name, [name, "x"])
    assert run(["profile", "default", "x"]).exit_code == 0
    assert run(["profile", "default", name]).exit_code == 0
    assert kept()["default"] == name


@pytest.mark.parametrize("command", ["show", "verify", "default", "remove"])
def test_an_unknown_profile_lists_those_there_are(two, run, command):
    """Each command that is given an unknown name says which there are."""
    refused = run(f"profile {command} nope")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: there is no profile 'nope'; there are here, there. ")
    assert refused.stderr.count("\n") == 1


def test_profiles_of_d2w_are_left_alone(two, run):
    """They are listed and can be the default, and are removed where they are."""
    theirs = two.home / ".config" / "dhis2" / "profiles.toml"
    theirs.parent.mkdir()
    theirs.write_text(f'[profiles.theirs]\nbase_url = "{OTHER}"\nusername = "admin"\npassword = "district"\n')
    theirs.chmod(0o600)
    assert "theirs" in run("profile list").stdout
    with theirs.open("a") as file:
        file.write('client_secret = "s3cret"\n')
    assert "s3cret" not in run("profile show theirs").stdout
    refused = run("profile remove theirs --yes")
    assert (refused.exit_code, str(theirs) in " ".join(refused.stderr.split())) == (2, True)
    assert run("profile default theirs").exit_code == 0
    assert run("get app cfg -o raw").stdout == "there\n"


class Keyring(types.ModuleType):
    """As much of the keyring package as is used here, in memory."""

    def __init__(self):
        super().__init__("keyring")
        self.kept = {}
        self.errors = types.ModuleType("keyring.errors")
        self.errors.KeyringError = type("KeyringError", (Exception,), {})

    def set_password(self, service, name, secret):
        self.kept[service, name] = secret

    def get_password(self, service, name):
        return self.kept.get((service, name))

    def delete_password(self, service, name):
        del self.kept[service, name]


def test_the_keyring_holds_the_secret(two, run, monkeypatch):
    """With --keyring the file names the keyring and holds no secret; removing the profile removes it there, too."""
    keyring = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", keyring.errors)
    monkeypatch.setenv("DHIS2_PASSWORD", "district")
    added = run(f"profile add safe --url {SERVER} --username admin --keyring")
    assert added.exit_code == 0, added.stderr
    assert kept()["profiles"]["safe"] == {"base_url": SERVER, "username": "admin", "keyring": "password"}
    assert keyring.kept == {("dhis2kv", "safe"): "district"}
    monkeypatch.delenv("DHIS2_PASSWORD")
    assert run("get app cfg --profile safe -o raw").stdout == "here\n"
    keyring.kept["dhis2kv", "safe"] = None
    assert "add the profile again" in run("get app cfg --profile safe").stderr
    assert run("profile remove safe --yes").exit_code == 0
    assert keyring.kept == {}


def test_a_missing_keyring_says_what_to_install(two, run, monkeypatch):
    """Without the package it is said which extra brings it."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setenv("DHIS2_PASSWORD", "district")
    refused = run(f"profile add safe --url {SERVER} --username admin --keyring")
    assert (refused.exit_code, "dhis2kv[keyring]" in refused.stderr) == (2, True)
    assert "safe" not in kept()["profiles"]


def test_a_keyring_that_cannot_be_used_is_found_before_a_token_is_made(line, run, monkeypatch):
    """Where the system has no keyring, or a locked one, it is said before the server is asked for anything."""
    keyring = Keyring()

    def get_password(service, name):
        raise keyring.errors.KeyringError("No recommended backend was available.\nInstall one.")

    keyring.get_password = get_password
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", keyring.errors)
    monkeypatch.setenv("DHIS2_PASSWORD", "district")
    refused = run(f"profile add safe --url {SERVER} --username admin --keyring --token-from-server")
    assert refused.exit_code == 2
    assert refused.stderr == "Error: the keyring cannot be used: No recommended backend was available.\n"
    assert line.emulator.log == []


def test_a_real_keyring_holds_the_secret(two, run, monkeypatch):
    """The same with the package itself, and a keyring in memory behind it; one that is locked is said to be."""
    keyring = pytest.importorskip("keyring", reason="needs the extra keyring")
    from keyring.backend import KeyringBackend
    from keyring.errors import KeyringLocked

    class InMemory(KeyringBackend):
        priority = 1
        locked = False

        def __init__(self):
            self.kept = {}

        def set_password(self, service, username, password):
            self.kept[service, username] = password

        def get_password(self, service, username):
            if self.locked:
                raise KeyringLocked("it is locked")
            return self.kept.get((service, username))

        def delete_password(self, service, username):
            del self.kept[service, username]

    before = keyring.get_keyring()
    backend = InMemory()
    keyring.set_keyring(backend)
    try:
        monkeypatch.setenv("DHIS2_PAT", token_of(two.emulator))
        assert run(f"profile add safe --url {SERVER} --keyring").exit_code == 0
        assert kept()["profiles"]["safe"] == {"base_url": SERVER, "keyring": "token"}
        monkeypatch.delenv("DHIS2_PAT")
        assert run("get app cfg --profile safe -o raw").stdout == "here\n"
        assert "(token)" in run("profile list").stdout
        backend.locked = True
        assert "does not give the token of the profile 'safe': it is locked" in run("profile verify safe").stderr
        assert run("profile remove safe --yes").exit_code == 0
        assert backend.kept == {}
    finally:
        keyring.set_keyring(before)


def test_a_file_of_certificates_is_kept_with_its_whole_path(two, run, monkeypatch):
    """--ca-file is kept in the profile, so that it is found from another folder, too; one that is not there is said."""
    (two.home / "ca.pem").write_text("")
    monkeypatch.setenv("DHIS2_PASSWORD", "district")
    assert run(f"profile add safe --url {SERVER} --username admin --ca-file ca.pem").exit_code == 0
    assert kept()["profiles"]["safe"]["ca_file"] == str(two.home / "ca.pem")
    refused = run("namespaces --profile here --ca-file nowhere.pem")
    assert (refused.exit_code, "nowhere.pem" in refused.stderr) == (2, True)
