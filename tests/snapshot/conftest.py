"""What tests of snapshots need: a new server, and entries as a mapping or as a file."""

import io
import logging

import pytest

from dhis2kv import snapshot
from dhis2kv.emulator import Emulator


def exported(**stores):
    file = io.StringIO()
    snapshot.dump(file, stores)
    return file.getvalue()


def entries(store, *namespaces):
    """Entries by namespace and key, without who may read them."""
    found = snapshot.read(store, namespaces or None, sharing=False)
    return {(entry.namespace, entry.key): entry for entry in found}


def warned(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def newest():
    return Emulator("2.44")
