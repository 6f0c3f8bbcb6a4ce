"""What changing a part of a value does, on every version and in both stores."""

import pytest

from dhis2kv import (
    InvalidValue,
    KeyNotFound,
    NotStored,
    Rejected,
    Unreachable,
)
from tests.conftest import connect, sent

from .acting import before, methods, nothing

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
