"""The emulator itself: accounts, sessions, tokens, the clock, filling and emptying, many threads, an own database."""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import os
import sqlite3
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from dhis2kv.emulator import PROFILES, Emulator, Reply, Request

JSON = {"Accept": "application/json", "X-Requested-With": "XMLHttpRequest", "Host": "dhis2.test"}


def ask(
    emulator: Emulator, method: str, path: str, body: Any = None, *, as_: str | None = "admin:district", **more: str
) -> Reply:
    """One request of JSON, signed in with Basic unless told otherwise; ``more`` are headers."""
    headers = {**JSON, **{name.replace("_", "-"): value for name, value in more.items()}}
    if as_:
        headers["Authorization"] = "Basic " + base64.b64encode(as_.encode()).decode()
    if body is not None:
        headers["Content-Type"] = "application/json"
    return emulator.handle(Request(method, path, headers, b"" if body is None else json.dumps(body).encode()))


def value(reply: Reply) -> Any:
    """The reply's body as JSON."""
    return json.loads(bytes(reply.body))


class Clock:
    """A clock that tests move."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def test_every_version_has_a_profile() -> None:
    """2.36 to 2.44 can be emulated, and another version is an error that names them."""
    assert list(PROFILES) == [f"2.{number}" for number in range(36, 45)]
    with pytest.raises(ValueError, match=r"2\.36, .*2\.44"):
        Emulator("2.35")


@pytest.mark.parametrize("version", PROFILES)
def test_version_is_told(version: str) -> None:
    """Every account reads the version in ``/api/system/info``."""
    found = value(ask(Emulator(version), "GET", "/api/system/info?fields=version"))
    assert found["version"].startswith(version)


def test_accounts_and_authorities(emulator: Emulator) -> None:
    """An account's authorities open a protected namespace; without them it is closed, and superusers pass."""
    emulator.add_user("ann", "a-Passw0rd")
    emulator.add_user("ben", "b-Passw0rd", authorities=["F_MOBILE_SENDSMS"])
    path = "/api/dataStore/sms-config/k"
    statuses = [ask(emulator, "PUT", path, 1, as_=who).status for who in ("ann:a-Passw0rd", "ben:b-Passw0rd")]
    assert statuses == [403, 201]
    assert ask(emulator, "GET", path).status == 200
    assert value(ask(emulator, "GET", "/api/me", as_="ben:b-Passw0rd"))["authorities"] == ["F_MOBILE_SENDSMS"]


def test_authority_all_makes_a_superuser(emulator: Emulator) -> None:
    """The authority ALL is what a superuser has: it opens other users' stores."""
    emulator.add_user("root", "r-Passw0rd", authorities=["ALL"])
    emulator.put("app", "a", 1, user="admin")
    reply = ask(emulator, "GET", "/api/userDataStore/app/a?username=admin", as_="root:r-Passw0rd")
    assert value(reply) == 1


def test_account_that_could_not_sign_in_is_refused(emulator: Emulator) -> None:
    """A name with a colon is refused: Basic credentials would end the name there."""
    with pytest.raises(ValueError, match="colon"):
        emulator.add_user("a:b", "a-Passw0rd")


