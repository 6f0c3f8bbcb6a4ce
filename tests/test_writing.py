"""What each way of writing does, on every version and in both stores."""

import dataclasses
import re
import threading
import types
from urllib.parse import unquote

import pytest
import responses

from dhis2kv import (
    BulkError,
    Changed,
    Forbidden,
    InvalidValue,
    KeyExists,
    KeyNotFound,
    NotStored,
    Query,
    ReadOnly,
    Rejected,
    ServerError,
    Store,
    Unaddressable,
    Unreachable,
)
from dhis2kv.emulator import Emulator

from .conftest import connect, sent


@pytest.fixture
def ns(either):
    return either["app"]


@pytest.fixture
def foreign(emulator, either):
    """Write as somebody else does: without a request that would be counted."""
    owner = "admin" if either is either.user else None
    return lambda key, value, **how: emulator.put("app", key, value, user=owner, **how)


@pytest.fixture
def rival(emulator, either):
    """The same namespace in another client's hands."""
    store = connect(emulator)
    return (store.user if either is either.user else store)["app"]


@pytest.fixture
def with_paths(version):
    """Whether this server knows ``path`` and ``roll``."""
    return version >= "2.41"


def methods(emulator):
    return [method for method, _ in sent(emulator)]


def before(emulator, method, *acts):
    """Let something happen just before the first request of this method, before the second, and so on."""
    waiting, inner = list(acts), emulator.deliver

    def deliver(request):
        if request.method == method and waiting:
            outer = emulator.__dict__.pop("deliver")  # what happens then is not waited for
            waiting.pop(0)()
            emulator.deliver = outer
        return inner(request)

    emulator.deliver = deliver


def nothing():
    """Happens where only a later request is of interest."""


def in_bulk(emulator, user=False):
    """What everybody can see of a namespace in a bulk read: entries that are not encrypted."""
    rows = connect(emulator).datastore.query("app", Query(include_all=False), user=user)
    return {row["key"]: row["value"] for row in rows}


# --- many entries -----------------------------------------------------------------------------------------------------


def test_progress_is_told(emulator, ns):
    """After each entry the calling thread is told how many of how many are done."""
    told = []
    ns.set_many(dict.fromkeys("abcde", 1), progress=lambda *numbers: told.append((*numbers, threading.get_ident())))
    assert told == [(number, 5, threading.get_ident()) for number in range(1, 6)]
    assert ns.copy() == dict.fromkeys("abcde", 1)


def test_some_requests_at_a_time():
    """As many requests are under way as there are workers, four by default, and never more."""
    for options, workers in (({}, 4), ({"workers": 2}, 2), ({"workers": 1}, 1)):
        emulator = Emulator()
        meeting, lock = threading.Barrier(workers), threading.Lock()
        now = most = 0

        def deliver(request, emulator=emulator, meeting=meeting, lock=lock):
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            meeting.wait(30)  # for as many others; else it breaks
            with lock:
                now -= 1
            return Emulator.deliver(emulator, request)

        emulator.deliver = deliver
        connect(emulator, **options)["app"].update(dict.fromkeys("abcdefgh", 1))
        assert most == workers


@pytest.mark.parametrize("workers", [1, 3])
def test_a_bulk_error_gives_account(emulator, either, workers):
    """It names what was done, what failed and why, and what was not tried, and a later read agrees."""
    store = connect(emulator, workers=workers)
    assert store.version
    namespace = (store.user if either is either.user else store)["app"]
    emulator.fail("status", status=403, method="PUT", match="/app/c$", times=9)
    entries = dict.fromkeys("abcdefgh", 1)
    with pytest.raises(BulkError, match=r"of 8 done, 1 failed \('c': .*\), \d not tried") as caught:
        namespace.update(entries)
    error = caught.value
    assert list(error.failed) == ["c"]
    assert isinstance(error.failed["c"], Forbidden)
    assert sorted([*error.done, *error.failed, *error.untried]) == sorted(entries)
    assert sorted(namespace.copy()) == sorted(error.done)
    if workers == 1:
        assert (error.done, error.untried) == (["a", "b"], ["d", "e", "f", "g", "h"])


def test_an_empty_update_sends_nothing(emulator, ns):
    """Nothing to write, nothing to delete: no request."""
    ns.update()
    ns.update({})
    ns.delete_many([])
    assert sent(emulator) == []


