"""Who may read an entry: told, and changed."""

import datetime
import logging
import pickle

import pytest
import responses

from dhis2kv import (
    BulkError,
    Forbidden,
    InvalidValue,
    KeyNotFound,
    NotStored,
    ReadOnly,
    Rejected,
    ServerError,
    Sharing,
    Store,
)
from tests.conftest import connect, sent
from tests.datastore.people import ALICE, CAROL, EVERYWHERE, PRIVATE, SECRET, heeds_sharing, may_read, methods, people


@pytest.fixture
def server():
    return people()


@pytest.fixture
def alice(server):
    return connect(server, ALICE)


@pytest.fixture
def carol(server):
    return connect(server, CAROL)


# --- Sharing ----------------------------------------------------------------------------------------------------------


def test_the_default_is_what_dhis2_gives(alice):
    """Everybody may do both, nobody else is named."""
    alice["app"]["k"] = 1
    sharing = alice["app"].sharing("k")
    assert sharing == Sharing() == Sharing("rw", {}, {})
    assert sharing.owner == "alice"
    assert Sharing.private() == Sharing(public="")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        *[("rw", "rw"), ("r-", "r-"), ("-w", "-w"), ("--", "--"), ("r", "r-"), ("w", "-w"), ("", "--"), (None, "--")],
        *[("rw------", "rw"), ("r-------", "r-"), ("--------", "--"), ("rwrw----", "rw"), ("-w------", "-w")],
    ],
)
def test_accesses_that_are_understood(given, kept):
    """DHIS2's two letters, shorter forms of them, nothing, and the eight letters of which two count."""
    sharing = Sharing(public=given, users={"alice": given}, groups={"Editors": given})
    assert (sharing.public, sharing.users, sharing.groups) == (kept, {"alice": kept}, {"Editors": kept})


@pytest.mark.parametrize(
    "given", ["RW", "x", "rwx", "wr", "r w", "read", 1, True, b"rw", ["rw"], "rw-----", "rw-------"]
)
def test_what_is_no_access(given):
    """Anything else is an error, and nothing is guessed."""
    for wrong in ({"public": given}, {"users": {"alice": given}}, {"groups": {"Editors": given}}):
        with pytest.raises(InvalidValue, match="no access"):
            Sharing(**wrong)


@pytest.mark.parametrize("given", [["alice"], "alice", {1: "rw"}, {"": "rw"}])
def test_what_is_no_mapping_of_names(given):
    """Users and groups are mappings of names to accesses."""
    for whose in ("users", "groups"):
        with pytest.raises(InvalidValue, match=f"^{whose} maps names to accesses"):
            Sharing(**{whose: given})


def test_a_sharing_is_a_value():
    """It says all of itself, equals its like whatever the order and the owner, is a key, and survives pickling."""
    one = Sharing("r", {"b": "rw", "a": "r"}, {"g": ""}, owner="admin")
    other = Sharing("r-", {"a": "r-", "b": "rw"}, {"g": "--"}, owner="alice")
    assert one == other
    assert {one: 1}[other] == 1
    assert one != Sharing("r", {"a": "r"}, {"g": ""})
    assert Sharing(users={"x": "r"}) != Sharing(groups={"x": "r"})
    assert eval(repr(one)) == one
    assert repr(one).endswith("owner='admin')")
    twin = pickle.loads(pickle.dumps(one))
    assert (twin, twin.owner) == (one, "admin")
    with pytest.raises(AttributeError):
        one.public = "rw"


# --- telling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["2.36", "2.37", "2.39.4", "2.40", "2.41", "2.42", "2.44"])
def test_sharing_is_told_by_names(release):
    """By usernames and names of groups, for one request more for each that was not met before."""
    emulator = people(release)
    store = connect(emulator)
    ns = store["app"]
    ns["k"] = ns["l"] = 1
    sharing = Sharing("r", {"alice": "rw", "alice.json": ""}, {"Editors, regional": "rw", "Senior editors": "r"})
    for key in "kl":
        ns.share(key, public=sharing.public, users=sharing.users, groups=sharing.groups)
    for reader in (store, connect(emulator, ALICE)):
        sent(emulator)
        assert reader["app"].sharing("k") == sharing
        assert reader["app"].sharing("l").owner == "admin"
        expected = 1 + 2 + 1 + 1 if reader is not store else 1 + 2 + 1
        assert len(sent(emulator)) <= expected + 1


