"""The MCP server, driven by the SDK's own client: in process, over the older handshake, and over stdio."""

import asyncio
import json
import logging
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("mcp", reason="the MCP server needs the extra 'mcp'")

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import ElicitResult

from dhis2kv.mcp import build
from tests.conftest import connect, sent
from tests.mcp.client import Conversation, call, nested, tools_of

READING = [
    "datastore_list_namespaces",
    "datastore_list_keys",
    "datastore_get",
    "datastore_get_many",
    "datastore_get_all",
    "datastore_find",
]
WRITING = ["datastore_create", "datastore_set", "datastore_patch", "datastore_delete"]
DANGEROUS = ["", ".", "..", "../x", "a/../../users/abc", "..\\x", "%2e%2e", "a;b", "a\0b", "a\nb", "x" * 256]
SERVE = (
    "import sys; from dhis2kv import Store; from dhis2kv.mcp import serve;"
    "serve(Store.from_env(), allow_write='write' in sys.argv, namespaces=['app'] if 'app' in sys.argv else None)"
)


def answering(*answers):
    """What a client's user answers when asked, and what they were asked."""
    asked = []

    async def elicit(context, params):
        asked.append(params.message)
        return answers[len(asked) - 1]

    return elicit, asked


YES = ElicitResult(action="accept", content={"delete": True})
UNTICKED = ElicitResult(action="accept", content={"delete": False})
NO = ElicitResult(action="decline")
CLOSED = ElicitResult(action="cancel")


# --- what there is ----------------------------------------------------------------------------------------------------


def test_both_protocols_are_spoken(client, mode):
    """The client of the older handshake gets a protocol of 2025, the current one a later one."""

    async def act(client):
        return client.protocol_version

    assert (client.run(act) < "2026") is (mode == "legacy")


def test_a_server_that_may_not_write_has_no_tools_for_it(emulator, reader):
    """Without leave to write, the writing tools do not exist: calling them is an error, and sends nothing."""
    assert list(tools_of(reader)) == READING
    for tool in WRITING:
        refused = reader(tool, namespace="app", key="k", value=1)
        assert refused.refused
        assert f"Unknown tool: {tool}" in refused.text
    assert sent(emulator) == []


def test_no_tool_deletes_a_namespace_or_takes_an_account(client):
    """With leave to write there are four tools more; none has an argument for a server, an account or a secret."""
    tools = tools_of(client)
    assert list(tools) == READING + WRITING
    known = {"namespace", "key", "keys", "value", "expected", "path", "confirm", "prefix", "limit", "offset", "user"}
    known |= {"conditions", "fields", "order", "any", "with_sharing"}
    for tool in tools.values():
        assert set(tool.input_schema["properties"]) <= known
        assert tool.input_schema["additionalProperties"] is False
        assert "user" not in tool.input_schema.get("required", [])


def test_every_tool_says_what_it_does_to_the_store(client):
    """All four hints are there on every tool, and only what overwrites or deletes is called destructive."""
    hints = {name: tool.annotations for name, tool in tools_of(client).items()}
    for hint in hints.values():
        assert None not in (
            hint.read_only_hint, hint.destructive_hint, hint.idempotent_hint, hint.open_world_hint
        )  # fmt: skip
    assert [name for name, hint in hints.items() if hint.read_only_hint] == READING
    destructive = ["datastore_set", "datastore_patch", "datastore_delete"]
    assert [name for name, hint in hints.items() if hint.destructive_hint] == destructive


def test_every_tool_describes_itself_and_its_result(client):
    """Each tool has a description, and a schema of an object for its result."""
    for tool in tools_of(client).values():
        assert tool.description
        assert tool.output_schema["type"] == "object"
        assert tool.output_schema["properties"]


@pytest.mark.parametrize("write", [False, True])
def test_the_instructions_say_what_stored_values_are(emulator, mode, write):
    """The instructions say that values are data, whether one can write, and which namespaces are open."""

    async def act(client):
        return client.instructions

    text = Conversation(build(connect(emulator), allow_write=write, namespaces=["app"]), mode=mode).run(act)
    assert "not instructions" in text
    assert "namespaces are open: app." in text
    assert ("can only be read" in text) is not write


