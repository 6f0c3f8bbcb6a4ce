"""The published schemas, as a client reads them, and the forms in which clients then send their arguments."""

import json

import pytest

pytest.importorskip("mcp", reason="the MCP server needs the extra 'mcp'")

import jsonschema

from tests.conftest import connect
from tests.mcp.client import tools_of

JSON_VALUES = [{}, {"a": [1]}, [], [{"a": None}], "", "text", 0, 1.5, -(2**70), True, False, None]
STRUCTURED = {"object", "array", "string", "number", "boolean", "null"}


@pytest.fixture
def schemas(client):
    return {name: tool.input_schema for name, tool in tools_of(client).items()}


def test_every_schema_is_one(client):
    """Arguments and results are described by valid schemas, each of an object, without references, which many clients
    do not follow."""
    for tool in tools_of(client).values():
        for schema in (tool.input_schema, tool.output_schema):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert "$ref" not in json.dumps(schema)


def test_every_parameter_says_what_it_is(schemas):
    """Each parameter of each tool has a type, or the types that it may have, and a sentence about it."""
    for schema in schemas.values():
        for parameter in schema["properties"].values():
            assert ("type" in parameter) is not ("anyOf" in parameter)
            assert len(parameter["description"].split()) > 3


@pytest.mark.parametrize(
    ("tool", "parameter"),
    [
        ("datastore_create", "value"),
        ("datastore_set", "value"),
        ("datastore_set", "expected"),
        ("datastore_patch", "value"),
    ],
)
def test_a_value_is_of_any_type_and_all_are_named(schemas, tool, parameter):
    """What may be any JSON is published as the six types: without a type, clients take it for a text."""
    schema = schemas[tool]["properties"][parameter]
    assert {choice["type"] for choice in schema["anyOf"]} == STRUCTURED
    assert len(schema["anyOf"]) == 6
    for value in JSON_VALUES:
        jsonschema.validate(value, schema)
    assert "default" not in schema


def test_what_a_client_must_give(schemas):
    """Only what has no default is required."""
    assert {name: schema.get("required", []) for name, schema in schemas.items()} == {
        "datastore_list_namespaces": [],
        "datastore_list_keys": ["namespace"],
        "datastore_get": ["namespace", "key"],
        "datastore_get_many": ["namespace", "keys"],
        "datastore_get_all": ["namespace"],
        "datastore_find": ["namespace", "conditions"],
        "datastore_create": ["namespace", "key", "value"],
        "datastore_set": ["namespace", "key", "value"],
        "datastore_patch": ["namespace", "key", "path", "value"],
        "datastore_delete": ["namespace", "key"],
    }


def typed(schema, value):
    """A value as a careful client sends it: of the first type of the schema that it fits."""
    jsonschema.validate(value, schema)
    return value


def stringified(schema, value):
    """A value as a client sends it that writes everything as text."""
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("value", JSON_VALUES)
def test_a_client_that_keeps_to_the_types(emulator, client, schemas, value):
    """Whatever the type, the value that such a client sends is the value that is stored, and nothing is noted."""
    for tool, more in (("datastore_create", {}), ("datastore_set", {"expected": value})):
        arguments = {"namespace": "app", "key": "k", "value": value, "user": False, **more}
        given = {name: typed(schemas[tool]["properties"][name], item) for name, item in arguments.items()}
        jsonschema.validate(given, schemas[tool])
        written = client(tool, **given).value
        assert (written["new"], written["notes"]) == (value, {})
        assert connect(emulator)["app"]["k"] == value


def test_a_client_that_sends_texts(emulator, client, schemas):
    """Such a client can list and read, for only values are taken as they are; it hears that a text is stored, and that
    a comparison was made with a text."""
    emulator.load({"app": {"k": {"a": 1}, "l": 1}})

    def send(tool, **arguments):
        properties = schemas[tool]["properties"]
        return client(tool, **{name: stringified(properties[name], value) for name, value in arguments.items()})

    assert send("datastore_list_keys", namespace="app", limit=1, offset=1, user=False).value["keys"] == ["l"]
    assert send("datastore_get_many", namespace="app", keys=["k", "l"]).value["values"] == {"k": {"a": 1}, "l": 1}
    assert send("datastore_get_all", namespace="app", offset=1).value["values"] == {"l": 1}
    refused = send("datastore_set", namespace="app", key="k", value={"a": 2}, expected={"a": 1})
    assert "give the value itself, not its JSON text" in refused.text
    written = send("datastore_set", namespace="app", key="k", value={"a": 2}).value
    assert (written["old"], written["new"]) == ({"a": 1}, '{"a": 2}')
    assert "it parses as an object. If an object was meant" in written["notes"]["new"]
    assert "parses as a list" in send("datastore_create", namespace="app", key="n", value=[1]).value["notes"]["new"]
    assert client("datastore_set", namespace="app", key="k", value={"a": 2}).value["notes"] == {}
    patched = send("datastore_patch", namespace="app", key="k", path="a", value=[3]).value
    assert "parses as a list" in patched["notes"]["new"]
    assert send("datastore_delete", namespace="app", key="k", confirm=True).value["deleted"]
    assert connect(emulator)["app"].copy() == {"l": 1, "n": "[1]"}


def test_results_keep_to_their_schemas(emulator, client):
    """What each tool answers is what it has published, whatever the type of the value."""
    schemas = {name: tool.output_schema for name, tool in tools_of(client).items()}
    emulator.load({"app": {str(number): value for number, value in enumerate(JSON_VALUES)}})
    calls = [
        ("datastore_list_namespaces", {}),
        ("datastore_list_keys", {"namespace": "app"}),
        ("datastore_get_all", {"namespace": "app"}),
        ("datastore_get_many", {"namespace": "app", "keys": ["0", "none"]}),
        ("datastore_find", {"namespace": "app", "conditions": [".:!null"]}),
        ("datastore_find", {"namespace": "app", "conditions": [], "fields": ["a"], "limit": 1}),
        ("datastore_get", {"namespace": "app", "key": "1"}),
        ("datastore_patch", {"namespace": "app", "key": "1", "path": "a", "value": None}),
        *(("datastore_create", {"namespace": "new", "key": str(n), "value": v}) for n, v in enumerate(JSON_VALUES)),
        *(("datastore_set", {"namespace": "app", "key": str(n), "value": v}) for n, v in enumerate(JSON_VALUES)),
        ("datastore_delete", {"namespace": "app", "key": "0", "confirm": True}),
    ]
    assert {tool for tool, _ in calls} == schemas.keys()
    for tool, arguments in calls:
        jsonschema.validate(client(tool, **arguments).value, schemas[tool])
