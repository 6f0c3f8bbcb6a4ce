"""everett."""

import pytest

from tests.conftest import sent
from tests.contrib.conftest import HOSTILE

manager = pytest.importorskip("everett.manager")


def test_a_dict_environment(emulator, store, load):
    """``ConfigDictEnv`` takes the namespace, one request; names are without regard to case, and parsers get texts."""
    load(theme="dark", db_port="5432")
    config = manager.ConfigManager([manager.ConfigDictEnv(store["app"])])
    assert config("theme") == "dark"
    assert config.with_namespace("db")("port", parser=int) == 5432
    assert config("absent", default="d") == "d"
    assert len(sent(emulator)) == 1


def test_the_namespace_as_environment_is_a_trap(store, load):
    """A namespace given as an environment itself is asked with everett's own idea of ``get``: a setting that is
    absent then has everett's list of prefixes for its value, and nothing is said."""
    load(theme="dark")
    assert manager.ConfigManager([store["app"]])("absent", raise_error=False) == "[]"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_stored_text_is_that_text(store, load, text):
    """everett puts nothing into a text, nor looks for one of its names elsewhere; what the program's parser does not
    take is refused."""
    load(a=text)
    config = manager.ConfigManager([manager.ConfigDictEnv(store["app"])])
    assert config("a") == text
    with pytest.raises(manager.InvalidValueError):
        config("a", parser=int)
