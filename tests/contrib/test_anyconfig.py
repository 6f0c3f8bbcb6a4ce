"""anyconfig."""

import pytest

from tests.conftest import sent
from tests.contrib.conftest import HOSTILE

anyconfig = pytest.importorskip("anyconfig")


def test_merging_into_a_copy(emulator, store, load):
    """``merge`` changes its first argument, a dict; writing that back keeps the change."""
    load(db={"host": "h"}, same=1)
    settings = store["app"].copy()
    anyconfig.merge(settings, {"db": {"port": 5432}})
    assert settings == {"db": {"host": "h", "port": 5432}, "same": 1}
    store["app"].replace(settings)
    assert store["app"]["db"] == {"host": "h", "port": 5432}
    assert [method for method, _ in sent(emulator)] == ["GET", "GET", "PUT", "GET"]


def test_merging_into_the_namespace_is_a_trap(store, load):
    """A namespace as the first argument: what is merged into an object inside it is lost, and nothing is said."""
    load(db={"host": "h"})
    anyconfig.merge(store["app"], {"db": {"port": 5432}})
    assert store["app"].copy() == {"db": {"host": "h"}}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_stored_text_is_that_text(store, load, text):
    """anyconfig renders and loads nothing while it merges, whatever a text or a name says."""
    load(a=text, b={"c": [text], text: 1}, ac_template=True, ac_parser="pickle", __class__=1)
    settings = store["app"].copy()
    anyconfig.merge(settings, {"b": {"d": 1}})
    assert settings == store["app"].copy() | {"b": {"c": [text], text: 1, "d": 1}}
    assert anyconfig.get(settings, "b.d") == (1, "")
