"""Bulk answers: whose keys are printed unescaped, and what is certain in them all the same."""

import json
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv import errors, wire
from dhis2kv.wire import bulk


def printed(entries, marked):
    """An answer as servers print it: keys as they are, then the mark, then the JSON text of a value or of members."""
    end = "" if marked.whole else "null"
    rows = [f'{{"key":"{key}","{marked.mark}":{end}{text}}}' for key, text in entries]
    return f"[{','.join(rows)}]"


def read(text, marked):
    """The keys and texts of an answer, in their order."""
    return [pair for batch in marked.batches(text) for pair in zip(batch.keys, batch.texts, strict=True)]


# What forges entries, hides them, or looks like something that does, in any order.
PIECES = [
    '"',
    '","value":',
    '","mark":',
    '},{"key":"',
    '{"key":"',
    '"key":"a"',
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    " ",
    "\\",
]
PIECES += ["a", "b", "value", "1", "null", '"x"', "}]", '[{"key":"', "\n", "\t", "é", "\U0001f600", "'", '\\"', '"]}"']
forging = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)
texts = st.recursive(
    st.none() | st.booleans() | st.integers() | forging,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(forging, inner, max_size=3),
    max_leaves=6,
).flatmap(
    lambda value: st.sampled_from([(", ", ": "), (",", ":")]).map(
        lambda between: json.dumps(value, ensure_ascii=False, separators=between)
    )
)


@given(st.dictionaries(forging, texts, max_size=8), st.sampled_from([1, 7, 50, 1 << 20]))
def test_what_is_read_is_what_was_printed(entries, window):
    """Whatever the keys and values are, each entry comes as it was printed, wherever the answer is cut."""
    marked = wire.Marked.of(wire.Query())
    with mock.patch.object(bulk, "_WINDOW", window):
        assert read(printed(entries.items(), marked), marked) == list(entries.items())


@given(st.dictionaries(forging, st.dictionaries(st.sampled_from(["a", "b", "key"]), texts), max_size=8))
def test_rows_are_read_as_they_were_printed(entries):
    """So it is with the rows of a query for chosen fields, whose members may have any name."""
    marked = wire.Marked.of(wire.Query(fields="a,b"))
    members = {key: "".join(f',"{name}":{text}' for name, text in row.items()) for key, row in entries.items()}
    expected = [(key, f"{wire.ROW}{text}}}") for key, text in members.items()]
    assert read(printed(members.items(), marked), marked) == expected


@given(st.dictionaries(st.text("ab", min_size=1), texts, min_size=1, max_size=3), st.data())
def test_an_answer_that_is_cut_or_goes_on(entries, data):
    """An answer that ends too early, or goes on with something else, is refused, and so is one with other marks."""
    marked = wire.Marked.of(wire.Query())
    whole = printed(entries.items(), marked)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for text in (
        cut,
        whole + '{"httpStatus":"Bad Request"}',
        whole[1:],
        printed(entries.items(), marked.of(wire.Query())),
    ):
        with pytest.raises(ValueError, match=r"entr|value|delimiter|string|Extra|name"):
            read(text, marked)


@pytest.mark.parametrize("window", [1, 40, 1 << 20])
@pytest.mark.parametrize("fields", [".", "", "a"])
@pytest.mark.parametrize("value", ['[{"x":1},{"key":"b"}]', '[{"key":"},{"},{"key":"},{"}]', "12345", '"xyz"'])
def test_answers_to_their_end(value, fields, window):
    """What a value holds is never taken for the next entry, nor the beginning of an answer for all of it."""
    marked = wire.Marked.of(wire.Query(fields=fields))
    entries = [("a", value), ("b", "1"), ("c", value)] if marked.whole else [("a", ""), ("b", f',"x":{value}')]
    whole = printed(entries, marked)
    with mock.patch.object(bulk, "_WINDOW", window):
        found = read(whole, marked)
        assert found == (entries if marked.whole else [(key, f"{wire.ROW}{text}}}") for key, text in entries])
        for length in range(len(whole)):
            with pytest.raises(ValueError, match=r"."):
                read(whole[:length], marked)