# --- reading ----------------------------------------------------------------------------------------------------------


def test_listing(emulator, reader):
    """Namespaces and keys are listed, keys by prefix and in pages with the number of all; each for one request."""
    emulator.load({"app": {"b2": 1, "a": 1, "b1": 1, "b3": 1}, "other": {"k": 1}})
    assert reader("datastore_list_namespaces").value == {"namespaces": ["app", "other"]}
    keys = reader("datastore_list_keys", namespace="app", prefix="b", limit=2, offset=1).value
    assert keys == {"namespace": "app", "keys": ["b2", "b3"], "total": 3, "offset": 1}
    assert reader("datastore_list_keys", namespace="none").value["total"] == 0
    assert len(sent(emulator)) == 3


@pytest.mark.parametrize(
    "value", [None, [], [None, 1], {}, "", "null", "[1]", 0, False, 1.5, 2**70, {"ä": [{"b": None}]}]
)
def test_values_arrive_whole(emulator, reader, value):
    """Null, lists and everything else come as they are stored, within an object, from tools and resource alike."""
    emulator.put("app", "k", value)
    entry = {"namespace": "app", "key": "k", "value": value}
    assert reader("datastore_get", namespace="app", key="k").value == entry
    assert json.loads(reader("datastore_get", namespace="app", key="k").text) == entry
    assert reader.read("dhis2kv://app/k") == ("application/json", entry)
    many = reader("datastore_get_many", namespace="app", keys=["k", "none"]).value
    assert many == {"namespace": "app", "values": {"k": value}, "absent": ["none"], "notes": {}}


def test_who_may_read_is_told_where_it_is_asked_for(emulator, reader):
    """With with_sharing: true, by names; no tool changes it, and the account's own store has none."""
    emulator.add_user("alice", "Alice_pw_1!")
    store = connect(emulator)
    store["app"]["k"] = 1
    store["app"].share("k", public="r", users={"alice": "rw"})
    entry = reader("datastore_get", namespace="app", key="k", with_sharing=True).value
    sharing = {"public": "r-", "users": {"alice": "rw"}, "groups": {}, "owner": "admin"}
    assert entry == {"namespace": "app", "key": "k", "value": 1, "sharing": sharing}
    assert "sharing" not in reader("datastore_get", namespace="app", key="k").value
    store.user["app"]["k"] = 1
    told = reader("datastore_get", namespace="app", key="k", user=True, with_sharing=True).text
    assert "nobody else reads it" in told


def test_what_is_absent(emulator, reader):
    """An absent entry is an error with a sentence that names it, not a null."""
    assert "there is no 'k' in namespace 'app'" in reader("datastore_get", namespace="app", key="k").text
    with pytest.raises(MCPError, match="there is no 'k' in namespace 'app'"):
        reader.read("dhis2kv://app/k")


def test_the_account_s_own_store(emulator, client):
    """With user: true every tool works in the account's own store, and leaves the shared one alone."""
    own = {"namespace": "app", "key": "k", "user": True}
    assert client("datastore_create", value=1, **own).value["created"]
    assert client("datastore_set", value=2, **own).value["old"] == 1
    assert client("datastore_get", **own).value["value"] == 2
    assert client("datastore_get_many", namespace="app", keys=["k"], user=True).value["values"] == {"k": 2}
    assert client("datastore_list_namespaces", user=True).value["namespaces"] == ["app"]
    assert client("datastore_list_keys", namespace="app", user=True).value["keys"] == ["k"]
    assert client("datastore_get_all", namespace="app", user=True).value["values"] == {"k": 2}
    assert client("datastore_set", namespace="app", key="o", value={"a": 1}, user=True).value["created"]
    assert client("datastore_patch", namespace="app", key="o", path="a", value=2, user=True).value["old"] == 1
    assert client("datastore_delete", confirm=True, **own).value["deleted"]
    targets = [target for _, target in sent(emulator)]
    asked = [target for target in targets if not target.startswith("/api/system/info")]  # which release it is
    assert len(asked) > 10
    assert all(target.startswith("/api/userDataStore/app") or target == "/api/userDataStore" for target in asked)