def test_metadata(server, alice):
    """When it was made and by whom, aware of the zone, and who may read it."""
    alice["app"]["k"] = 1
    connect(server)["app"].share("k", public="r")
    for metadata in (alice["app"].metadata("k"), alice.datastore.metadata("app", "k")):
        assert (metadata.namespace, metadata.key, len(metadata.id)) == ("app", "k", 11)
        assert (metadata.created_by, metadata.last_updated_by) == ("alice", "admin")
        assert metadata.sharing == Sharing("r")
        now = datetime.datetime.now(datetime.UTC)
        assert datetime.timedelta(0) <= now - metadata.created < datetime.timedelta(minutes=5)
        assert metadata.created <= metadata.last_updated
        assert pickle.loads(pickle.dumps(metadata)) == metadata
    with pytest.raises(KeyNotFound, match="'none'"):
        alice["app"].metadata("none")
    targets = [target for _, target in sent(server)]
    assert len([target for target in targets if "system/info" in target]) == 1


def told(about, zone="Europe/Oslo"):
    """A mocked server that tells this metadata, and this time zone."""
    mocked = responses.RequestsMock(assert_all_requests_are_fired=False)
    mocked.get("http://dhis2.test/api/dataStore/app/k/metaData", json=about)
    mocked.get("http://dhis2.test/api/system/info", json={"serverTimeZoneId": zone} if zone else {})
    mocked.get("http://dhis2.test/api/userLookup/Vi19T3Zvjcb", body=b"", content_type="application/json")
    return mocked


ABOUT = {
    "id": "M5zQapPyTZI",
    "created": "2024-07-01T12:00:00.000",
    "lastUpdated": "2024-01-01T12:00:00.000",
    "sharing": {"owner": "Vi19T3Zvjcb", "users": {}, "userGroups": {}, "public": "rw------"},
}


def test_dates_are_the_servers():
    """They are told without a zone, in that of the server, summer and winter."""
    with told(ABOUT):
        metadata = Store("http://dhis2.test", ("a", "b"))["app"].metadata("k")
    assert metadata.created.isoformat() == "2024-07-01T12:00:00+02:00"
    assert metadata.last_updated.isoformat() == "2024-01-01T12:00:00+01:00"
    assert (metadata.created_by, metadata.sharing.owner) == (None, "id:Vi19T3Zvjcb")


def test_a_zone_that_is_not_known_here():
    """No date is guessed: the error says what to install."""
    with told(ABOUT, "Mars/Olympus"), pytest.raises(ServerError, match=r"'Mars/Olympus'.*install tzdata"):
        Store("http://dhis2.test", ("a", "b"))["app"].metadata("k")


@pytest.mark.parametrize(
    "change",
    [{"id": None}, {"sharing": None}, {"sharing": {"public": "nonsense"}}, {"sharing": {"users": []}}, {"created": 1}],
)
def test_metadata_that_cannot_be_read(change):
    """What does not look like DHIS2's is an error of the server, and no guess."""
    with told(ABOUT | change), pytest.raises(ServerError, match="cannot be read"):
        Store("http://dhis2.test", ("a", "b"))["app"].metadata("k")


def test_an_access_that_is_not_told_is_none():
    """An entry without public access, or shared with somebody for nothing, is open to nobody by that."""
    about = ABOUT | {"sharing": {"users": {"Vi19T3Zvjcb": {"id": "Vi19T3Zvjcb"}}, "userGroups": {}}}
    with told(about):
        sharing = Store("http://dhis2.test", ("a", "b"))["app"].sharing("k")
    assert sharing == Sharing("", {"id:Vi19T3Zvjcb": ""})


# --- changing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", EVERYWHERE)
def test_parts_of_sharing(release):
    """Each part is changed as a whole, and the others stay."""
    ns = connect(people(release))["app"]
    ns["k"] = 1
    ns.share("k", public="r")
    assert ns.sharing("k") == Sharing("r")
    ns.share("k", users={"alice": "rw", "carol": "r"})
    assert ns.sharing("k") == Sharing("r", {"alice": "rw", "carol": "r"})
    ns.share("k", groups={"Editors": "r"})
    ns.share("k", users={"alice": "r"})
    assert ns.sharing("k") == Sharing("r", {"alice": "r"}, {"Editors": "r"})
    ns.share("k", public="", users={}, groups={})
    assert ns.sharing("k") == PRIVATE
    assert ns["k"] == 1


