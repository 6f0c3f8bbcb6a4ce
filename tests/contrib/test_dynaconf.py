"""The loader for dynaconf."""

import pytest

from dhis2kv import Unreachable, contrib
from dhis2kv.config import Config
from tests.conftest import connect, sent

dynaconf = pytest.importorskip("dynaconf")


def settings(source, **more):
    return dynaconf.Dynaconf(loaders=["dhis2kv.contrib.dynaconf"], DHIS2KV_FOR_DYNACONF=source, **more)


@pytest.fixture
def from_env(emulator, monkeypatch):
    """The environment describes a served emulator."""
    contrib._store.cache_clear()
    with emulator.serve() as server:
        monkeypatch.setenv("DHIS2_URL", server.url)
        monkeypatch.setenv("DHIS2_USERNAME", "admin")
        monkeypatch.setenv("DHIS2_PASSWORD", "district")
        yield
        contrib._store().close()
    contrib._store.cache_clear()


def test_a_namespace_by_its_name(emulator, load, from_env):
    """The name of a namespace is looked up in the store that the environment describes; loading costs one request,
    looking none, and ``reload`` brings what changed."""
    load(theme="dark", db={"host": "h"})
    found = settings("app")
    assert (found.THEME, found.theme, found.db.host) == ("dark", "dark", "h")
    assert len(sent(emulator)) == 1
    load(theme="light")
    assert found.theme == "dark"
    found.reload()
    assert found.theme == "light"
    assert len(sent(emulator)) == 1
    load(theme="new")
    assert found.get_fresh("theme") == "new"


def test_a_namespace_itself(emulator, store, load):
    """A namespace will do, for one request more: dynaconf asks whether it is empty."""
    load(theme="dark")
    assert settings(store["app"]).theme == "dark"
    assert len(sent(emulator)) == 2


def test_any_mapping_will_do(emulator, store, load):
    """So will any other mapping, such as a Config."""
    assert settings({"theme": "dark"}).theme == "dark"
    load(theme="dark")
    assert settings(Config(store["app"])).theme == "dark"
    assert len(sent(emulator)) == 1


def test_values_have_the_servers_types(store, load):
    """Values are JSON's and not parsed from text again, and they come after the defaults."""
    load(number="42", switch=False, nothing=None, hosts=["h"])
    found = settings(store["app"], NUMBER=1, SWITCH=True, OTHER="stays")
    assert (found.number, found.switch, found.nothing, found.hosts) == ("42", False, None, ["h"])
    assert found.other == "stays"


def test_an_outage_is_raised(emulator):
    """An outage never looks like absent settings, although dynaconf is silent by default."""
    emulator.down = True
    with pytest.raises(Unreachable):
        settings(Config(connect(emulator, retries=0)["app"])).get("theme")


def test_the_setting_must_be_there():
    """Without the setting the error says what to set."""
    with pytest.raises(ValueError, match="set DHIS2KV_FOR_DYNACONF to the name of a namespace"):
        dynaconf.Dynaconf(loaders=["dhis2kv.contrib.dynaconf"]).get("theme")
