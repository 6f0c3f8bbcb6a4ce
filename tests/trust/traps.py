"""The traps of servers: what a naive client does to data there, and what this one does.

Each trap is a function of an emulated server: it first shows that the trap is there, on the versions that it names, and
then does the same through the library. It yields what was tried and whether it went as promised.
"""

import contextlib

from dhis2kv import Dhis2kvError, Forbidden, InvalidKey, InvalidValue, KeyNotFound, NotStored, Rejected, Store
from dhis2kv.emulator import PROFILES, RELEASES, Emulator

from .naive import Naive
from .promise import Promise

ALICE = ("alice", "Alice_pw_1!")
TRAPS = []


def since(first, last="9"):
    """A trap of these versions: ``first`` to ``last``, as in "2.41"."""

    def register(trap):
        TRAPS.append((trap, first, last))
        return trap

    return register


def connect(emulator, auth=("admin", "district"), **options):
    """A store on an emulated server that waits for nothing."""
    store = Store("http://dhis2.test", auth, session=emulator.session(), **options)
    store.datastore.transport.sleep = lambda seconds: None
    return store


def raises(kinds, act):
    """Whether an act raises one of these."""
    try:
        act()
    except kinds:
        return True
    return False


@since("2.36")
def an_empty_key_is_the_namespace(emulator):
    """DELETE of an empty key wipes the namespace."""
    emulator.load({"app": {"a": 1, "b": 2}, "other": {"a": 1, "b": 2}})
    Naive(emulator).ask("DELETE", "dataStore/app/")
    yield "a naive client wipes app", Naive(emulator).get("dataStore/app") is None
    ns = connect(emulator)["other"]
    for key in ("", ".", ".."):
        yield f"del ns[{key!r}] is refused", raises(InvalidKey, lambda key=key: ns.__delitem__(key))
        yield f"ns.pop({key!r}, 7) is 7", ns.pop(key, 7) == 7
    yield "all is there", ns.copy() == {"a": 1, "b": 2}


@since("2.36", "2.43")
def dotted_keys_are_cut(emulator):
    """The last segment loses what follows its last dot."""
    naive = Naive(emulator)
    for number, key in enumerate(("v1.1", "v1.2")):
        if not naive.ask("PUT", f"dataStore/app/{key}", number).ok:
            naive.ask("POST", f"dataStore/app/{key}", number)
    yield "a naive client writes one entry for two", naive.get("dataStore/app") == ["v1"]
    ns = connect(emulator)["other"]
    ns.update({"v1.1": 1, "v1.2": 2, "v1": 3})
    yield "three keys are three entries", ns.copy() == {"v1": 3, "v1.1": 1, "v1.2": 2}
    del ns["v1.1"]
    yield "one is deleted", ns.copy() == {"v1": 3, "v1.2": 2}


@since("2.44")
def registered_extensions_are_cut(emulator):
    """A last segment loses a registered extension."""
    emulator.load({"app": {"config": "precious"}, "other": {"config": "precious"}})
    Naive(emulator).ask("PUT", "dataStore/app/config.json", "overwritten")
    yield "a naive client overwrites config", Naive(emulator).get("dataStore/app/config") == "overwritten"
    ns = connect(emulator)["other"]
    ns["config.json"] = 1
    yield "two keys are two entries", ns.copy() == {"config": "precious", "config.json": 1}


@since("2.36")
def dotted_namespaces_are_cut(emulator):
    """DELETE of a dotted namespace wipes another one."""
    name = "my.json"
    emulator.load({"my": {"a": 1}, name: {"b": 2}})
    Naive(emulator).ask("DELETE", f"dataStore/{name}")
    yield "a naive client wipes my", Naive(emulator).get("dataStore/my") is None
    emulator.load({"my": {"a": 1}, name: {"b": 2}})
    store = connect(emulator)
    del store[name]
    yield "the one that was named is deleted", dict(store["my"].copy()) == {"a": 1} and store[name].copy() == {}


@since("2.41")
def encrypted_entries_leak(emulator):
    """PUT over an encrypted entry keeps the old value and lays the new one open."""
    emulator.put("app", "token", "old", encrypted=True)
    naive = Naive(emulator)
    naive.ask("PUT", "dataStore/app/token?encrypt=true", "new secret")
    bulk = naive.get("dataStore/app?fields=.&headless=true&includeAll=true")
    yield "a naive client lays the secret open", bulk == [{"key": "token", "value": "new secret"}]
    emulator.put("other", "token", "old", encrypted=True)
    ns = connect(emulator).namespace("other", encrypt=True)
    ns["token"] = "new secret"
    yield "the new value is stored", ns["token"] == "new secret"
    bulk = naive.get("dataStore/other?fields=.&headless=true&includeAll=true")
    yield "and encrypted", bulk == [{"key": "token", "value": None}]


