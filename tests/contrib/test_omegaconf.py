"""OmegaConf."""

import copy
import pickle

import hypothesis
import hypothesis.strategies
import pytest

from dhis2kv.contrib.omegaconf import escaped
from tests.conftest import sent
from tests.contrib.conftest import HOSTILE

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


# --- hostile values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [*HOSTILE, "\\${oc.env:HOME}", "${oc.decode:'[1]'}", "${", "${a", "x ${oc.env:HOME}\\"]
)
def test_an_escaped_text_is_that_text(store, load, monkeypatch, text):
    """``escaped`` gives each stored text back as it is: as a value, within others, by way of the program's own
    interpolations, merged, copied, and as a container."""
    monkeypatch.setenv("HOME", "secret")
    stored = {"a": text, "b": {"c": [text, {"d": text}]}}
    load(**stored)
    config = omegaconf.OmegaConf.merge(
        omegaconf.OmegaConf.create(escaped(store["app"].copy())),
        {"mine": "${a}", "same": "${b}", "home": "${oc.env:HOME}"},
    )
    for look in (config, copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert [look.a, look.b.c[0], look.b.c[1].d, look.mine, look.same.c[0]] == [text] * 5
        assert look.home == "secret"
    assert omegaconf.OmegaConf.to_container(config, resolve=True) | stored == {
        "mine": text, "same": stored["b"], "home": "secret", **stored
    }  # fmt: skip


@hypothesis.settings(max_examples=50)
@hypothesis.given(
    hypothesis.strategies.recursive(
        hypothesis.strategies.text(alphabet="\\${}a:'\"[], \n?").filter(lambda text: text != "???")
        | hypothesis.strategies.sampled_from([None, True, 1, 1.5]),
        lambda inner: (
            hypothesis.strategies.lists(inner)
            | hypothesis.strategies.dictionaries(hypothesis.strategies.text(alphabet="${}a.\\"), inner)
        ),
    )
)
def test_escaped_gives_back_any_value(value):
    """Whatever was stored, OmegaConf gives it back the same."""
    config = omegaconf.OmegaConf.create(escaped({"a": value}))
    assert omegaconf.OmegaConf.to_container(config, resolve=True) == {"a": value}


def test_what_undoes_it_is_a_trap(store, load, monkeypatch):
    """Without ``escaped``, and after ``OmegaConf.resolve``, a stored text shows the environment."""
    monkeypatch.setenv("HOME", "secret")
    load(a="${oc.env:HOME}")
    assert omegaconf.OmegaConf.create(store["app"].copy()).a == "secret"
    config = omegaconf.OmegaConf.create(escaped(store["app"].copy()))
    assert config.a == "${oc.env:HOME}"
    omegaconf.OmegaConf.resolve(config)
    assert config.a == "secret"


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_resolver_gives_is_not_interpolated(load, resolver, text):
    """What the resolver looks up is taken as it is, a text as well as what is in an object."""
    load(a=text, b={"c": [text]})
    config = omegaconf.OmegaConf.create({"a": "${dhis2:a}", "b": "${dhis2:b}", "in": "<${dhis2:a}>"})
    assert (config.a, config.b["c"][0], config["in"]) == (text, text, f"<{text}>")
