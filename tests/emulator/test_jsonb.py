"""Stored JSON: what each version's validator accepts, and what PostgreSQL makes of it.

Expected texts are recorded replies of real servers, or what PostgreSQL 15 answered to the same input.
"""

import json
import re
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhis2kv.emulator import jsonb
from dhis2kv.emulator.jsonb import DatabaseRefusal, InvalidJson, TooDeep, check, roll, set_path, sort_key, to_jsonb
from dhis2kv.emulator.jsontext import MAX_DEPTH, parse
from dhis2kv.emulator.profiles import PROFILES

RECORDINGS = Path(__file__).parents[1] / "recordings"
PATH_AND_ROLL = ["2.41", "2.42", "2.43", "2.44"]  # older servers ignore both parameters


def exchanges(name, version):
    """Method, query, key, body, status and reply of each recorded exchange."""
    for exchange in json.loads((RECORDINGS / f"{name}.json").read_text())["exchanges"]:
        request = exchange["request"]
        path, _, query = request["target"].partition("?")
        reply = next(reply for reply in exchange["replies"] if version in reply["servers"])
        yield (
            request["method"],
            dict(parse_qsl(query, keep_blank_values=True)),
            path.split("/")[-1],
            request.get("body"),
            reply["status"],
            reply.get("body", ""),
        )


@pytest.mark.parametrize("version", PROFILES)
def test_refused_values_are_refused_by_whom_they_were(version):
    """A POST that was 400 fails in the validator, another refused one in the database, with the recorded words."""
    profile, refused = PROFILES[version], 0
    for method, _, _, body, status, reply in exchanges("global-refused-values", version):
        if method != "POST" or status == 201:
            continue
        refused += 1
        if status == 400:
            with pytest.raises(InvalidJson):
                check(body, profile)
            continue
        check(body, profile)
        with pytest.raises(DatabaseRefusal) as caught:
            to_jsonb(body)
        if profile.database_refusal_text is None:
            # The driver adds where in the statement the value stood.
            said = re.sub(r"\n(  Where: )?unnamed portal.*", "", json.loads(reply)["message"])
            assert caught.value.message == said
    assert refused == 25


@pytest.mark.parametrize("version", PROFILES)
def test_values_are_accepted_and_come_back_as_recorded(version):
    """Every recorded value is accepted by every version, and spelt as in the recorded reply."""
    for method, _, key, body, _, reply in exchanges("global-values", version):
        if method != "GET":
            check(body, PROFILES[version])
            stored = to_jsonb(body)
        elif key == "v":
            assert stored == reply


@pytest.mark.parametrize("version", PATH_AND_ROLL)
@pytest.mark.parametrize("name", ["global-path", "user-path", "global-roll"])
def test_updates_of_a_part_do_what_was_recorded(name, version):
    """PUTs with path and roll leave the entries, and are refused, as they were on the real servers."""
    stored, compared = {}, 0
    for method, query, key, body, status, reply in exchanges(name, version):
        if method == "DELETE" or (method == "PUT" and body is None and "path" not in query):
            stored.pop(key, None)
        elif method == "GET" and status == 200:
            compared += 1
            assert stored[key] == to_jsonb(reply)
        elif status == 201:
            stored[key] = to_jsonb(body)
        elif status == 200:
            stored[key] = update(stored[key], query, body)
        elif status == 409:
            with pytest.raises(DatabaseRefusal) as caught:
                update(stored[key], query, body)
            assert json.loads(reply)["message"].startswith(caught.value.message)
    assert compared > 8


def update(current, query, body):
    if "roll" in query:
        return roll(current, body, int(query["roll"]), query.get("path"))
    return set_path(current, query["path"], body) if "path" in query else to_jsonb(body)