def test_names_that_a_proxy_rewrites_are_found_out_first():
    """Where a proxy rewrites dotted names, none of many writes is sent when one has such a name."""
    emulator = Emulator("2.44")
    store = connect(emulator)
    store["app"]["config"] = "stays"

    def deliver(request):
        return Emulator.deliver(emulator, dataclasses.replace(request, target=unquote(request.target)))

    emulator.deliver = deliver
    for act in (
        lambda: store["app"].update({"a": 1, "config.json": 2}),
        lambda: store["app"].replace({"a": 1, "config.json": 2}),
        lambda: store["app"].delete_many(["a", "config.json"]),
    ):
        sent(emulator)
        with pytest.raises(Unaddressable, match=r"config\.json"):
            act()
        assert set(methods(emulator)) <= {"GET"}
    assert store["app"].copy() == {"config": "stays"}


def test_replace_sends_differences(emulator, ns):
    """What is the same JSON is not written again; writes come before deletes."""
    ns.update({"same": {"x": 1, "y": [1.0]}, "true": True, "gone": 1, "also": 2})
    sent(emulator)
    ns.replace({"same": {"y": [1], "x": 1.0}, "true": 1, "new": None})
    writes = [(method, target.rpartition("/")[2]) for method, target in sent(emulator) if method != "GET"]
    if ("POST", "new") in writes:  # up to 2.37, after a PUT that met no entry
        writes.remove(("POST", "new"))
    assert sorted(writes[:2]) == [("PUT", "new"), ("PUT", "true")]
    assert sorted(writes[2:]) == [("DELETE", "also"), ("DELETE", "gone")]
    now = ns.copy()
    assert now == {"same": {"x": 1, "y": [1]}, "true": 1, "new": None}
    assert now["true"] is not True
    sent(emulator)
    ns.replace(now)
    assert set(methods(emulator)) == {"GET"}


def test_replace_deletes_nothing_before_all_is_written(emulator, ns):
    """When a write fails, what should have been deleted was not tried."""
    ns.update(a=1, b=2)
    emulator.fail("status", status=403, method="PUT", match="/app/c", times=9)
    with pytest.raises(BulkError) as caught:
        ns.replace({"c": 3})
    assert (caught.value.done, list(caught.value.failed), caught.value.untried) == ([], ["c"], ["a", "b"])
    assert ns.copy() == {"a": 1, "b": 2}


def test_a_store_takes_mappings_and_nothing_else(either):
    """A namespace can be copied by assigning it, also into the other store; pairs are refused before a request."""
    either["app"].update(a=1, b=None)
    either["copy"] = either["app"]
    assert either["copy"].copy() == {"a": 1, "b": None}
    with pytest.raises(TypeError, match="mapping"):
        either["app"] = [("a", 1)]
    assert either["app"].copy() == {"a": 1, "b": None}


def test_the_user_store_takes_the_shared_one():
    """``store.user[...] = store[...]`` copies from one store into the other."""
    store = connect(Emulator())
    store["app"].update(a=1)
    store.user["app"].update(b=2)
    store.user["app"] = store["app"]
    assert store.user["app"].copy() == {"a": 1}


def test_delete_many(emulator, ns):
    """Keys that are absent count as done; a str is not taken for its letters."""
    ns.update(a=1, b=2, c=3)
    ns.delete_many(key for key in ["a", "none", "a", "b"])
    assert ns.copy() == {"c": 3}
    sent(emulator)
    with pytest.raises(TypeError, match="list"):
        ns.delete_many("c")
    assert sent(emulator) == []


