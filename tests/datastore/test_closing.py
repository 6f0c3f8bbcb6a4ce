"""What is closed stays so when it is made anew, and what is created can be closed before its value is there."""

import pickle

import pytest

from dhis2kv import (
    Dhis2kvError,
    Forbidden,
    InvalidValue,
    KeyNotFound,
    NotStored,
    Query,
    Sharing,
    Store,
    Unreachable,
)
from dhis2kv.emulator import PROFILES, RELEASES, Emulator
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


# --- encrypting what is there -----------------------------------------------------------------------------------------

CLOSED = [PRIVATE, Sharing("", {"carol": "r"}), Sharing("r", {}, {"Editors": "rw"}), Sharing()]


@pytest.mark.parametrize("how", ["encrypted", "plain"])
@pytest.mark.parametrize("release", EVERYWHERE)
def test_who_could_not_read_the_old_value_cannot_read_the_new_one(release, how):
    """An entry that is closed, and is encrypted anew, is as closed as before."""
    emulator = people(release)
    ns = connect(emulator)["app"]
    for number, sharing in enumerate(CLOSED):
        key = f"token {number}"
        ns.set(key, "old", encrypt=how == "encrypted")
        ns.share(key, public=sharing.public, users=sharing.users, groups=sharing.groups)
        ns.set(key, SECRET, encrypt=True)
        assert ns[key] == SECRET
        assert ns.sharing(key) == sharing
        if heeds_sharing(emulator) and sharing.public == "--":
            assert may_read(emulator, ALICE, key) is None
    if emulator.profile.entries_query:
        rows = connect(emulator).datastore.query("app", Query(include_all=False))
        assert SECRET not in [row["value"] for row in rows]


@pytest.mark.parametrize("release", ["2.38", "2.40", "2.40.0"])
def test_up_to_2_40_an_encrypted_entry_is_encrypted_where_it_lies(release):
    """One PUT, that keeps its sharing, its owner and its date; never absent in between."""
    emulator = people(release)
    connect(emulator, ALICE)["app"].set("k", "old", encrypt=True)
    connect(emulator, ALICE)["app"].share("k", public="", users={"carol": "rw"})
    before = connect(emulator)["app"].metadata("k")
    connect(emulator, CAROL)["app"].set("k", SECRET, encrypt=True)
    after = connect(emulator)["app"].metadata("k")
    assert (after.id, after.created, after.sharing, after.sharing.owner) == (
        before.id,
        before.created,
        before.sharing,
        "alice",
    )
    assert connect(emulator)["app"]["k"] == SECRET


@pytest.mark.parametrize("release", ["2.36", "2.41", "2.44"])
def test_elsewhere_the_owner_is_who_wrote_last(release):
    """The entry is made anew, so that its owner changes; its sharing stays."""
    emulator = people(release)
    connect(emulator, ALICE)["app"].set("k", "old", encrypt=True)
    connect(emulator, ALICE)["app"].share("k", public="", users={"carol": "rw"})
    connect(emulator, CAROL)["app"].set("k", SECRET, encrypt=True)
    assert connect(emulator)["app"].sharing("k") == Sharing("", {"carol": "rw"})
    assert connect(emulator)["app"].sharing("k").owner == "carol"


def test_what_cannot_be_closed_again_is_deleted():
    """When the sharing cannot be set, the new value is deleted again, and the error says that the old one is, too."""
    emulator = people("2.42")
    ns = connect(emulator)["app"]
    ns["k"] = "old"
    ns.share("k", public="")
    emulator.fail("status", status=403, method="PUT", match="/api/sharing", times=9)
    with pytest.raises(
        Forbidden, match=r"could not be closed, and was deleted again; the old value of app/k is del"
    ) as e:
        ns.set("k", SECRET, encrypt=True)
    assert e.value.sent
    assert "k" not in ns


def test_what_can_neither_be_closed_nor_deleted_is_told():
    """The worst case says what is open, and what to do."""
    emulator = people("2.42")
    ns = connect(emulator)["app"]
    ns["k"] = "old"
    ns.share("k", public="")

    def deliver(request):
        if request.method == "PUT" and "/api/sharing" in request.target:
            emulator.down = True
        return Emulator.deliver(emulator, request)

    emulator.deliver = deliver
    with pytest.raises(Dhis2kvError, match=r"may be open to every account, with its value; delete it, or share it"):
        ns.set("k", SECRET, encrypt=True)