LENIENCIES = [
    # text, Jackson, json-tree to 1.8, json-tree 1.9
    ('{"a":[1,2]}', True, True, True),
    ("[1,]", False, True, True),
    ('{"a":1,}', False, True, True),
    ('[{"a":1,} , ]', False, True, True),
    ("01", False, True, True),
    ("[-007.50]", False, True, True),
    ("[,]", False, False, False),
    ("[1,,]", False, False, False),
    ("1.", False, False, False),
    ("[1e]", False, False, False),
    ("{} {}", True, False, False),
    ("1 2", True, False, False),
    ('"a"b', True, False, False),
    ("[1]]", True, False, False),
    ("true,", True, False, False),
    ("truex", False, False, False),
    ("1,", False, False, False),
    (r'"\uXYZW"', False, False, True),
    (r'"\x"', False, False, False),
    ('"\x1f"', False, False, False),
    ('"\x7f"', True, True, True),
    ("\x0b1", False, False, False),
    ('{"a":1 "b":2}', False, False, False),
    ("{a:1}", False, False, False),
    ("[}", False, False, False),
    ("", False, False, False),
]


@pytest.mark.parametrize(("text", "jackson", "tree", "newest"), LENIENCIES)
def test_validators_are_lenient_in_their_own_ways(text, jackson, tree, newest):
    """Jackson reads no further than the value; json-tree allows a last comma and leading zeros, and 1.9 any ``\\u``."""
    for version, accepted in (("2.36", jackson), ("2.39", jackson), ("2.40", tree), ("2.43", tree), ("2.44", newest)):
        try:
            check(text, PROFILES[version])
        except InvalidJson:
            assert not accepted, version
        else:
            assert accepted, version


SPELLINGS = [
    ('{"b":1,"aa":2,"a":3}', '{"a": 3, "b": 1, "aa": 2}'),
    ('{"é":1,"zz":2,"a":3,"":4,"ab":1}', '{"": 4, "a": 3, "ab": 1, "zz": 2, "é": 1}'),
    ('{"a":1,"a":2}', '{"a": 2}'),
    ("[1,[2,[3,{}]],[]]", "[1, [2, [3, {}]], []]"),
    ("1.10", "1.10"),
    ("1E5", "100000"),
    ("1e-7", "0.0000001"),
    ("1.500e1", "15.00"),
    ("100e-2", "1.00"),
    ("-0", "0"),
    ("-0.00", "0.00"),
    ("0.00e1", "0.0"),
    ("0e200000", "0"),
    (r'"\u001f\u007f\b\/\u00e9\ud83d\ude00"', '"\\u001f\x7f\\b/é😀"'),
    (r'"\"\\"', r'"\"\\"'),
]


@pytest.mark.parametrize(("text", "stored"), SPELLINGS)
def test_the_database_spells_values_its_own_way(text, stored):
    """Members by length in bytes, then bytes; the last of equal names; digits and scale kept, exponents not."""
    assert to_jsonb(text) == stored


NUMBERS = [("1e131071", True), ("1e131072", False), ("10e131071", False), ("0.1e131072", True), ("1e-16383", True),
           ("1.0e-16383", False), ("1e-16384", False), ("0e-20000", False), ("1e99999999999999999999", False),
           ("0e9999999999", False), ("9" * 131072, True), ("9" * 131073, False)]  # fmt: skip


@pytest.mark.parametrize(("text", "fits"), NUMBERS)
def test_numbers_fit_up_to_the_limits_of_numeric(text, fits):
    """131072 digits before the point and 16383 after it are the most, zeros included."""
    if fits:
        assert Decimal(to_jsonb(text)) == Decimal(text)
    else:
        with pytest.raises(DatabaseRefusal, match=r"^ERROR: value overflows numeric format$"):
            to_jsonb(text)


