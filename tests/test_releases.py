"""Which faults which releases have, and that the library does not let them do harm."""

import asyncio
import copy
import datetime
import itertools
import pickle

import pytest
import responses

from dhis2kv import AsyncDatastore, NotAuthenticated, Rejected, ServerError, Store, snapshot
from dhis2kv.cli import cli
from dhis2kv.emulator import Emulator
from dhis2kv.mcp.tools import Tools
from dhis2kv.releases import FAULTS, USER_PUT_OF_ALL, Version, read_version

from .conftest import connect, sent

SERVER = "http://dhis2.test"
AFFECTED = ["2.41.0", "2.41.9", "2.42.0", "2.42.5", "2.43.0"]
GOOD = ["2.36", "2.38", "2.40.0", "2.40", "2.41", "2.42.6", "2.42", "2.43.1", "2.43", "2.44"]


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers", "snapshot"),
    [
        ("2.42.5.1", (2, 42, 5, 1), False),
        ("2.44-SNAPSHOT", (2, 44), True),
        ("2.41.10-SNAPSHOT", (2, 41, 10), True),
        ("2.43.0-rc", (2, 43, 0), False),
    ],
)
def test_a_version_is_a_tuple_that_says_more(text, numbers, snapshot):
    """It equals, compares and hashes as its numbers, keeps what else is known of it, and prints as the server said."""
    version = read_version(text, "2026-08-21T06:00:00.000")
    assert (version, version.snapshot, hash(version)) == (numbers, snapshot, hash(numbers))
    assert version.build_time == datetime.datetime(2026, 8, 21, 6)
    for twin in (pickle.loads(pickle.dumps(version)), copy.copy(version)):
        assert (twin, twin.snapshot, twin.build_time) == (version, snapshot, version.build_time)
    assert str(version) == text.replace("-rc", "")


def test_versions_compare_by_number():
    """Tenth comes after ninth, a hotfix before the next release."""
    texts = ["2.41.9", "2.41.9.1", "2.41.10", "2.42", "2.42.5", "2.42.5.1", "2.42.6"]
    versions = [read_version(text) for text in texts]
    assert versions == sorted(versions, key=list)
    assert all(older < newer for older, newer in itertools.pairwise(versions))


@pytest.mark.parametrize("text", ["", "2", "SNAPSHOT", None, 2.42, ["2.42"], "v2.42"])
def test_what_is_no_version(text):
    """Anything that does not begin with numbers between dots is None, and no guess."""
    assert read_version(text) is None


def test_a_time_that_cannot_be_read_is_none():
    """A build time in another form does not hide the version."""
    for time in ("yesterday", 17, None, {}):
        assert read_version("2.42.6", time).build_time is None


def test_the_store_tells_its_version():
    """``store.version`` and the accessor tell it whole, for one request together."""
    emulator = Emulator("2.42.5")
    store = connect(emulator)
    assert (store.version, store.user.version, store.datastore.version()) == ((2, 42, 5),) * 3
    assert not store.version.snapshot
    assert len(sent(emulator)) == 1
    assert connect(Emulator("2.44")).version.snapshot
    assert connect(Emulator("2.44")).version.build_time.year == 2026


# --- the table --------------------------------------------------------------------------------------------------------