def test_sharing_that_cannot_be_read_destroys_nothing():
    """Before the old value is deleted its sharing is known."""
    emulator = people("2.42")
    ns = connect(emulator)["app"]
    ns["k"] = "old"
    emulator.fail("status", status=403, match="metaData", times=9)
    with pytest.raises(Forbidden):
        ns.set("k", SECRET, encrypt=True)
    assert ns["k"] == "old"


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("release", ["2.36", "2.40", "2.42"])
def test_too_long_to_be_encrypted(release, user):
    """At most 159 bytes of JSON in UTF-8, found out before anything is sent, so that the old value stays."""
    emulator = people(release)
    store = connect(emulator).user if user else connect(emulator)
    ns = store.namespace("app", encrypt=True)
    for fits in ("y" * 157, "é" * 78):
        ns["k"] = fits
        assert ns["k"] == fits
    sent(emulator)
    for longer in ("y" * 158, "é" * 79, ["y" * 156], {"a": "y" * 160}):
        for act in (
            lambda value=longer: ns.__setitem__("k", value),
            lambda value=longer: store["app"].set("k", value, encrypt=True),
            lambda value=longer: ns.add("new", value),
            lambda value=longer: ns.update(a=1, k=value),
            lambda value=longer: ns.replace({"k": value}),
            lambda value=longer: store.datastore.create("app", "k", value, encrypt=True, user=user),
        ):
            with pytest.raises(InvalidValue, match=r"1\d\d bytes of JSON.*at most 159"):
                act()
    assert sent(emulator) == []
    assert ns["k"] == "é" * 78


# --- creating what is closed ------------------------------------------------------------------------------------------


class Watch:
    """Looks, after each request to a server, what another account gets of the entries of a namespace."""

    def __init__(self, emulator, who=ALICE):
        self.emulator, self.seen, self.requests = emulator, [], []
        self._who, self._looking = connect(emulator, who), False

    def deliver(self, request):
        reply = Emulator.deliver(self.emulator, request)
        if not self._looking:
            self._looking = True
            self.requests.append((request.method, request.target.partition("?")[0]))
            self.seen.append(self._look())
            self._looking = False
        return reply

    def _look(self):
        try:
            keys = list(self._who["app"])
        except Forbidden:
            return {}
        found = {}
        for key in keys:
            try:
                found[key] = self._who["app"][key]
            except (Forbidden, KeyNotFound):
                found[key] = "hidden"
        return found

    def __enter__(self):
        self.emulator.deliver = self.deliver
        return self

    def __exit__(self, *_):
        del self.emulator.deliver

    def windows(self, value):
        """The numbers of the requests after which the value could be read."""
        return [number for number, seen in enumerate(self.seen) if value in seen.values()]


HEEDING = [release for release in EVERYWHERE if (PROFILES | RELEASES)[release].sharing_on_reads]

CREATORS = {
    "assigning": lambda ns: ns.__setitem__("k", SECRET),
    "add": lambda ns: ns.add("k", SECRET),
    "setdefault": lambda ns: ns.setdefault("k", SECRET),
    "update": lambda ns: ns.update(k=SECRET),
    "replace": lambda ns: ns.replace({"k": SECRET}),
}


@pytest.mark.parametrize("creator", CREATORS)
@pytest.mark.parametrize("release", HEEDING)
def test_closed_before_its_value_is_there(release, creator):
    """At no moment can another account read the value; it can see null, until the entry is closed."""
    emulator = people(release)
    ns = connect(emulator).namespace("app", sharing=PRIVATE)
    with Watch(emulator) as watch:
        CREATORS[creator](ns)
    assert watch.windows(SECRET) == []
    assert next(seen["k"] for seen in watch.seen if "k" in seen) is None
    assert ns["k"] == SECRET
    assert ns.sharing("k") == PRIVATE
    assert may_read(emulator, ALICE) is None


@pytest.mark.parametrize("release", HEEDING)
def test_encrypted_and_closed(release):
    """Up to 2.40 never open; from 2.41 on, where only what is created is encrypted, for two requests and no longer."""
    emulator = people(release)
    ns = connect(emulator).namespace("app", encrypt=True, sharing=PRIVATE)
    for value in (SECRET, f"{SECRET} either"):
        with Watch(emulator) as watch:
            ns["k"] = value
        window = watch.windows(value)
        if emulator.profile.path_and_roll:  # which came with 2.41, too
            created = max(number for number, (method, _) in enumerate(watch.requests) if method == "POST")
            closed = next(n for n, (_, target) in enumerate(watch.requests) if n > created and "api/sharing" in target)
            assert window == [created, created + 1]
            assert closed == created + 2
        else:
            assert window == []
        assert ns["k"] == value
        assert ns.sharing("k") == PRIVATE
    assert may_read(emulator, ALICE) is None


def test_what_is_there_keeps_its_sharing(server):
    """The namespace's sharing is for what is created through it."""
    connect(server)["app"]["k"] = "old"
    connect(server)["app"].share("k", users={"carol": "r"})
    ns = connect(server).namespace("app", sharing=PRIVATE)
    sent(server)
    ns["k"] = "new"
    assert methods(server) == ["POST", "GET", "PUT"]
    assert ns.sharing("k") == Sharing("rw", {"carol": "r"})
    assert ns.add("k", 1) is False


