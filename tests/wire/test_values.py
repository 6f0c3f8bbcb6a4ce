"""Values: what is written comes back the same, and what would not is refused."""

import contextlib
import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv import errors, wire
from dhis2kv.wire.values import ENCRYPTABLE_BYTES, Text
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
        (["\0", {"a": 1}], "U\\+0000"),
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


@contextlib.contextmanager
def digits(setting):
    """How many digits of an integer Python is set to convert; 0 is all."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(setting)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("setting", [640, 4300, 5000, 0])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_bound_of_integers_is_no_matter_of_settings(setting, sign):
    """However many digits Python is set to convert, 4,300 are written, and not one more."""
    with digits(setting):
        text = wire.dumps([sign * (10**4300 - 1)])
        assert text.strip("[-]") == "9" * 4300
        with pytest.raises(errors.InvalidValue, match="4,300 digits"):
            wire.dumps([sign * 10**4300])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e16, "10000000000000000.0"),
        (-1e16, "-10000000000000000.0"),
        (9999999999999998.0, "9999999999999998.0"),
        (1e-4, "0.0001"),
        (-1e-4, "-0.0001"),
        (1e-5, "0.00001"),
        (-1e-5, "-0.00001"),
        (1.5e300, "15" + "0" * 299 + ".0"),
        (5e-324, "0." + "0" * 323 + "5"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (True, "true"),
        (None, "null"),
        ("é\u2028/\t", '"é\u2028/\\t"'),
    ],
)
def test_how_a_value_is_spelled(value, text):
    """Without an exponent, and without a space; what is beside it is no matter."""
    assert wire.dumps(value) == text
    assert wire.dumps({"a": [value, False], "b": (1,)}) == f'{{"a":[{text},false],"b":[1]}}'
    assert wire.dumps([1e22, {"a": value, "b": [], "c": {}, "d": 2}, True]) == (
        f'[10000000000000000000000.0,{{"a":{text},"b":[],"c":{{}},"d":2}},true]'
    )


class Name(str):
    """A text that is not of the class of texts."""


@pytest.mark.parametrize("value", ["\\u0000", "\\", Name("a"), {Name("a"): Name("b")}, {"a": [Name("\\u0000")]}])
def test_texts_that_look_like_others(value):
    """A backslash before letters is no character that the database refuses; a subclass of text is text."""
    assert wire.loads(wire.dumps(value)) == value
    assert wire.loads(wire.dumps([1e22, value])) == [1e22, value]


class Members(dict):
    """A dict that is not of the class of dicts."""


class Items(list):
    """A list that is not of the class of lists."""


class Pair(tuple):
    """A tuple that is not of the class of tuples."""

    __slots__ = ()


@pytest.mark.parametrize("kind", [Items, Pair, lambda items: Members(a=items[0])], ids=["list", "tuple", "dict"])
def test_containers_of_other_classes_are_as_usual_ones(kind):
    """What is in a subclass of a container is spelled, and refused, as in the container itself."""
    assert wire.loads(wire.dumps(kind([{"b": 1}]))) == json.loads(json.dumps(kind([{"b": 1}])))
    assert "10000000000000000000000.0" in wire.dumps([kind([1e22])])
    for value in (kind(["\0"]), kind([{1: 2}]), kind([10**4300])):
        with pytest.raises(errors.InvalidValue, match=r"U\+0000|member names|4,300 digits"):
            wire.dumps(value)


def test_a_text_that_was_checked_goes_out_as_it_stands():
    """Spaces, exponents and all: it is JSON, where the same text unmarked is a value."""
    given = Text('{"a": 1e2}')
    assert wire.dumps(given) is given
    assert wire.dumps(str(given)) == json.dumps(given)


def test_how_long_an_encrypted_value_may_be():
    """159 bytes of JSON: characters beyond ASCII count as what they take."""
    wire.check_encryptable("1" * 159)
    wire.check_encryptable("é" * 79 + "1")
    for text, size in (("1" * 160, 160), ("é" * 80, 160), ("😀" * 40, 160)):
        with pytest.raises(errors.InvalidValue, match=f"{size} bytes of JSON.* at most {ENCRYPTABLE_BYTES}"):
            wire.check_encryptable(text)


@given(st.lists(values))
def test_many_texts_are_read_at_once(many):
    """What comes out is what each of them says."""
    texts = list(map(wire.dumps, many))
    assert repr(wire.loads_all(texts)) == repr(list(map(wire.loads, texts)))


@pytest.mark.parametrize(
    "texts", [["1,2"], ["1", ""], ["[", "]"], ["1e999"], ["NaN"], ["[" * 200_000 + "]" * 200_000], ["1", "9" * 5000]]
)
def test_texts_that_are_not_read_at_once(texts):
    """One that is no value, several, or more than Python's reader takes: each has to be read by itself."""
    with pytest.raises(ValueError, match=r"."):
        wire.loads_all(texts)


@pytest.mark.parametrize(
    ("text", "careful"),
    [("[1.5]", False), ('"1e999"', False), ("[1e999]", True), ("9" * 4301, True)],
    ids=["float", "text", "exponent", "digits"],
)
def test_what_needs_care(text, careful):
    """A text that Python's own reader does not read, or reads wrong, is marked; it is the same text."""
    value, again = wire.read(text)
    assert again == text
    assert isinstance(again, wire.Careful) is careful
    assert wire.same(value, wire.loads(text))


def test_what_is_deep_needs_care_where_python_gives_up():
    """How deep Python itself reads depends on its version; what it does not read is read all the same, and marked."""
    text = "[" * 9000 + "]" * 9000
    try:
        json.loads(text)
        careful = False
    except RecursionError:
        careful = True
    value, again = wire.read(text)
    assert (again, isinstance(again, wire.Careful)) == (text, careful)
    while value:
        (value,) = value
    assert value == []


def test_depth_is_bounded():
    """500 levels are taken, 501 are not, nor is a value that contains itself."""
    deep = 1
    for _ in range(500):
        deep = [deep]
    assert wire.same(wire.loads(wire.dumps(deep)), deep)
    with pytest.raises(errors.InvalidValue, match="500 levels"):
        wire.dumps([deep])
    shallow = [*deep[0], 1e22]  # one level less, and a number that is written out
    assert wire.same(wire.loads(wire.dumps([shallow])), [shallow])
    with pytest.raises(errors.InvalidValue, match="500 levels"):
        wire.dumps([[shallow]])
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
        ("a", ["a"], False),
        ({"a": 1}, [1], False),
        ({}, None, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": 0}, {"a": False}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1, "b": [1, 2]}, {"b": (1, 2.0), "a": 1}, True),
        ({"a": [1, 3]}, {"a": [1, 2]}, False),
        ([3, 1], [2, 1], False),
        (["a", {"b": "c"}], ["a", {"b": "d"}], False),
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
