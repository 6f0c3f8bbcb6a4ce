"""Profiles: which server and account are meant, and which files are not to be trusted."""

import os

import pytest

from dhis2kv import profiles

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
    return write(profiles._paths()[0], OURS)


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
    store = profiles.open_store()
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
        ("", "which server"),
    ],
)
def test_what_cannot_be_used_is_said(home, text, sentence):
    """A file that is not what it should be gives a sentence that says what is wrong."""
    write(profiles._paths()[0], text)
    with pytest.raises(ValueError, match=sentence):
        profiles.find()


def test_other_ways_to_sign_in_are_refused(d2w):
    """A profile of d2w that signs in by OAuth2 is refused by name, not taken for one without credentials."""
    with pytest.raises(ValueError, match="signs in by 'oauth2'"):
        profiles.find("sso")


def test_nothing_configured_says_what_to_do():
    """Where nothing names a server, the sentence says which variables and which file would."""
    with pytest.raises(ValueError, match=r"DHIS2_URL.*profiles\.toml"):
        profiles.open_store()


def test_a_profile_shows_no_secret(ours):
    """Neither the password nor the token is in a profile's repr."""
    assert "district" not in repr(profiles.find("local"))
    assert "secret" not in repr(profiles.find("play"))


def test_a_name_without_a_password_opens_no_store(monkeypatch):
    """A name alone would be sent as nobody: it is refused before a request."""
    monkeypatch.setenv("DHIS2_URL", "https://env.example.org")
    monkeypatch.setenv("DHIS2_USERNAME", "u")
    with pytest.raises(ValueError, match="no password for 'u'"):
        profiles.open_store()


def test_options_reach_the_store(ours):
    """open_store hands its options to Store, and signs in as the profile says."""
    store = profiles.open_store("local", read_only=True)
    assert store.datastore.read_only
    assert store.datastore.transport.base == "http://localhost:8080/dhis"
    assert store.datastore.transport.account == "admin"