@pytest.mark.parametrize("release", EVERYWHERE)
def test_sharing_does_what_it_says(release):
    """Who may not read gets nothing, where the release heeds it; who may gets the value."""
    emulator = people(release)
    ns = connect(emulator)["app"]
    ns["k"] = SECRET
    ns.share("k", public="", users={"alice": "r"})
    assert may_read(emulator, ALICE) == SECRET
    if heeds_sharing(emulator):
        assert may_read(emulator, CAROL) is None
    ns.share("k", users={}, groups={"Editors, regional": "r"})
    assert may_read(emulator, CAROL) == SECRET
    if heeds_sharing(emulator):
        assert may_read(emulator, ALICE) is None


def test_names_are_whole(server):
    """A user or group whose name merely contains the text, or differs in case, is none that was meant."""
    ns = connect(server)["app"]
    ns["k"] = 1
    sent(server)
    for wrong, said in (
        ({"users": {"ali": "r"}}, "there is no user 'ali'"),
        ({"users": {"Alice": "r"}}, "there is no user 'Alice'"),
        ({"users": {"a/b": "r"}}, "there is no user 'a/b'"),
        ({"groups": {"Edit": "r"}}, "there is no group 'Edit'"),
        ({"groups": {"editors": "r"}}, "there is no group 'editors'"),
        ({"users": {"no": "r", "none": "r"}, "groups": {"nobody": "r"}}, "user 'no'.*user 'none'.*group 'nobody'"),
    ):
        with pytest.raises(InvalidValue, match=f"(?s){said}.*Nothing was changed"):
            ns.share("k", **wrong)
    assert set(methods(server)) == {"GET"}
    assert ns.sharing("k") == Sharing()
    ns.share("k", users={"al": "r", "alice.json": "rw"}, groups={"Editors, regional": "r"})
    assert ns.sharing("k") == Sharing("rw", {"al": "r", "alice.json": "rw"}, {"Editors, regional": "r"})


def test_an_id_without_its_prefix(server):
    """An id given as a name is an error that says how ids are given."""
    ns = connect(server)["app"]
    ns["k"] = 1
    uid = connect(server, ALICE).datastore.account()["id"]
    with pytest.raises(InvalidValue, match=f"write id:{uid}"):
        ns.share("k", users={uid: "r"})
    ns.share("k", users={f"id:{uid}": "r"})
    assert ns.sharing("k").users == {"alice": "r-"}


def test_several_groups_of_one_name():
    """Which is meant is not guessed: the error names their ids, by which one can be given."""
    groups = {"userGroups": [{"id": uid, "name": "Editors"} for uid in ("M5zQapPyTZI", "Vi19T3Zvjcb")], "users": []}
    with responses.RequestsMock() as mocked:
        mocked.get("http://dhis2.test/api/sharing/search", json=groups)
        with pytest.raises(InvalidValue, match=r"several groups.*id:M5zQapPyTZI or id:Vi19T3Zvjcb"):
            Store("http://dhis2.test", ("a", "b"))["app"].share("k", groups={"Editors": "r"})


@pytest.mark.parametrize(
    "wrong", ["id:", "id:alice", "id:M5zQapPyTZ", "id:M5zQapPyTZI1", "id:1aaaaaaaaaa", "id:a/aaaaaaaaa"]
)
def test_what_is_no_id(server, wrong):
    """It is refused before anything is sent."""
    for names in ({"users": {wrong: "r"}}, {"groups": {wrong: "r"}}):
        with pytest.raises(InvalidValue, match="holds no id"):
            connect(server)["app"].share("k", **names)
    assert sent(server) == []


def test_ids_that_do_not_exist_are_found_out(server):
    """The server drops them without a word: reading back names them."""
    ns = connect(server)["app"]
    ns["k"] = 1
    with pytest.raises(NotStored, match="does not know user id:abcdefghijk, group id:zyxwvutsrqp") as caught:
        ns.share("k", users={"id:abcdefghijk": "r", "alice": "r"}, groups={"id:zyxwvutsrqp": "r"})
    assert caught.value.sent
    assert ns.sharing("k") == Sharing(users={"alice": "r"})


