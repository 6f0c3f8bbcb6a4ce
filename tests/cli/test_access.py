"""The commands sharing, share and audit: what they print, change and refuse."""

import json

import pytest

from dhis2kv import Sharing
from dhis2kv.audit import findings, secret_in
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"


@pytest.fixture
def line(command_line):
    emulator = command_line.emulator
    emulator.add_user("alice", "Alice_pw_1!")
    emulator.add_user("carol", "Carol_pw_1!")
    emulator.add_group("Editors", ["alice"])
    emulator.add_group("a=b", [])
    emulator.load({"app": {"cfg": 1, "log": [1], "old": 2}})
    return command_line


def sharing_of(line, key="cfg"):
    return line.store["app"].sharing(key)


# --- sharing ----------------------------------------------------------------------------------------------------------


def test_sharing_of_one(line):
    """It prints who may do what, for people and for programs."""
    line.store["app"].share("cfg", public="r", users={"alice": "rw"})
    assert json.loads(line.run("sharing app cfg -o json").stdout) == {
        "public": "r-",
        "users": {"alice": "rw"},
        "groups": {},
        "owner": "admin",
    }
    assert line.run("sharing app cfg").stdout.splitlines() == [
        "NAME    VALUE",
        "public  r-",
        'users   {"alice":"rw"}',
        "groups  {}",
        "owner   admin",
    ]


def test_sharing_of_a_namespace(line):
    """It prints a row for each entry."""
    line.store["app"].share("log", public="", groups={"Editors": "r"})
    assert line.run("sharing app").stdout.splitlines() == [
        "KEY  PUBLIC  USERS  GROUPS            OWNER",
        "cfg  rw      {}     {}                admin",
        'log  --      {}     {"Editors":"r-"}  admin',
        "old  rw      {}     {}                admin",
    ]
    assert json.loads(line.run("sharing app -o json").stdout)["log"]["groups"] == {"Editors": "r-"}
    assert line.run("sharing none").exit_code == 3
    assert line.run("sharing app none").exit_code == 3


# --- share ------------------------------------------------------------------------------------------------------------


def test_what_no_option_speaks_of_stays(line):
    """Each option changes its part of the sharing of each entry."""
    assert line.run("share app cfg --public r --with-user alice=rw --with-group Editors=r").exit_code == 0
    assert sharing_of(line) == Sharing("r", {"alice": "rw"}, {"Editors": "r"})
    assert line.run("share app cfg --with-user carol=r --without-group Editors").exit_code == 0
    assert sharing_of(line) == Sharing("r", {"alice": "rw", "carol": "r"})
    assert line.run("share app cfg --public none --without-user alice --with-group a=b=rw").exit_code == 0
    assert sharing_of(line) == Sharing("", {"carol": "r"}, {"a=b": "rw"})
    assert sharing_of(line, "log") == Sharing()


def test_several_and_all(line):
    """Several entries are shared at a time, those that are alike together; each keeps its own rest."""
    line.store["app"].share("log", users={"carol": "rw"})
    assert "shared 2 entries of app on https://dhis2.example.org" in line.run("share app cfg log --public r").stderr
    assert [sharing_of(line, key) for key in ("cfg", "log", "old")] == [
        Sharing("r"),
        Sharing("r", {"carol": "rw"}),
        Sharing(),
    ]
    assert line.run("share app --all --with-user alice=r").exit_code == 0
    assert [sharing_of(line, key).users for key in ("cfg", "log", "old")] == [
        {"alice": "r-"},
        {"alice": "r-", "carol": "rw"},
        {"alice": "r-"},
    ]


def test_a_dry_run_only_reads(line):
    """It prints each difference, and changes nothing."""
    line.store["app"].share("log", public="")
    sent(line.emulator)
    result = line.run("share app --all --public none --with-user alice=r --dry-run")
    assert result.stdout.splitlines() == [
        "~ app/cfg public: rw to --",
        "~ app/cfg user alice: none to r-",
        "~ app/log user alice: none to r-",
        "~ app/old public: rw to --",
        "~ app/old user alice: none to r-",
    ]
    assert {method for method, _ in sent(line.emulator)} == {"GET"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ("share app --public r", 2, "which entries"),
        ("share app cfg --all --public r", 2, "which entries"),
        ("share app cfg", 2, "what is to change"),
        ("share app cfg --with-user alice", 2, "'alice' is no NAME=rw"),
        ("share app cfg --with-user alice=x", 2, "'x' is no access"),
        ("share app cfg --with-user =r", 2, "is no NAME=rw"),
        ("share app cfg --public x", 2, "is not one of"),
        ("share app cfg --with-user nobody=r", 2, "there is no user 'nobody'"),
        ("share app cfg --with-group nobody=r", 2, "there is no group 'nobody'"),
        ("share app cfg --without-user alice", 2, "none of these entries is shared with 'alice'"),
        ("share app cfg none --public r", 3, "there is no 'none'"),
        ("share app cfg --public r --user", 1, "store.user has no sharing"),
        ("sharing app --user", 1, "store.user has no sharing"),
    ],
)
def test_what_share_refuses(line, arguments, status, said):
    """It says why, and changes nothing."""
    result = line.run(arguments)
    assert (result.exit_code, said in result.stderr) == (status, True), result.stderr
    assert sharing_of(line) == Sharing()


# --- audit ------------------------------------------------------------------------------------------------------------


def found(line, arguments="audit"):
    return [
        (one["namespace"], one["key"], one["finding"]) for one in json.loads(line.run(f"{arguments} -o json").stdout)
    ]


