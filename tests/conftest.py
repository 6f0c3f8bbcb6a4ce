"""What many tests need: an emulated server of each kind, and a store on it."""

import json
import os
from pathlib import Path

import hypothesis
import pytest

from dhis2kv import Store
from dhis2kv.emulator import PROFILES, Emulator

pytest_plugins = ["pytester"]

# No law is about time, however slow the machine. The gate looks at the same examples each time; elsewhere they vary.
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("anywhere", deadline=None, suppress_health_check=SLOW)
hypothesis.settings.register_profile("gate", deadline=None, suppress_health_check=SLOW, derandomize=True)
hypothesis.settings.load_profile("gate" if os.environ.get("CI") else "anywhere")

ALL_VERSIONS = sorted(PROFILES)
OLD_MIDDLE_NEW = ["2.36", "2.40", "2.44"]

NAMES = json.loads((Path(__file__).parent / "names.json").read_text())


def connect(emulator, auth=("admin", "district"), **options):
    """A store on an emulated server, without sockets and without waiting between repeats."""
    store = Store("http://dhis2.test", auth, session=emulator.session(), **options)
    store.datastore.transport.sleep = lambda seconds: None
    return store


def sent(emulator):
    """What has been asked of the emulated server since the last call: (method, target) of each request."""
    log = [(record.method, record.target) for record in emulator.log]
    emulator.log.clear()
    return log


@pytest.fixture(params=ALL_VERSIONS)
def version(request):
    return request.param


@pytest.fixture
def emulator(version):
    return Emulator(version=version)


@pytest.fixture
def store(emulator):
    return connect(emulator)


@pytest.fixture(params=[False, True], ids=["dataStore", "userDataStore"])
def either(request, store, emulator):
    """The shared store, and the per-user store, which knows its server's version as after its first update."""
    if not request.param:
        return store
    assert store.version
    sent(emulator)
    return store.user
