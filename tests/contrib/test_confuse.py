"""confuse."""

import pytest

from tests.conftest import sent
from tests.contrib.conftest import HOSTILE

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


@pytest.mark.parametrize("text", HOSTILE)
def test_a_stored_text_is_that_text(store, load, text):
    """confuse puts nothing into a text, as a value, in an object or in a list, and runs nothing that it names."""
    load(a=text, b={"c": [text], text: 1}, __class__=1)
    config = confuse.Configuration("dhis2kv-test", read=False)
    config.set(store["app"].copy())
    assert (config["a"].get(str), config["b"].get()) == (text, {"c": [text], text: 1})
    assert config["b"]["c"].as_str_seq() == [text]
    assert config.flatten()["a"] == text