@since("2.41")
def nothing_deletes(emulator):
    """PUT without a body deletes."""
    emulator.load({"app": {"a": 1}, "other": {"a": 1}})
    Naive(emulator).ask("PUT", "dataStore/app/a", headers={"Content-Type": "application/json"})
    yield "a naive client deletes", Naive(emulator).get("dataStore/app/a") is None
    ns = connect(emulator)["other"]
    ns["a"] = None
    yield "null is stored", ns.copy() == {"a": None} and ns["a"] is None


@since("2.37")
def hidden_namespaces_swallow(emulator):
    """A write to a hidden namespace is answered with 201 and dropped."""
    emulator.add_user(*ALICE)
    reply = Naive(emulator, *ALICE).ask("POST", "dataStore/METADATASTORE/a", 1)
    yield "a naive client is told 201", reply.status_code == 201
    ns = connect(emulator, ALICE, read_back=True)["METADATASTORE"]
    yield "reading back says so", raises((NotStored, Forbidden), lambda: ns.__setitem__("a", 1))


@since("2.36")
def a_login_page_is_no_value(emulator):
    """Who is not signed in is led to a login page."""
    naive = Naive(emulator, "admin", "wrong")
    yield "a naive client gets no value", not naive.ask("GET", "dataStore/app/a", headers={"X-Requested-With": None}).ok
    ns = connect(emulator, ("admin", "wrong"))["app"]
    for act in (lambda: ns["a"], lambda: "a" in ns, lambda: ns.get("a", 1), lambda: ns.copy(), lambda: ns.pop("a", 1)):
        yield (
            "no absence is made of it",
            raises(Dhis2kvError, act) and not raises(KeyNotFound, lambda act=act: _quiet(act)),
        )


def _quiet(act):
    with contextlib.suppress(Exception):
        return act()
    return None


@since("2.39")
def keys_is_the_listing(emulator):
    """The address of the key ``keys`` is that of the listing."""
    emulator.load({"app": {"keys": "value", "other": 1}, "bare": {"other": 1}})
    yield "a naive client reads the listing", sorted(Naive(emulator).get("dataStore/app/keys")) == ["keys", "other"]
    store = connect(emulator)
    yield "the value is read", store["app"]["keys"] == "value"
    yield "an absent one is absent", store["bare"].get("keys", "none") == "none" and "keys" not in store["bare"]
    yield "pop takes the value", store["app"].pop("keys") == "value" and store["app"].copy() == {"other": 1}


@since("2.38")
def quotes_break_bulk_answers(emulator):
    """Keys are printed unescaped in bulk answers: one of them makes entries that are not there."""
    emulator.load({"app": {'x","value":1},{"key":"y': 2, "real": 3}})
    forged = {entry["key"] for entry in Naive(emulator).get("dataStore/app?fields=.&headless=true&includeAll=true")}
    yield "a naive client reads forged entries", {"x", "y"} <= forged
    ns = connect(emulator)["app"]
    yield "the real ones are read", ns.copy() == {'x","value":1},{"key":"y': 2, "real": 3}
    ns.replace({"real": 4})
    yield "and replaced", ns.copy() == {"real": 4}


@since("2.38")
def bulk_reads_hide(emulator):
    """A bulk read leaves out encrypted entries."""
    emulator.put("app", "a", 1)
    emulator.put("app", "secret", "s", encrypted=True)
    bulk = Naive(emulator).get("dataStore/app?fields=.&headless=true")
    yield "a naive client does not see it", [entry["key"] for entry in bulk] == ["a"]
    yield "it is read", connect(emulator)["app"].copy() == {"a": 1, "secret": "s"}


@since("2.41")
def fragments_become_values(emulator):
    """A PUT with a path stores the fragment where there is no entry, and nothing where there is no such member."""
    naive = Naive(emulator)
    naive.ask("PUT", "dataStore/app/absent?path=theme", "dark")
    yield "a naive client stores the fragment", naive.get("dataStore/app/absent") == "dark"
    emulator.load({"other": {"cfg": {"a": 1}}})
    ns = connect(emulator)["other"]
    yield "an absent entry is said to be", raises(KeyNotFound, lambda: ns.patch("absent", "theme", "dark"))
    yield "so is an absent member", raises(NotStored, lambda: ns.patch("cfg", "none.deep", 1))
    yield "nothing is stored", ns.copy() == {"cfg": {"a": 1}}


