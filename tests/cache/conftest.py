"""The laws are no test file of their own, but assert as one does."""

import pytest

pytest.register_assert_rewrite("tests.cache.laws", "tests.cache.shared_laws")

from tests.cache.doubles import joining  # noqa: E402, F401 - a fixture; what it asserts is plain