# --- creating ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [False, True], ids=["already exists", "duplicate key"])
def test_who_loses_a_race_to_create(emulator, ns, foreign, duplicate):
    """``add`` is False in whichever words the server says so (up to 2.39: a 500), and the winner's value stays."""
    before(emulator, "POST", lambda: foreign("k", "theirs"))
    emulator.fail("put_race", method="POST", duplicate=duplicate)
    assert ns.add("k", "mine") is False
    assert ns["k"] == "theirs"
    before(emulator, "POST", lambda: foreign("l", "theirs"))
    emulator.fail("put_race", method="POST", duplicate=duplicate)
    assert ns.setdefault("l", "mine") == "theirs"


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("Key 'k' already exists in namespace 'app'", True),
        ('ERROR: duplicate key value violates unique constraint "keyjsonvalue_unique_key_in_namespace"', True),
        ("ERROR: value too long for type character varying(255)", False),
        ("Authentication principal is not supported; principal:anonymousUser", False),
    ],
)
def test_conflicts(message, lost):
    """A 409 about an existing entry, in either of its texts, is a False; one about anything else is an error."""
    with responses.RequestsMock() as mocked:
        about = {"httpStatusCode": 409, "message": message}
        mocked.post("http://dhis2.test/api/dataStore/app/k", status=409, json=about)
        namespace = Store("http://dhis2.test", ("a", "b"))["app"]
        if lost:
            assert namespace.add("k", 1) is False
        else:
            with pytest.raises(Rejected, match=re.escape(message)):
                namespace.add("k", 1)


@pytest.mark.parametrize("version", ["2.36", "2.39"])
def test_a_statement_that_fails_for_another_reason(emulator, ns):
    """Up to 2.39 "could not execute statement" is a lost race only where there is an entry."""
    emulator.fail("put_race", method="POST", duplicate=True)
    with pytest.raises(ServerError, match="could not execute statement"):
        ns.add("k", 1)
    assert "k" not in ns


def test_create_says_what_add_says(emulator, either):
    """The accessor's ``create`` raises ``KeyExists`` where ``add`` is False."""
    user = either is either.user
    either.datastore.create("app", "k", 1, user=user)
    with pytest.raises(KeyExists, match="app/k"):
        either.datastore.create("app", "k", 2, user=user)
    assert either["app"]["k"] == 1


def test_setdefault_never_overwrites(emulator, ns, foreign):
    """The default is created, or what a racing writer stored is returned, however late that one was."""
    assert ns.setdefault("k", [1]) == [1]
    assert ns.setdefault("k", [2]) == [1]
    before(emulator, "POST", lambda: foreign("l", "theirs"))
    assert ns.setdefault("l", "mine") == "theirs"
    assert ns["l"] == "theirs"
    assert ns.setdefault("n") is None
    assert ns["n"] is None


def test_setdefault_when_the_winner_goes_again(emulator, ns, foreign, rival):
    """A racing writer who deletes again at once leaves room for the default."""
    before(emulator, "POST", lambda: foreign("k", "theirs"))
    before(emulator, "GET", nothing, lambda: rival.__delitem__("k"))
    assert ns.setdefault("k", "mine") == "mine"
    assert methods(emulator) == ["GET", "POST", "DELETE", "GET", "POST"]
    assert ns["k"] == "mine"


# --- taking out -------------------------------------------------------------------------------------------------------


def test_pop(emulator, ns):
    """``pop`` takes an entry out; an absent one is the default, or a KeyError."""
    ns["k"] = None
    assert ns.pop("k", 7) is None
    assert ns.pop("k", 7) == 7
    with pytest.raises(KeyNotFound):
        ns.pop("k")
    assert ns.pop("no/key", 7) == 7


def test_popitem_passes_over_what_others_took(emulator, ns, rival):
    """``popitem`` gives the first entry that is still there, and a KeyError when there is none."""
    ns.update(a=1, b=2)
    before(emulator, "GET", nothing, lambda: rival.__delitem__("a"))
    assert ns.popitem() == ("b", 2)
    ns["c"] = 3
    before(emulator, "GET", nothing, lambda: rival.__delitem__("c"))
    for _ in range(2):
        with pytest.raises(KeyError, match="empty"):
            ns.popitem()


def test_what_serves_a_write_asks_the_server():
    """With a cache, ``pop``, ``popitem``, ``setdefault``, ``edit`` and ``replace`` see what others wrote."""
    emulator = Emulator()
    ns = connect(emulator, ttl=60)["app"]

    def afresh(value):
        emulator.put("app", "k", "old")
        ns.refresh()
        assert ns["k"] == "old"
        assert ns.copy() == {"k": "old"}
        emulator.put("app", "k", value)

    afresh("new")
    assert ns.pop("k") == "new"
    afresh("new")
    assert ns.popitem() == ("k", "new")
    afresh("new")
    assert ns.setdefault("k", 7) == "new"
    afresh({"x": 1})
    with ns.edit("k") as value:
        assert value == {"x": 1}
    afresh("new")
    ns.replace({"k": "old"})
    assert ns["k"] == "old"


