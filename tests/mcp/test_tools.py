"""What the MCP tools do, without any protocol."""

import dataclasses
import json
import subprocess
import sys
from urllib.parse import unquote

import pytest

from dhis2kv import (
    Changed,
    Dhis2kvError,
    InvalidKey,
    InvalidValue,
    KeyExists,
    KeyNotFound,
    NotStored,
    Rejected,
    Unaddressable,
)
from dhis2kv.emulator import Emulator
from dhis2kv.mcp.answers import ABSENT
from dhis2kv.mcp.tools import Refused, Tools
from tests.conftest import ALL_VERSIONS, OLD_MIDDLE_NEW, connect, sent


@pytest.fixture(params=OLD_MIDDLE_NEW)
def version(request):
    return request.param


@pytest.fixture
def emulator(version):
    return Emulator(version=version)


@pytest.fixture
def tools(store):
    return Tools(store)


def test_no_protocol_is_needed():
    """The tools work where the SDK is not installed."""
    code = "import sys; sys.modules['mcp'] = None; from dhis2kv.mcp.tools import Tools"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_sdk_its_name_is_in_the_error():
    """The server's names need the SDK, and say so when they are asked for, not before; others do not exist."""
    code = """if True:
        import sys
        sys.modules["mcp"] = None
        import dhis2kv.mcp
        assert dir(dhis2kv.mcp) == ["Confirmation", "build", "serve"]
        assert not hasattr(dhis2kv.mcp, "other")
        try:
            from dhis2kv.mcp import serve
        except ModuleNotFoundError as error:
            print(error.name.partition(".")[0])
    """
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "mcp\n"


def test_an_entry_s_life(tools):
    """Created, not created again, compared and set, read, deleted on confirmation, absent."""
    assert tools.datastore_create("app", "k", None)["created"]
    with pytest.raises(KeyExists, match="stays as it is"):
        tools.datastore_create("app", "k", 1)
    with pytest.raises(Changed, match="another value"):
        tools.datastore_set("app", "k", 1, expected=0)
    assert tools.datastore_set("app", "k", 1, expected=None)["old"] is None
    assert tools.datastore_get("app", "k") == {"namespace": "app", "key": "k", "value": 1}
    with pytest.raises(Refused, match="not confirmed"):
        tools.datastore_delete("app", "k")
    assert tools.datastore_delete("app", "k", confirm=True)["deleted"]
    with pytest.raises(KeyNotFound):
        tools.datastore_get("app", "k")
    with pytest.raises(Changed, match="does not exist"):
        tools.datastore_set("app", "k", 1, expected=None)


def test_a_comparison_asks_the_server(emulator):
    """What a caching store remembers is not what ``expected`` is compared with."""
    tools = Tools(connect(emulator, ttl=60))
    emulator.put("app", "k", 1)
    assert tools.datastore_get("app", "k")["value"] == 1
    emulator.put("app", "k", 2)
    with pytest.raises(Changed):
        tools.datastore_set("app", "k", 3, expected=1)


@pytest.mark.parametrize("place", [("../x", "k"), ("app", "a/../../users/abc"), ("", "k"), ("app", ".")])
def test_dangerous_names(emulator, tools, place):
    """No tool sends anything for a name that no server can hold."""
    namespace, key = place
    for act in (
        lambda: tools.datastore_get(namespace, key),
        lambda: tools.datastore_get_many(namespace, [key]),
        lambda: tools.datastore_create(namespace, key, 1),
        lambda: tools.datastore_set(namespace, key, 1),
        lambda: tools.datastore_delete(namespace, key, confirm=True),
    ):
        with pytest.raises(InvalidKey):
            act()
    assert sent(emulator) == []


def test_what_each_tool_costs(emulator, tools):
    """One request to list, read and delete; two to create and three to set, which reads the old value first, for both
    read back what they have written."""
    tools.datastore_list_namespaces()
    tools.datastore_list_keys("app")
    tools.datastore_create("app", "k", 1)
    tools.datastore_get("app", "k")
    tools.datastore_delete("app", "k", confirm=True)
    assert [method for method, _ in sent(emulator)] == ["GET", "GET", "POST", "GET", "GET", "DELETE"]
    emulator.put("app", "k", 1)
    tools.datastore_set("app", "k", 2)
    assert [method for method, _ in sent(emulator)] == ["GET", "PUT", "GET"]


