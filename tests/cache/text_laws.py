"""What holds of the texts that a cache keeps, and of the values in them, wherever the records are."""

from __future__ import annotations

import sys

import pytest

from dhis2kv import errors
from dhis2kv.cache import Place
from dhis2kv.wire import same
from tests.cache.doubles import APP, ORIGIN


class TextLaws:
    """A part of ``Laws``."""

    def test_texts_that_do_not_fit(self, make):
        """Texts of a namespace that are not one value each are an error, never values under other keys."""
        cache = make()
        for text in ("1,2", "", "[", "<html>"):
            with pytest.raises(errors.ServerError, match="app/a cannot be read") as caught:
                cache.entries(APP, lambda text=text: {"a": text, "b": "3"})
            assert caught.value.status == 200
            with pytest.raises(errors.ServerError, match="cannot be read"):
                cache.many(APP, ["a", "b"], lambda keys, text=text: {"a": text, "b": "3"})

    def test_texts_as_they_come(self, make, server):
        """Spaces around a text, numbers beyond Python's bounds, deep nesting: records give what the first read gave."""
        cache, deep = make(), "[" * 2000 + "]" * 2000
        texts = {"spaced": ' {"a": 1.5} ', "long": "9" * 5000, "deep": deep, "half": "[0.5]"}
        texts |= {"large": '{"n": 1e999}', "beyond": f"1{'0' * 400}.5"}
        first = cache.entries(APP, lambda: texts)
        assert (first["spaced"], first["half"], first["large"]) == ({"a": 1.5}, [0.5], {"n": 10**999})
        assert list(first) == ["spaced", "long", "deep", "half", "large"]
        assert same(cache.entries(APP, None), first)
        for key, value in first.items():
            assert same(cache.value(Place(ORIGIN, "app", key), None), value)
        with pytest.raises(errors.Unreadable, match="app/beyond is too much") as caught:
            cache.value(Place(ORIGIN, "app", "beyond"), None)
        assert caught.value.status == 200
        assert cache.known(Place(ORIGIN, "app", "beyond"))

    def test_what_is_left_out_is_told(self, make, caplog):
        """A bulk read says in the log which entries Python cannot hold; hard ones that it can hold are not named."""
        cache, hard = make(), {"large": "1e999", "long": "9" * 5000}
        assert cache.entries(APP, lambda: hard).keys() == {"large", "long"}
        assert caplog.records == []
        cache.drop(APP)
        assert cache.entries(APP, lambda: {**hard, "beyond": f"1{'0' * 400}.5"}).keys() == {"large", "long"}
        assert [(record.name, record.levelname) for record in caplog.records] == [("dhis2kv", "WARNING")]
        assert "'beyond'" in caplog.text
        assert "'large'" not in caplog.text

    def test_numbers_beyond_floats(self, make, server):
        """A number that Python's json takes for infinity is an integer with all its digits, in whatever record."""
        cache, texts = make(), {"a": "1e400", "b": '{"n": [2e400]}'}
        expected = {"a": 10**400, "b": {"n": [2 * 10**400]}}
        assert [cache.entries(APP, lambda: texts) for _ in range(2)] == [expected] * 2
        cache.drop(APP)
        assert [cache.many(APP, ["a", "b"], lambda keys: texts) for _ in range(2)] == [expected] * 2
        assert cache.value(Place(ORIGIN, "app", "b"), None) == expected["b"]

    def test_python_at_its_bounds(self, make, server):
        """A record is read where Python's own bounds are narrower than they were: of digits, and of its stack."""
        cache, deep = make(), "[" * 300 + "]" * 300
        texts = {"digits": "9" * 1000, "deep": deep, "more": "1"}
        first = cache.entries(APP, lambda: texts)
        digits, at = sys.get_int_max_str_digits(), Place(ORIGIN, "app", "digits")
        sys.set_int_max_str_digits(640)
        try:
            assert (cache.value(at, None), cache.entries(APP, None)) == (first["digits"], first)
        finally:
            sys.set_int_max_str_digits(digits)

        def far_down(levels):
            if levels:
                return far_down(levels - 1)
            return cache.value(Place(ORIGIN, "app", "deep"), None), cache.entries(APP, None)

        assert far_down(750) == (first["deep"], first)