def test_database_that_cannot_be_opened_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in a folder that does not exist raises, and what was half made goes without a word."""
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with pytest.raises(sqlite3.OperationalError):
        Emulator(db=str(tmp_path / "missing" / "x.db"))
    gc.collect()
    assert said == []


def test_removed_account_cannot_sign_in(emulator: Emulator) -> None:
    """An account that is gone gets 401, in a session that it had as well."""
    emulator.add_user("ann", "a-Passw0rd")
    cookie = ask(emulator, "GET", "/api/me", as_="ann:a-Passw0rd").header("Set-Cookie") or ""
    emulator.remove_user("ann")
    assert ask(emulator, "GET", "/api/me", as_="ann:a-Passw0rd").status == 401
    assert ask(emulator, "GET", "/api/me", as_=None, Cookie=cookie).status == 401


def test_live_session_spares_the_password() -> None:
    """Within a session of the same account a wrong password passes, as the server skips the check; else it is 401."""
    emulator = Emulator("2.42")
    cookie = ask(emulator, "GET", "/api/me").header("Set-Cookie") or ""
    assert ask(emulator, "GET", "/api/me", as_="admin:wrong", Cookie=cookie).status == 200
    assert ask(emulator, "GET", "/api/me", as_="admin:wrong").status == 401


def test_sessions_go_by_the_clock() -> None:
    """A session ends after an hour without a request, and not while it is used."""
    clock = Clock()
    emulator = Emulator("2.42", clock=clock)
    cookie = ask(emulator, "GET", "/api/me").header("Set-Cookie") or ""
    for _ in range(3):
        clock.now += 3000
        assert ask(emulator, "GET", "/api/me", as_=None, Cookie=cookie).status == 200
    clock.now += 3700
    assert ask(emulator, "GET", "/api/me", as_=None, Cookie=cookie).status == 401


@pytest.mark.parametrize("version", ["2.38", "2.41", "2.44"])
def test_tokens_go_by_the_clock(version: str) -> None:
    """A token signs in until it expires; its session's cookie then still does, as on live servers."""
    clock = Clock()
    emulator = Emulator(version, clock=clock)
    made = value(ask(emulator, "POST", "/api/apiToken", {"expire": (clock.now + 60) * 1000}))["response"]
    signed = f"ApiToken {made['key']}"
    reply = ask(emulator, "GET", "/api/me", as_=None, Authorization=signed)
    assert (reply.status, value(reply)["username"]) == (200, "admin")
    clock.now += 61
    assert ask(emulator, "GET", "/api/me", as_=None, Authorization=signed).status == 401
    cookie = reply.header("Set-Cookie") or ""
    assert ask(emulator, "GET", "/api/me", as_=None, Cookie=cookie).status == 200


def test_token_outweighs_the_cookie(emulator: Emulator) -> None:
    """A token decides who asks, over whatever session comes along."""
    emulator.add_user("ann", "a-Passw0rd")
    key = value(ask(emulator, "POST", "/api/apiToken", {}))["response"]["key"]
    cookie = ask(emulator, "GET", "/api/me", as_="ann:a-Passw0rd").header("Set-Cookie") or ""
    reply = ask(emulator, "GET", "/api/me", as_=None, Authorization=f"ApiToken {key}", Cookie=cookie)
    assert value(reply)["username"] == "admin"


@pytest.mark.parametrize("version", ["2.40", "2.41"])
def test_update_moves_the_date_up_to_2_40(version: str) -> None:
    """PUT changes lastUpdated up to 2.40; from 2.41 on the filter finds new keys and never changed values."""
    clock = Clock()
    emulator = Emulator(version, clock=clock)
    ask(emulator, "POST", "/api/dataStore/app/a", 1)
    clock.now += 86400
    ask(emulator, "PUT", "/api/dataStore/app/a", 2)
    since = "/api/dataStore/app?lastUpdated=2023-11-15T12:00"
    assert value(ask(emulator, "GET", since)) == (["a"] if version == "2.40" else [])


def test_shared_with_one_user(emulator: Emulator) -> None:
    """An entry that is closed to the public opens for the users that it is shared with, in lists and queries too."""
    emulator.add_user("ann", "a-Passw0rd")
    emulator.put("app", "secret", 1)
    ann = value(ask(emulator, "GET", "/api/me", as_="ann:a-Passw0rd"))["id"]
    uid = value(ask(emulator, "GET", "/api/dataStore/app/secret/metaData"))["id"]
    for access, status, keys in (("--------", 403, []), ("r-------", 200, ["secret"])):
        wanted = {"object": {"publicAccess": "--------", "userAccesses": [{"id": ann, "access": access}]}}
        assert ask(emulator, "PUT", f"/api/sharing?type=dataStore&id={uid}", wanted).status == 200
        assert ask(emulator, "GET", "/api/dataStore/app/secret", as_="ann:a-Passw0rd").status == status
        assert value(ask(emulator, "GET", "/api/dataStore/app", as_="ann:a-Passw0rd")) == keys
        assert ask(emulator, "PUT", "/api/dataStore/app/secret", 2, as_="ann:a-Passw0rd").status == 403


