"""JSON that Python's own reader gives up on: as deep, and with as many digits, as servers store it."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv import errors, wire
from dhis2kv.wire import deep

from .test_values import values

RECORDINGS = Path(__file__).parents[1] / "recordings"


def nested(levels, inner="1", before="[", after="]"):
    return before * levels + inner + after * levels


def from_frames_down(frames, act):
    """What an act gives when it is done so many frames down."""
    return from_frames_down(frames - 1, act) if frames else act()


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_both_ways_of_reading_agree(value, indent, ascii_only):
    """Without recursion the same comes out as with it."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert repr(deep._unwound(text)) == repr(deep.read(text)) == repr(wire.loads(text))


@given(st.text('[]{}",:1 ea\\u0', max_size=12))
def test_both_ways_refuse_the_same(text):
    """What is no JSON for one is none for the other."""
    try:
        expected = json.loads(text)
    except ValueError:
        for read in (deep._unwound, deep.read, wire.loads):
            with pytest.raises(ValueError, match=r"."):
                read(text)
    else:
        assert deep._unwound(text) == expected


@pytest.mark.parametrize("text", ["[1,2]", '{"a":1,"b":[2,3]}', '[[],{},"",[{"a":[]}]]', ' [ 1 ,{ "a" :2 } ] '])
def test_both_ways_read_what_stands_close_together(text):
    """With as little space as there may be, and with some at each place where there may be some."""
    assert deep._unwound(text) == json.loads(text)


MALFORMED = [
    *("[1}", '{"a":1]', "[1 2]", '{"a" 1}', '{"a":1 "b":2}', "{1:2}", "{a:1}", '{"a"}', '{"a",1}', "[1,]", "[,1]"),
    *('{"a":1,}', "[]]", "[1]]", "{}x", "[1]2", "", " ", "[1", '{"a":1', '{"a":', "[NaN]", "[Infinity]", "[-Infinity]"),
]


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_no_json(text):
    """It is none however it is read, and however deep it stands."""
    with pytest.raises(ValueError, match=r"."):
        json.loads(text, parse_constant=deep.no_constant)
    for read in (deep._unwound, deep.read, wire.loads):
        with pytest.raises(ValueError, match=r"."):
            read(text)
    with pytest.raises(ValueError, match=r".") as caught:
        wire.loads("[" * 3000 + f"[1,{text}]" + "]" * 3000)
    assert not isinstance(caught.value, errors.Unreadable)


@given(values, st.sampled_from(["", ",", "]", '"', " 1"]))
def test_where_a_value_ends(value, after):
    """The end of a value is found whatever follows it."""
    text = json.dumps(value)
    assert deep.end(f"x{text}{after}", 1) == len(text) + 1 or (after == " 1" and isinstance(value, int | float))


@pytest.mark.parametrize("text", ["", "]", "[", '"a', ",", "{", '[{"a":1}'])
def test_where_no_value_ends(text):
    """A text that ends before its value does is refused."""
    with pytest.raises(ValueError, match="at character 0"):
        deep.end(text)


@pytest.mark.parametrize("levels", [400, 600, 1500, 9999])
@pytest.mark.parametrize("frames", [0, 800])
def test_depth_is_no_matter_of_the_stack(levels, frames):
    """A value is read, compared and found too deep to be written from wherever that is asked for."""
    for before, after in (("[", "]"), ('{"a":[', "]}"), ('[ {"a" : ', "}\n]")):
        count = levels // before.count("[") if "{" not in before else levels // 2
        text = nested(count, "1", before, after)
        value = from_frames_down(frames, lambda text=text: wire.loads(text))
        again = from_frames_down(frames, lambda text=text: wire.loads(text))
        assert from_frames_down(frames, lambda a=value, b=again: wire.same(a, b))
        depth = count if before == "[" else 2 * count
        if depth > 500:
            with pytest.raises(errors.InvalidValue, match="500 levels"):
                from_frames_down(frames, lambda value=value: wire.dumps(value))
        else:
            assert wire.same(wire.loads(from_frames_down(frames, lambda value=value: wire.dumps(value))), value)


def test_what_live_servers_store_is_read():
    """Every value that servers were seen to store is read, but for one; all spellings of one are the same."""
    texts = {}
    for name in ("global-deep", "global-numbers"):
        for exchange in json.loads((RECORDINGS / f"{name}.json").read_text())["exchanges"]:
            request = exchange["request"]
            if request["method"] == "PUT":
                texts[request["target"]] = [request["body"]]
            elif request["method"] == "GET" and request["target"] in texts:
                texts[request["target"]] += [reply["body"] for reply in exchange["replies"]]
    beyond = {"/api/dataStore/app/n10"}  # more than any float, and a half
    for target in texts.keys() - beyond:
        first, *others = map(wire.loads, texts[target])
        assert all(wire.same(first, other) for other in others)
    for text in [text for target in beyond for text in texts[target]]:
        with pytest.raises(errors.Unreadable, match="not whole"):
            wire.loads(text)
    assert len(texts) > 12


def test_beyond_all_bounds():
    """What is nested deeper than anything that servers were seen to store is not read, and that is said."""
    with pytest.raises(errors.Unreadable, match="10000 levels"):
        wire.loads(nested(100_000))
    for cut in ("", "1],", "X"):
        with pytest.raises(ValueError, match="not end") as caught:
            wire.loads("[" * 100_000 + cut)
        assert not isinstance(caught.value, errors.Unreadable)


@pytest.mark.parametrize("digits", [4300, 4301, 4609, 5000, 131_072])
@pytest.mark.parametrize("setting", [640, 4300, 0])
def test_integers_come_with_every_digit(digits, setting):
    """However many digits Python is set to convert, an integer comes whole."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(setting)
    try:
        found = wire.loads(f'["{"7" * digits}", -{"7" * digits}, {"7" * digits}]')
        assert found[1:] == [-(10**digits - 1) // 9 * 7, (10**digits - 1) // 9 * 7]
        if digits == 4300:
            assert wire.loads(wire.dumps(found)) == found
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e400", 10**400), ("-1.5e309", -15 * 10**308), ("9" * 400 + ".0", 10**400 - 1), ("1e-400", 0.0), ("0.10", 0.1)],
)
def test_numbers_beyond_floats(text, value):
    """One that is whole comes as the integer that the server's database makes of it."""
    found = wire.loads(f"[{text}]")[0]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text", ["9" * 400 + ".5", "1e999999", "1e999999999999999", "1e99999999999999999999999", "7" * 200_000]
)
def test_numbers_that_are_not_read(text):
    """Others are too much, as is one of more digits than servers store; it takes no time to say so."""
    with pytest.raises(errors.Unreadable, match="it holds a number"):
        wire.loads(f'{{"a": [{text}]}}')
