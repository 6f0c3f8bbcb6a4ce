"""The backend for django-constance."""

import asyncio
import base64
import datetime
import importlib
import pickle
import sys
import uuid
from decimal import Decimal

import pytest

from tests.conftest import connect, sent

pytest.importorskip("constance")
conf = pytest.importorskip("django.conf")
functional = pytest.importorskip("django.utils.functional")

VALUES = {
    "TEXT": "dark",
    "NUMBER": 42,
    "FLAG": False,
    "LIST": [1, {"a": None}],
    "DECIMAL": Decimal("2.250"),
    "DATE": datetime.date(2026, 1, 2),
    "TIME": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    "WHILE": datetime.timedelta(days=1, seconds=2),
    "UUID": uuid.UUID(int=7),
    "NESTED": {"since": datetime.date(2026, 1, 2)},
}


def constance_on(entries, defaults):
    """django-constance, as a process has it whose Django settings name these entries."""
    for name in [name for name in sys.modules if name.split(".")[0] == "constance"]:
        del sys.modules[name]
    sys.modules.pop("dhis2kv.contrib.constance", None)
    conf.settings._wrapped = functional.empty
    conf.settings.configure(
        CONSTANCE_BACKEND="dhis2kv.contrib.constance.MappingBackend",
        CONSTANCE_DHIS2KV=entries,
        CONSTANCE_CONFIG={name: (value, "what it is for") for name, value in defaults.items()},
    )
    return importlib.import_module("constance")


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_the_same(store, name):
    """Values of all types that django-constance knows are kept."""
    config = constance_on(store["constance"], dict.fromkeys(VALUES, "default")).config
    setattr(config, name, VALUES[name])
    assert getattr(config, name) == VALUES[name]
    assert type(getattr(config, name)) is type(VALUES[name])


def test_plain_values_are_plain_json(store):
    """What JSON can say is stored as it is, so that others can read and set it; the rest in constance's own form."""
    config = constance_on(store["constance"], VALUES).config
    config.NUMBER, config.DECIMAL = 43, Decimal("1.5")
    assert store["constance"].copy() == {"NUMBER": 43, "DECIMAL": {"__type__": "decimal", "__value__": "1.5"}}
    store["constance"]["TEXT"] = "light"
    assert config.TEXT == "light"


def test_requests(emulator, store):
    """A look costs one request; one at an absent setting three, for constance stores the default; writing two, for
    its signal tells the old value; all settings together one."""
    constance = constance_on(store["constance"], {"THEME": "light", "PORT": 80})
    assert constance.config.THEME == "light"
    assert [method for method, _ in sent(emulator)] == ["GET", "GET", "PUT"]
    assert constance.config.THEME == "light"
    assert [method for method, _ in sent(emulator)] == ["GET"]
    constance.config.THEME = "dark"
    assert [method for method, _ in sent(emulator)] == ["GET", "PUT"]
    assert importlib.import_module("constance.utils").get_values() == {"THEME": "dark", "PORT": 80}
    assert [method for method, _ in sent(emulator)] == ["GET"]


def test_with_a_ttl_looks_are_free(emulator):
    """With a store that caches, looks cost nothing while what was read is fresh, and see what was written here."""
    emulator.put("constance", "THEME", "light")
    config = constance_on(connect(emulator, ttl=60)["constance"], {"THEME": "default"}).config
    assert [config.THEME, config.THEME] == ["light", "light"]
    assert len(sent(emulator)) == 1
    config.THEME = "dark"
    assert config.THEME == "dark"


def test_the_signal_is_sent(store):
    """Whoever listens to ``config_updated`` hears of the key, the old and the new value."""
    constance = constance_on(store["constance"], {"THEME": "light"})
    heard = []

    def receiver(sender, **facts):
        heard.append((facts["key"], facts["old_value"], facts["new_value"]))

    importlib.import_module("constance.signals").config_updated.connect(receiver)
    constance.config.THEME = "dark"
    constance.config.THEME = "blue"
    assert heard == [("THEME", None, "dark"), ("THEME", "dark", "blue")]


def test_it_is_awaitable(store):
    """Within asyncio settings are awaited, set and read together."""
    config = constance_on(store["constance"], {"THEME": "light", "RATE": Decimal(1)}).config

    async def scenario():
        await config.aset("THEME", "dark")
        assert await config.THEME == "dark"
        return await config.amget(["THEME", "RATE"])

    assert asyncio.run(scenario()) == {"THEME": "dark", "RATE": Decimal(1)}


def test_any_mutable_mapping_will_do():
    """A dict will do, as in tests of the program that uses it."""
    entries = {}
    config = constance_on(entries, {"THEME": "light"}).config
    config.THEME = "dark"
    assert entries == {"THEME": "dark"}
    assert config.THEME == "dark"


# --- hostile values ---------------------------------------------------------------------------------------------------


class Evil:
    def __reduce__(self):
        return print, ("it ran",)


@pytest.mark.parametrize(
    "stored",
    [
        base64.b64encode(pickle.dumps(Evil())).decode(),
        pickle.dumps(Evil(), protocol=0).decode("latin-1"),
        '{"__type__": "decimal", "__value__": "1"}',
        "@format {env[HOME]}",
        "{{ 1/0 }}",
        {"py/reduce": [{"py/function": "builtins.print"}, ["it ran"]]},
    ],
)
def test_a_stored_value_is_that_value(store, capsys, stored):
    """A pickle, in any of its forms, a text that looks like django-constance's own, and other notations for objects
    are the values that they are: nothing is unpickled or called."""
    config = constance_on(store["constance"], {"THEME": "light"}).config
    store["constance"]["THEME"] = stored
    assert stored == config.THEME
    assert importlib.import_module("constance.utils").get_values() == {"THEME": stored}
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "stored",
    [
        {"__type__": "pickle", "__value__": "Y29zCnN5c3RlbQo="},
        {"__type__": "builtins.eval", "__value__": "1"},
        {"__type__": "decimal", "__value__": "x"},
        {"__type__": "date", "__value__": 5},
        {"__type__": "uuid", "__value__": None},
        {"__type__": "timedelta", "__value__": 1e300},
        {"__type__": "decimal"},
        {"a": [{"__value__": 1}]},
    ],
)
def test_a_form_that_is_none_of_constances_is_named(store, stored):
    """An entry in a form that django-constance does not have is an error that names it, never another setting."""
    config = constance_on(store["constance"], {"THEME": "light"}).config
    store["constance"]["THEME"] = stored
    for look in (lambda: config.THEME, importlib.import_module("constance.utils").get_values):
        with pytest.raises(ValueError, match="django-constance cannot read what the entry 'THEME' holds"):
            look()
    assert store["constance"]["THEME"] == stored