def test_encrypted_entry_leaks_when_updated(emulator: Emulator) -> None:
    """From 2.41 on PUT on an encrypted entry leaves the old value to be read and shows the new one in bulk."""
    emulator.put("app", "s", "old", encrypted=True)
    ask(emulator, "PUT", "/api/dataStore/app/s", "new")
    assert value(ask(emulator, "GET", "/api/dataStore/app/s")) == "old"
    bulk = value(ask(emulator, "GET", "/api/dataStore/app?fields=.&headless=true"))
    assert bulk == [{"key": "s", "value": "new"}]


def test_text_changes_while_the_value_does_not(emulator: Emulator) -> None:
    """The first read after a write answers in the database's spelling, the next with the text that was sent."""
    headers = {**JSON, "Authorization": "Basic YWRtaW46ZGlzdHJpY3Q=", "Content-Type": "application/json"}
    emulator.handle(Request("POST", "/api/dataStore/app/a", headers, b'{"bb":1,"a":2}'))
    texts = [bytes(ask(emulator, "GET", "/api/dataStore/app/a").body) for _ in range(2)]
    assert texts == [b'{"a": 2, "bb": 1}', b'{"bb":1,"a":2}']


def test_filling_and_emptying(emulator: Emulator) -> None:
    """``put`` and ``load`` store without a request, in either store; ``reset`` forgets everything but the accounts."""
    emulator.add_user("ann", "a-Passw0rd")
    emulator.put("app", "a", {"x": [1.5, None]})
    emulator.load({"app": {"mine": 1}}, user="ann")
    emulator.load({"app": {"a": "replaced?"}}, replace=False)
    assert emulator.requests == 0
    assert value(ask(emulator, "GET", "/api/dataStore/app/a")) == {"x": [1.5, None]}
    assert value(ask(emulator, "GET", "/api/userDataStore/app/mine", as_="ann:a-Passw0rd")) == 1
    assert [record.account for record in emulator.log] == ["admin", "ann"]
    emulator.fail("status")
    emulator.reset()
    assert (len(emulator.log), emulator.requests) == (0, 0)
    with emulator.session() as session:
        reply = session.get("http://x/api/userDataStore", auth=("ann", "a-Passw0rd"))
        assert (reply.status_code, reply.json()) == (200, [])


def test_failed_load_stores_nothing(emulator: Emulator) -> None:
    """``load`` is all or nothing: a value that no database takes leaves the store as it was."""
    with pytest.raises(ValueError, match="u0000"):
        emulator.load({"app": {"a": 1, "b": "\x00"}})
    assert value(ask(emulator, "GET", "/api/dataStore")) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([("app", {})], r"form is \{namespace: \{key: value\}\}.*is \[\('app', \{\}\)\]"),
        ({"app": 5}, "loaded into 'app' is 5"),
        ({"app": {1: 1}}, "A key is a str, and 1 is none"),
        ({5: {"a": 1}}, "A namespace is a str, and 5 is none"),
        ({"app": {"a/b": 1}}, "'a/b' can be no key on any server: they refuse '/'"),
        ({"a%b": {"a": 1}}, "'a%b' can be no namespace"),
        ({"app": {"a;b": 1}}, "refuse ';'"),
        ({"app": {"\ud800": 1}}, "can be no key"),
        ({"app": {"..": 1}}, "can be no key"),
        ({"app": {"é" * 256: 1}}, "more than 255 characters"),
        ({"app": {"a": {1, 2}}}, "app/a is no JSON"),
        ({"app": {"a": float("nan")}}, "app/a cannot be stored"),
        ({"app": {"a": "\x00"}}, r"(?s)app/a cannot be stored: .*u0000"),
    ],
)
def test_load_says_what_is_wrong(emulator: Emulator, data: Any, words: str) -> None:
    """What has another form, a name that no server could have been given, what is no value: nothing is stored of it."""
    with pytest.raises(ValueError, match=words):
        emulator.load(data)
    with pytest.raises(ValueError, match=words):
        emulator.load({"good": {"a": 1}} | data if isinstance(data, dict) else data)
    assert value(ask(emulator, "GET", "/api/dataStore")) == []