# --- edit -------------------------------------------------------------------------------------------------------------


def test_edit_writes_what_changed(emulator, ns):
    """What the block changed is written; what is the same JSON is not; true is another value than 1."""
    for old, change, written in (
        ({"x": 1}, lambda value: value.update(y=[None]), True),
        ([1, 2], lambda value: value.append(3), True),
        ({"x": 1}, lambda value: value.update(x=True), True),
        ({"x": 1, "y": 2}, lambda value: value.update(x=1.0), False),
        ({"x": [1]}, lambda value: value.update(x=(1,)), False),
        ([], lambda value: None, False),
    ):
        ns["k"] = old
        sent(emulator)
        with ns.edit("k") as value:
            change(value)
            expected = value
        assert methods(emulator) == (["GET", "GET", "PUT"] if written else ["GET"])
        assert ns["k"] == (expected if written else old)


def test_edit_of_what_others_changed(ns, foreign, rival):
    """Who wrote or deleted meanwhile is not overwritten, unless by force; the same value again is no change."""

    def edit(meanwhile, **options):
        ns["k"] = {"x": 1, "y": 2}
        with ns.edit("k", **options) as value:
            value["x"] = "mine"
            meanwhile()

    with pytest.raises(Changed, match=r"'k'.*nothing was overwritten") as caught:
        edit(lambda: foreign("k", {"x": "theirs"}))
    assert not caught.value.sent
    assert ns["k"] == {"x": "theirs"}
    with pytest.raises(Changed, match="deleted 'k'"):
        edit(lambda: rival.__delitem__("k"))
    assert "k" not in ns
    with pytest.raises(Changed):
        edit(lambda: foreign("k", {"x": True, "y": 2}))
    edit(lambda: foreign("k", {"y": 2.0, "x": 1}))
    assert ns["k"] == {"x": "mine", "y": 2}
    edit(lambda: foreign("k", "theirs"), force=True)
    assert ns["k"] == {"x": "mine", "y": 2}
    edit(lambda: rival.__delitem__("k"), force=True)
    assert ns["k"] == {"x": "mine", "y": 2}


def test_edit_that_does_not_come_to_its_end(emulator, ns):
    """When the block raises, nothing is written; when the value cannot be stored, nothing more is asked."""
    ns["k"] = {"x": 1}

    def edit(change):
        sent(emulator)
        with ns.edit("k") as value:
            change(value)

    with pytest.raises(ZeroDivisionError):
        edit(lambda value: value.update(x=1 / 0))
    assert methods(emulator) == ["GET"]
    with pytest.raises(InvalidValue):
        edit(lambda value: value.update(x=float("nan")))
    assert methods(emulator) == ["GET"]
    assert ns["k"] == {"x": 1}


def test_what_cannot_be_edited(ns):
    """A text, a number and null cannot be changed in place; the error does not show them. An absent key is one."""
    for scalar in ("a secret text", 1, None):
        ns["k"] = scalar
        with pytest.raises(InvalidValue, match="assign") as caught, ns.edit("k"):
            pytest.fail("there is nothing to edit")
        assert "secret" not in str(caught.value)
    with pytest.raises(KeyNotFound), ns.edit("none"):
        pytest.fail("there is nothing to edit")


# --- patch ------------------------------------------------------------------------------------------------------------

TREE = {"a": {"b": 1, "none": None}, "list": [1, {"x": 2}], "with-dash_é": 1, "0": "text"}


