"""How requests are signed; imports ``requests``.

Here since DHIS2 reads Basic in UTF-8 and has tokens of its own, and since a request that goes out unsigned by mistake
acts as somebody else, or as nobody.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_netrc_auth


class Basic(AuthBase):
    """Basic sign-in in UTF-8, as DHIS2 reads it; ``requests`` itself writes Latin-1."""

    def __init__(self, username: str, password: str) -> None:
        if ":" in username:
            raise ValueError("a username cannot hold a colon: Basic sign-in would take the rest for the password")
        self.username = username
        self._header = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


class Token(AuthBase):
    """A DHIS2 personal access token."""

    def __init__(self, token: str) -> None:
        if not re.fullmatch(r"[!-~]+", token):
            raise ValueError("a personal access token is one word of ASCII characters, like d2pat_...")
        self._header = f"ApiToken {token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


def signer(auth: Any, token: str | None, session: requests.Session, base: str) -> Any:
    """What signs requests, a callable or None; a netrc entry counts only where nothing else was given."""
    if token is not None:
        return Token(token)
    auth = auth if auth is not None else session.auth
    if auth is None and session.trust_env:
        auth = get_netrc_auth(base)
    if isinstance(auth, tuple | list) and len(auth) == 2 and all(isinstance(part, str) for part in auth):
        return Basic(*auth)
    if type(auth) is HTTPBasicAuth:
        return Basic(text(auth.username), text(auth.password))
    if auth is None or callable(auth):
        return auth
    raise TypeError("auth is a pair (name, password), or an authentication object of requests")


def text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
