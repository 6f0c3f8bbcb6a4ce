"""A namespace in our hands, in a rival's, and in those of somebody who is not counted."""

import pytest

from tests.conftest import connect


@pytest.fixture
def ns(either):
    return either["app"]


@pytest.fixture
def foreign(emulator, either):
    """Write as somebody else does: without a request that would be counted."""
    owner = "admin" if either is either.user else None
    return lambda key, value, **how: emulator.put("app", key, value, user=owner, **how)


@pytest.fixture
def rival(emulator, either):
    """The same namespace in another client's hands."""
    store = connect(emulator)
    return (store.user if either is either.user else store)["app"]


@pytest.fixture
def with_paths(version):
    """Whether this server knows ``path`` and ``roll``."""
    return version >= "2.41"
