"""python-decouple."""

import pytest

from tests.conftest import sent
from tests.contrib.conftest import HOSTILE

decouple = pytest.importorskip("decouple")


def test_a_namespace_is_a_repository(emulator, store, load, monkeypatch):
    """``Config(ns)`` looks up: the environment first, at no cost; then the namespace, two requests; one for an absent
    key, which has its default."""
    load(DHIS2KV_PORT="8080", DHIS2KV_DEBUG=True, DHIS2KV_THEME="dark")
    monkeypatch.setenv("DHIS2KV_THEME", "light")
    config = decouple.Config(store["app"])
    assert config("DHIS2KV_THEME") == "light"
    assert sent(emulator) == []
    assert config("DHIS2KV_PORT", cast=int) == 8080
    assert [method for method, _ in sent(emulator)] == ["HEAD", "GET"]
    assert config("DHIS2KV_DEBUG", cast=bool) is True
    sent(emulator)
    assert config("DHIS2KV_ABSENT", default=3) == 3
    assert [method for method, _ in sent(emulator)] == ["HEAD"]
    with pytest.raises(decouple.UndefinedValueError):
        config("DHIS2KV_ABSENT")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_stored_text_is_that_text(store, load, text):
    """python-decouple puts nothing into a text; one that the program's ``cast`` does not take is refused."""
    load(DHIS2KV_A=text)
    config = decouple.Config(store["app"])
    assert config("DHIS2KV_A") == text
    with pytest.raises(ValueError, match="invalid literal"):
        config("DHIS2KV_A", cast=int)
    with pytest.raises(ValueError, match="Invalid truth value"):
        config("DHIS2KV_A", cast=bool)