@pytest.mark.parametrize("name", ["C:x", "a b", "x.json", "ä?#", "keys"])
def test_unusual_names_are_names(emulator, client, name):
    """Keys that only look like paths or URLs are written, read by tool and by resource, and deleted."""
    from urllib.parse import quote

    assert client("datastore_set", namespace=name, key=name, value=1).value["created"]
    assert client("datastore_get", namespace=name, key=name).value["value"] == 1
    assert client.read(f"dhis2kv://{quote(name)}/{quote(name)}")[1]["value"] == 1
    assert client("datastore_delete", namespace=name, key=name, confirm=True).value["deleted"]


# --- large values -----------------------------------------------------------------------------------------------------


def test_large_values_are_cut_with_a_note(emulator, mode):
    """A value over the limit comes as the beginning of its JSON text, at most that long, and the note says so."""
    emulator.put("app", "k", "é" * 100)
    reader = Conversation(build(connect(emulator), max_bytes=52), mode=mode)
    entry = reader("datastore_get", namespace="app", key="k").value
    assert entry["value"] == '"' + "é" * 25  # 51 bytes: half a character is none
    assert "202 bytes" in entry["note"]
    assert reader.read("dhis2kv://app/k")[1] == entry


def test_many_values_share_the_room(emulator, mode):
    """The limit holds for all of an answer together: the last value is cut, the others are whole or left out."""
    emulator.load({"app": {"a": "x" * 10, "b": "x" * 10, "c": 1, "d": 1}})
    reader = Conversation(build(connect(emulator), max_bytes=30), mode=mode)
    many = reader("datastore_get_many", namespace="app", keys=["a", "b", "c", "d"]).value
    assert many["values"] == {"a": "x" * 10, "b": '"xxxxxxx'}
    assert sorted(many["notes"]) == ["b"]
    assert "no room for 2 of the keys" in many["note"]


def names_in(answer, member):
    return len(json.dumps(answer[member], ensure_ascii=False).encode())


def test_lists_of_names_share_the_room(emulator, mode):
    """Namespaces, keys and absent keys are bounded by the same limit, and a note says that there are more."""
    keys = [f"é{number:03}" for number in range(300)]
    emulator.load({"app": dict.fromkeys(keys, 1), **{f"n{number:03}": {"k": 1} for number in range(300)}})
    reader = Conversation(build(connect(emulator), max_bytes=500), mode=mode)
    listed = reader("datastore_list_namespaces").value
    assert 400 < names_in(listed, "namespaces") <= 500
    assert "of 301 namespaces" in listed["note"]
    page = reader("datastore_list_keys", namespace="app", limit=1000).value
    assert 400 < names_in(page, "keys") <= 500
    assert page["total"] == 300
    assert f"go on with offset {len(page['keys'])}" in page["note"]
    many = reader("datastore_get_many", namespace="app", keys=[f"none{number}" for number in range(300)]).value
    assert 400 < names_in(many, "absent") <= 500
    assert f"no room for {300 - len(many['absent'])} of the keys" in many["note"]


def test_a_cut_list_of_keys_can_be_read_to_its_end(emulator, mode):
    """Going on where the note says gives every key once, even where there is room for none."""
    emulator.load({"app": {"a": 1, "b": 1, "c": 1}})
    reader = Conversation(build(connect(emulator), max_bytes=1), mode=mode)
    pages = [reader("datastore_list_keys", namespace="app", offset=offset).value for offset in range(3)]
    assert [page["keys"] for page in pages] == [["a"], ["b"], ["c"]]
    assert ["note" in page for page in pages] == [True, True, False]


def test_a_page_of_keys_has_a_greatest_size(emulator, reader):
    """More than 1,000 keys at once are refused, unsent."""
    assert "at most 1000" in reader("datastore_list_keys", namespace="app", limit=1001).text
    assert sent(emulator) == []


