"""environs, which reads the environment of the process and nothing else."""

import json
import os

import pytest

from tests.conftest import sent

environs = pytest.importorskip("environs")


def test_the_environment_is_filled(emulator, store, load, monkeypatch):
    """Entries put into the environment as text or JSON, one request, are read typed; what was set there stays."""
    load(DHIS2KV_DEBUG=True, DHIS2KV_PORT=8080, DHIS2KV_DB={"host": "h"}, DHIS2KV_THEME="dark", DHIS2KV_SET="server")
    monkeypatch.setattr(os, "environ", os.environ.copy() | {"DHIS2KV_SET": "here"})
    for key, value in store["app"].items():
        os.environ.setdefault(key, value if isinstance(value, str) else json.dumps(value))
    assert len(sent(emulator)) == 1
    env = environs.Env()
    assert env.bool("DHIS2KV_DEBUG") is True
    assert env.int("DHIS2KV_PORT") == 8080
    assert env.json("DHIS2KV_DB") == {"host": "h"}
    assert env("DHIS2KV_THEME") == "dark"
    assert env("DHIS2KV_SET") == "here"


def test_the_environment_takes_text_only(store, load, monkeypatch):
    """A number is not put there by mistake: the environment refuses what is no text."""
    load(DHIS2KV_PORT=8080)
    with pytest.raises(TypeError):
        os.environ.update(store["app"].copy())
