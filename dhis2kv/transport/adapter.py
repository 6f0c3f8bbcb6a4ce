"""The adapter of a session of our own; imports ``requests``.

Here since ``requests`` finds out anew for each request what is the same for all requests of a store: the pool of
connections to its server, with its certificates, and where the path begins in a URL. It remains an ``HTTPAdapter`` that
sends as all do, so that what replaces ``HTTPAdapter.send``, as ``responses`` does, replaces its own.
"""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from dhis2kv.transport.exchange import Watching


class Headers(CaseInsensitiveDict[str]):
    """Headers of requests of one kind: the copy that urllib3 takes for each is a plain dict, made once."""

    _plain: dict[str, str] | None = None

    def __setitem__(self, name: str, value: str) -> None:
        self._plain = None
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        self._plain = None
        super().__delitem__(name)

    def copy(self) -> Any:
        if self._plain is None:
            self._plain = dict(self.items())
        return self._plain.copy()


class Adapter(Watching, HTTPAdapter):
    """Sends requests to few servers, whose pools it finds once; through a proxy as ``requests`` does."""

    def __init__(self, **options: Any) -> None:
        self._pools: dict[Any, Any] = {}
        super().__init__(**options)

    def disconnect(self) -> None:
        """Close the connections."""
        self._pools.clear()  # they close when nobody sends by them any more
        super().disconnect()

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """The pool for a request, which is found again by its server and certificates."""
        key = (_server(request), verify, cert)
        pool = None if proxies else self._pools.get(key)
        if pool is None:
            pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
            if not proxies:
                self._pools[key] = pool
        return pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """What stands in the request line: for a server that is asked directly, the URL from its path on."""
        url = str(request.url)
        path = url[len(_server(request)) :]
        return super().request_url(request, proxies) if proxies or path[:2] in ("", "//") or "#" in path else path

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """The response as ``requests`` builds it; where it brings no cookie, without looking for one."""
        if "Set-Cookie" in resp.headers:
            return super().build_response(req, resp)
        response = requests.Response()
        response.status_code, response.reason, response.raw = resp.status, resp.reason, resp
        response.headers = CaseInsensitiveDict(resp.headers)
        response.encoding = get_encoding_from_headers(response.headers)
        response.url, response.request, response.connection = str(req.url), req, self
        return response


def _server(request: requests.PreparedRequest) -> str:
    """The beginning of the URL, up to its path."""
    url = str(request.url)
    path = url.find("/", 8)  # behind the scheme
    return url if path < 0 else url[:path]