def test_what_reading_everything_costs(emulator):
    """A whole namespace costs one request where the server has bulk reads."""
    emulator = Emulator(version="2.42")
    emulator.load({"app": {str(number): number for number in range(50)}})
    assert Tools(connect(emulator)).datastore_get_all("app")["total"] == 50
    assert len(sent(emulator)) == 1


# --- what is said is true ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("write", ["datastore_create", "datastore_set"])
def test_created_is_true(emulator, write):
    """A namespace that is hidden from the account answers 201 and keeps nothing: the tool says so, not ``created``."""
    emulator.add_user("alice", "Secret_pw_1!")
    tools = Tools(connect(emulator, ("alice", "Secret_pw_1!")))
    with pytest.raises(NotStored, match="accepted METADATASTORE/k and does not hold it: its namespace is protected"):
        getattr(tools, write)("METADATASTORE", "k", 1)
    assert {method for method, _ in sent(emulator)} >= {"GET"}
    assert tools.datastore_create("app", "k", 1)["created"]


def test_new_is_true(emulator, tools, version):
    """A value that the server accepts and keeps otherwise is no success: from 2.41 on a write lays an encrypted entry
    open and leaves the old value."""
    connect(emulator)["app"].set("k", "old", encrypt=True)
    if version == "2.44":
        with pytest.raises(NotStored, match="the entry is encrypted"):
            tools.datastore_set("app", "k", "new")
    else:
        assert tools.datastore_set("app", "k", "new")["new"] == tools.datastore_get("app", "k")["value"] == "new"


def test_what_cannot_be_read_back_is_not_known(emulator):
    """An outage after the write is an error that says what is not known, and that something was sent."""
    tools = Tools(connect(emulator, retries=0))
    emulator.fail("status", status=500, method="GET")
    with pytest.raises(Dhis2kvError, match="could not be read back") as caught:
        tools.datastore_create("app", "k", 1)
    assert caught.value.sent
    assert tools.datastore_get("app", "k")["value"] == 1


def test_a_cache_forgets_what_is_written(emulator):
    """What a tool writes is what a caching store reads next."""
    tools = Tools(connect(emulator, ttl=60))
    tools.datastore_create("app", "k", {"a": 1})
    assert tools.datastore_get("app", "k")["value"] == {"a": 1}
    tools.datastore_set("app", "k", {"a": 2})
    assert tools.datastore_get("app", "k")["value"] == {"a": 2}
    if emulator.version >= "2.41":
        tools.datastore_patch("app", "k", "a", 3)
        assert tools.datastore_get("app", "k")["value"] == {"a": 3}


# --- a part of a value ------------------------------------------------------------------------------------------------


def test_patching(emulator, tools, version):
    """A member is set and the others stay; before 2.41, and where there is no such member, nothing is written."""
    emulator.put("app", "k", {"a": {"b": [1, 2]}, "c": 3})
    if version != "2.44":
        with pytest.raises(Rejected, match=r"patch needs DHIS2 2\.41 or later"):
            tools.datastore_patch("app", "k", "a.b.0", 5)
        return
    changed = tools.datastore_patch("app", "k", "a.b.0", 5)
    assert changed == {"namespace": "app", "key": "k", "path": "a.b.0", "old": 1, "new": 5, "notes": {}}
    assert connect(emulator)["app"]["k"] == {"a": {"b": [5, 2]}, "c": 3}
    for path, error in (("a.x", NotStored), ("a..b", InvalidValue)):
        with pytest.raises(error):
            tools.datastore_patch("app", "k", path, 5)
    with pytest.raises(KeyNotFound):
        tools.datastore_patch("app", "none", "a", 5)
    assert connect(emulator)["app"].copy() == {"k": {"a": {"b": [5, 2]}, "c": 3}}


# --- a whole namespace ------------------------------------------------------------------------------------------------