@pytest.mark.parametrize(
    ("path", "reach"),
    [
        ("a.b", lambda tree: tree["a"].update(b={"new": [None]})),
        ("a", lambda tree: tree.update(a={"new": [None]})),
        ("a.none", lambda tree: tree["a"].update(none={"new": [None]})),
        ("list.0", lambda tree: tree["list"].__setitem__(0, {"new": [None]})),
        ("list.-1", lambda tree: tree["list"].__setitem__(-1, {"new": [None]})),
        ("list.1.x", lambda tree: tree["list"][1].update(x={"new": [None]})),
        ("with-dash_é", lambda tree: tree.update({"with-dash_é": {"new": [None]}})),
        ("0", lambda tree: tree.update({"0": {"new": [None]}})),
    ],
)
@pytest.mark.parametrize("version", ["2.41", "2.44"])
def test_patch_sets_a_member(emulator, ns, path, reach):
    """One member is set, and only that goes over the wire; null and lists are values as others."""
    expected = {**TREE, "a": dict(TREE["a"]), "list": [1, dict(TREE["list"][1])]}
    reach(expected)
    ns["k"] = TREE
    emulator.log.clear()
    ns.patch("k", path, {"new": (None,)})
    assert [record.body for record in emulator.log if record.method == "PUT"] == [b'{"new":[null]}']
    assert ns["k"] == expected
    ns.patch("k", path, None)
    sent(emulator)
    ns.patch("k", path, 5)
    assert methods(emulator) == ["GET", "PUT", "GET"]


@pytest.mark.parametrize("path", ["none", "a.none.x", "a.b.c", "a.0", "list.2", "list.-3", "list.x", "list.1.y"])
@pytest.mark.parametrize("version", ["2.41", "2.44"])
def test_patch_of_what_is_not_there(emulator, ns, path):
    """A path that does not exist is ``NotStored``, and nothing is sent, for the server would do nothing and say yes."""
    ns["k"] = TREE
    sent(emulator)
    with pytest.raises(NotStored, match="there is no") as caught:
        ns.patch("k", path, 1)
    assert not caught.value.sent
    assert "PUT" not in methods(emulator)
    assert ns["k"] == TREE


@pytest.mark.parametrize("version", ["2.41", "2.44"])
def test_patch_of_other_values(emulator, ns):
    """An absent entry stays absent, where the server would store the fragment; a scalar has no members."""
    with pytest.raises(KeyNotFound):
        ns.patch("none", "a", 1)
    assert "none" not in ns
    ns.update(text="a", null=None)
    for key in ("text", "null"):
        with pytest.raises(NotStored):
            ns.patch(key, "a", 1)
    assert ns.copy() == {"text": "a", "null": None}


@pytest.mark.parametrize(
    "path",
    ["", ".", "a.", ".a", "a..b", "a[0]", "a b", "a,b", "{a}", "a'b", 'a"b', "a\\b", "a/b", "null", "a.NULL", "a\n"],
)
def test_odd_paths_are_refused(emulator, ns, path):
    """Paths that the server would split, unescape or take for null are refused without a request."""
    ns["k"] = TREE
    sent(emulator)
    with pytest.raises(InvalidValue, match="path"):
        ns.patch("k", path, 1)
    assert sent(emulator) == []


@pytest.mark.parametrize("version", ["2.41", "2.44"])
def test_patch_when_others_write(emulator, ns, foreign, rival):
    """Who deletes or overwrites at that very moment leaves a ``NotStored`` that says what became of it."""

    def patch(method, *acts):
        foreign("k", {"a": 1})
        before(emulator, method, *acts)
        with pytest.raises(NotStored) as caught:
            ns.patch("k", "a", 5)
        assert caught.value.sent
        return str(caught.value)

    assert "made a new entry of the fragment" in patch("PUT", lambda: rival.__delitem__("k"))
    assert ns["k"] == 5
    assert "somebody else wrote" in patch("PUT", lambda: foreign("k", {"b": 7}))
    assert "somebody else wrote" in patch("GET", nothing, lambda: foreign("k", {"a": 7}))
    assert "deleted it since" in patch("GET", nothing, lambda: rival.__delitem__("k"))


def test_servers_that_know_no_paths(emulator, ns, with_paths):
    """Before 2.41 the fragment would be stored as the whole value: refused, after the version was asked for once."""
    ns.update(k={"a": 1}, l=[1])
    store = connect(emulator)
    ns = (store.user if ns._is_user else store)["app"]
    sent(emulator)
    acts = (lambda: ns.patch("k", "a", 2), lambda: ns.roll("l", 2, 5), lambda: ns.patch("k", "a", 2))
    for act in acts:
        if with_paths:
            act()
        else:
            with pytest.raises(Rejected, match=r"2\.41 or later, and this server is 2\.\d\d") as caught:
                act()
            assert not caught.value.sent
    asked = [target for _, target in sent(emulator)]
    assert [target for target in asked if "system/info" in target] == ["/api/system/info?fields=version,buildTime"]
    if not with_paths:
        assert len(asked) == 1
    assert ns.copy() == ({"k": {"a": 2}, "l": [1, 2]} if with_paths else {"k": {"a": 1}, "l": [1]})