def test_shared_with_some_from_the_start(server):
    """Any sharing can be given; users and groups that do not exist are found before anything is created."""
    sharing = Sharing("", {"alice": "r"}, {"Editors, regional": "rw"})
    ns = connect(server).namespace("app", sharing=sharing)
    ns.update(k=SECRET, l=1)
    assert {ns.sharing(key) for key in "kl"} == {sharing}
    assert may_read(server, CAROL) == may_read(server, ALICE) == SECRET
    assert may_read(server, ("al", "Al_pw_12!")) is None
    sent(server)
    with pytest.raises(InvalidValue, match="there is no user 'nobody'"):
        connect(server).namespace("app", sharing=Sharing("", {"nobody": "r"}))["m"] = 1
    assert set(methods(server)) == {"GET"}


def test_the_default_sharing_costs_nothing(server):
    """A namespace with DHIS2's own sharing creates as any other does."""
    ns = connect(server).namespace("app", sharing=Sharing())
    ns["k"] = 1
    assert methods(server) == ["PUT"]


def test_a_list_that_is_begun_is_closed(server):
    """``roll`` creates a closed list."""
    ns = connect(server).namespace("app", sharing=PRIVATE)
    with Watch(server) as watch:
        ns.roll("k", SECRET, 3)
    assert watch.windows([SECRET]) == []
    assert (ns["k"], ns.sharing("k")) == ([SECRET], PRIVATE)


def test_a_namespace_with_sharing_is_pickled_with_it():
    """What is written through the copy is closed, too."""
    ns = Store("http://dhis2.test", ("a", "b")).namespace("app", sharing=PRIVATE)
    assert pickle.loads(pickle.dumps(ns))._sharing == PRIVATE


@pytest.mark.parametrize("encrypt", [False, True])
@pytest.mark.parametrize("release", ["2.36", "2.40", "2.42"])
def test_what_cannot_be_closed_is_not_there(release, encrypt):
    """When closing fails, what was created is deleted again, and the error says so."""
    emulator = people(release)
    ns = connect(emulator).namespace("app", encrypt=encrypt, sharing=PRIVATE)
    emulator.fail("status", status=403, method="PUT", match="/api/sharing", times=9)
    with pytest.raises(Forbidden, match="app/k could not be closed, and was deleted again") as caught:
        ns["k"] = SECRET
    assert caught.value.sent
    assert "k" not in ns
    with pytest.raises(Forbidden, match="deleted again"):
        ns.add("k", SECRET)
    assert "k" not in ns


def test_what_a_broken_off_creation_left_is_closed(server):
    """An entry that is open and holds null was not closed yet: it is, before a value is put into it."""
    ns = connect(server).namespace("app", sharing=PRIVATE)
    server.put("app", "k", None)
    with Watch(server) as watch:
        ns["k"] = SECRET
    assert watch.windows(SECRET) == []
    assert (ns["k"], ns.sharing("k")) == (SECRET, PRIVATE)


@pytest.mark.parametrize("release", ["2.36", "2.42"])
@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "cut"])
def test_a_lost_answer_to_the_creation_opens_nothing(release, fault):
    """Whether the server had acted or not: the value is stored, and was never open."""
    emulator = people(release)
    ns = connect(emulator).namespace("app", sharing=PRIVATE)
    emulator.fail(fault, method="POST")
    with Watch(emulator) as watch:
        ns["k"] = SECRET
    assert watch.windows(SECRET) == []
    assert (ns["k"], ns.sharing("k")) == (SECRET, PRIVATE)


@pytest.mark.parametrize("release", ["2.36", "2.42"])
def test_who_deletes_in_between_opens_nothing(release):
    """An entry that somebody deleted after it was closed is made anew by a PUT: then it is closed at once, or gone."""
    emulator = people(release)
    ns = connect(emulator).namespace("app", sharing=PRIVATE)
    other, waiting = connect(emulator)["app"], [True]

    def deliver(request):
        if request.method == "PUT" and "/app/k" in request.target and waiting:
            waiting.pop()
            del other["k"]
        return Emulator.deliver(emulator, request)

    emulator.deliver = deliver
    try:
        ns["k"] = SECRET
    except NotStored:
        assert release == "2.36"
    del emulator.deliver
    assert may_read(emulator, ALICE) is None


def test_a_hidden_namespace_is_not_taken_for_closed(server, alice):
    """The server says yes and stores nothing: there is nothing to close, and the error says so."""
    with pytest.raises(NotStored, match="its namespace is protected"):
        alice.namespace("METADATASTORE", sharing=PRIVATE)["k"] = SECRET


def test_an_outage_says_what_may_be_open(server):
    """When no answer comes any more, the error says what may be there, and that it holds no value."""
    ns = connect(server).namespace("app", sharing=PRIVATE)

    def deliver(request):
        if request.method == "PUT":
            server.down = True
        return Emulator.deliver(server, request)

    server.deliver = deliver
    with pytest.raises(Unreachable, match="may be open to every account, with null for its value; delete it, or share"):
        ns["k"] = SECRET
