"""What the MCP tools do, without any protocol."""

import subprocess
import sys

import pytest

from dhis2kv import Changed, InvalidKey, KeyExists, KeyNotFound
from dhis2kv.mcp.tools import Refused, Tools
from tests.conftest import OLD_MIDDLE_NEW, connect, sent


@pytest.fixture(params=OLD_MIDDLE_NEW)
def version(request):
    return request.param


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
    """One request to list, read, create and delete; one more to set, which reads the old value first."""
    tools.datastore_list_namespaces()
    tools.datastore_list_keys("app")
    tools.datastore_create("app", "k", 1)
    tools.datastore_get("app", "k")
    tools.datastore_delete("app", "k", confirm=True)
    assert [method for method, _ in sent(emulator)] == ["GET", "GET", "POST", "GET", "DELETE"]
    emulator.put("app", "k", 1)
    tools.datastore_set("app", "k", 2)
    assert [method for method, _ in sent(emulator)] == ["GET", "PUT"]