def test_everything(emulator, tools):
    """All entries, or those with a prefix, sorted; a namespace that does not exist has none."""
    emulator.load({"app": {"b1": 1, "a": None, "b2": [2]}})
    whole = {"namespace": "app", "values": {"a": None, "b1": 1, "b2": [2]}, "total": 3, "offset": 0, "notes": {}}
    assert tools.datastore_get_all("app") == whole
    assert list(tools.datastore_get_all("app")["values"]) == ["a", "b1", "b2"]
    assert tools.datastore_get_all("app", prefix="b", offset=1)["values"] == {"b2": [2]}
    assert tools.datastore_get_all("none") == whole | {"namespace": "none", "values": {}, "total": 0}
    with pytest.raises(Refused, match="offset is at least 0"):
        tools.datastore_get_all("app", offset=-1)


@pytest.mark.parametrize("room", [1, 10, 100, 200])
def test_everything_is_read_to_its_end(emulator, room):
    """Going on where the note says gives every key once, however little room there is, and no more than there is."""
    stored = {f"é{number:03}": "x" * (number) for number in range(20)}
    emulator.load({"app": stored})
    tools, seen, offset, page = Tools(connect(emulator), max_bytes=room), {}, 0, {"note": ""}
    while "note" in page:
        page = tools.datastore_get_all("app", offset=offset)
        assert not page["values"].keys() & seen.keys()
        seen |= page["values"]
        size = sum(len(json.dumps(value, ensure_ascii=False).encode()) for value in page["values"].values())
        assert size <= room or page["notes"]
        offset += len(page["values"])
        if "note" in page:
            assert f"of 20 entries; go on with offset {offset}" in page["note"]
    assert list(seen) == list(stored)
    if room == 200:
        assert [key for key in stored if seen[key] != stored[key]] != list(stored)


# --- values that are too much for Python or for clients ---------------------------------------------------------------

TOO_MUCH = {
    "deep": "[" * 2000 + "]" * 2000,
    "long": "1" * 5000,
    "large": "1" + "0" * 400 + ".5",
    "inside": '{"a": [1, ' + "9" * 6000 + "]}",
}


@pytest.mark.parametrize("version", ["2.42"])
@pytest.mark.parametrize("key", TOO_MUCH)
def test_what_is_too_much_comes_as_its_text(emulator, key):
    """A value that Python or most clients cannot hold is neither an error nor absent: it comes as its JSON text with a
    note, keeps the others from nobody, and can be overwritten."""
    tools = Tools(connect(emulator))
    emulator.load({"app": TOO_MUCH | {"k": "1"}}, texts=True)
    text = TOO_MUCH[key].replace(" ", "")
    entry = tools.datastore_get("app", key)
    assert entry["value"].replace(" ", "") == text
    assert "this is its JSON text" in entry["note"]
    many = tools.datastore_get_many("app", [key, "k", "none"])
    assert (many["values"][key].replace(" ", ""), many["values"]["k"], many["absent"]) == (text, 1, ["none"])
    assert "this is its JSON text" in many["notes"][key]
    everything = Tools(connect(emulator), max_bytes=100_000).datastore_get_all("app")
    assert (everything["total"], everything["values"][key].replace(" ", "")) == (5, text)
    with pytest.raises(Changed, match="another value"):
        tools.datastore_set("app", key, 1, expected=1)
    written = tools.datastore_set("app", key, 1)
    assert (written["created"], written["old"].replace(" ", ""), written["new"]) == (False, text, 1)
    assert list(written["notes"]) == ["old"]


def test_a_member_that_is_too_much(emulator):
    """A patch says that it cannot show what was there."""
    emulator = Emulator(version="2.42")
    emulator.load({"app": {"k": '{"a": ' + "9" * 6000 + "}"}}, texts=True)
    patched = Tools(connect(emulator)).datastore_patch("app", "k", "a", 1)
    assert (patched["old"], patched["new"]) == (None, 1)
    assert "too large, to be shown" in patched["notes"]["old"]
    emulator.load({"app": {"k": '{"a": ' + "9" * 6000 + "}", "l": '{"a": 1}'}}, texts=True)
    found = Tools(connect(emulator)).datastore_find("app", ["a:gt:0"])
    assert (found["values"], list(found["notes"])) == ({"k": None, "l": {"a": 1}}, ["k"])


