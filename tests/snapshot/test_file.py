"""The form of an export: what it looks like, who reads it, and what is none."""

import io
import json

import pytest

from dhis2kv import snapshot
from dhis2kv.emulator import Emulator
from dhis2kv.emulator.serve import load_seed
from dhis2kv.snapshot import Entry
from tests.conftest import connect
from tests.snapshot.conftest import entries, exported


def test_a_file_is_one_entry_a_line():
    """An export is indented JSON with a line for each entry, in the form that the module describes."""
    text = exported(
        dataStore=[
            Entry("app", "cfg", {"theme": "dark", "size": 2}),
            Entry("app", "password", "secret", True),
            Entry("zoo", "ü", None, None),
        ],
        userDataStore=[],
    )
    assert text == (
        "{\n"
        '  "dhis2kv": 1,\n'
        '  "dataStore": {\n'
        '    "app": {\n'
        '      "cfg": {"size": 2, "theme": "dark"},\n'
        '      "password": "secret"\n'
        "    },\n"
        '    "zoo": {\n'
        '      "ü": null\n'
        "    }\n"
        "  },\n"
        '  "userDataStore": {},\n'
        '  "encrypted": {\n'
        '    "dataStore": {\n'
        '      "app": ["password"]\n'
        "    },\n"
        '    "userDataStore": {}\n'
        "  }\n"
        "}\n"
    )
    assert snapshot.load(io.StringIO(text))["dataStore"] == [
        Entry("app", "cfg", {"theme": "dark", "size": 2}, False),
        Entry("app", "password", "secret", True),
        Entry("zoo", "ü", None, False),
    ]


def test_the_emulator_takes_an_export_as_its_seed(newest):
    """`serve --seed` reads what an export writes, and encrypted entries are encrypted there."""
    newest.load({"app": {"cfg": 1}})
    newest.put("app", "password", "secret", encrypted=True)
    text = exported(dataStore=snapshot.read(connect(newest)))
    other = Emulator("2.44")
    load_seed(other, json.loads(text), superuser="admin")
    assert entries(connect(other)) == entries(connect(newest))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"dhis2kv": 2}',
        '{"dhis2kv": 1, "dataStore": []}',
        '{"dhis2kv": 1, "dataStore": {"app": 1}}',
        '{"dhis2kv": 1, "dataStore": {"app": {"a": 1}}, "encrypted": {"dataStore": {"app": "a"}}}',
    ],
)
def test_a_file_that_is_no_export_is_refused(text):
    """Anything that is not the form of an export is a ValueError, and not an empty import."""
    with pytest.raises(ValueError, match=r"export|encrypted|expected an object"):
        snapshot.load(io.StringIO(text))
