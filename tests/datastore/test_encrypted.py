"""Encrypted entries, and what is written where it is read back or must not be."""

import types

import pytest

from dhis2kv import (
    BulkError,
    Changed,
    Forbidden,
    NotStored,
    ReadOnly,
    Rejected,
    Unreachable,
)
from tests.conftest import connect, sent

from .acting import before, in_bulk, methods, nothing

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
