"""What the tests of the frameworks share: one server of one version is enough for them."""

import pytest

#: Texts that one framework or another would carry out.
HOSTILE = [
    "@format {env[HOME]}",
    "@read_file /etc/passwd",
    "${oc.env:HOME}",
    "${HOME}",
    "$HOME",
    "%(HOME)s",
    "{x.__class__}",
    "{{ 1/0 }}",
    "ext://os.system",
    "cfg://handlers",
    "!!python/name:os.system",
    "__import__('os').system('true')",
]


@pytest.fixture
def version():
    return "2.42"


@pytest.fixture
def load(emulator):
    """Put entries into the namespace ``app`` without a request."""
    return lambda **entries: emulator.load({"app": entries})