@pytest.mark.parametrize("levels", [100, 101, 500])
def test_deep_values(emulator, reader, levels):
    """Values nested deeper than JSON parsers of clients go come as their JSON text, with a note."""
    value = nested(levels)
    emulator.put("app", "k", value)
    entry = reader("datastore_get", namespace="app", key="k").value
    if levels <= 100:
        assert (entry["value"], "note" in entry) == (value, False)
    else:
        assert json.loads(entry["value"]) == value
        assert "deeper than 100 levels" in entry["note"]


@pytest.mark.parametrize("text", ["1" * 5000, "1" + "0" * 400 + ".5", "[" * 2000 + "]" * 2000])
def test_values_that_no_client_could_hold(emulator, reader, text):
    """So do numbers that Python or the protocol cannot carry, and whatever is deeper than Python's stack."""
    emulator.load({"app": {"k": text}}, texts=True)
    entry = reader("datastore_get", namespace="app", key="k").value
    assert entry["value"] == text
    assert "this is its JSON text" in entry["note"]
    assert reader.read("dhis2kv://app/k")[1] == entry


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "null", "[1]", '{"a": 1}', "", [], {"a": None}, 1.0, True])
def test_values_are_stored_as_they_were_sent(emulator, client, value):
    """A text that happens to be JSON stays a text, and null is null, in the value as in what is expected."""
    assert client("datastore_create", namespace="app", key="k", value=value).value["new"] == value
    assert connect(emulator)["app"].copy() == {"k": value}
    assert client("datastore_set", namespace="app", key="k", value=[value], expected=value).value["old"] == value
    assert connect(emulator)["app"]["k"] == [value]


def test_create_never_overwrites(emulator, client):
    """Creating what is there is refused, and the entry stays."""
    emulator.put("app", "k", 1)
    refused = client("datastore_create", namespace="app", key="k", value=2)
    assert "there is already an entry app/k" in refused.text
    assert connect(emulator)["app"]["k"] == 1


def test_set_returns_old_and_new(emulator, client):
    """A write says what it replaced, and whether there was anything."""
    first = client("datastore_set", namespace="app", key="k", value=None).value
    assert first == {"namespace": "app", "key": "k", "created": True, "old": None, "new": None, "notes": {}}
    second = client("datastore_set", namespace="app", key="k", value={"a": 1}).value
    assert (second["created"], second["old"], second["new"]) == (False, None, {"a": 1})


@pytest.mark.parametrize(
    ("stored", "expected"), [({"k": 1}, None), ({"k": None}, 1), ({"k": True}, 1), ({"other": 1}, None)]
)
def test_set_compares_first(emulator, client, stored, expected):
    """With ``expected``, another value (true is not 1) or an absent entry is a refusal, and nothing is written."""
    emulator.load({"app": stored})
    refused = client("datastore_set", namespace="app", key="k", value=2, expected=expected)
    assert "nothing was written" in refused.text
    assert {method for method, _ in sent(emulator)} == {"GET"}
    assert connect(emulator)["app"].copy() == stored


def test_a_misspelled_argument_is_refused(emulator, client):
    """An argument that a tool does not know is an error: ignored, it would write without the comparison."""
    refused = client("datastore_set", namespace="app", key="k", value=2, expect=1)
    assert refused.refused
    assert refused.text == "Error executing tool datastore_set: there is no argument expect"
    assert sent(emulator) == []


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("datastore_get", {"namespace": "app"}, "key is missing"),
        ("datastore_set", {"namespace": "app", "key": "k"}, "value is missing"),
        ("datastore_delete", {}, "namespace is missing; key is missing"),
        ("datastore_get", {"namespace": "app", "key": 5}, "key should be a valid string"),
        ("datastore_get_many", {"namespace": "app", "keys": "k"}, "keys should be a valid list"),
        ("datastore_get_many", {"namespace": "app", "keys": ["k", 5]}, "keys.1 should be a valid string"),
    ],
)
def test_wrong_arguments_are_told_in_a_sentence(emulator, client, tool, arguments, sentence):
    """A missing or mistyped argument is named, without the validator's report, and nothing is sent."""
    refused = client(tool, **arguments)
    assert (refused.refused, refused.text) == (True, f"Error executing tool {tool}: {sentence}")
    assert sent(emulator) == []


