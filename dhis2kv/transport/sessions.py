"""The session of ``requests`` that a transport sends with: its own, or made of one that was passed in.

Imports ``requests`` and ``exchange``. Here since what a session brings along (adapters, headers, proxies, certificates)
is taken over, and what it does by itself (cookies of somebody else, redirects, connections that others use too) is not.
"""

from __future__ import annotations

import os
import ssl
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar, get_cookie_header

from dhis2kv import __version__
from dhis2kv.transport.adapter import Adapter
from dhis2kv.transport.exchange import Watching, watched


class Cookies(RequestsCookieJar):
    """A jar that looks for cookies only where a reply brings some, and for what to send only after a change."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._changes = 0
        self._header: tuple[int | None, str | None] = (None, None)  # as of which change, and what to send
        super().__init__(*args, **kwargs)

    def set_cookie(self, cookie: Any, *args: Any, **kwargs: Any) -> Any:
        self._changes += 1
        return super().set_cookie(cookie, *args, **kwargs)

    def clear(self, *args: Any, **kwargs: Any) -> None:
        self._changes += 1
        super().clear(*args, **kwargs)

    def header(self, request: requests.PreparedRequest, root: str) -> str | None:
        """What a request below this path says of them, or None; not looked for again while no cookie changes."""
        changes, (known, header) = self._changes, self._header
        if known != changes:
            header = get_cookie_header(self, request)  # type: ignore[no-untyped-call]  # not in its stubs
            same = all(not cookie.expires and root.startswith(cookie.path) for cookie in self)
            self._header = (changes if same else None, header)
        return header

    def extract_cookies(self, response: Any, request: Any) -> None:
        if response.info().get("Set-Cookie") is not None:
            super().extract_cookies(response, request)


class OwnSession(requests.Session):
    """A session that sees no redirects: a malformed Location raises bare errors deep inside the ordinary one."""

    def __init__(self) -> None:
        super().__init__()
        self.cookies: Cookies = Cookies()

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - the name is requests'
        return None


class _SystemAdapter(Adapter):
    """Trusts whom the operating system trusts, too, where the extra ``truststore`` is installed."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, **_trust())

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, **_trust())


def _trust() -> dict[str, Any]:
    """What tells urllib3 to ask the operating system about certificates, where it can."""
    if find_spec("truststore") is None:
        return {}
    import truststore

    return {"ssl_context": truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}


def session_like(given: requests.Session | None, *, ask_system: bool = False) -> OwnSession:
    """A session of our own, with the adapters and settings of one that was passed in, and connections of its own.

    ``ask_system`` lets the operating system say, too, whose certificates are trusted, where there are no adapters yet.
    """
    session = OwnSession()
    if given is None:
        adapter = (_SystemAdapter if ask_system else Adapter)(pool_connections=1, pool_maxsize=32)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
    else:
        _check_ordinary(given)
        twins = {id(one): watched(one) if isinstance(one, HTTPAdapter) else one for one in given.adapters.values()}
        session.adapters.clear()
        session.adapters.update((prefix, twins[id(one)]) for prefix, one in given.adapters.items())
        session.auth, session.hooks = given.auth, given.hooks
        session.headers.update(given.headers)
        session.proxies, session.verify, session.cert = given.proxies, given.verify, given.cert
        session.trust_env = given.trust_env
    session.headers.update(
        {
            "Accept": "application/json",
            "User-Agent": f"dhis2kv/{__version__}",
            # Without it the server answers a missing sign-in with a redirect to its login page.
            "X-Requested-With": "XMLHttpRequest",
        }
    )
    return session


def settings_of(
    session: requests.Session,
    base: str,
    proxies: dict[str, str] | None,
    verify: bool | str | None,
    cert: str | tuple[str, str] | None,
) -> dict[str, Any]:
    """What ``send`` takes for this server: proxies and certificates, of the environment where nothing else says.

    ``SSL_CERT_FILE`` is what other programs read, but for ``requests``; its own variables come first.
    """
    settings = dict(session.merge_environment_settings(base + "/", proxies or {}, True, verify, cert))
    if settings["verify"] is True and session.trust_env:
        settings["verify"] = os.environ.get("SSL_CERT_FILE") or True
    return settings


def _check_ordinary(given: requests.Session) -> None:
    """Raise ``TypeError`` for a session with a way to send of its own, which would be passed by without a word."""
    for name in ("request", "send", "prepare_request"):
        if name in vars(given) or getattr(type(given), name) is not getattr(requests.Session, name):
            raise TypeError(
                f"this {type(given).__name__} signs or sends in a {name}() of its own, which is not used: give what"
                " signs requests as auth= (for OAuth2 the README shows how), and settings in a plain requests.Session"
            )


def disconnect(session: requests.Session) -> None:
    """Close the connections of the session's adapters, as far as they are ours."""
    for adapter in session.adapters.values():
        if isinstance(adapter, Watching):
            adapter.disconnect()


def check_settings(*, proxies: Any, verify: Any, cert: Any, **_: Any) -> None:
    """Find out now what would look like a broken connection later; raises ``ValueError``."""
    files = [*(cert if isinstance(cert, tuple) else [cert]), verify]
    for path in files:
        if isinstance(path, str) and not os.path.exists(path):
            variables = "REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_FILE"
            raise ValueError(f"verify, cert, or {variables} name {path!r}, which is not there")
    for kind, proxy in proxies.items():
        if kind.partition(":")[0] not in ("http", "https", "all"):
            continue  # of the environment: other protocols, and where no proxy is wanted
        try:
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            usable = bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(f"the proxy for {kind!r} is not a URL like http://proxy.example.org:3128")
        if parts.scheme.startswith("socks") and find_spec("socks") is None:
            raise ValueError(f"the proxy for {kind!r} needs PySocks:  pip install 'requests[socks]'")
