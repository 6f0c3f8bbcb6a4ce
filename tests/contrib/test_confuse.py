"""confuse."""

import pytest

from tests.conftest import sent

confuse = pytest.importorskip("confuse")


def test_a_copy_is_a_source(emulator, store, load):
    """``set`` puts a copy above all other sources, ``add`` below them, one request each; nested values merge."""
    load(port=8080, db={"host": "h"})
    config = confuse.Configuration("dhis2kv-test", read=False)
    config.set({"port": 80, "db": {"user": "u"}})
    config.add(store["app"].copy())
    assert config["port"].get(int) == 80
    assert config["db"].get({"host": str, "user": str}) == {"host": "h", "user": "u"}
    config.set(store["app"].copy())
    assert config["port"].get(int) == 8080
    assert len(sent(emulator)) == 2


def test_the_namespace_itself_is_refused(store):
    """confuse takes dicts alone and says so."""
    with pytest.raises(TypeError, match="source value must be a dict"):
        confuse.Configuration("dhis2kv-test", read=False).add(store["app"])