@pytest.mark.parametrize("tool", ["datastore_create", "datastore_set"])
@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [('a"b', 1, "cannot be written"), ("k", ["\0"], "U+0000"), ("k", nested(101), "deeper than 100 levels")],
    ids=["key", "value", "depth"],
)
def test_what_cannot_be_written_is_refused_unsent(emulator, client, tool, key, value, sentence):
    """A key or value that no server would give back costs no request, where writing would read first, too."""
    refused = client(tool, namespace="app", key=key, value=value)
    assert refused.refused
    assert sentence in refused.text
    assert sent(emulator) == []


def test_deep_values_are_written(emulator, client):
    """A value of 100 levels is written and read as it is."""
    assert client("datastore_set", namespace="app", key="k", value=nested(100)).value["new"] == nested(100)
    assert connect(emulator)["app"]["k"] == nested(100)


# --- deleting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confirm", [None, False, True])
@pytest.mark.parametrize(("answer", "deleted"), [(YES, True), (UNTICKED, False), (NO, False), (CLOSED, False)])
def test_a_deletion_is_the_user_s_decision(emulator, client, answer, deleted, confirm):
    """Where the client can ask, the user is asked once, and their answer counts: ``confirm`` does not."""
    emulator.put("app", "k", 1)
    client.options["elicitation_callback"], asked = answering(answer)
    given = {} if confirm is None else {"confirm": confirm}
    outcome = client("datastore_delete", namespace="app", key="k", **given)
    assert ("k" in connect(emulator)["app"]) is not deleted
    assert outcome.refused is not deleted
    assert len(asked) == 1
    assert "'k' of namespace 'app' in the store shared by all accounts on http://dhis2.test" in asked[0]
    if not deleted:
        assert "nothing was deleted" in outcome.text


def test_a_client_that_cannot_ask_must_confirm(emulator, client):
    """Where the client cannot ask, nothing is deleted without ``confirm``, and no request is sent."""
    emulator.put("app", "k", 1)
    refused = client("datastore_delete", namespace="app", key="k")
    assert "was not confirmed" in refused.text
    assert sent(emulator) == []
    outcome = client("datastore_delete", namespace="app", key="k", confirm=True)
    assert outcome.value == {"namespace": "app", "key": "k", "deleted": True}
    assert "there is no 'k'" in client("datastore_delete", namespace="app", key="k", confirm=True).text


# --- names, and the namespaces that are open --------------------------------------------------------------------------


WHOLE = ["datastore_list_keys", "datastore_get_all"]  # tools for a whole namespace


def everywhere(namespace, key):
    """Arguments for every tool that takes names."""
    yield "datastore_get", {"namespace": namespace, "key": key}
    yield "datastore_get_many", {"namespace": namespace, "keys": ["fine", key]}
    yield "datastore_create", {"namespace": namespace, "key": key, "value": 1}
    yield "datastore_set", {"namespace": namespace, "key": key, "value": 1}
    yield "datastore_patch", {"namespace": namespace, "key": key, "path": "a", "value": 1}
    yield "datastore_delete", {"namespace": namespace, "key": key, "confirm": True}


@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_names_are_refused(emulator, client, name):
    """Names that servers take for another place are refused by every tool, as namespace and as key, unsent."""
    client.options["elicitation_callback"], asked = answering()
    calls = [*everywhere(name, "k"), *everywhere("app", name), *((tool, {"namespace": name}) for tool in WHOLE)]

    async def act(client):
        return [await call(client, tool, user=user, **arguments) for tool, arguments in calls for user in (False, True)]

    for outcome in client.run(act):
        assert outcome.refused
        assert "cannot be a " in outcome.text
    assert sent(emulator) == []
    assert asked == []