REFUSALS = [
    ("", "The input string ended unexpectedly.", "line 1: "),
    ('{"a" 1}', 'Expected ":", but found "1".', 'line 1: {"a" 1...'),
    ("[1 2]", 'Expected "," or "]", but found "2".', "line 1: [1 2..."),
    ('{"a":1 "b"', 'Expected "," or "}", but found ""b"".', 'line 1: {"a":1 "b"'),
    ("{1}", 'Expected string or "}", but found "1".', "line 1: {1..."),
    ("[\n1,\n\n x]", 'Token "x" is invalid.', "line 4:  x..."),
    ("1.5x", 'Token "1.5x" is invalid.', "line 1: 1.5x"),
    ("-.5", 'Token "-.5" is invalid.', "line 1: -.5"),
    ("1é", 'Token "1é" is invalid.', "line 1: 1é"),
    (r'"\x"', r'Escape sequence "\x" is invalid.', r'line 1: "\x...'),
    (r'"\u12"', r'"\u" must be followed by four hexadecimal digits.', r'line 1: "\u12"'),
    (r'"\ud800\ud800"', "Unicode high surrogate must not follow a high surrogate.", r'line 1: "\ud800\ud800...'),
    (r'"\udc00"', "Unicode low surrogate must follow a high surrogate.", r'line 1: "\udc00...'),
    (r'"\ud800x"', "Unicode low surrogate must follow a high surrogate.", r'line 1: "\ud800x...'),
    ("[" * 60, "The input string ended unexpectedly.", "line 1: ..." + "[" * 49),
]


@pytest.mark.parametrize(("text", "detail", "where"), REFUSALS)
def test_the_database_says_what_it_refuses_and_where(text, detail, where):
    """The refusal's words are PostgreSQL's, with the line up to the fault."""
    with pytest.raises(DatabaseRefusal) as caught:
        to_jsonb(text)
    assert caught.value.message.split("\n") == [
        "ERROR: invalid input syntax for type json",
        f"  Detail: {detail}",
        f"  Where: JSON data, {where}",
    ]


def test_raw_nul_is_refused():
    """PostgreSQL's text type holds no NUL, so that the value does not even reach its JSON parser."""
    with pytest.raises(DatabaseRefusal, match='invalid byte sequence for encoding "UTF8": 0x00'):
        to_jsonb('"a\0b"')


def test_the_database_orders_values_of_all_types():
    """PostgreSQL 15's own order of these values; an empty list comes first, for scalars count as lists of one."""
    ordered = [
        *("[]", "null", '""', '"a"', '"z"', '"é"', "-3", "1", "1.50", "false", "true"),
        *("[null]", '["z"]', "[1]", "[true]", "[[]]", "[[1]]", "[{}]", "[1, 2]"),
        *("{}", '{"a": null}', '{"a": 1}', '{"a": []}', '{"aa": 0}', '{"b": 0}', '{"a": 1, "b": 2}'),
    ]
    values = [parse(text) for text in reversed(ordered)]
    assert sorted(values, key=sort_key) == [parse(text) for text in ordered]


def test_equal_numbers_of_different_spelling_are_equal():
    """Numbers compare by value, whatever their scale."""
    assert sort_key(parse("[1.0]")) == sort_key(parse("[1]"))


@pytest.mark.parametrize(
    ("current", "path", "size", "after"),
    [
        ("[1, 2]", None, 2, "[2, 9]"),
        ("[1, 2, 3]", None, 1, "[2, 3, 9]"),
        ("[]", None, 0, "[9]"),
        ("[1, 2]", None, -1, "[2, 9]"),
        ("null", None, 3, "[9]"),
        ('{"a": 1}', None, 3, "9"),
        (None, None, 3, "9"),
        (None, "a", 3, None),
        ('{"a": "x"}', "a", 3, '{"a": 9}'),
        ('{"a": null}', "a", 3, '{"a": [9]}'),
        ("[[1], 2]", "0", 1, "[[9], 2]"),
        ("[1, 2]", "7", 3, "[1, 2, [9]]"),
        ("[1, 2]", "-7", 3, "[[9], 1, 2]"),
    ],
)
def test_roll_appends_and_drops_one(current, path, size, after):
    """A full list loses its first element only; null and nothing become a list; anything else is replaced."""
    assert roll(current, "9", size, path) == after


