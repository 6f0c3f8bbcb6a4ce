"""Conditions: what they are when they are written in Python, and in DHIS2's own words."""

import math

import pytest

from dhis2kv import where
from dhis2kv.wire.conditions import KEY, Condition, parsed, parsed_path, spelled

#: DHIS2's operators as its documentation has them: what each asks, in any case or not.
OPERATORS = {
    "null": ("null", False),
    "empty": ("empty", False),
    "in": ("in", False),
    "eq": ("eq", False),
    "ieq": ("eq", True),
    "lt": ("lt", False),
    "lte": ("le", False),
    "le": ("le", False),
    "gt": ("gt", False),
    "gte": ("ge", False),
    "ge": ("ge", False),
    "like": ("contains", False),
    "$like": ("startswith", False),
    "like$": ("endswith", False),
    "ilike": ("contains", True),
    "$ilike": ("startswith", True),
    "startswith": ("startswith", True),
    "ilike$": ("endswith", True),
    "endswith": ("endswith", True),
}
NEGATED = {
    "!null": "null",
    "!empty": "empty",
    "!in": "in",
    "!eq": "eq",
    "neq": "eq",
    "ne": "eq",
    "!like": "like",
    "!$like": "$like",
    "!like$": "like$",
    "!ilike": "ilike",
    "!$ilike": "$ilike",
    "!startswith": "startswith",
    "!ilike$": "ilike$",
    "!endswith": "endswith",
}


@pytest.mark.parametrize("name", [*OPERATORS, *NEGATED])
@pytest.mark.parametrize("separator", [":", "::", "~", "@"])
def test_every_operator_of_dhis2(name, separator):
    """Each has a meaning of ours, in small letters or capitals, whatever separates it; patterns have wildcards."""
    operator, ignore_case = OPERATORS[NEGATED.get(name, name)]
    value = "" if operator in ("null", "empty") else separator + "ab"
    meant = {"null": None, "empty": None, "in": ("ab",)}.get(operator, "ab")
    wild = operator in ("contains", "startswith", "endswith")
    for spelling in (name, name.upper()):
        found = parsed(f"a.b{separator}{spelling}{value}")
        assert found == Condition(("a", "b"), operator, meant, name in NEGATED, ignore_case, wild)


@pytest.mark.parametrize("name", ["!ieq", "!lt", "!le", "!lte", "!gt", "!ge", "!gte", "!", "", "equals", "$eq", "!neq"])
def test_what_is_no_operator(name):
    """It is refused with those that there are."""
    with pytest.raises(ValueError, match=r"no operator of DHIS2: use one of null, .*!endswith, ne, neq"):
        parsed(f"a:{name}:b")


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("5", 5),
        ("-5", -5),
        ("5.0", 5.0),
        ("5.", 5.0),
        ("-0.25", -0.25),
        ("5x", "5x"),
        ("1e5", "1e5"),
        ("+5", "+5"),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("{}", {}),
        ('{"a":1}', {"a": 1}),
        ("[1]", [1]),
        ("[1,2]", [1, 2]),
        ("{", "{"),
        ("'5'", "5"),
        ("'true'", "true"),
        ("'a,b'", "a,b"),
        ("''", ""),
        ("'", "'"),
        ("'a", "'a"),
        ("a'", "a'"),
        ("a:b", "a:b"),
        ("(a,b)", "(a,b)"),
    ],
)
def test_what_a_value_is(value, meant):
    """What looks like a number, a boolean or JSON is that; all else is a text, and so is what stands in quotes."""
    found = parsed(f"a:eq:{value}").value
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize("value", ["5", "true", "null", "[1]", "'5'"])
@pytest.mark.parametrize("asked", ["_:eq", "_:ieq", "a:like", "_:$ilike"])
def test_what_is_a_text_anyway(asked, value):
    """Keys and patterns are texts, whatever they look like."""
    assert parsed(f"{asked}:{value}").value == value.strip("'")