@since("2.36")
def refused_names(emulator):
    """Servers refuse some characters however they are encoded; nothing of it is sent."""
    yield "a naive client is refused", not Naive(emulator).ask("GET", "dataStore/app/a%2Fb").ok
    ns = connect(emulator)["app"]
    before = emulator.requests
    for key in ("a/b", "a\\b", "a%b", "a;b", "a\0b", "a\nb", "a\u2028b", "\ud800", "x" * 256):
        yield f"{key[:9]!r} is refused", raises(InvalidKey, lambda key=key: ns.__setitem__(key, 1)) and key not in ns
    yield "nothing was sent", emulator.requests == before


@since("2.36")
def the_database_changes_numbers(emulator):
    """The database writes out exponents, as an integer where it can, and refuses U+0000."""
    yield "a naive client is refused U+0000", not Naive(emulator).ask("POST", "dataStore/app/zero", "\0").ok
    ns = connect(emulator)["other"]
    for value in (1e22, -1e-7, 0.1, 5e-324, 1.7976931348623157e308, 10**400, "\U0001f600", "\x01", {"": 0}):
        ns["n"] = value
        yield f"{value!r:.30} comes back the same", repr(ns["n"]) == repr(value)
    for value in ("\0", "\ud800", float("nan"), float("inf"), {1: 2}, {"a": object()}):
        yield f"{value!r:.30} is refused", raises(InvalidValue, lambda value=value: ns.__setitem__("n", value))


@since("2.36")
def keys_that_look_like_numbers(emulator):
    """Keys that look like numbers, or that a filter takes for something else, are read together."""
    keys = ["123", "1.5", "true", "null", "a,b", "~x", "@y", "a::b", "x y", "[z]", "%s" % ("k" * 200)]
    emulator.load({"app": {key: index for index, key in enumerate(keys) if "%" not in key}})
    ns = connect(emulator)["app"]
    yield "all are found", ns.get_many(keys) == {key: index for index, key in enumerate(keys)}


@since("2.37")
def restricted_namespaces(emulator):
    """A protected namespace is refused, and never looks empty or absent when it is written."""
    emulator.add_user(*ALICE)
    name = "ANDROID_SETTINGS_APP"
    refused = Naive(emulator, *ALICE).ask("POST", f"dataStore/{name}/a", 1).status_code == 403
    ns = connect(emulator, ALICE)[name]
    yield "writing is refused where the server does", raises(Forbidden, lambda: ns.__setitem__("a", 1)) == refused
    yield "and nothing is there", (ns.get("a") is None) == refused


def two_accounts(emulator):
    """On some releases a PUT of one account's own entry writes that entry of every account."""
    emulator.add_user(*ALICE)
    emulator.load({"app": {"cfg": "admin's"}}, user="admin")
    emulator.load({"app": {"cfg": "alice's"}}, user="alice")
    Naive(emulator, *ALICE).ask("PUT", "userDataStore/app/cfg", "by alice")
    shown = Naive(emulator).get("userDataStore/app/cfg") == "by alice"
    emulator.load({"app": {"cfg": "admin's", "a": [1], "b": {"x": 1}}}, user="admin")
    emulator.load({"app": {"cfg": "alice's", "a": [2], "b": {"x": 2}}}, user="alice")
    ns = connect(emulator, ALICE).user["app"]
    mine = {"cfg": 1, "a": [2], "b": {"x": 3, "y": 4}}
    ns["cfg"] = 1
    ns.update({"a": [2]})
    ns.setdefault("c", 4)
    with ns.edit("b") as value:
        value["x"] = 3
    ns.replace(mine)
    with contextlib.suppress(Rejected):
        ns.patch("b", "x", 4)
    with contextlib.suppress(Rejected):
        ns.roll("a", 1, keep=3)
    theirs = connect(emulator).user["app"].copy()
    yield shown, "another account's entries stay", theirs == {"cfg": "admin's", "a": [1], "b": {"x": 1}}
    yield shown, "the own ones are written", ns.copy().keys() == mine.keys()


def run(long):
    """A row for the traps by version, and one for the user store by release."""
    traps, releases = Promise("traps of servers, by version"), Promise("the user store of two accounts, by release")
    for version in PROFILES:
        for trap, first, last in TRAPS:
            if _numbers(first) <= _numbers(version) <= _numbers(last):
                with traps.trial(f"{trap.__name__} on {version}"):
                    for what, kept in trap(Emulator(version)):
                        traps.check(kept, f"{trap.__name__} on {version}: {what}")
    affected = {"2.41.0", "2.41.9", "2.42.0", "2.42.5", "2.43.0"}
    for release in sorted({*PROFILES, *RELEASES, *affected, "2.41.10", "2.42.6", "2.43.1"}):
        with releases.trial(f"on {release}"):
            for shown, what, kept in two_accounts(Emulator(release)):
                releases.check(kept, f"{what} on {release}")
                if release in affected:
                    releases.check(shown, f"a naive client shows the fault on {release}")
    return [traps, releases]


def _numbers(version):
    return [int(number) for number in version.split(".")]