def build(text, day):
    return read_version(text, f"{day}T06:00:00.000")


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        *((read_version(text), True) for text in ("2.41.0", "2.41.9.1", "2.42.0", "2.42.5.2", "2.43.0", "2.43.0.1")),
        *((read_version(text), False) for text in ("2.36.13", "2.40.12", "2.41.10", "2.42.6", "2.43.1", "2.44.0")),
        (read_version("2.42.5-SNAPSHOT", "2026-08-22T06:00:00"), True),
        (build("2.42.6-SNAPSHOT", "2026-06-30"), True),
        (build("2.42.6-SNAPSHOT", "2026-07-04"), True),  # in which zone, nobody tells
        (build("2.42.6-SNAPSHOT", "2026-07-05"), False),
        (read_version("2.42.6-SNAPSHOT"), True),
        (build("2.42.7-SNAPSHOT", "2026-06-30"), False),
        (build("2.44-SNAPSHOT", "2026-07-01"), True),
        (build("2.44-SNAPSHOT", "2026-08-21"), False),
        (read_version("2.44-SNAPSHOT"), True),
        (None, True),
    ],
)
def test_who_has_dhis2_21740(version, affected):
    """2.41.0 to 2.41.9, 2.42.0 to 2.42.5 and 2.43.0, snapshots by the day on which they were built, and the unknown."""
    assert USER_PUT_OF_ALL.on(version) is affected


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_says_what_it_is(fault):
    """Each has a name, a sentence, a source, and spans in order that do not meet."""
    assert fault.sentence
    assert fault.source
    ends = [end for first, good in fault.spans for end in (first, good)]
    assert None not in ends[:-1]
    assert [end for end in ends if end is not None] == sorted(end for end in ends if end is not None)
    assert len({other.name for other in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("release", ["2.36.0", "2.38.0", "2.38.4", "2.39.4", "2.40.2", "2.41.0", "2.42.5", "2.44"])
def test_the_table_agrees_with_the_emulator(release):
    """Two tables that know nothing of each other say the same of a release."""
    emulator = Emulator(release)
    facts, version = emulator.profile, read_version(emulator.profile.release, f"{emulator.profile.build_day}T06:00:00")
    has = {fault.name: fault.on(version) for fault in FAULTS}
    assert has["user-put-of-all"] is facts.user_update_is_of_all
    assert has["sharing-not-on-reads"] is not facts.sharing_on_reads
    assert has["sharing-not-on-lists"] is not facts.sharing_on_lists
    assert has["username-ignored"] is (facts.username_parameter is None)
    assert has["no-parts"] is not facts.path_and_roll
    assert has["empty-put-deletes"] is facts.put_without_body_deletes
    assert has["protections-is-a-namespace"] is not facts.protections_route
    assert has["own-tokens-break-me"] is facts.tokens_break_me
    assert has["capture-unprotected"] is not any(p.namespace == "capture" for p in facts.protections)


# --- DHIS2-21740: one PUT, every account ------------------------------------------------------------------------------


def by_command_line(store, value):
    from click.testing import CliRunner

    emulator = store.emulator
    with emulator.serve() as served:
        env = {"DHIS2_URL": served.url, "DHIS2_USERNAME": "alice", "DHIS2_PASSWORD": "Alice_pw_1!", "DHIS2_PAT": ""}
        result = CliRunner().invoke(cli, ["--user", "set", "app", "cfg", "--", str(value)], env=env)
    assert result.exit_code == 0, result.output


def by_edit(store, value):
    with store.user["app"].edit("obj") as obj:
        obj["x"] = value


def by_snapshot(store, value):
    entries = [snapshot.Entry("app", "cfg", value, None)]
    snapshot.apply(store.user, snapshot.plan(store.user, entries))


WRITERS = {
    "assigning": lambda store, value: store.user["app"].__setitem__("cfg", value),
    "set": lambda store, value: store.user["app"].set("cfg", value),
    "the accessor": lambda store, value: store.datastore.set("app", "cfg", value, user=True),
    "update": lambda store, value: store.user["app"].update(cfg=value),
    "set_many": lambda store, value: store.user["app"].set_many({"cfg": value}),
    "replace": lambda store, value: store.user["app"].replace({"cfg": value, "obj": {"of": "alice"}}),
    "assigning a namespace": lambda store, value: store.user.__setitem__("app", {"cfg": value}),
    "edit": by_edit,
    "setdefault": lambda store, value: store.user["app"].setdefault("cfg", value),
    "encrypting": lambda store, value: store.user["app"].set("cfg", value, encrypt=True),
    "a snapshot": by_snapshot,
    "the command line": by_command_line,
    "an agent": lambda store, value: Tools(store).datastore_set("app", "cfg", value, user=True),
    "asyncio": lambda store, value: asyncio.run(AsyncDatastore(store).set("app", "cfg", value, user=True)),
}


@pytest.fixture
def two_accounts():
    """Two accounts on a server of a release, each with entries of the same names in their own stores."""

    def sign_in(release, **options):
        emulator = Emulator(release)
        emulator.add_user("alice", "Alice_pw_1!")
        alice = connect(emulator, ("alice", "Alice_pw_1!"), **options)
        alice.emulator = emulator
        carol = connect(emulator)
        for name, store in (("alice", alice), ("carol", carol)):
            assert store.user["app"].add("cfg", f"of {name}")
            assert store.user["app"].add("obj", {"of": name})
        return alice, carol

    return sign_in


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("release", [*AFFECTED, *GOOD])
def test_nobody_writes_the_entries_of_others(two_accounts, release, writer):
    """Both accounts POST, one assigns, the other reads what it stored, whichever way the first one writes."""
    alice, carol = two_accounts(release)
    for value in (2, 3):
        WRITERS[writer](alice, value)
    mine = alice.user["app"].copy()
    if writer == "setdefault":
        assert mine["cfg"] == "of alice"
    else:
        assert 3 in (mine["cfg"], mine.get("obj", {}).get("x"))
    assert carol.user["app"].copy() == {"cfg": "of carol", "obj": {"of": "carol"}}
    assert carol.user["app"].keys() == {"cfg", "obj"}


def test_the_demonstration_demonstrates():
    """A PUT that is sent all the same writes everybody's entry, on an affected release, so that the tests above can."""
    emulator = Emulator("2.42.5")
    emulator.add_user("alice", "Alice_pw_1!")
    alice, carol = connect(emulator, ("alice", "Alice_pw_1!")), connect(emulator)
    for store in (alice, carol):
        store.user["app"].add("cfg", "mine")
    session = emulator.session()
    session.put(f"{SERVER}/api/userDataStore/app/cfg", json="everybody's", auth=("alice", "Alice_pw_1!"))
    assert carol.user["app"]["cfg"] == "everybody's"


@pytest.mark.parametrize("release", AFFECTED)
def test_parts_of_values_in_the_user_store_are_refused(two_accounts, release):
    """``patch`` and ``roll`` have no safe form there: refused with the reason; in the shared store they do."""
    alice, carol = two_accounts(release)
    alice["app"].update(obj={"x": 1}, log=[1])
    alice["app"].patch("obj", "x", 2)
    alice["app"].roll("log", 2, 5)
    assert alice["app"].copy() == {"obj": {"x": 2}, "log": [1, 2]}
    sent(alice.emulator)
    for act in (lambda: alice.user["app"].patch("obj", "of", 1), lambda: alice.user["app"].roll("log", 1, 3)):
        with pytest.raises(
            Rejected, match=rf"every account: this server is {release}, which has DHIS2-21740"
        ) as caught:
            act()
        assert not caught.value.sent
    assert sent(alice.emulator) == []
    assert carol.user["app"]["obj"] == {"of": "carol"}


@pytest.mark.parametrize("info", [{"status": 403, "json": {}}, {"status": 404, "body": "no"}, {"json": {"x": 1}}])
def test_a_version_that_is_not_told_counts_as_affected(info, caplog):
    """Then the entry is deleted and created anew, and the version is not asked for again; a warning is logged."""
    with responses.RequestsMock() as mocked:
        there = {"httpStatusCode": 409, "message": "Key 'cfg' already exists in namespace 'app'"}
        created, deleted = ({"httpStatusCode": status, "status": "OK", "message": "done"} for status in (201, 200))
        url = f"{SERVER}/api/userDataStore/app/cfg"
        asked = mocked.get(f"{SERVER}/api/system/info", **{"content_type": "application/json"} | info)
        for _ in range(2):
            mocked.post(url, status=409, json=there)
            mocked.delete(url, json=deleted)
            mocked.post(url, status=201, json=created)
        ns = Store(SERVER, ("a", "b")).user["app"]
        ns["cfg"] = 1
        ns["cfg"] = 2
        assert asked.call_count == 1
    assert "counts as faulty" in caplog.text


def test_trouble_that_passes_is_no_reason_to_delete():
    """Where the version cannot be asked for the moment, the error is raised, and nothing has changed."""
    emulator = Emulator("2.42")
    store = connect(emulator)
    store.user["app"]["cfg"] = "old"
    trouble = emulator.fail("status", status=503, match="system/info", times=99)
    with pytest.raises(ServerError) as caught:
        store.user["app"]["cfg"] = "new"
    assert not caught.value.sent
    trouble.times = 0
    assert store.user["app"]["cfg"] == "old"
    store.user["app"]["cfg"] = "new"
    assert [method for method, _ in sent(emulator)][-3:] == ["POST", "GET", "PUT"]


@pytest.mark.parametrize("release", ["2.42", "2.42.5"])
@pytest.mark.parametrize("known", [False, True])
def test_a_lost_answer_is_told(release, known):
    """Where the first try may have acted and the next is refused, the error says that the server may have acted."""
    emulator = Emulator(release)
    store = connect(emulator)
    refused = None

    def deliver(request):
        nonlocal refused
        reply = Emulator.deliver(emulator, request)
        if refused is None and request.method == "POST":
            if known:
                assert store.version
            refused = emulator.fail("status", status=401, times=99)
        return reply

    emulator.deliver = deliver
    emulator.fail("drop_after", method="POST")
    with pytest.raises(NotAuthenticated) as caught:
        store.user["app"]["cfg"] = 1
    assert caught.value.sent
    refused.times = 0
    assert store.user["app"]["cfg"] == 1


# --- an account that cannot ask who it is -----------------------------------------------------------------------------


def test_an_account_whose_tokens_break_me():
    """2.42.5 cannot tell an account with tokens who it is: the error says why, and that ``account=`` helps."""
    emulator = Emulator("2.42.5")
    store = connect(emulator)
    assert store.datastore.account()["username"] == "admin"
    emulator.session().post(f"{SERVER}/api/apiToken", json={}, auth=("admin", "district"))
    with pytest.raises(ServerError, match=r"2\.42\.5.*access tokens.*account="):
        store.datastore.account()


def test_another_error_of_me_is_told_as_it_is():
    """A 500 of a server without that fault says nothing of tokens."""
    emulator = Emulator("2.42")
    emulator.fail("status", status=500, match="/api/me", times=9)
    with pytest.raises(ServerError) as caught:
        connect(emulator).datastore.account()
    assert "token" not in str(caught.value)


def test_a_version_prints_as_a_tuple_of_numbers():
    """In a traceback or at the prompt it is what it compares as."""
    assert repr(Version((2, 42, 5))) == "(2, 42, 5)"
