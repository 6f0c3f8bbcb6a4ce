"""What the tests of the frameworks share: one server of one version is enough for them."""

import pytest


@pytest.fixture
def version():
    return "2.42"


@pytest.fixture
def load(emulator):
    """Put entries into the namespace ``app`` without a request."""
    return lambda **entries: emulator.load({"app": entries})