@pytest.mark.parametrize(
    "path", ["app/", "/k", "/", "app/..", "../k", "app/%2E%2E", "app/..%2F..%2Fusers%2Fabc", "app/a/b"]
)
def test_dangerous_resources_are_refused(emulator, reader, path):
    """A resource's address with such names is refused, unsent, in whatever spelling."""
    with pytest.raises(MCPError, match=r"cannot be a (key|namespace)|Unknown resource"):
        reader.read(f"dhis2kv://{path}")
    assert sent(emulator) == []


def test_only_the_open_namespaces(emulator, mode):
    """Other namespaces are refused by every tool and by the resource, unsent, in both stores; no listing shows them."""
    emulator.load({"app": {"k": 1}, "app2": {"k": 1}, "other": {"k": 1}})
    server = build(connect(emulator), allow_write=True, namespaces=["app", "app2"])
    elicit, asked = answering()
    client = Conversation(server, mode=mode, elicitation_callback=elicit)
    assert client("datastore_list_namespaces").value == {"namespaces": ["app", "app2"]}
    assert client("datastore_get", namespace="app2", key="k").value["value"] == 1
    assert client.read("dhis2kv://app/k")[1]["value"] == 1
    emulator.log.clear()
    for tool, arguments in [*everywhere("other", "k"), *((tool, {"namespace": "other"}) for tool in WHOLE)]:
        for user in (False, True):
            refused = client(tool, user=user, **arguments)
            assert "'other' is none of the namespaces of this server: app, app2" in refused.text
    for uri in ("dhis2kv://other/k", "dhis2kv://%6Fther/k"):
        with pytest.raises(MCPError, match="none of the namespaces"):
            client.read(uri)
    assert sent(emulator) == []
    assert asked == []


def test_no_open_namespaces_are_none(emulator):
    """An empty list of open namespaces opens nothing; it does not mean all."""
    emulator.put("app", "k", 1)
    reader = Conversation(build(connect(emulator), namespaces=[]))
    assert reader("datastore_list_namespaces").value == {"namespaces": []}
    assert reader("datastore_get", namespace="app", key="k").refused


def test_settings_that_cannot_be_meant(emulator):
    """A name that no server can hold, and a limit below one byte, are refused before anything is served."""
    with pytest.raises(ValueError, match="cannot be a namespace"):
        build(connect(emulator), namespaces=[""])
    with pytest.raises(ValueError, match="at least 1"):
        build(connect(emulator), max_bytes=0)


# --- errors and secrets -----------------------------------------------------------------------------------------------


def test_errors_are_sentences(emulator, client, caplog):
    """A server in trouble, a refused write and impossible values come as sentences, and no traceback is logged."""
    caplog.set_level(logging.INFO)
    assert "U+0000" in client("datastore_set", namespace="app", key="k", value="\0").text
    assert "limit is at least 1" in client("datastore_list_keys", namespace="app", limit=0).text
    emulator.down = True
    assert client("datastore_get", namespace="app", key="k").refused
    assert not [record for record in caplog.records if record.exc_info]


def test_a_store_that_is_read_only_stays_so(emulator):
    """A store opened read-only refuses writes under a server that offers them."""
    client = Conversation(build(connect(emulator, read_only=True), allow_write=True))
    assert "read_only" in client("datastore_create", namespace="app", key="k", value=1).text
    assert sent(emulator) == []


def test_no_secret_reaches_the_client_or_the_log(emulator, mode, caplog):
    """Password and token are in nothing that a client sees, nor in the log, when all goes wrong."""
    caplog.set_level(logging.DEBUG)
    emulator.add_user("alice", "Secret_pw_1!")
    heard = []
    for auth in (("alice", "Secret_pw_1!"), ("alice", "Wrong_secret_pw_1!")):
        client = Conversation(build(connect(emulator, auth), allow_write=True), mode=mode)
        for tool, arguments in everywhere("app", "k"):
            heard.append(repr(client(tool, **arguments)))
        heard += [repr(tool) for tool in tools_of(client).values()]
    assert any("does not accept these credentials" in text for text in heard)
    for text in (*heard, caplog.text):
        assert "ecret_pw" not in text