@pytest.mark.parametrize("value", ["5", "true", "null", "[1]", '{"a":1}'])
def test_what_has_no_case(value):
    """What is no text is compared by DHIS2 as it is where case is to be ignored, for there is none."""
    assert repr(parsed(f"a:ieq:{value}")) == repr(parsed(f"a:eq:{value}"))
    assert parsed(f"a:ieq:'{value}'") == Condition(("a",), "eq", value, ignore_case=True)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a:in:[x,y]", ("x", "y")),
        ("a:in:[x,5,-1.5]", ("x", "5", 5, "-1.5", -1.5)),
        ("_:in:[5,6]", ("5", "6")),
        ("a:in:[,x,,Y,X,,]", ("", "x", "", "Y", "X")),
        ("a:in:['5','x']", ("'5'", "'x'")),
        ("a:in:'x'", ("x",)),
        ("a:in:'5'", ("5",)),
        ("_:in:'x,y'", ("x,y",)),
        ("a:in:x", ("x",)),
        ("a:in:5", ("5", 5)),
        ("a:in:[x", ("[x",)),
        ("a:in:x]", ("x]",)),
        ("a:in:[]", ("",)),
        ("a:!in:[]", ("",)),
        ("a:in:[true]", ("true",)),
    ],
)
def test_one_of_several(text, values):
    """DHIS2 takes each for a text; a number is looked for as well, for that is what is meant.

    Only a single value is taken out of quotes; an empty list has one item, which is empty.
    """
    found = parsed(text).value
    assert (found, [type(one) for one in found]) == (values, [type(one) for one in values])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a", "is no condition"),
        ("", "is no condition"),
        ("a:null:x", "null takes no value"),
        ("a:!empty:x", "!empty takes no value"),
        ("a:eq", "eq takes a value"),
        ("a:eq:", "eq takes a value"),
        ("a:in", "in takes a value"),
        ("a:eq:b,c:eq:d", "one condition in a text"),
        ("a:in:b,c", "one condition in a text"),
        ("a:like:b,c", "one condition in a text"),
        ("a:in:[b],c", "one condition in a text"),
        ("a:lt:null", "neither more nor less"),
        ("a:eq:{x}", "looks like JSON and is none"),
        ("a:eq:[x]", "looks like JSON and is none"),
        ("a:eq:[NaN]", "looks like JSON and is none"),
        ('a:eq:{"b":-Infinity}', "looks like JSON and is none"),
        ("a:eq:[1e400]", "looks like JSON and is none"),
        ("a:like:b\\c", "backslash"),
        ("_:null", "never null"),
        ("_:!empty", "never empty"),
        (":eq:1", "is no path"),
        ("a..b:eq:1", "is no path"),
        (".a:null", "is no path"),
    ],
)
def test_what_is_no_condition(text, match):
    """It is refused, with what is wrong with it."""
    with pytest.raises(ValueError, match=match):
        parsed(text)


@pytest.mark.parametrize(
    "value",
    ["1" * 400 + ".0", "1" * 5000, "[" + "1" * 5000 + "]", "[" * 100_000 + "]" * 100_000],
    ids=["fraction", "integer", "list", "deep"],
)
def test_what_is_beyond_python(value):
    """A number or a list that Python cannot hold is refused like other values that are no JSON."""
    with pytest.raises(ValueError, match="is none to compare with: put a text in quotes"):
        parsed(f"a:lt:{value}")


def test_null_in_dhis2s_words():
    """To equal it is to be it."""
    assert parsed("a:eq:null") == Condition(("a",), "null")
    assert parsed("a:ne:null") == Condition(("a",), "null", negated=True)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (".", ()),
        ("_", KEY),
        ("a", ("a",)),
        ("a.b.0", ("a", "b", "0")),
        ("a[0]", ("a", "0")),
        ("a[0][12].b", ("a", "0", "12", "b")),
    ],
)
def test_paths(path, names):
    """Names and numbers with dots between them; an index in brackets is a number."""
    assert parsed_path(path) == names
    assert parsed_path(spelled(names)) == names


@pytest.mark.parametrize("path", [None, 1, ("a",), b"a"])
def test_a_path_is_a_text(path):
    """Others are a TypeError that says so."""
    with pytest.raises(TypeError, match="a path is a str, not"):
        where(path)