def test_load_takes_every_name_that_servers_take(emulator: Emulator) -> None:
    """Odd names, and the empty key, are loaded: servers have them."""
    names = ["", "a.b", "keys", "ü" * 255, 'quo"te', "\t", "a b", "\x85", "loginConfig"]
    emulator.load({"app": dict.fromkeys(names, 1), "my.ns": {"a": 1}})
    assert sorted(value(ask(emulator, "GET", "/api/dataStore/app"))) == sorted(names)


def test_a_long_secret_is_refused(emulator: Emulator) -> None:
    """What is encrypted has at most 159 bytes of JSON, in ``load`` as on servers."""
    emulator.put("app", "a", "é" * 78, encrypted=True)
    with pytest.raises(ValueError, match="at most 159 bytes"):
        emulator.put("app", "b", "é" * 79, encrypted=True)
    reply = ask(emulator, "POST", "/api/userDataStore/app/b?encrypt=true", "é" * 79)
    assert (reply.status, "value too long" in value(reply)["message"]) == (409, True)


def test_an_emulator_is_a_context_manager(tmp_path: Path) -> None:
    """At the end of its block the database is closed, whatever happened."""
    emulator = Emulator(db=str(tmp_path / "store.db"))
    with contextlib.suppress(KeyError), emulator as same:
        assert same is emulator
        raise KeyError
    with pytest.raises(sqlite3.ProgrammingError):
        emulator.put("app", "a", 1)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions of this kind")
def test_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    """A file that is made, and what lies beside it, is read by nobody else; one that is there keeps its permissions."""
    with Emulator(db=str(tmp_path / "store.db")) as emulator:
        emulator.put("app", "a", 1)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        assert len(list(tmp_path.iterdir())) > 1
    (tmp_path / "store.db").chmod(0o644)
    Emulator(db=str(tmp_path / "store.db")).close()
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o644


def test_one_of_many_threads_creates_a_key(emulator: Emulator) -> None:
    """POST of one key by many threads at once: one 201, the others 409."""
    statuses: list[int] = []
    start = threading.Barrier(8)

    def create() -> None:
        start.wait()
        statuses.append(ask(emulator, "POST", "/api/dataStore/app/a", 1).status)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 7


@pytest.mark.parametrize("accept", ["text/html", "text/html,*/*;q=0.8", "*/*", "application/json", "", "text/plain"])
def test_only_browsers_get_an_anonymous_session(accept: str) -> None:
    """On 2.40 who has not signed in gets a cookie where HTML is asked for, and nobody calls it a script."""
    request = Request("GET", "/api/dataStore/app/a", {"Host": "x", **({"Accept": accept} if accept else {})})
    reply = Emulator("2.40").handle(request)
    assert (reply.status, reply.header("Set-Cookie") is not None) == (302, "text/html" in accept)


@pytest.mark.parametrize("name", ["loginConfig", "%6CoginConfig"])
def test_login_config_knows_no_sign_in(name: str) -> None:
    """On 2.44 a path that ends in ``loginConfig`` knows of nobody, in either store; with a slash it does."""
    emulator = Emulator("2.44")
    for store in ("dataStore", "userDataStore"):
        for method in ("GET", "PUT", "DELETE"):
            body = 1 if method == "PUT" else None
            reply = ask(emulator, method, f"/api/{store}/app/{name}", body)
            assert (reply.status, value(reply)["message"]) == (409, "No authentication found")
        for method in ("GET", "DELETE"):
            assert ask(emulator, method, f"/api/{store}/{name}").status == 409
        assert ask(emulator, "PUT", f"/api/{store}/app/{name}/", 1).status == 201
        assert value(ask(emulator, "GET", f"/api/{store}/app/{name}/")) == 1


