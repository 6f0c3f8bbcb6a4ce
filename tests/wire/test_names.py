"""Names: which a server can hold, and which may be written."""

import pytest

from dhis2kv import errors, wire
from tests.conftest import NAMES


@pytest.mark.parametrize("name", NAMES["works"])
def test_names_that_servers_hold_are_taken(name):
    """A name that every server can hold is returned unchanged, as key, as new key and as namespace."""
    assert wire.check_name(name) == wire.check_new_key(name) == wire.check_name(name, "namespace") == name
    assert wire.can_be_held(name) is True


@pytest.mark.parametrize("name", NAMES["refused"])
def test_names_that_no_server_holds_are_refused(name):
    """Such a name is a KeyError where one reads and a ValueError where one writes, with a sentence."""
    for kind in (KeyError, ValueError):
        for check in (wire.check_name, wire.check_new_key):
            with pytest.raises(kind, match="cannot be a key:"):
                check(name)
    assert wire.can_be_held(name) is False


@pytest.mark.parametrize("name", NAMES["read_only"])
def test_keys_that_break_bulk_reads_are_not_written(name):
    """A key with a quotation mark or a control character may be read, but not written."""
    assert wire.check_name(name) == name
    assert wire.can_be_held(name)
    with pytest.raises(errors.InvalidKey, match="unreadable for every client"):
        wire.check_new_key(name)


@pytest.mark.parametrize("name", [1, None, b"key", ("a", "b")])
def test_names_are_text(name):
    """Anything but a str is a TypeError."""
    with pytest.raises(TypeError, match="is a str"):
        wire.check_name(name)


def test_a_long_name_is_cut_in_the_error():
    """An error about a name of 10,000 characters can be read."""
    with pytest.raises(errors.InvalidKey) as caught:
        wire.check_name("k" * 10_000)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", ["a/b", f"{'k' * 78}/b"], ids=len)
def test_a_name_is_named_in_the_error(name):
    """One that can be read at a glance stands in the error whole, so that it is found where it came from."""
    with pytest.raises(errors.InvalidKey, match=f"^'{name}' cannot be a namespace"):
        wire.check_name(name, "namespace")
