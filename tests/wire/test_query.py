"""Queries: what is asked of a server, in its own grammar."""

import pytest

from dhis2kv import wire


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "fields=.&headless=true&includeAll=true&paging=false"),
        ({"include_all": False}, "fields=.&headless=true&paging=false"),
        ({"fields": "a.b(x),c d"}, "fields=a.b%28x%29%2Cc+d&headless=true&includeAll=true&paging=false"),
        ({"page_size": 1}, "fields=.&headless=true&includeAll=true&page=1&pageSize=1"),
        ({"page": 2, "page_size": 1000}, "fields=.&headless=true&includeAll=true&page=2&pageSize=1000"),
        (
            {"filters": ("a:eq:1", "_:in:[é,&]"), "order": "a:desc", "junction": "OR"},
            "fields=.&headless=true&includeAll=true&paging=false&order=a%3Adesc&rootJunction=OR"
            "&filter=a%3Aeq%3A1&filter=_%3Ain%3A%5B%C3%A9%2C%26%5D",
        ),
    ],
)
def test_what_is_asked(query, text):
    """Always a bare list; everything in one answer, or a page; the rest only where it is not the server's default."""
    assert wire.Query(**query).text == text


@pytest.mark.parametrize("wrong", [{"page": 0}, {"page": -1, "page_size": 5}, {"page_size": 0}, {"page_size": 1001}])
def test_pages_that_servers_clamp_in_silence(wrong):
    """They are refused, since what would come is not what was asked for."""
    with pytest.raises(ValueError, match="page is at least 1, and page_size from 1 to 1000"):
        wire.Query(**wrong)


def test_a_query_is_a_value():
    """Two that ask the same are equal, and one key of a dict; none changes, and none takes a member it has not."""
    one = wire.Query("a", ("b:eq:1",))
    assert {one: 1}[wire.Query(fields="a", filters=("b:eq:1",))] == 1
    assert one != wire.Query("a")
    for name in ("fields", "field"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(one, name, "b")
    assert one.fields == "a"
    assert not hasattr(one, "field")