def test_conditions_of_python():
    """Each comparison is one, about the value itself, a part of it, or the key; case counts unless told otherwise."""
    assert (where("a") == 1) == Condition(("a",), "eq", 1, negated=False, ignore_case=False, wild=False)
    assert (where("a.b") != "x") == Condition(("a", "b"), "eq", "x", negated=True)
    assert (where() == None) == where(".").is_null() == Condition((), "null")  # noqa: E711 - that is how it is written
    assert (where() != None) == ~where().is_null() == Condition((), "null", negated=True)  # noqa: E711 - as above
    assert (where("a") < 1, where("a") <= 1.5) == (Condition(("a",), "lt", 1), Condition(("a",), "le", 1.5))
    assert (where("a") > "x", where("a") >= True) == (Condition(("a",), "gt", "x"), Condition(("a",), "ge", True))
    assert where("a").in_([1, "x"]) == Condition(("a",), "in", (1, "x"))
    assert where("a").is_empty() == Condition(("a",), "empty")
    assert where.key.startswith("x") == Condition(KEY, "startswith", "x")
    for operator in ("contains", "startswith", "endswith"):
        compare = getattr(where("a"), operator)
        assert compare("x") == Condition(("a",), operator, "x")
        assert compare("x", ignore_case=True) == Condition(("a",), operator, "x", ignore_case=True)
    assert ~~(where("a") == 1) == (where("a") == 1)


def endless():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (lambda: where("a") == {1}, "no stored value is like this set"),
        (lambda: where("a") == math.nan, "no stored value is like this float"),
        (lambda: where("a") == endless(), "no stored value is like this list"),
        (lambda: where("a").in_([1, {1}]), "no stored value is like this set"),
        (lambda: where("a").in_("abc"), "several values, not one text"),
        (lambda: where("a") < None, "only texts, numbers and booleans have an order"),
        (lambda: where("a") > [1], "only texts, numbers and booleans have an order"),
        (lambda: where("a") <= math.inf, "only texts, numbers and booleans have an order, inf has none"),
        (lambda: where("a").contains(5), "looked for in texts, not int"),
        (lambda: where.key == 5, "a key is a text"),
        (lambda: where.key < 5, "a key is a text"),
        (lambda: where.key.in_(["a", 5]), "a key is a text"),
        (lambda: bool(where("a")), "no truth value"),
        (lambda: bool(where("a") == 1), "no truth value"),
        (lambda: (where("a") == 1) & (where("b") == 1), "side by side"),
        (lambda: (where("a") == 1) | True, "side by side"),
        (lambda: True | (where("a") == 1), "side by side"),
        (lambda: True & (where("a") == 1), "side by side"),
    ],
)
def test_what_cannot_be_asked(act, match):
    """It is a TypeError that says what to write instead."""
    with pytest.raises(TypeError, match=match):
        act()


def test_too_deep_a_value():
    """What Python cannot write down is no stored value."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match="no stored value is like this list"):
        where("a") == deep  # noqa: B015 - it raises


def test_a_condition_does_not_change():
    """What was asked stays what was asked."""
    condition = where("a") == 1
    with pytest.raises(AttributeError):
        condition.value = 2


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (where("a.b") == "é", 'a.b == "é"'),
        (where("a") != 1, "not a == 1"),
        (where("a") < 1, "a < 1"),
        (where("a") <= 1, "a <= 1"),
        (where("a") > 1, "a > 1"),
        (where("a") >= 1, "a >= 1"),
        (where().is_null(), ". null"),
        (where("a").is_empty(), "a empty"),
        (where.key.in_(["x"]), '_ in ["x"]'),
        (where("a").contains("x", ignore_case=True), 'a contains "x" in any case'),
        (parsed("a:ieq:x"), 'a eq "x" in any case'),
    ],
    ids=str,
)
def test_how_it_reads(condition, said):
    """As one would write it down."""
    assert str(condition) == said


def test_how_the_maker_reads():
    """As it is written."""
    assert (repr(where), repr(where("a.b")), repr(where()), repr(where.key)) == (
        "where",
        "where('a.b')",
        "where('.')",
        "where('_')",
    )
