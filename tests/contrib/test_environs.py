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


def test_only_named_variables_come_from_the_store(emulator, store, load, monkeypatch):
    """``get_many`` takes the variables that the program names, for one request: what else is stored reaches neither the
    environment nor the programs that are started from here; and a value is what it is, also one that names others."""
    load(DHIS2KV_THEME="${HOME} $HOME %HOME%", LD_PRELOAD="/evil.so", PYTHONSTARTUP="evil.py", DHIS2KV_OTHER="x")
    monkeypatch.setattr(os, "environ", os.environ.copy())
    before = dict(os.environ)
    for key, value in store["app"].get_many(["DHIS2KV_THEME", "DHIS2KV_SIZE"]).items():
        os.environ.setdefault(key, value if isinstance(value, str) else json.dumps(value))
    assert dict(os.environ) == before | {"DHIS2KV_THEME": "${HOME} $HOME %HOME%"}
    assert len(sent(emulator)) == 1
    assert environs.Env()("DHIS2KV_THEME") == "${HOME} $HOME %HOME%"


def test_expanding_variables_is_a_trap(store, load, monkeypatch):
    """With ``expand_vars`` a stored text shows other variables of the process."""
    load(DHIS2KV_THEME="${DHIS2KV_SECRET}")
    monkeypatch.setattr(os, "environ", os.environ.copy() | {"DHIS2KV_SECRET": "secret"})
    os.environ.update(store["app"].get_many(["DHIS2KV_THEME"]))
    assert environs.Env(expand_vars=True)("DHIS2KV_THEME") == "secret"
