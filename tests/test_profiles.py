"""Profiles: which server and account are meant, and which files are not to be trusted."""

import os
import pickle
import sys
from pathlib import Path

import platformdirs
import pytest

from dhis2kv import Store, profiles
from dhis2kv.environment import variable
from dhis2kv.profiles import files

OURS = """
default = "play"

[profiles.play]
base_url = "https://play.example.org"
token = "d2p_secret"

[profiles.local]
base_url = "http://localhost:8080/dhis"
username = "admin"
password = "district"
"""

D2W = """
default = "prod"

[profiles.prod]
base_url = "https://prod.example.org"
auth = "basic"
username = "d2w"
password = "s3cret-d2w"

[profiles.sso]
base_url = "https://sso.example.org"
auth = "oauth2"
client_id = "x"
"""


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """A home of its own, and an environment that names no server."""
    for name in [name for name in os.environ if name.startswith("DHIS2_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    work = tmp_path / "work" / "deep"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    return tmp_path


def write(path, text, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def ours(home):
    return write(files.own(), OURS)


@pytest.fixture
def d2w(home):
    return write(home / ".config" / "dhis2" / "profiles.toml", D2W)


def test_a_profile_is_found_by_its_name(ours):
    """A name gives that profile: its server and its account."""
    found = profiles.find("local")
    assert (found.url, found.username, found.password, found.token) == (
        "http://localhost:8080/dhis", "admin", "district", None,
    )  # fmt: skip
    assert profiles.find("play").token == "d2p_secret"


def test_the_variable_names_a_profile(ours, monkeypatch):
    """DHIS2_PROFILE counts where no name is given, and before DHIS2_URL."""
    monkeypatch.setenv("DHIS2_PROFILE", "local")
    monkeypatch.setenv("DHIS2_URL", "https://env.example.org")
    assert profiles.find().url == "http://localhost:8080/dhis"
    assert profiles.find("play").url == "https://play.example.org"


def test_the_environment_counts_before_a_default(ours, monkeypatch):
    """DHIS2_URL is taken before the default of a file; without it the default is."""
    assert profiles.find().url == "https://play.example.org"
    monkeypatch.setenv("DHIS2_URL", "https://env.example.org")
    monkeypatch.setenv("DHIS2_USERNAME", "env")
    monkeypatch.setenv("DHIS2_PASSWORD", "pw")
    assert profiles.find() == profiles.Profile("https://env.example.org", "env", "pw")


def test_a_token_counts_rather_than_a_password(monkeypatch):
    """With DHIS2_PAT and a password in the environment the token signs in, as in d2w."""
    for name, value in {"URL": "https://env.example.org", "PAT": "d2p_x", "USERNAME": "u", "PASSWORD": "p"}.items():
        monkeypatch.setenv(f"DHIS2_{name}", value)
    store = Store.from_profile()
    assert store.datastore.transport.account != "u"
    assert profiles.find().token == "d2p_x"


def test_variables_may_name_files(monkeypatch, tmp_path):
    """A variable with _FILE at its end names a file that holds the value."""
    monkeypatch.setenv("DHIS2_URL", "https://env.example.org")
    monkeypatch.setenv("DHIS2_USERNAME", "u")
    monkeypatch.setenv("DHIS2_PASSWORD_FILE", str(write(tmp_path / "secret", "from a file\n")))
    assert profiles.find().password == "from a file"


def test_files_of_d2w_are_understood(d2w, home):
    """The user's and the project's profile files of d2w count, the nearest folder first."""
    assert profiles.find().username == "d2w"
    write(home / "work" / ".dhis2" / "profiles.toml", D2W.replace('"d2w"', '"project"'))
    assert profiles.find("prod").username == "project"


def test_ours_counts_before_d2w(ours, d2w):
    """A profile in our own file hides one of the same name in a file of d2w, and others are still found there."""
    assert profiles.find().url == "https://play.example.org"
    assert profiles.find("prod").url == "https://prod.example.org"
    ours.write_text(OURS.replace("profiles.local", "profiles.prod"))
    assert profiles.find("prod").username == "admin"


def test_a_file_that_others_can_read_is_refused(ours):
    """Nothing is taken from a file that others can read; the sentence says how to mend it."""
    ours.chmod(0o640)
    with pytest.raises(ValueError, match=r"others may read .*profiles\.toml.*chmod 600"):
        profiles.find("local")


def test_a_file_of_somebody_else_is_refused(ours, monkeypatch):
    """A file of another user is not used: it could lead to that user's server."""
    owner = ours.stat().st_uid
    if owner == 0:
        os.chown(ours, 12345, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(ValueError, match="belongs to another user"):
        profiles.find("local")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[profiles.x", "is not TOML"),
        ("profiles = 3", r"written as \[profiles\.NAME\]"),
        ("default = 3", "the default is not the name of a profile"),
        ('default = "x"', "there is no profile 'x'"),
        ('default = "x"\n[profiles.x]\ntoken = "t"', "has no base_url"),
        ('default = "x"\n[profiles.x]\nbase_url = "https://a.example"', "has no token and no username"),
        ('default = "x"\n[profiles.x]\nbase_url = "https://a.example"\nauth = "pat"', "has no token"),
        ('default = "x"\n[profiles.x]\nbase_url = "https://a.example"\nauth = []', "signs in by"),
        ('default = "x"\n[profiles.x]\nbase_url = "https://a.example"\ntoken = 7', "put it in quotation marks"),
        (
            'default = "x"\n[profiles.x]\nbase_url = "https://a.example"\ntoken = "t"\nverify = false',
            "'verify'.*nothing",
        ),
        ('default = "x"\n[profiles.x]\nbase_url = "https://a.example"\ntokne = "t"', "'tokne', which means nothing"),
        ('defualt = "x"', "'defualt', which means nothing; known are default, profiles"),
        ('default = "x"\n[profiles.x]\nbase_url = "https://a.example"\nkeyring = "a"', "a 'token' or a 'password'"),
        ("", "which server.*dhis2kv profile add"),
    ],
)
def test_what_cannot_be_used_is_said(home, text, sentence):
    """A file that is not what it should be gives a sentence that says what is wrong."""
    write(files.own(), text)
    with pytest.raises(ValueError, match=sentence):
        profiles.find()


def test_other_ways_to_sign_in_are_refused(d2w):
    """A profile of d2w that signs in by OAuth2 is refused by name, not taken for one without credentials."""
    with pytest.raises(ValueError, match="signs in by 'oauth2'"):
        profiles.find("sso")


def test_nothing_configured_says_what_to_do():
    """Where nothing names a server, the sentence says which variables and which file would."""
    with pytest.raises(ValueError, match=r"DHIS2_URL.*profiles\.toml"):
        Store.from_profile()


def test_a_profile_shows_no_secret(ours):
    """Neither the password nor the token is in a profile's repr."""
    assert "district" not in repr(profiles.find("local"))
    assert "secret" not in repr(profiles.find("play"))


def test_a_name_without_a_password_opens_no_store(monkeypatch):
    """A name alone would be sent as nobody: it is refused before a request."""
    monkeypatch.setenv("DHIS2_URL", "https://env.example.org")
    monkeypatch.setenv("DHIS2_USERNAME", "u")
    with pytest.raises(ValueError, match="no password for 'u'"):
        Store.from_profile()


def test_options_reach_the_store(ours):
    """from_profile hands its options to Store, and signs in as the profile says."""
    store = Store.from_profile("local", read_only=True)
    assert store.datastore.read_only
    assert store.datastore.transport.base == "http://localhost:8080/dhis"
    assert store.datastore.transport.account == "admin"


def test_an_unknown_profile_lists_those_there_are(ours, d2w):
    """Whoever misspells a name sees the names, of all files."""
    with pytest.raises(
        ValueError, match=r"there is no profile 'plya'; there are play, local, prod, sso\. .*profile add"
    ):
        profiles.find("plya")


def test_files_of_d2w_may_hold_more(home):
    """What d2w keeps in its own files beyond what is known here is left alone."""
    write(
        home / ".config" / "dhis2" / "profiles.toml",
        'x = 1\n[profiles.a]\nbase_url = "https://a.example"\ntoken = "t"\nnew = 2',
    )
    assert profiles.find("a").token == "t"


def test_certificates_of_a_profile(home, tmp_path):
    """ca_file is what the server's certificate is checked against; an option outweighs it."""
    write(tmp_path / "ca.pem", "")
    write(files.own(), f'[profiles.x]\nbase_url = "https://a.example"\ntoken = "t"\nca_file = "{tmp_path}/ca.pem"')
    assert Store.from_profile("x").datastore.transport._settings["verify"] == f"{tmp_path}/ca.pem"
    assert Store.from_profile("x", verify=False).datastore.transport._settings["verify"] is False


def test_a_pickled_store_holds_no_secret(ours):
    """A store of a profile is pickled as the profile's name, and reads the file again where it is loaded."""
    pickled = pickle.dumps(Store.from_profile("local", read_only=True).user)
    assert b"district" not in pickled
    ours.write_text(OURS.replace("localhost", "elsewhere.example"))
    store = pickle.loads(pickled)
    assert store.datastore.transport.base == "http://elsewhere.example:8080/dhis"
    assert store.user is store
    assert store.datastore.read_only


def test_from_profile_needs_no_extra(ours):
    """No package of an extra is loaded for it."""
    store = Store.from_profile("play")
    assert store.datastore.transport.base == "https://play.example.org"
    for module in ("click", "platformdirs", "tomlkit", "keyring"):
        assert module not in _loaded_by("from dhis2kv import Store; Store.from_profile('play')")


def _loaded_by(code):
    import subprocess

    ran = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in ran.stdout.split()}


@pytest.mark.parametrize("config", [None, "", "elsewhere"])
def test_the_file_is_where_the_system_has_such_files(monkeypatch, tmp_path, config):
    """On this system, at least, it is where platformdirs says that the user's configuration belongs."""
    if config is None:
        monkeypatch.delenv("XDG_CONFIG_HOME")
    else:
        monkeypatch.setenv("XDG_CONFIG_HOME", config and str(tmp_path / config))
    assert files.own() == platformdirs.user_config_path("dhis2kv", appauthor=False) / "profiles.toml"


@pytest.mark.parametrize(
    ("platform", "place"),
    [
        ("win32", "C/dhis2kv/profiles.toml"),
        ("darwin", "home/Library/Application Support/dhis2kv/profiles.toml"),
    ],
)
def test_the_file_on_other_systems(monkeypatch, platform, place):
    """On Windows it is in the folder that %LOCALAPPDATA% names, on macOS in Application Support."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("LOCALAPPDATA", "C")
    monkeypatch.setenv("HOME", "home")
    assert files.own() == Path(place)


@pytest.mark.parametrize(
    ("text", "password"),
    [
        (" two blanks  \n", " two blanks  "),
        ("x\r\n", "x"),
        ("x\n\n", "x\n"),
        ("\ufeffx", "x"),
        ("\u00a0x\u2003", "\u00a0x\u2003"),
    ],
)
def test_blanks_in_a_file_belong_to_the_password(monkeypatch, tmp_path, text, password):
    """Of a password's file the newline at its end goes, and nothing else."""
    monkeypatch.setenv("DHIS2_URL", "https://env.example.org")
    monkeypatch.setenv("DHIS2_USERNAME", "u")
    path = tmp_path / "secret"
    path.write_bytes(text.encode())
    monkeypatch.setenv("DHIS2_PASSWORD_FILE", str(path))
    assert profiles.find().password == password


def test_blanks_around_a_token_do_not_belong_to_it(monkeypatch, tmp_path):
    """A token has no blanks, so that those in its file are none of it."""
    monkeypatch.setenv("DHIS2_URL", "https://env.example.org")
    monkeypatch.setenv("DHIS2_PAT_FILE", str(write(tmp_path / "secret", " d2p_x \n\n")))
    assert profiles.find().token == "d2p_x"


def test_a_file_that_is_not_there_is_told_with_its_variable(monkeypatch, tmp_path):
    """The error names the variable that names the file, and stays the OSError that it is."""
    monkeypatch.setenv("DHIS2_PAT_FILE", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match=r"named by DHIS2_PAT_FILE.*gone"):
        variable("DHIS2_PAT")