# --- roll -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2.41", "2.44"])
class TestRoll:
    """Appending to a list and keeping its last items, on servers that can."""

    def test_it_keeps_the_last(self, ns):
        """An absent key is begun as a list; of each call's item the last ``keep`` stay, whatever they are."""
        for item in (1, [2], None, {"x": 4}):
            ns.roll("log", item, keep=3)
        assert ns["log"] == [[2], None, {"x": 4}]

    def test_a_list_that_is_longer(self, ns):
        """The server drops one item at most: a list that is longer than ``keep`` stays as long as it is."""
        ns["log"] = [1, 2, 3, 4]
        ns.roll("log", 5, keep=2)
        assert ns["log"] == [2, 3, 4, 5]

    @pytest.mark.parametrize("keep", [0, -1, 1.5, True, "3", None])
    def test_odd_numbers(self, emulator, ns, keep):
        """``keep`` is a whole number of at least 1, for the server takes what is less for something else."""
        with pytest.raises(InvalidValue, match="keep"):
            ns.roll("log", 1, keep)
        assert sent(emulator) == []

    @pytest.mark.parametrize("value", ["text", {"log": []}, None, 1])
    def test_what_is_no_list(self, emulator, ns, value):
        """The server would replace it: refused after a look."""
        ns["log"] = value
        with pytest.raises(InvalidValue, match="no list"):
            ns.roll("log", 1, 3)
        assert ns["log"] == value

    @pytest.mark.parametrize("fault", ["drop_before", "drop_after", "cut"])
    def test_it_is_not_repeated(self, emulator, ns, fault):
        """Once sent it is not sent again, and the error says that the outcome is open."""
        ns["log"] = [1]
        emulator.fail(fault, method="PUT", match="roll=")
        emulator.log.clear()
        with pytest.raises(Unreachable, match="whether it was appended to app/log is not known") as caught:
            ns.roll("log", 2, 3)
        assert caught.value.sent
        assert "PUT" not in methods(emulator)[:-1]
        assert ns["log"] == ([1] if fault == "drop_before" else [1, 2])

    def test_it_is_repeated_where_nothing_was_sent(self, emulator, ns):
        """A connection that was refused has done nothing."""
        ns["log"] = [1]
        emulator.fail("refuse", method="PUT", times=2)
        ns.roll("log", 2, 3)
        assert ns["log"] == [1, 2]

    def test_somebody_else_begins(self, emulator, ns, foreign):
        """Who creates the entry first wins: a list is appended to, anything else refused."""
        before(emulator, "POST", lambda: foreign("log", ["theirs"]), lambda: foreign("text", "theirs"))
        ns.roll("log", "mine", 3)
        assert ns["log"] == ["theirs", "mine"]
        with pytest.raises(InvalidValue, match="no list"):
            ns.roll("text", "mine", 3)
        assert ns["text"] == "theirs"

    def test_somebody_else_deletes(self, emulator, ns, rival):
        """Where the list was deleted meanwhile the server stores the bare value: the error says so."""
        ns["log"] = [1]
        before(emulator, "PUT", lambda: rival.__delitem__("log"))
        with pytest.raises(NotStored, match="bare value") as caught:
            ns.roll("log", 2, 3)
        assert caught.value.sent
        assert ns["log"] == 2


# --- encrypted entries ------------------------------------------------------------------------------------------------


def test_encrypted_entries(emulator, either, version):
    """Up to 2.40 they are encrypted anew where they lie, if a bulk read tells that they are; else made anew by POST."""
    namespace = either.namespace("app", encrypt=True)
    namespace["k"] = "first"
    assert set(methods(emulator)) == {"POST"}
    in_place = ("2.40" if either is either.user else "2.38") <= version < "2.41"
    namespace["k"] = "second"
    assert [method for method in methods(emulator) if method != "GET"] == (
        ["POST", "PUT"] if in_place else ["POST", "DELETE", "POST"]
    )
    assert namespace.add("l", "added") is True
    assert namespace.setdefault("m", ["default"]) == ["default"]
    with namespace.edit("m") as value:
        value.append("edited")
    either["app"].set("n", "set", encrypt=True)
    namespace.update(o="updated")
    namespace.replace({**namespace.copy(), "p": "replaced"})
    assert ("PUT" in methods(emulator)) is in_place
    everything = {
        "k": "second",
        "l": "added",
        "m": ["default", "edited"],
        "n": "set",
        "o": "updated",
        "p": "replaced",
    }
    assert either["app"].copy() == everything
    if version >= "2.40":
        assert in_bulk(emulator, either is either.user) == {}


