"""Matching: what a condition means of an entry, in which order entries come, and what is picked of them."""

import json
from decimal import Decimal

import pytest

from dhis2kv import where
from dhis2kv.wire import matching
from dhis2kv.wire.conditions import KEY, Condition, parsed
from dhis2kv.wire.matching import ABSENT, at, ordered, outermost, picked, precisely


def meets(condition, value, key="k"):
    """Whether an entry of this value meets a condition."""
    return matching.matcher([condition], any=False)(key, precisely(json.dumps(value)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.10", Decimal("1.10")),
        ("1e2", Decimal("1e2")),
        ("12", 12),
        pytest.param("9" * 4299, 10**4299 - 1, id="4299 digits"),
        pytest.param("9" * 5000, Decimal("9" * 5000), id="5000 digits"),
        pytest.param("-" + "9" * 4300, Decimal("-" + "9" * 4300), id="4300 digits"),
    ],
)
def test_numbers_are_their_digits(text, value):
    """A fraction is read as it is written, and an integer of any number of digits is read."""
    found = precisely(text)
    assert (found, type(found)) == (value, type(value))


def test_what_cannot_be_read():
    """What is no JSON, or too deep, is a ValueError."""
    for text in ("[" * 200_000 + "]" * 200_000, "[1", ""):
        with pytest.raises(ValueError, match=r"too deeply|Expecting"):
            precisely(text)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ((), {"a": [1, {"b": 2}], "0": "zero"}),
        (KEY, "k"),
        (("a",), [1, {"b": 2}]),
        (("a", "0"), 1),
        (("a", "1", "b"), 2),
        (("a", "-1", "b"), 2),
        (("a", "-2"), 1),
        (("a", "-3"), ABSENT),
        (("a", "2"), ABSENT),
        (("a", "b"), ABSENT),
        (("a", "1x"), ABSENT),
        (("a", "0", "0"), ABSENT),
        (("0",), "zero"),
        (("c",), ABSENT),
        (("a", "1", "c"), ABSENT),
    ],
)
def test_what_is_at_a_path(path, found):
    """Members by their names, items of lists by their numbers, from the end where negative; the key at ``_``."""
    there = at("k", {"a": [1, {"b": 2}], "0": "zero"}, path)
    assert there is found if found is ABSENT else there == found


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "", "a", [], [1], {}, {"a": 1}], ids=json.dumps)
@pytest.mark.parametrize("other", [None, True, 0, 1.5, "", "a", [], [1], {}, {"a": 1}], ids=json.dumps)
def test_equality_is_of_one_type(value, other):
    """What is of another type neither equals nor differs: where it is compared neither matches."""
    kinds = {bool: "b", int: "n", float: "n", str: "s", list: "l", dict: "o", type(None): "0"}
    same_kind = kinds[type(value)] == kinds[type(other)]
    assert meets(Condition((), "eq", other), value) is (value == other and same_kind)
    assert meets(Condition((), "eq", other, negated=True), value) is (value != other and same_kind)
    assert meets(Condition((), "in", (other,)), value) is (value == other and same_kind)
    assert meets(Condition((), "in", (other,), negated=True), value) is (value != other and same_kind)
    assert meets(where() < 1, value) is (same_kind_as_number(value) and value < 1)


def same_kind_as_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.mark.parametrize("value", [None, True, 0, "", "a", [], [1], {}, {"a": 1}], ids=json.dumps)
def test_null_and_empty(value):
    """A null is one or not; texts, lists and objects alone are empty or not."""
    assert meets(where().is_null(), value) is (value is None)
    assert meets(~where().is_null(), value) is (value is not None)
    sized = isinstance(value, str | list | dict)
    assert meets(where().is_empty(), value) is (sized and not value)
    assert meets(~where().is_empty(), value) is (sized and bool(value))


def test_where_nothing_is():
    """No condition holds there, nor does its opposite."""
    for condition in (
        where("a") == 1,
        where("a").is_null(),
        where("a").in_([1]),
        where("a") < 1,
        where("a").contains(""),
    ):
        assert not meets(condition, {})
        assert not meets(~condition, {})


def test_one_of_none():
    """Nothing is one of no values; everything that is there is none of them."""
    assert not meets(where().in_([]), 1)
    assert meets(~where().in_([]), 1)
    assert meets(where().in_([1, "a"]), "a")
    assert meets(~where().in_([1, "a"]), "b")
    assert not meets(~where().in_([1, "a"]), True)


@pytest.mark.parametrize(
    ("sign", "matching_ones"),
    [("lt", [1]), ("le", [1, 2]), ("gt", [3]), ("ge", [2, 3])],
)
def test_order(sign, matching_ones):
    """Numbers by size, and texts by code point; the opposite is about values of that type, too."""
    for two, values in ((2, [1, 2, 3]), ("2", ["1", "2", "3"])):
        condition = Condition((), sign, two)
        wanted = [value for value in values if int(value) in matching_ones]
        assert [value for value in values if meets(condition, value)] == wanted
        assert [value for value in values if meets(~condition, value)] == [v for v in values if v not in wanted]
        other = "2" if two == 2 else 2
        assert not meets(condition, other)
        assert not meets(~condition, other)