def test_what_cannot_be_asked_for_is_not_called_absent():
    """A key that a proxy rewrites, so that nobody can ask for it, is an error and not absent."""
    emulator = Emulator("2.44")
    emulator.load({"app": {"k": 1, "my config.json": 2}})

    def deliver(request):
        return Emulator.deliver(emulator, dataclasses.replace(request, target=unquote(request.target)))

    tools = Tools(connect(emulator))
    assert tools.datastore_get_many("app", ["k", "none.json"])["absent"] == ["none.json"]
    emulator.deliver = deliver
    tools = Tools(connect(emulator))
    with pytest.raises(Unaddressable, match="my config"):
        tools.datastore_get_many("app", ["k", "my config.json"])


# --- texts that were not meant ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (ABSENT, '{"a": 1}', "an object"),
        (ABSENT, " [1]\n", "a list"),
        ({"a": 1}, '{"a": 2}', "an object"),
        ([1], "[]", "a list"),
        ({"a": 1}, "[1]", "a list"),
        ("text", '{"a": 1}', "an object"),
        (5, "6", "a number"),
        (5, "6.5", "a number"),
        (True, "false", "true or false"),
        (None, "null", "null"),
        ('{"a": 1}', '{"a": 2}', None),
        (ABSENT, "5", None),
        (ABSENT, "null", None),
        ("5", "6", None),
        (5, "true", None),
        (5, '"6"', None),
        ({"a": 1}, "{not json", None),
        ({"a": 1}, "text", None),
        ({"a": 1}, {"a": "[1]"}, None),
        ({"a": 1}, "[" * 10_000, None),
    ],
)
def test_a_text_that_was_hardly_meant_is_noted(emulator, tools, old, new, kind):
    """Where an object, a list or what was another kind of value becomes a text that parses as one, the answer says so;
    the text is stored, for it is what was sent."""
    if old is not ABSENT:
        emulator.put("app", "k", old)
    written = tools.datastore_set("app", "k", new)
    assert connect(emulator)["app"]["k"] == written["new"] == new
    note = written["notes"].get("new", "")
    assert (f"it parses as {kind}. If {kind} was meant" in note) is bool(kind)
    assert bool(note) is bool(kind)


def test_an_expected_text_that_was_hardly_meant(emulator, tools):
    """A comparison with the text of the value that is there is refused with a sentence that says why."""
    emulator.put("app", "k", {"a": 1})
    with pytest.raises(Changed, match="give the value itself, not its JSON text"):
        tools.datastore_set("app", "k", {"a": 2}, expected='{"a": 1}')
    with pytest.raises(Changed, match="another value than expected; read it again"):
        tools.datastore_set("app", "k", {"a": 2}, expected='{"a": 3}')


def test_finding_entries(emulator):
    """Entries are found by what they hold, in order, as far as there is room; words that mean nothing are refused."""
    emulator.load({"app": {f"k{number}": {"n": number, "m": "x" * 10} for number in range(5)}})
    tools = Tools(connect(emulator))
    assert tools.datastore_find("app", ["n:gt:2"], fields=["n"], order="n:desc") == {
        "namespace": "app",
        "values": {"k4": {"n": 4}, "k3": {"n": 3}},
        "total": 2,
        "notes": {},
    }
    assert tools.datastore_find("app", ["n:eq:1", "n:eq:2"], any=True)["total"] == 2
    assert tools.datastore_find("none", [])["values"] == {}
    page = tools.datastore_find("app", [], limit=2)
    assert (list(page["values"]), page["total"]) == (["k0", "k1"], 5)
    assert "first 2 of 5" in page["note"]
    tight = Tools(connect(emulator), max_bytes=60).datastore_find("app", [])
    assert "first 2 of 5" in tight["note"]
    assert "cut" in tight["notes"]["k1"]
    sent(emulator)
    for wrong in (
        lambda: tools.datastore_find("app", ["n"]),
        lambda: tools.datastore_find("app", [], limit=0),
        lambda: tools.datastore_find("app", [], order="n:up"),
    ):
        with pytest.raises(Refused):
            wrong()
    assert sent(emulator) == []