def test_where_all_is_encrypted_nothing_is_sent_in_parts(emulator, either):
    """``patch`` and ``roll`` would lay their part open: refused without a request."""
    namespace = either.namespace("app", encrypt=True)
    for act in (lambda: namespace.patch("k", "a", 1), lambda: namespace.roll("k", 1, 3)):
        with pytest.raises(Rejected, match="unencrypted"):
            act()
    assert sent(emulator) == []


@pytest.mark.parametrize(("fault", "open_state"), [("refuse", False), ("drop_before", True)])
def test_the_first_half_fails(emulator, either, fault, open_state):
    """When the old value could not be deleted it is still there, and the error says whether that is certain."""
    namespace = either.namespace("app", encrypt=True)
    either["app"]["k"] = "old"  # not encrypted, so that it cannot be encrypted where it lies
    trouble = emulator.fail(fault, method="DELETE", times=99)
    with pytest.raises(Unreachable) as caught:
        namespace["k"] = "new"
    assert caught.value.sent is open_state
    assert ("the old value of app/k may be deleted" in str(caught.value)) is open_state
    trouble.times = 0
    assert namespace["k"] == "old"


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("refuse", "the new one is not stored: set it again"),
        ("drop_before", "whether the new one is stored is not known"),
    ],
)
def test_the_second_half_fails(emulator, either, fault, state):
    """The value is tried twice; then the error says that the old one is deleted and what is known of the new one."""
    namespace = either.namespace("app", encrypt=True)
    either["app"]["k"] = "old"  # not encrypted, so that it cannot be encrypted where it lies
    trouble = []
    before(emulator, "DELETE", lambda: trouble.append(emulator.fail(fault, method="POST", times=99)))
    with pytest.raises(Unreachable, match=f"the old value of app/k is deleted, and {state}") as caught:
        namespace["k"] = "new"
    assert caught.value.sent
    trouble[0].times = 0
    assert "k" not in namespace
    namespace["k"] = "again"
    assert namespace["k"] == "again"


def test_the_second_half_is_saved(emulator, either):
    """One lost answer in the second half costs nothing: the value is stored, whether the server had acted or not."""
    namespace = either.namespace("app", encrypt=True)
    for fault in ("drop_before", "drop_after", "cut"):
        either["app"]["k"] = "old"  # not encrypted, so that it cannot be encrypted where it lies
        before(emulator, "DELETE", lambda fault=fault: emulator.fail(fault, method="POST"))
        namespace["k"] = fault
        assert namespace["k"] == fault


@pytest.mark.parametrize("theirs", ["theirs", "mine"])
def test_somebody_else_stores_between_the_halves(emulator, either, foreign, theirs):
    """Then theirs stays, and ``Changed`` says so; also where it is the same value, which may lie open there."""
    namespace = either.namespace("app", encrypt=True)
    either["app"]["k"] = "old"  # not encrypted, so that it cannot be encrypted where it lies
    before(emulator, "POST", nothing, lambda: foreign("k", theirs))
    with pytest.raises(Changed, match="theirs stays"):
        namespace["k"] = "mine"
    assert namespace["k"] == theirs


def test_an_ordinary_assignment_to_an_encrypted_entry(emulator, either, foreign, version, with_paths):
    """From 2.41 on the server keeps the old value and lays the new one open; reading back notices."""
    store = connect(emulator, read_back=True)
    namespace = (store.user if either is either.user else store)["app"]
    foreign("k", "secret", encrypted=True)
    foreign("log", ["secret"], encrypted=True)
    if not with_paths:
        namespace["k"] = "new"
        assert namespace["k"] == "new"
        if version >= "2.40":
            assert in_bulk(emulator, either is either.user) == {}
        return
    with pytest.raises(NotStored, match=r"encrypted.*set it again with encrypt=True") as caught:
        namespace["k"] = "new"
    assert caught.value.sent
    assert namespace["k"] == "secret"
    assert in_bulk(emulator, either is either.user) == {"k": "new"}
    namespace.set("k", "new", encrypt=True)
    assert namespace["k"] == "new"
    assert in_bulk(emulator, either is either.user) == {}
    with pytest.raises(BulkError, match="encrypted"):
        namespace.update(k="newer")
    with pytest.raises(NotStored, match="encrypted"):
        namespace.roll("log", 1, 3)
    either["app"]["k"] = "unnoticed"