@pytest.mark.parametrize(("version", "status"), [("2.40", 401), ("2.43", 401), ("2.44", 200)])
def test_system_ping_proves_nothing(version: str, status: int) -> None:
    """On 2.44 ``/api/system/ping`` answers who has not signed in; wrong credentials are refused there, too."""
    emulator = Emulator(version)
    assert ask(emulator, "GET", "/api/system/ping", as_=None).status == status
    assert ask(emulator, "GET", "/api/system/ping", as_="admin:wrong").status == 401


def test_sessions_do_not_grow_without_end(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client without cookies opens a session per request; the oldest are forgotten, the one in use is not."""
    monkeypatch.setattr("dhis2kv.emulator.accounts.SESSION_LIMIT", 10)
    cookie = ask(emulator, "GET", "/api/me").header("Set-Cookie") or ""
    unused = ask(emulator, "GET", "/api/me").header("Set-Cookie") or ""
    for _ in range(30):
        ask(emulator, "GET", "/api/me")
        assert ask(emulator, "GET", "/api/me", as_=None, Cookie=cookie).status == 200
    assert ask(emulator, "GET", "/api/me", as_=None, Cookie=unused).status == 401


def test_database_file_outlives_the_emulator(tmp_path: Path) -> None:
    """Entries of both stores, sharing and tokens are there again after a restart on the same file."""
    db = str(tmp_path / "store.db")
    first = Emulator("2.42", db=db)
    ask(first, "PUT", "/api/dataStore/app/a", {"x": 1})
    ask(first, "PUT", "/api/userDataStore/app/b", 2)
    key = value(ask(first, "POST", "/api/apiToken", {}))["response"]["key"]
    uid = value(ask(first, "GET", "/api/dataStore/app/a/metaData"))["id"]
    first.close()
    second = Emulator("2.42", db=db)
    assert value(ask(second, "GET", "/api/dataStore/app/a")) == {"x": 1}
    assert value(ask(second, "GET", "/api/userDataStore/app/b")) == 2
    assert value(ask(second, "GET", "/api/dataStore/app/a/metaData"))["id"] == uid
    assert ask(second, "GET", "/api/me", as_=None, Authorization=f"ApiToken {key}").status == 200
    second.close()


_WRITER = """
import sys
from dhis2kv.emulator import Emulator, Request
emulator = Emulator(db=sys.argv[1])
headers = {"Authorization": "Basic YWRtaW46ZGlzdHJpY3Q=", "Content-Type": "application/json", "Host": "x"}
for number in range(10_000):
    status = emulator.handle(Request("PUT", f"/api/dataStore/app/{number}", headers, b"1")).status
    print(number, status, flush=True)
"""


def test_killed_process_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    """After SIGKILL in the middle of writing every entry that was answered with 201 is in the file."""
    db = str(tmp_path / "store.db")
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, db], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    answered = [writer.stdout.readline() for _ in range(200)]
    writer.kill()
    answered += [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("201\n")]
    writer.stdout.close()
    assert writer.wait() == -9
    with contextlib.closing(sqlite3.connect(db)) as database:
        kept = {row[0] for row in database.execute("SELECT key FROM entry")}
    assert {line.split()[0] for line in answered} <= kept
    assert len(answered) < 10_000


def peak_of(emulator: Emulator, path: str) -> float:
    """The peak of memory while a GET is answered, as a multiple of the answer's size."""
    ask(emulator, "GET", "/api/dataStore")
    tracemalloc.start()
    try:
        reply = ask(emulator, "GET", path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reply.status == 200
    assert reply.body.count(b"key-") == 100_000
    return peak / len(reply.body)


def test_large_namespace_needs_less_than_twice_its_answer(emulator: Emulator) -> None:
    """100,000 entries are listed and read in bulk in less memory than twice the answer's size."""
    emulator.load({"big": {f"key-{number:06}": {"n": number, "text": "x" * 40} for number in range(100_000)}})
    assert peak_of(emulator, "/api/dataStore/big") < 2
    assert peak_of(emulator, "/api/dataStore/big?fields=.&paging=false") < 2
