"""Values: what is written comes back the same, and what would not is refused."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv import errors, wire
from dhis2kv.wire.values import _spelled as spelled

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.recursive(scalars | text, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=20)


@given(values)
def test_values_come_back_the_same(value):
    """What is written is read as the same value, of the same types."""
    back = wire.loads(wire.dumps(value))
    assert wire.same(back, value)
    assert repr(back) == repr(json.loads(json.dumps(value)))


@given(values)
def test_no_number_has_an_exponent(value):
    """The database writes out exponents, as an integer where it can: none may leave here."""
    outside_texts = re.sub(r'"(?:[^"\\]|\\.)*"', '""', wire.dumps(value))
    assert not re.search(r"\d[eE]", outside_texts)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_stay_floats(number):
    """A float's text has a decimal point, so that the database does not make it an integer."""
    assert "." in wire.dumps(number)


def test_text_that_looks_like_a_number_is_left_alone():
    """An exponent inside a text, behind an escaped quotation mark, is not written out."""
    assert wire.loads(wire.dumps(['1e5 " 2e+300 \\', 1e300])) == ['1e5 " 2e+300 \\', 1e300]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "JSON has no nan"),
        ([float("-inf")], "JSON has no -inf"),
        ({1: 2}, "member names in JSON are text"),
        ({"a": {None: 1}}, "member names in JSON are text"),
        ("a\0b", "U\\+0000"),
        ({"\0": 1}, "U\\+0000"),
        (["\ud800"], "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        pytest.param(10**4300, "4,300 digits", id="large"),
        pytest.param(-(10**4300), "4,300 digits", id="negative"),
        (object(), "object is not JSON"),
        ({"a": {1, 2}}, "set is not JSON"),
        (b"bytes", "bytes is not JSON: .* or give the store a default=function"),
    ],
)
def test_what_would_not_come_back_is_refused(value, reason):
    """Such a value is an InvalidValue (a TypeError and a ValueError) that says what is wrong."""
    for kind in (TypeError, ValueError):
        with pytest.raises(kind, match=reason):
            wire.dumps(value)


def test_the_largest_integer_is_taken():
    """4,300 digits can be written and read."""
    assert wire.loads(wire.dumps(10**4300 - 1)) == 10**4300 - 1


def test_depth_is_bounded():
    """500 levels are taken, 501 are not, nor is a value that contains itself."""
    deep = 1
    for _ in range(500):
        deep = [deep]
    assert wire.same(wire.loads(wire.dumps(deep)), deep)
    with pytest.raises(errors.InvalidValue, match="500 levels"):
        wire.dumps([deep])
    endless = []
    endless += [endless, endless]
    with pytest.raises(errors.InvalidValue, match="contains itself"):
        wire.dumps(endless)


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (True, 1, False),
        (False, 0, False),
        (1, 1.0, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ((1, [2]), [1, (2,)], True),
        ([1], [True], False),
        ({"a": None}, {}, False),
        ([], {}, False),
        ([1], [1, 2], False),
        ({"a": 1}, {"b": 1}, False),
        ("1", 1, False),
        (None, None, True),
        (None, False, False),
        (2**53 + 1, float(2**53), False),
    ],
)
def test_when_values_are_the_same(a, b, equal):
    """Values are compared as JSON values."""
    assert wire.same(a, b) is equal
    assert wire.same(b, a) is equal
    assert wire.same([a], [b]) is equal


@given(values)
def test_both_ways_of_writing_agree(value):
    """Piece by piece the same text comes out as at once, where no number has an exponent."""
    pieces = "".join(spelled(value))
    assert wire.same(wire.loads(pieces), value)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if not re.search(r"\d[eE]", re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)):
        assert wire.dumps(value) == pieces == text


def recursively_same(a, b):
    """What the same JSON is, said as briefly as can be."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(recursively_same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(recursively_same, a, b))
    kinds = [bool if isinstance(x, bool) else float if isinstance(x, int | float) else type(x) for x in (a, b)]
    return kinds[0] is kinds[1] and a == b


leaves = st.sampled_from([None, True, False, 0, 1, 0.0, 1.0, "", "1", (), [], {}])
likely = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner))


@given(likely, likely)
def test_same_is_what_it_says(a, b):
    """Two values are the same where their kinds, members and items are, whatever the way of finding out."""
    assert wire.same(a, b) is wire.same(b, a) is recursively_same(a, b)
    assert wire.same([a, {"x": b}], ([a, {"x": b}][0], {"x": b}))