TEXTS = ["", "a", "ba", "ab", "A", "a%b", "a\nb", "1"]


@pytest.mark.parametrize(
    ("condition", "those"),
    [
        (where().contains("a"), ["a", "ba", "ab", "a%b", "a\nb"]),
        (where().startswith("a"), ["a", "ab", "a%b", "a\nb"]),
        (where().endswith("a"), ["a", "ba"]),
        (where().contains("A", ignore_case=True), ["a", "ba", "ab", "A", "a%b", "a\nb"]),
        (where().startswith("a%"), ["a%b"]),
        (where().contains(""), TEXTS),
        (parsed(".:like:'a%b'"), ["ab", "a%b", "a\nb"]),
        (parsed(".:like:'a*b'"), ["ab", "a%b", "a\nb"]),
        (parsed(".:like:'a_b'"), ["a%b", "a\nb"]),
        (parsed(".:ieq:a"), ["a", "A"]),
        (~where().contains("a"), ["", "A", "1"]),
        (parsed(".:!like:a"), ["", "A", "1"]),
    ],
    ids=str,
)
def test_texts_in_texts(condition, those):
    """Each character is meant literally, but in DHIS2's own words; the end of a line is a character as others."""
    assert [text for text in TEXTS if meets(condition, text)] == those
    assert not meets(condition, 1)
    assert not meets(~condition, ["a"])


def test_in_any_case():
    """The opposite of equality in any case is about texts as well."""
    condition = parsed(".:ieq:aB")
    assert [meets(condition, text) for text in ("Ab", "ab", "abc", 1)] == [True, True, False, False]
    assert [meets(~condition, text) for text in ("Ab", "ab", "abc", 1)] == [False, False, True, False]
    # The sign for kelvin, and a capital I with a dot, have small letters of ASCII: databases differ there.
    assert [meets(parsed(".:ieq:k"), text) for text in ("K", "\u212a")] == [True, False]
    assert [meets(parsed(".:ieq:i"), text) for text in ("I", "\u0130")] == [True, False]
    assert not meets(where().contains("x", ignore_case=True), "\u0130\u212a")


def test_all_or_any():
    """All of the conditions, or at least one; without a condition every entry."""
    one, two = where("a") == 1, where("b") == 2
    for value, both, any_ in (({"a": 1, "b": 2}, True, True), ({"a": 1}, False, True), ({}, False, False)):
        assert matching.matcher([one, two], any=False)("k", value) is both
        assert matching.matcher([one, two], any=True)("k", value) is any_
    for any_ in (True, False):
        assert matching.matcher([], any=any_)("k", None) is True


ENTRIES = [
    ("null", {"a": None}),
    ("none", {}),
    ("object2", {"a": {"z": 1}}),
    ("object1", {"a": {}}),
    ("list2", {"a": [2]}),
    ("list1", {"a": [1, 2]}),
    ("true", {"a": True}),
    ("false", {"a": False}),
    ("text2", {"a": "b"}),
    ("text1", {"a": "a"}),
    ("number3", {"a": 10}),
    ("number2", {"a": 9.5}),
    ("number1", {"a": -1}),
]


def test_order_of_entries():
    """Numbers, texts, booleans, lists, objects, by size and code point, then by key; what tells nothing comes last."""
    up = ordered(ENTRIES, ("a",), descending=False)
    assert up == [
        *("number1", "number2", "number3", "text1", "text2", "false", "true"),
        *("list1", "list2", "object1", "object2", "none", "null"),
    ]
    assert ordered(ENTRIES, ("a",), descending=True) == [
        *("object1", "object2", "list1", "list2", "true", "false"),
        *("text2", "text1", "number3", "number2", "number1", "none", "null"),
    ]
    assert ordered(ENTRIES, KEY, descending=False) == sorted(key for key, _ in ENTRIES)
    twice = [("k", {"a": {}}), ("k", {"a": []})]  # which nothing but the key may put in order
    assert ordered(twice, ("b",), descending=False) == ["k", "k"]


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ([()], {"a": {"b": 1, "c": None}, "l": [{"x": 1}, 2]}),
        ([("a",)], {"a": {"b": 1, "c": None}}),
        ([("a", "b"), ("a", "c")], {"a": {"b": 1, "c": None}}),
        ([("l", "0", "x"), ("l", "1"), ("l", "2")], {"l": {"0": {"x": 1}, "1": 2}}),
        ([("none",), ("a", "none"), ("a", "b", "c")], {}),
        ([], {}),
    ],
)
def test_what_is_picked(fields, parts):
    """Parts stand nested as in the value; what is not there is left out, a null is there."""
    value = {"a": {"b": 1, "c": None}, "l": [{"x": 1}, 2]}
    assert picked(value, fields) == parts


def test_outermost():
    """Each path once, in its order, but for those that lead into the part of another one."""
    paths = [("a", "b"), ("c",), ("a",), ("c", "d", "e"), ("c",), ("ab",)]
    assert outermost(paths) == [("c",), ("a",), ("ab",)]
    assert outermost([("a",), ()]) == [()]