def test_audit_tells_what_is_open(line):
    """Entries that everybody may change, or read; closed ones are nothing to tell."""
    line.store["app"].share("log", public="r")
    line.store["app"].share("old", public="", users={"alice": "rw"})
    assert found(line, "audit app") == [("app", "cfg", "open to writing"), ("app", "log", "open to reading")]
    assert line.run("audit app").stdout.splitlines() == [
        "NAMESPACE  KEY  FINDING          ABOUT",
        "app        cfg  open to writing  every account may read and change it",
        "app        log  open to reading  every account may read it",
    ]


def test_a_table_of_findings_has_whole_sentences(line):
    """What a finding means is not cut, however long it is."""
    line.emulator.load({"app": {"gateway": {"key": "hunter2hunter2"}}})
    told = [one["about"] for one in json.loads(line.run("audit app -o json").stdout)]
    assert max(map(len, told)) > 60
    table = line.run("audit app").stdout
    assert all(sentence in table for sentence in told)


def test_audit_only_reads(line):
    """Not a request that writes, and no value in what it prints."""
    line.emulator.load({"app": {"password": "hunter2hunter2", "db": {"url": "postgres://u:hunter2@db/x"}}})
    sent(line.emulator)
    for form in ("json", "table", "raw", "compact"):
        result = line.run(f"audit -o {form}")
        assert "hunter2" not in result.output
        assert "open secret" in result.output
    assert {method for method, _ in sent(line.emulator)} == {"GET"}


def test_audit_tells_secrets_that_are_open(line):
    """What looks like a secret is told where every account may read it, and only there."""
    line.emulator.load({"app": {"apiKey": "abcdefgh", "pem": [PEM], "closed_token": "abcdefgh"}})
    line.store["app"].share("closed_token", public="")
    secrets = [(namespace, key) for namespace, key, finding in found(line, "audit app") if finding == "open secret"]
    assert secrets == [("app", "apiKey"), ("app", "pem")]


def test_audit_tells_encrypted_entries_and_odd_names(line):
    """Encrypted ones, and names that others take for something else."""
    line.store["app"].share_many(["cfg", "log", "old"], public="")
    private = line.store.namespace("app", sharing=Sharing.private())
    private.set("s", "x", encrypt=True)
    private.update({"config.json": 1, "v1.2": 1, "keys": 1})
    line.emulator.load({"my.ns": {"k": 1}, "odd": {'a"b': 1}})
    assert found(line, "audit app my.ns odd") == [
        ("app", "config.json", "mistaken name"),
        ("app", "keys", "mistaken name"),
        ("app", "s", "encrypted"),
        ("app", "v1.2", "mistaken name"),
        ("my.ns", None, "mistaken name"),
        ("my.ns", "k", "open to writing"),
        ("odd", 'a"b', "open to writing"),
        ("odd", 'a"b', "breaks bulk reads"),
    ]


def test_audit_tells_protected_namespaces(line):
    """As far as the server tells the account."""
    line.store["METADATASTORE"]["k"] = 1
    assert ("METADATASTORE", None, "protected") in found(line)
    alice = connect(line.emulator, ("alice", "Alice_pw_1!"))
    assert not [one for one in findings(alice) if one.finding == "protected"]


def test_audit_checks(line):
    """With --check there is a status 1 for anything; trouble is 2 and more."""
    assert line.run("audit app").exit_code == 0
    assert line.run("audit app --check").exit_code == 1
    line.store["app"].share_many(["cfg", "log", "old"], public="")
    result = line.run("audit app --check")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "nothing was found\n")
    assert line.run("audit app -o json").stdout == "[]\n"
    assert line.run("audit none --check").exit_code == 3


def test_audit_of_the_own_store(line):
    """Nobody else reads it: names and encryption are all there is to tell."""
    line.store.user["app"].update({"password": "hunter2", "config.json": 1})
    line.store.user["app"].set("s", "x", encrypt=True)
    assert found(line, "audit --user") == [("app", "config.json", "mistaken name"), ("app", "s", "encrypted")]


@pytest.mark.parametrize("release", ["2.36", "2.38", "2.40.2", "2.40"])
def test_audit_where_sharing_is_not_heeded(release):
    """Entries that are closed are open all the same there, and so are secrets."""
    emulator = Emulator(release)
    store = connect(emulator)
    store["app"]["password"] = "x"
    store["app"].share("password", public="")
    told = {one.finding for one in findings(store)}
    assert told == (set() if emulator.profile.sharing_on_reads else {"open to reading", "open secret"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[
            (key, "x")
            for key in ("password", "db_password", "dbPassword", "TOKEN", "api-key", "apiKey", "client.secret")
        ],
        ("cfg", {"db": {"password": "x"}}),
        ("cfg", [{"authToken": "x"}]),
        ("cfg", PEM),
        ("cfg", {"x": ["-----BEGIN PRIVATE KEY-----"]}),
        ("cfg", "postgresql://user:pw@db.example.org/base"),
        ("cfg", "Server=db;User=u;Password=pw"),
        ("cfg", "d2p_" + "a" * 40),
        ("cfg", {"x": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"}),
    ],
)
def test_what_looks_like_a_secret(key, value):
    """Names and forms of passwords, tokens, keys, and addresses with passwords."""
    assert secret_in(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("monkey", "x"),
        ("keyboard", "x"),
        ("keyIndicators", ["x"]),
        ("compass", "x"),
        ("password", None),
        ("password", ""),
        ("password_required", True),
        ("cfg", {"password": None, "token": ""}),
        ("cfg", "https://play.dhis2.org/demo"),
        ("cfg", "mailto:someone@example.org"),
        ("cfg", "-----BEGIN PUBLIC KEY-----"),
        ("cfg", {"tokens": 5}),
    ],
)
def test_what_looks_like_none(key, value):
    """Words that merely contain others, empty values, addresses without a password."""
    assert secret_in(key, value) is None
