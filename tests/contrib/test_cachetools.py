"""cachetools: results of a function kept on the server."""

import cachetools
import pytest

from tests.conftest import sent
from tests.contrib.conftest import HOSTILE


def test_results_are_kept(emulator, store):
    """With a ``key`` that returns text a function runs once per key, for all who share the namespace."""
    runs = []

    def function(number):
        runs.append(number)
        return number * 2

    memory = cachetools.cached(cache=store["memo"], key=lambda number: f"double-{number}")
    assert [memory(function)(21), memory(function)(21)] == [42, 42]
    assert runs == [21]
    assert sent(emulator) == [
        ("GET", "/api/dataStore/memo/double-21"),
        ("PUT", "/api/dataStore/memo/double-21"),
        ("GET", "/api/dataStore/memo/double-21"),
    ]


def test_the_default_keys_are_refused(emulator, store):
    """cachetools' own keys are tuples, which no namespace takes for an absent key: it says so before any request."""
    with pytest.raises(TypeError, match=r"a key is a str, not (tuple|_\w*Tuple)"):
        cachetools.cached(cache=store["memo"])(abs)(-1)
    assert sent(emulator) == []


@pytest.mark.parametrize("stored", [*HOSTILE, {"__reduce__": ["os.system"]}, None, [1]])
def test_a_stored_result_is_that_value(store, stored):
    """What somebody stored is the function's result, as it is: JSON, and nothing that is called or unpickled."""
    store["memo"]["k"] = stored
    assert cachetools.cached(cache=store["memo"], key=lambda: "k")(lambda: "computed")() == stored
