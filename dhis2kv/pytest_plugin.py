"""Fixtures for tests of code that uses a DHIS2 data store.

Here since pytest loads a plugin as a module of its own, in every run where the package is installed. It imports the
store and ``testing``, but only in the fixtures, for that takes time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dhis2kv.store import Store
    from dhis2kv.testing import Clock, Emulator

_MARKED = "dhis2_data(app={'key': 'value'}) or dhis2_data({'my-app': {'key': 'value'}})"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the ini option."""
    parser.addini("dhis2_version", "the DHIS2 version that dhis2kv's fixtures emulate", default="2.42")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "dhis2_data(NAMESPACE={KEY: VALUE, ...}, ...): entries that dataStore of dhis2_emulator holds at the start, "
        "by names or as a mapping, {NAMESPACE: {KEY: VALUE, ...}, ...}; "
        "where several markers have an entry, the one closest to the test wins",
    )


@pytest.fixture
def dhis2_version(pytestconfig: pytest.Config) -> str:
    """The DHIS2 version to emulate: the ini option dhis2_version, 2.42 unless given; override it to test on several."""
    return str(pytestconfig.getini("dhis2_version"))


@pytest.fixture
def dhis2_clock() -> Clock:
    """The time in dhis2_emulator: stands still until advance(seconds)."""
    from dhis2kv.testing import Clock

    return Clock()


@pytest.fixture
def dhis2_emulator(request: pytest.FixtureRequest, dhis2_version: str, dhis2_clock: Clock) -> Iterator[Emulator]:
    """An emulated DHIS2 for this test alone, filled by the marker dhis2_data; waiting moves its clock."""
    from dhis2kv.testing import Emulator

    emulator = Emulator(dhis2_version, clock=dhis2_clock)
    emulator.sleep = dhis2_clock.advance
    for marker in reversed(list(request.node.iter_markers("dhis2_data"))):
        emulator.load(_namespaces(marker))
    yield emulator
    emulator.close()


def _namespaces(marker: pytest.Mark) -> dict[str, Mapping[str, Any]]:
    """What a marker says, by names and in a mapping."""
    if len(marker.args) > 1 or not all(isinstance(given, Mapping) for given in marker.args):
        raise pytest.UsageError(f"dhis2_data takes namespaces by name, or as one mapping: {_MARKED}")
    given: dict[str, Mapping[str, Any]] = {}
    for namespace, entries in (*(marker.args[0].items() if marker.args else ()), *marker.kwargs.items()):
        if not isinstance(entries, Mapping):
            raise pytest.UsageError(f"dhis2_data takes the entries of {namespace} as a dict: {_MARKED}")
        if namespace in given:
            raise pytest.UsageError(f"dhis2_data names {namespace} twice")
        given[namespace] = entries
    return given


@pytest.fixture
def dhis2_store(dhis2_emulator: Emulator) -> Iterator[Store]:
    """A store on dhis2_emulator, as its superuser, without sockets."""
    from dhis2kv.testing import connect

    with connect(dhis2_emulator) as store:
        yield store


@pytest.fixture
def dhis2_server(dhis2_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of dhis2_emulator on the loopback, which no proxy is asked for; who asks there waits in real time."""
    dhis2_emulator.sleep = time.sleep
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1", prepend=",")
    with dhis2_emulator.serve() as server:
        yield server.url


@pytest.fixture
def dhis2_env(dhis2_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """dhis2_server, which the environment names for this test, with its superuser; nothing else there counts."""
    for name in ("DHIS2_URL", "DHIS2_PAT", "DHIS2_USERNAME", "DHIS2_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.delenv("DHIS2_PROFILE", raising=False)
    monkeypatch.setenv("DHIS2_URL", dhis2_server)
    monkeypatch.setenv("DHIS2_USERNAME", "admin")
    monkeypatch.setenv("DHIS2_PASSWORD", "district")
    return dhis2_server