@pytest.mark.parametrize("junk", [" junk", "}", "]", ",", '"', "},{"])
def test_a_value_with_something_behind_it(junk):
    """An answer in which an entry does not end where its value does is refused."""
    marked = wire.Marked.of(wire.Query())
    with pytest.raises(ValueError, match="does not end where its value does"):
        read(printed([("a", f'[{{"x":1}},{{"key":"q"}}]{junk}'), ("b", "1")], marked), marked)


@pytest.mark.parametrize(("before", "after"), [("", ""), (" ", ""), ("", "\n"), ("\r\n", " ")])
def test_space_around_an_answer(before, after):
    """It is no part of it, were the answer empty."""
    marked = wire.Marked.of(wire.Query())
    assert read(f"{before}{printed([('a', '1')], marked)}{after}", marked) == [("a", "1")]
    assert read(f"{before}[]{after}", marked) == []


def test_what_is_asked():
    """A value under the mark as its name, or a member of that name beside the fields; without any all entries come."""
    for fields, include_all, sent, all_sent in (
        (".", True, ".~hoist({})", True),
        (".", False, ".~hoist({})", False),
        ("", False, "{}", True),
        ("a,b", False, "{},a,b", False),
        ("a,b", True, "{},a,b", True),
    ):
        marked = wire.Marked.of(wire.Query(fields=fields, include_all=include_all))
        assert (marked.query.fields, marked.query.include_all) == (sent.format(marked.mark), all_sent)
        assert marked.whole is (fields == ".")


@given(st.dictionaries(forging, texts, max_size=8))
def test_fast_and_slow_agree(entries):
    """Batches are read at once where that goes, and text by text where not: with the same result."""
    batch = wire.Batch(list(entries), list(entries.values()))
    expected = {key: wire.loads(text) for key, text in entries.items()}
    assert batch.read() == (expected, {})
    with mock.patch.object(bulk, "loads_all", side_effect=ValueError):
        assert batch.read() == (expected, {})


def test_one_value_that_python_cannot_hold():
    """It does not keep the others from being read, and is told by its key."""
    batch = wire.Batch(["a", "b", "c"], ["1", "[" * 20_000 + "]" * 20_000, "[2]"])
    values, unreadable = batch.read()
    assert values == {"a": 1, "c": [2]}
    assert isinstance(unreadable["b"], errors.Unreadable)
    with pytest.raises(ValueError, match="Expecting"):
        wire.Batch(["a", "b"], ["1", "{"]).read()


def test_each_query_has_a_mark_of_its_own():
    """A mark is in the query and in no other one: whoever has stored a key before cannot know it."""
    for query in (wire.Query(), wire.Query(fields=""), wire.Query(fields="name,a.b", include_all=False)):
        marks = {wire.Marked.of(query).mark for _ in range(100)}
        assert len(marks) == 100
        marked = wire.Marked.of(query)
        assert marked.mark in marked.query.text
        assert marked.query.filters == query.filters


def test_an_answer_without_marks():
    """Each entry comes with the text of its value."""
    text = '[{"key":"a","value":{"x": [1, 2]}},{"key":"b\tc","value":null}, { "key" : "d" , "value" : "]}" } ]'
    assert list(wire.entries(text)) == [("a", '{"x": [1, 2]}'), ("b\tc", "null"), ("d", '"]}"')]
    assert list(wire.entries(" [ ] ")) == []
    assert list(wire.entries('[{"key":"a\\u0062\\"c","value":1}]')) == [('ab"c', "1")]


@pytest.mark.parametrize(
    "text",
    [
        '[{"key":"x","key":"y","value":2}]',
        '[{"key":"a"b","value":2}]',
        '[{"key":"a","value":2,"x":1}]',
        '[{"key":"a","value":1},{"key":"a","value":2}]',
        '[{"key":"a","value":1}]{"httpStatus":"Bad Request"}',
        '[{"key":"a","value":1},',
        '[{"key":"a"}]',
        '["a","b"]',
        '[{"key":"a","value":nil}]',
        '[{"key":"a","name":1}]',
        '[{"key":"a","value":[1}]',
        "{}",
        "",
    ],
)
def test_an_answer_that_is_not_certain(text):
    """What does not parse, repeats a key or has other members is refused: keys are printed unescaped."""
    with pytest.raises(ValueError, match=r"entry|list|value|delimiter"):
        list(wire.entries(text))
