"""Django's settings."""

import sys

import pytest

from tests.conftest import sent

conf = pytest.importorskip("django.conf")

SETTINGS = """
from tests.contrib.test_django import given

TIME_ZONE = None  # Django would set the time zone of the whole process
SECRET_KEY = "of the file"
USE_TZ = True
globals().update(given["store"]["app"].copy())
"""
given = {}


def test_a_settings_module_is_filled(emulator, store, load, tmp_path, monkeypatch):
    """A settings module that ends with ``globals().update(ns.copy())`` has the server's values, for one request."""
    load(SECRET_KEY="of the server", ALLOWED_HOSTS=["example.org"])
    monkeypatch.setitem(given, "store", store)
    (tmp_path / "settings_from_dhis2.py").write_text(SETTINGS)
    monkeypatch.syspath_prepend(tmp_path)
    settings = conf.Settings("settings_from_dhis2")
    del sys.modules["settings_from_dhis2"]
    assert settings.SECRET_KEY == "of the server"
    assert settings.ALLOWED_HOSTS == ["example.org"]
    assert settings.USE_TZ is True
    assert len(sent(emulator)) == 1


def test_only_named_settings_come_from_the_store(emulator, store, load, tmp_path, monkeypatch):
    """``get_many`` takes the settings that the module names, for one request: no other entry sets anything or changes
    what the module itself goes on with."""
    load(PAGE_SIZE=50, MIDDLEWARE=["evil.Middleware"], LOGGING_CONFIG="evil.run", globals="x", given=1, USE_TZ=False)
    monkeypatch.setitem(given, "store", store)
    named = SETTINGS.replace(".copy()", '.get_many(["PAGE_SIZE", "ALLOWED_HOSTS"])')
    (tmp_path / "settings_from_dhis2.py").write_text(f"{named}SIZE = given and PAGE_SIZE\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings = conf.Settings("settings_from_dhis2")
    del sys.modules["settings_from_dhis2"]
    assert (settings.PAGE_SIZE, settings.SIZE, settings.ALLOWED_HOSTS) == (50, 50, [])
    assert (settings.MIDDLEWARE, settings.LOGGING_CONFIG, settings.USE_TZ) == ([], "logging.config.dictConfig", True)
    assert len(sent(emulator)) == 1
