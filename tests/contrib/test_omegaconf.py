"""OmegaConf."""

import pytest

from tests.conftest import sent

omegaconf = pytest.importorskip("omegaconf")


def test_create_from_a_copy(emulator, store, load):
    """A copy becomes a configuration, one request; the namespace itself is refused."""
    load(db={"host": "h", "url": "http://${db.host}/"})
    config = omegaconf.OmegaConf.create(store["app"].copy())
    assert config.db.url == "http://h/"
    assert len(sent(emulator)) == 1
    with pytest.raises(omegaconf.errors.ValidationError, match="Object of unsupported type: 'Namespace'"):
        omegaconf.OmegaConf.create(store["app"])


@pytest.fixture
def resolver(store):
    """A resolver that looks up in the namespace, remembered per configuration."""
    omegaconf.OmegaConf.register_resolver("dhis2", lambda key: store["app"][key], use_cache=True)
    yield
    omegaconf.OmegaConf.clear_resolver("dhis2")


def test_a_resolver_asks_for_what_is_looked_at(emulator, load, resolver):
    """An interpolation costs one request when it is looked at first, and none after that with ``use_cache``; a key
    that is absent is an error that says so."""
    load(theme="dark", port=80)
    config = omegaconf.OmegaConf.create({"theme": "${dhis2:theme}", "port": "${dhis2:port}", "no": "${dhis2:absent}"})
    assert sent(emulator) == []
    assert [config.theme, config.theme] == ["dark", "dark"]
    assert sent(emulator) == [("GET", "/api/dataStore/app/theme")]
    assert config.port == 80
    with pytest.raises(omegaconf.errors.InterpolationResolutionError, match="there is no 'absent' in namespace 'app'"):
        config.no  # noqa: B018 - the look is what raises