def test_sharing_that_stays_costs_one_look(server):
    """Where nothing changes nothing is set."""
    ns = connect(server)["app"]
    ns["k"] = 1
    ns.share("k", public="r")
    sent(server)
    ns.share("k", public="r------- ".strip())
    assert methods(server) == ["GET"]


def test_who_may_write_may_share(server, alice, carol):
    """Whoever may write an entry may change its sharing; who may only read it may not."""
    connect(server)["app"]["k"] = 1
    connect(server)["app"].share("k", public="", users={"alice": "rw", "carol": "r"})
    with pytest.raises(Forbidden):
        carol["app"].share("k", public="rw")
    assert carol["app"].sharing("k").public == "--"
    alice["app"].share("k", public="r")
    assert carol["app"].sharing("k").public == "r-"


def test_who_shuts_itself_out(server, alice):
    """Who may write but does not own an entry can close it to itself: that is done then, and cannot be read back."""
    connect(server)["app"]["k"] = 1
    alice["app"].share("k", public="")
    assert connect(server)["app"].sharing("k") == PRIVATE
    with pytest.raises(Forbidden):
        alice["app"].sharing("k")


def test_many_at_a_time(server):
    """Users and groups are looked up once; what fails is told."""
    ns = connect(server)["app"]
    ns.update(dict.fromkeys("abcd", 1))
    sent(server)
    told = []
    ns.share_many(["a", "b", "a"], public="", users={"alice": "r"}, progress=lambda *numbers: told.append(numbers))
    assert told == [(1, 2), (2, 2)]
    assert len([target for _, target in sent(server) if "userLookup" in target]) == 1
    assert [ns.sharing(key).public for key in "abcd"] == ["--", "--", "rw", "rw"]
    with pytest.raises(BulkError) as caught:
        ns.share_many(["c", "none"], public="r")
    assert list(caught.value.failed) == ["none"]
    with pytest.raises(TypeError, match="give it a list"):
        ns.share_many("abc", public="r")


def test_where_there_is_no_sharing(server):
    """The user store is the account's own: a clear error, before a request."""
    user = connect(server).user
    for act in (
        lambda: user["app"].sharing("k"),
        lambda: user["app"].metadata("k"),
        lambda: user["app"].share("k", public="r"),
        lambda: user["app"].share_many(["k"], public="r"),
        lambda: user.namespace("app", sharing=PRIVATE),
        lambda: user.protections(),
        lambda: user.datastore.set("app", "k", 1, user=True, sharing=PRIVATE),
    ):
        with pytest.raises(Rejected, match=r"store\.user has no sharing"):
            act()
    assert sent(server) == []


def test_read_only_shares_nothing(server):
    """It is refused before a request."""
    ns = connect(server, read_only=True)["app"]
    for act in (lambda: ns.share("k", public="r"), lambda: ns.share_many(["k"], users={"alice": "r"})):
        with pytest.raises(ReadOnly):
            act()
    assert sent(server) == []


@pytest.mark.parametrize("release", EVERYWHERE)
def test_releases_that_do_not_heed_sharing(release, caplog):
    """Setting anything but public reading is warned of there, once per store, with the release and the reason."""
    emulator = people(release)
    ns = connect(emulator)["app"]
    ns["k"] = ns["l"] = 1
    with caplog.at_level(logging.WARNING, "dhis2kv"):
        ns.share("k", users={"alice": "rw"})
        ns.share("k", public="r")
        assert not caplog.messages
        ns.share("k", public="")
        ns.share("l", public="")
    profile = emulator.profile
    if profile.sharing_on_reads and profile.sharing_on_lists:
        assert not caplog.messages
    else:
        [message] = caplog.messages
        assert emulator.profile.release in message
        assert "does not protect listings" if profile.sharing_on_reads else "does not protect reads" in message


@pytest.mark.parametrize("release", ["2.36", "2.40", "2.41", "2.42", "2.44"])
def test_protections(release):
    """As the server tells them, which it does from 2.42 on, and not to everybody."""
    emulator = people(release)
    found = connect(emulator).protections()
    if release < "2.42":
        assert found is None
        assert connect(emulator, ALICE).protections() is None
    else:
        assert "METADATASTORE" in [one["namespace"] for one in found]
        with pytest.raises(Forbidden):
            connect(emulator, ALICE).protections()
