"""What is no export, and where: a slip in an edited file is an error with its place, before anything is written."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv import snapshot
from dhis2kv.snapshot import Entry, scanner


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"dhis2kv": 1,\n "datastore": {}}', "line 2 column 15: an export has no member 'datastore'"),
        ('{"dhis2kv": 1, "encrypt": {}}', "an export has no member 'encrypt'"),
        ('{"dhis2kv": 1, "encrypted": {"datastore": {}}}', "'datastore' is no store"),
        (
            '{"dhis2kv": 1, "dataStore": {"app": {"a": 1}},\n"encrypted": {"dataStore": {"ap": ["a"]}}}',
            "line 2 column 35: dataStore has no entry ap/a that could be encrypted",
        ),
        (
            '{"dhis2kv": 1, "userDataStore": {"app": {"a": 1}}, "encrypted": {"dataStore": {"app": ["a"]}}}',
            "dataStore has no entry app/a",
        ),
        ('{"dhis2kv": 1, "encrypted": {"dataStore": {"app": ["a", "a"]}}}', "named twice"),
        ('{"dhis2kv": 1, "encrypted": {"dataStore": {"app": "a"}}}', "no list of keys"),
        (
            '{"dhis2kv": 1, "dataStore": {\n"app": {"a": 1},\n"app": {"b": 1}}}',
            "line 3 column 1: the name 'app' stands twice",
        ),
        ('{"dhis2kv": 1, "dataStore": {"app": {"a": 1,\n  "a": 1}}}', "line 2 column 3: the name 'a' stands twice"),
        (
            '{"dhis2kv": 1, "dataStore": {"app": {"a": {"x": 1,\n"y": {"z": 1, "z": 2}}}}}',
            "line 2 column 15: the name 'z' stands twice",
        ),
        ('{"dhis2kv": 1, "dataStore": {}, "dataStore": {}}', "the name 'dataStore' stands twice"),
        ('{"dhis2kv": 1} {}', "line 1 column 16: after the export comes more"),
        ('{"dhis2kv": true}', '"dhis2kv": 1'),
        ('{"dhis2kv": 1, "dataStore": {"app": {"a": nope}}}', "line 1 column 43: Expecting value"),
        ('{"dhis2kv": 1, "dataStore": {"app": {"a": 1}}', "expected ',', and it ends"),
        ('{"dhis2kv": 1, "dataStore": {"app": {"a": 1,}}}', "expected a name in quotation marks"),
        ('{"dhis2kv": 1, "dataStore": {"app": {"a": NaN}}}', "line 1 column 43: it holds NaN"),
    ],
)
def test_a_slip_is_an_error_with_its_place(text, told, monkeypatch):
    """A member that the form does not have, a mark of nothing, a name twice, no JSON: each says where; with small
    parts of the file in memory, too."""
    for size in (1 << 16, 1):
        monkeypatch.setattr(scanner, "_CHUNK", size)
        with pytest.raises(ValueError, match=told.replace("(", r"\(").replace("{", r"\{")):
            snapshot.load(io.StringIO(text))


names = st.text(min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(names, st.dictionaries(names, st.tuples(values, st.booleans()), min_size=1, max_size=4)))
def test_what_is_dumped_is_loaded(held):
    """Every entry comes back with its value and its mark, whatever its names and value."""
    entries = [
        Entry(namespace, key, value, secret)
        for namespace, members in held.items()
        for key, (value, secret) in members.items()
    ]
    file = io.StringIO()
    snapshot.dump(file, {"dataStore": entries})
    assert snapshot.load(file) == {"dataStore": entries, "userDataStore": []}
    json.loads(file.getvalue())


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_file_is_read_in_parts(size, monkeypatch):
    """Numbers, texts and escapes that a part of the file cuts are read whole."""
    monkeypatch.setattr(scanner, "_CHUNK", size)
    value = [123456, 'ü \\ " \u2028 🎉', {"a": [True, None, 1.5e-7]}]
    text = json.dumps(
        {"dhis2kv": 1, "dataStore": {"a": {"b": value, "c": 12}}, "encrypted": {"dataStore": {"a": ["c"]}}}
    )
    assert snapshot.load(io.StringIO(text))["dataStore"] == [Entry("a", "b", value), Entry("a", "c", 12, True)]


@pytest.mark.parametrize(
    "data",
    [b"{text}", b"\xef\xbb\xbf{text}", "{text}".encode("utf-16"), b"\xfe\xff" + "{text}".encode("utf-16-be")],
)
def test_encodings(data):
    """UTF-8 with and without a byte order mark, and UTF-16 with one, in either order."""
    assert snapshot.decoded(io.BytesIO(data)).read() == "{text}"