# --- reading back -----------------------------------------------------------------------------------------------------


def test_reading_back_what_was_stored(emulator, either):
    """What the server stored is found, in whatever spelling it comes back."""
    store = connect(emulator, read_back=True)
    namespace = (store.user if either is either.user else store)["app"]
    value = {"bb": 1, "a": [1e22, 1.5e-7, None], "text": "é"}
    namespace["k"] = value
    assert namespace.add("l", value) is True
    assert namespace.add("l", 1) is False
    namespace.update(m=value, keys=value)
    namespace.set("n", value, encrypt=True)
    assert namespace.copy() == dict.fromkeys(["k", "keys", "l", "m", "n"], value)


def test_a_protected_namespace_swallows(emulator, version):
    """A hidden namespace says yes to an ordinary account and stores nothing: reading back notices."""
    emulator.add_user("alice", "Alice_pw_1!")
    alice = ("alice", "Alice_pw_1!")
    plain = connect(emulator, alice)["METADATASTORE"]
    careful = connect(emulator, alice, read_back=True)["METADATASTORE"]
    try:
        plain["k"] = 1
    except Forbidden:
        assert version < "2.37"
        return
    assert connect(emulator)["METADATASTORE"].copy() == {}
    acts = [
        lambda: careful.__setitem__("k", 1),
        lambda: careful.add("k", 1),
        lambda: careful.set("k", 1, encrypt=True),
        lambda: careful.setdefault("k", 1),
    ]
    for act in acts:
        with pytest.raises(NotStored, match="protected"):
            act()
    with pytest.raises(BulkError, match="protected"):
        careful.update(k=1)
    if version >= "2.41":
        with pytest.raises(NotStored, match="protected"):
            plain.roll("k", 1, 3)


# --- read only --------------------------------------------------------------------------------------------------------


def test_read_only_sends_nothing(emulator, either):
    """Every way to write is refused before a request, also those that read first."""
    either["app"].update(k={"x": 1}, l=[1])
    opened = connect(emulator, read_only=True)
    store = opened.user if either is either.user else opened
    ns = store["app"]
    sent(emulator)

    def edit():
        with ns.edit("k"):
            pytest.fail("it was opened")

    for act in (
        lambda: ns.__setitem__("k", 2),
        lambda: ns.set("k", 2, encrypt=True),
        lambda: ns.add("n", 1),
        lambda: ns.setdefault("k", 1),
        lambda: ns.update(k=2),
        lambda: ns.__ior__({"k": 2}),
        lambda: ns.set_many({}),
        lambda: ns.replace({"k": {"x": 1}, "l": [1]}),
        lambda: ns.delete_many(["k"]),
        lambda: ns.__delitem__("k"),
        lambda: ns.pop("k"),
        lambda: ns.pop("k", 1),
        lambda: ns.popitem(),
        lambda: ns.clear(),
        lambda: ns.patch("k", "x", 1),
        lambda: ns.roll("l", 1, 3),
        lambda: store.__setitem__("app", {}),
        lambda: store.__delitem__("app"),
        edit,
    ):
        with pytest.raises(ReadOnly, match="read_only"):
            act()
    assert sent(emulator) == []
    assert ns.copy() == {"k": {"x": 1}, "l": [1]}


def test_one_namespace_read_only(ns):
    """``types.MappingProxyType`` makes one namespace read-only: it has no way to write."""
    ns["k"] = 1
    proxy = types.MappingProxyType(ns)
    assert proxy["k"] == 1
    assert dict(proxy.items()) == {"k": 1}
    assert not {name for name in dir(proxy) if not name.startswith("_")} - {"copy", "get", "items", "keys", "values"}
    with pytest.raises(TypeError):
        proxy["k"] = 2
