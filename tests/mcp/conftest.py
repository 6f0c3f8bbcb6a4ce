"""What the tests of the MCP server share: a server, and the SDK's client in both of its protocols."""

import pytest

from dhis2kv.emulator import Emulator
from tests.conftest import connect


@pytest.fixture
def emulator():
    return Emulator()


@pytest.fixture(params=["auto", "legacy"])
def mode(request):
    """The current protocol, and the handshake of the ones before."""
    return request.param


@pytest.fixture
def client(emulator, mode):
    """A client of a server that may write."""
    return conversation(connect(emulator), mode=mode, allow_write=True)


@pytest.fixture
def reader(emulator, mode):
    """A client of a server that may only read."""
    return conversation(connect(emulator), mode=mode)


def conversation(store, *, mode, **options):
    pytest.importorskip("mcp", reason="the MCP server needs the extra 'mcp'")
    from dhis2kv.mcp import build
    from tests.mcp.client import Conversation

    return Conversation(build(store, **options), mode=mode)
