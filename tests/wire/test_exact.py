"""Numbers with every digit: what copies, exports and compares values prints them as they came."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv import errors, wire
from dhis2kv.wire import exact

RECORDED = json.loads((Path(__file__).parents[1] / "recordings" / "global-numbers.json").read_text())
BODIES = [
    body
    for exchange in RECORDED["exchanges"]
    for body in [
        exchange["request"].get("body"),
        *(reply.get("body") for reply in exchange["replies"] if "cut" not in reply),
    ]
    if body
]

numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
texts = st.recursive(
    numbers | st.sampled_from(["null", "true", "false"]) | st.text().map(json.dumps),
    lambda inner: (
        st.lists(inner).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.text(), inner).map(
            lambda members: f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in members.items())}}}"
        )
    ),
    max_leaves=12,
)


def tokens(text):
    """A JSON text as what it says, with numbers as their texts."""
    return json.loads(text, parse_float=lambda token: ("number", token), parse_int=lambda token: ("number", token))


@given(texts)
def test_a_value_is_printed_with_the_digits_that_it_came_with(text):
    """Whatever a number looks like, it is printed as it was read; -0 is the integer 0, as servers have it."""
    again = exact.printed(exact.loads(text))
    assert tokens(again) == json.loads(
        text,
        parse_float=lambda token: ("number", token),
        parse_int=lambda token: ("number", "0" if token == "-0" else token),
    )


@pytest.mark.parametrize("body", BODIES, ids=[body[:30] for body in BODIES])
def test_what_servers_keep_is_kept(body):
    """Each value of the conversation about numbers goes out as it came in."""
    value = exact.loads(body)
    assert tokens(exact.dumps(value)) == tokens(body)
    assert exact.fingerprint(value) == exact.fingerprint(exact.loads(body))


@given(numbers, numbers)
def test_numbers_are_the_same_when_they_are_equal(one, other):
    """Two numbers are the same JSON, and have one fingerprint, exactly when they are equal in every digit."""
    equal = Decimal(one) == Decimal(other)
    a, b = exact.loads(one), exact.loads(other)
    assert (exact.fingerprint([a]) == exact.fingerprint([b])) is equal
    if isinstance(a, exact.Number) or isinstance(b, exact.Number):
        assert wire.same({"n": a}, {"n": b}) is equal


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0", True),
        ("100", "1e2", True),
        ("-0.0", "0", True),
        ("-0", "0", True),
        ("[-0, 1.5]", "[0, 1.50]", True),
        ("0.10", "0.1", True),
        ("1e-400", "0", False),
        ("1e400", "2e400", False),
        ("0.1234567890123456789012345", "0.12345678901234568", False),
        ("true", "1", False),
        ('{"a": 1, "b": 2.0}', '{"b": 2, "a": 1.00}', True),
        ('"1.0"', '"1"', False),
        ("9" * 5000, "9" * 4999 + "8", False),
    ],
)
def test_fingerprints(one, other, same):
    """The fingerprint is that of the value: spelling and member order are nothing, each digit is something."""
    assert (exact.fingerprint(exact.loads(one)) == exact.fingerprint(exact.loads(other))) is same


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1, "a": 2}', "'a' stands twice in one object: line 1 column 10"),
        ('[{"x": {"b": 1,\n "c": [1], "b": 2}}]', "'b' stands twice in one object: line 2 column 12"),
        ('{"\\u0061": 1, "a": {}}', "'a' stands twice in one object: line 1 column 15"),
        ('{"v": "b", "w": ["b", "b", "b"], "v": 1}', "'v' stands twice in one object: line 1 column 34"),
        ('{"v": "b", "w": "b", "x": {"v": 0}, "w": 1}', "'w' stands twice in one object: line 1 column 37"),
    ],
)
def test_a_name_that_stands_twice_has_its_place(text, place):
    """Strictly read, the second of two members of one name is an error with line and column."""
    with pytest.raises(ValueError, match=place):
        exact.loads(text, strict=True)
    assert exact.loads(text) == json.loads(text)


@given(texts)
def test_strictly_read_it_is_the_same(text):
    """Where no name stands twice, which the examples take care of, strict reading makes no difference."""
    assert repr(exact.loads(text, strict=True)) == repr(exact.loads(text))


def test_what_python_holds_is_what_python_makes_of_it():
    """Numbers that lose nothing are floats and integers, of as many digits as Python reads; the others are kept."""
    for text in ("1.5", "-0.25", "1e+22", "12", "-3", "9" * 4300):
        assert type(exact.loads(text)) is type(json.loads(text))
    for text in ("1.50", "1e22", "9" * 4301, "0.1234567890123456789012345"):
        assert type(exact.loads(text)) is type(exact.loads(text, strict=True)) is exact.Number
    assert float(exact.loads("1.50")) == 1.5


def test_how_it_is_printed():
    """Characters as they are, members in order, and indented or not, as for ``json.dumps``."""
    value = exact.loads('{"é": [1.50, 2], "a": {}}')
    assert exact.printed(value) == '{"a": {}, "é": [1.50, 2]}'
    assert exact.printed(value, sort_keys=False, separators=(",", ":")) == '{"é":[1.50,2],"a":{}}'
    assert exact.printed(value, indent=1) == '{\n "a": {},\n "é": [\n  1.50,\n  2\n ]\n}'
    with pytest.raises(ValueError, match="JSON compliant"):
        exact.printed([float("nan")])


def test_a_fingerprint_has_sixteen_bytes():
    """Whatever the value, were it a text that no database takes."""
    for text in ("null", '"\\ud800"', '[1.50, "é"]', "[]", f"[1.5, {'9' * 5000}]"):
        assert len(exact.fingerprint(exact.loads(text))) == 16


def test_what_is_no_json_is_refused():
    """Constants of JavaScript, and exponents that nobody can hold, are no values; nor is a set."""
    for text in ["NaN", "[Infinity]", "1e99999999999999999999999", "", "[1"]:
        for strict in (False, True):
            with pytest.raises(ValueError, match=r"it holds|Expecting"):
                exact.loads(text, strict=strict)
    with pytest.raises(ValueError, match="nested too deeply"):
        exact.loads("[" * 200_000 + "]" * 200_000)
    with pytest.raises(errors.InvalidValue):
        exact.printed({"a": {1}})


def test_as_deep_as_there_may_be():
    """500 levels are taken around a number with many digits, as around any other, and 501 are not."""
    text = "0.1234567890123456789012345"
    deep = exact.loads("[" * 500 + text + "]" * 500)
    assert exact.dumps(deep) == "[" * 500 + text + "]" * 500
    for value in ([deep], {"a": deep}):
        with pytest.raises(errors.InvalidValue, match="500 levels"):
            exact.dumps(value)


@pytest.mark.parametrize(
    ("text", "other", "equal"),
    [
        ("0.10", 0.1, True),
        ("1E2", 100, True),
        ("1e400", 10**400, True),
        pytest.param("1e5000", 10**5000, True, id="5001 digits"),
        pytest.param("1e5000", 10**5000 + 1, False, id="one of 5001 digits"),
        ("1e999", float("inf"), False),
        ("0.1", float("nan"), False),
        ("-1.50", -1.5, True),
        ("-1.50", 1.5, False),
        ("1.5", 15, False),
        ("0.15", 1.5, False),
        ("150", 15, False),
        ("1.0", True, False),
        ("1.0", "1.0", False),
        ("-0.00", 0, True),
    ],
)
def test_a_number_equals_numbers(text, other, equal):
    """It equals what Python holds of the same value, of any size; no truth, no text, and nothing that is no number."""
    assert (exact.Number(text) == other) is equal
    assert (other == exact.Number(text)) is equal


def test_what_cannot_be_sent_is_refused_beside_a_number():
    """A number with many digits lets nothing through that is refused without it."""
    number = exact.loads("0.1234567890123456789012345")
    deep = [number]
    for _ in range(600):
        deep = [deep]
    for value in ([number, "\0"], [number, float("nan")], {"a": number, 1: 2}, [number, {1}], deep):
        with pytest.raises(errors.InvalidValue):
            exact.dumps(value)
