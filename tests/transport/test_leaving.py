"""What leaves the socket."""

import base64

import pytest

from dhis2kv import (
    Store,
    Unaddressable,
    __version__,
)

from .listening import Listener, done, reply


class TestWhatLeavesTheSocket:
    def test_a_request_of_each_kind(self):
        """The path keeps its escapes to the last byte, and every request has the headers that DHIS2 needs."""
        answers = [reply(), done(), reply(), done(), reply(b'["k"]')]
        with Listener(*answers) as server:
            namespace = Store(f"{server.url}/dhis/api/42/", ("admin", "p\u00e4ss"))["a b+c/".rstrip("/")]
            namespace["v1.1"]
            namespace["é.é"] = {"ü": 1e22}
            "x" in namespace  # noqa: B015 - what it sends is the point
            del namespace["trail."]
            list(namespace.keys())
        lines = [line for line, _, _ in server.received]
        assert lines == [
            "GET /dhis/api/dataStore/a%20b%2Bc/v1.%31/ HTTP/1.1",
            "PUT /dhis/api/dataStore/a%20b%2Bc/%C3%A9.%C3%A9/ HTTP/1.1",
            "HEAD /dhis/api/dataStore/a%20b%2Bc/x HTTP/1.1",
            "DELETE /dhis/api/dataStore/a%20b%2Bc/trail./ HTTP/1.1",
            "GET /dhis/api/dataStore/a%20b%2Bc HTTP/1.1",
        ]
        for line, headers, _ in server.received:
            assert headers.get("Cache-Control") == ("no-cache" if line[:4] in ("GET ", "HEAD") else None)
            assert headers["Accept"] == "application/json"
            assert headers["User-Agent"] == f"dhis2kv/{__version__}"
            assert headers["X-Requested-With"] == "XMLHttpRequest"
            assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == "admin:päss".encode()
        _, headers, body = server.received[1]
        assert headers["Content-Type"] == "application/json"
        assert body.decode() == '{"ü":10000000000000000000000.0}'

    def test_through_a_proxy(self):
        """A proxy for http is given the whole address, with its escapes."""
        with Listener(reply()) as proxy:
            store = Store("http://dhis2.example.org/dhis", ("a", "b"), proxies={"http": proxy.url})
            assert store["my.ns"]["v1.1"] == 1
        assert proxy.received[0][0] == "GET http://dhis2.example.org/dhis/api/dataStore/my.ns/v1.%31/ HTTP/1.1"

    def test_the_proxy_of_the_environment(self, monkeypatch):
        """The environment's proxy is used, as in requests, and looked up once, when the store is made."""
        with Listener(reply(), reply()) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            store = Store("http://dhis2.example.org", ("a", "b"))
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
            assert store["app"]["k"] == store["app"]["k"] == 1
        assert len(proxy.received) == 2

    def test_a_delete_that_something_bent_is_not_sent(self):
        """An authentication object that rewrites the URL cannot turn a DELETE into one of the namespace."""

        def bend(request):
            request.url = request.url.removesuffix("k")
            return request

        with Listener() as server, pytest.raises(Unaddressable, match="refused to send"):
            del Store(server.url, bend)["app"]["k"]
        assert server.received == []

    def test_no_etag_is_used(self):
        """What a server says of a reply's version is not asked for again: it may be that of all entries together."""
        tagged = reply(b"1", "200 OK", 'ETag: "abc"', "Cache-Control: max-age=60", "Last-Modified: Thu, 26 Nov 2026")
        with Listener(tagged, reply(b"2")) as server:
            namespace = Store(server.url)["app"]
            assert [namespace["k"], namespace["k"]] == [1, 2]
        for _, headers, _ in server.received:
            assert headers["Cache-Control"] == "no-cache"
            assert not [name for name in headers if name.startswith("If-")]
