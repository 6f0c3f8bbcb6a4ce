"""The source for pydantic-settings."""

import logging
import os

import pytest

from dhis2kv import Forbidden, Unreachable
from dhis2kv.config import Config
from tests.conftest import connect, sent
from tests.contrib.conftest import HOSTILE

pydantic = pytest.importorskip("pydantic")
pydantic_settings = pytest.importorskip("pydantic_settings")

from dhis2kv.contrib.pydantic_settings import MappingSettingsSource  # noqa: E402 - it needs the framework


@pytest.fixture
def store(emulator):
    return connect(emulator, retries=0)


def model(source, fields=None, config=None, **options):
    """A model with a theme and a database whose settings come from its arguments, the environment and a source."""

    class Settings(pydantic_settings.BaseSettings):
        model_config = pydantic_settings.SettingsConfigDict(env_nested_delimiter="__", **(config or {}))

        @classmethod
        def settings_customise_sources(cls, settings_cls, init_settings, env_settings, **_):
            return init_settings, env_settings, MappingSettingsSource(settings_cls, source, **options)

    fields = fields or {"dhis2kv_theme": (str, "light"), "dhis2kv_db": (dict, {})}
    return pydantic.create_model("Settings", __base__=Settings, **fields)


def test_the_fields_are_read_with_one_request(emulator, store, load):
    """An instance costs one bulk read, of the entries that are named like the fields; others are neither read nor in
    the way, and absent ones have their defaults."""
    load(dhis2kv_theme="dark", other="x", secret="y")
    assert model(store["app"])().model_dump() == {"dhis2kv_theme": "dark", "dhis2kv_db": {}}
    [(method, target)] = sent(emulator)
    assert method == "GET"
    assert "dhis2kv_theme" in target
    assert "dhis2kv_db" in target


def test_sources_before_it_count_more(store, load, monkeypatch):
    """Arguments come first, then the environment, then the namespace; nested values merge."""
    load(dhis2kv_theme="dark", dhis2kv_db={"host": "h", "port": 1})
    monkeypatch.setenv("DHIS2KV_DB__PORT", "2")
    assert model(store["app"])(dhis2kv_theme="mine").model_dump() == {
        "dhis2kv_theme": "mine",
        "dhis2kv_db": {"host": "h", "port": 2},
    }


@pytest.mark.parametrize(
    ("alias", "entries"),
    [
        ("other", {"other": "yes"}),
        (pydantic.AliasChoices("one", "two"), {"two": "yes"}),
        (pydantic.AliasPath("deep", "er"), {"deep": {"er": "yes"}}),
        (pydantic.AliasChoices("one", pydantic.AliasPath("deep", 1)), {"deep": ["no", "yes"]}),
    ],
    ids=["alias", "choices", "path", "choices with a path"],
)
def test_aliases_are_the_names(store, load, alias, entries):
    """A field that has aliases is read under those, and not under its own name."""
    load(**entries, field="by name")
    settings = model(store["app"], {"field": (str, pydantic.Field("no", validation_alias=alias))})
    assert settings().field == "yes"
    for key in entries:
        del store["app"][key]
    assert settings().field == "no"


@pytest.mark.parametrize("option", ["validate_by_name", "populate_by_name"])
def test_names_count_beside_aliases_where_the_model_says_so(store, load, option):
    """A model that takes its fields by name, too, is given them by name; an alias counts more."""
    load(field="by name")
    fields = {"field": (str, pydantic.Field("no", validation_alias="other"))}
    settings = model(store["app"], fields, {option: True})
    assert settings().field == "by name"
    load(other="by alias")
    assert settings().field == "by alias"


def test_one_key_holds_it_all(emulator, store, load):
    """With ``key`` the settings are the members of one entry, of which those that are no fields are left out."""
    load(cfg={"dhis2kv_theme": "dark", "more": 1})
    settings = model(store["app"], key="cfg")
    assert settings().dhis2kv_theme == "dark"
    assert sent(emulator) == [("GET", "/api/dataStore/app/cfg")]
    assert model(store["app"], key="absent")().dhis2kv_theme == "light"
    load(cfg=[1])
    with pytest.raises(ValueError, match="'cfg' holds list, not an object with the settings in it"):
        settings()


@pytest.mark.parametrize("key", [None, "cfg"])
def test_an_outage_fails_or_falls_through(emulator, store, caplog, key):
    """When the server is away it is an error, or by choice a warning, and the other sources count; a refusal is an
    error in any case."""
    emulator.down = True
    with pytest.raises(Unreachable):
        model(store["app"], key=key)()
    lenient = model(store["app"], key=key, required=False)
    assert lenient().dhis2kv_theme == "light"
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith("Settings goes without its settings from the server: no connection to")
    emulator.down = False
    emulator.fail("status", status=403)
    with pytest.raises(Forbidden):
        lenient()


def test_values_are_checked_by_the_model(store, load):
    """What is stored is validated as any setting: a wrong type is pydantic's error, with the field's name."""
    load(dhis2kv_db="no object")
    with pytest.raises(pydantic.ValidationError, match="dhis2kv_db"):
        model(store["app"])()


def test_any_mapping_will_do():
    """The source takes a dict as well as a namespace, and a Config."""
    assert model({"dhis2kv_theme": "dark", "more": 1})().dhis2kv_theme == "dark"
    assert model(Config({"cfg": {"dhis2kv_theme": "dark"}}), key="cfg")().dhis2kv_theme == "dark"


def test_a_config_is_read_as_a_model():
    """``Config.as_`` gives an instance of a pydantic model, and pydantic's error where it does not fit."""

    class Database(pydantic.BaseModel):
        host: str
        port: int = 5432

    config = Config({"db": {"host": "h", "port": "1"}})
    assert config.as_(Database, "db") == Database(host="h", port=1)
    with pytest.raises(pydantic.ValidationError, match="host"):
        config.as_(Database)


@pytest.mark.parametrize("text", [*HOSTILE, '["json"]'])
def test_a_stored_text_is_that_text(store, load, text):
    """pydantic-settings puts nothing into a text and parses none; no other entry sets anything, whatever its name."""
    names = ["_env_file", "model_config", "__init__", "settings_customise_sources", "_cli_parse_args", "__class__"]
    load(dhis2kv_theme=text, dhis2kv_db={"a": [text]}, **dict.fromkeys(names, text))
    settings = model(store["app"], config={"extra": "allow"})
    assert settings().model_dump() == {"dhis2kv_theme": text, "dhis2kv_db": {"a": [text]}}
    load(dhis2kv_db=text)
    with pytest.raises(pydantic.ValidationError, match="dhis2kv_db"):
        settings()


def test_a_field_that_imports_is_a_trap(store, load):
    """A model whose field is an ``ImportString`` imports what a stored text names."""
    load(hook="os.system")
    assert model(store["app"], {"hook": (pydantic.ImportString, None)})().hook is os.system