# --- over stdio -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def over_stdio(url, errlog, *arguments, **options):
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-W", "error", "-c", SERVE, *arguments],
        env={"DHIS2_URL": url, "DHIS2_USERNAME": "admin", "DHIS2_PASSWORD": "district"},
    )
    async with Client(stdio_client(parameters, errlog=errlog), **options) as client:
        yield client


def test_a_process_served_over_stdio(emulator, mode, tmp_path):
    """Every tool and the resource work in a process of their own, against a served DHIS2; nothing is on stderr."""
    elicit, asked = answering(YES)

    async def act(url, errlog):
        async with over_stdio(url, errlog, "write", "app", mode=mode, elicitation_callback=elicit) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == READING + WRITING
            assert (await call(client, "datastore_create", namespace="app", key="k", value=None)).value["created"]
            assert (await call(client, "datastore_set", namespace="app", key="k", value=[1])).value["old"] is None
            assert (await call(client, "datastore_get", namespace="app", key="k")).value["value"] == [1]
            many = await call(client, "datastore_get_many", namespace="app", keys=["k", "x"])
            assert (many.value["values"], many.value["absent"]) == ({"k": [1]}, ["x"])
            assert (await call(client, "datastore_get_all", namespace="app")).value["values"] == {"k": [1]}
            assert (await call(client, "datastore_patch", namespace="app", key="k", path="0", value=2)).value[
                "old"
            ] == 1
            assert (await call(client, "datastore_set", namespace="app", key="k", value=[1])).value["old"] == [2]
            assert (await call(client, "datastore_list_keys", namespace="app")).value["keys"] == ["k"]
            assert (await call(client, "datastore_list_namespaces")).value["namespaces"] == ["app"]
            resource = (await client.read_resource("dhis2kv://app/k")).contents[0]
            assert json.loads(resource.text)["value"] == [1]
            before = emulator.requests
            for tool, arguments in [*everywhere("../x", "k"), *everywhere("other", "k")]:
                assert (await call(client, tool, **arguments)).refused
            assert emulator.requests == before
            assert (await call(client, "datastore_delete", namespace="app", key="k")).value["deleted"]

    with emulator.serve() as served, open(tmp_path / "log", "w+") as errlog:
        asyncio.run(act(served.url, errlog))
        errlog.seek(0)
        assert errlog.read() == ""
    assert len(asked) == 1


def test_nothing_but_the_protocol_is_on_stdout(emulator):
    """Every line that such a process prints is a message of the protocol, and it ends with its input.

    This client can open addresses for its user but cannot ask questions, so that a deletion needs ``confirm``.
    """
    messages = [
        {"method": "initialize", "id": 1, "params": {
            "protocolVersion": "2025-11-25", "capabilities": {"elicitation": {"url": {}}},
            "clientInfo": {"name": "test", "version": "1"}}},
        {"method": "notifications/initialized"},
        {"method": "tools/call", "id": 2, "params": {"name": "datastore_list_namespaces", "arguments": {}}},
        {"method": "tools/call", "id": 3, "params": {
            "name": "datastore_delete", "arguments": {"namespace": "app", "key": "k"}}},
    ]  # fmt: skip
    with emulator.serve() as served:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SERVE, "write"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"DHIS2_URL": served.url, "DHIS2_USERNAME": "admin", "DHIS2_PASSWORD": "district"},
        )  # fmt: skip
        with process:
            answers = []
            for message in messages:
                process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
                process.stdin.flush()
                if "id" in message:
                    answers.append(json.loads(process.stdout.readline()))
            rest, log = process.communicate()
    assert [(answer["jsonrpc"], answer["id"]) for answer in answers] == [("2.0", 1), ("2.0", 2), ("2.0", 3)]
    assert "was not confirmed" in answers[2]["result"]["content"][0]["text"]
    assert (rest, log, process.returncode) == ("", "", 0)