@pytest.mark.parametrize(
    ("current", "path", "after"),
    [
        ('{"a": {"b": 1}}', "a.b", '{"a": {"b": 9}}'),
        ('{"a": 7}', "a.b", '{"a": 7}'),
        ('{"a": [1, 2]}', "a[1]", '{"a": [1, 9]}'),
        ('{"a": [1, 2]}', "a.[-1]", None),
        ("[1, 2]", "-1", "[1, 9]"),
        ("[1, 2]", "5", "[1, 2]"),
        ("[1, 2]", "a", None),
        ("[]", "a", "[]"),
        ('{"a b": 1}', " a b ", '{"a b": 9}'),
        ('{"a.b": 1}', '"a.b"', '{"a.b": 1}'),
        ('{"a": 1}', "a,", None),
        ('{"a": 1}', "{a}", None),
        ('{"a": 1}', "NULL", None),
        ('{"a": 1}', " ", '{"a": 1}'),
        ("5", "a", None),
    ],
)
def test_set_path_replaces_only_what_is_there(current, path, after):
    """What jsonb_set without creating does; None: it refuses the path, or the value to look into."""
    if after is None:
        with pytest.raises(DatabaseRefusal):
            set_path(current, path, "9")
    else:
        assert set_path(current, path, "9") == after


def test_depth_is_bounded_and_no_stack_is_used_up():
    """Up to the limit everything works on nested values, beyond it the nesting itself is refused, also unclosed."""
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    nested = '{"a": ' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    for text in (deepest, nested):
        for profile in PROFILES.values():
            check(text, profile)
        assert to_jsonb(text) == text
        assert sort_key(parse(text))
    for text in (f"[{deepest}]", "[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(TooDeep):
            to_jsonb(text)
        with pytest.raises(TooDeep):
            check(text, PROFILES["2.44"])


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
LAW = settings(deadline=None)  # how long an example takes says nothing about the law
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@LAW
@given(VALUES, st.booleans())
def test_a_value_comes_back_equal(value, ascii_only):
    """What Python writes as JSON is accepted by every validator, and the database's spelling of it reads as equal."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    for profile in PROFILES.values():
        check(text, profile)
    exactly = {"parse_int": Decimal, "parse_float": Decimal}  # a float of 1e16 and more comes back as an integer
    assert json.loads(to_jsonb(text), **exactly) == json.loads(text, **exactly)


@LAW
@given(VALUES)
def test_the_database_spelling_is_stable_and_ordered(value):
    """Spelling what is already spelt changes nothing, and members come by length in bytes, then by bytes."""
    stored = to_jsonb(json.dumps(value))
    assert to_jsonb(stored) == stored

    def ordered(pairs):
        names = [name.encode() for name, _ in pairs]
        assert names == sorted(set(names), key=lambda name: (len(name), name))

    json.loads(stored, object_pairs_hook=ordered)


@LAW
@given(VALUES, VALUES)
def test_order_and_equality_agree(first, second):
    """Two values have one sort key exactly if they are equal JSON."""
    keys = [sort_key(parse(json.dumps(value))) for value in (first, second)]
    same = to_jsonb(json.dumps(first)) == to_jsonb(json.dumps(second))
    assert (keys[0] < keys[1]) + (keys[0] == keys[1]) + (keys[0] > keys[1]) == 1
    assert keys[0] == keys[1] if same else True


def test_what_is_inside_is_found_as_in_the_database():
    """Indexes count from either end and may be written with zeros; nothing is in a scalar, or behind no integer."""
    value = parse('[1, {"a": null}]')
    assert jsonb.extract(value, ["01", "a"]) is None
    assert jsonb.extract(value, ["-2"]) == 1
    for path in (["2"], ["-3"], ["--1"], ["x"], ["0", "0"], ["1", "b"]):
        assert jsonb.extract(value, path) is jsonb.ABSENT
