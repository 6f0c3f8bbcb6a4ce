"""What is asked of a server, and how its address is spelled; imports only the errors.

Here since the spelling decides what a request hits: a last segment that is cut, or lost, is another entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from dhis2kv import errors

_OPEN_ROUTES = ("loginConfig",)  # account, auth and staticContent are open, too, but hear the credentials that come


@dataclass(frozen=True, slots=True)
class Call:
    """One request: ``path`` (below the context path) and ``query`` exactly as they must leave the socket.

    ``names`` are the store, namespace and key it is about, as far as it is about them. ``once`` says that it must not
    be repeated after it was sent, for the server would act twice.
    """

    method: str
    path: str
    names: tuple[str, ...] = ()
    query: str = ""
    body: str | None = None
    once: bool = False

    @property
    def target(self) -> str:
        """Path and query, ready to be appended to the server's base URL."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when its answer was lost.

        A DELETE may not: it would delete what somebody else has created meanwhile.
        """
        return not self.once and self.method not in ("POST", "DELETE")

    @property
    def writes(self) -> bool:
        """Whether it is meant to change something."""
        return self.method not in ("GET", "HEAD")


def call(method: str, *names: str, query: str = "", body: str | None = None, once: bool = False) -> Call:
    """The call on a store, a namespace of it, or a key of that."""
    return Call(method, "/api/" + "/".join([*map(_inner, names[:-1]), _last(names[-1])]), names, query, body, once)


def call_below(method: str, *names: str, below: str, query: str = "") -> Call:
    """The call on a fixed word below a namespace or key: ``keys``, ``metaData``."""
    return Call(method, "/api/" + "/".join([*map(_inner, names), below]), names, query)


def _inner(name: str) -> str:
    return quote(name, safe="")


def _last(name: str) -> str:
    """Spell a last segment so that every version takes it whole.

    Up to 2.43 servers cut it at its last dot, which a slash at the end prevents; 2.44 cuts registered extensions,
    slash or not, but only in their raw spelling. Both together are right everywhere, for every verb. What 2.44 takes
    for an open route, where it hears no credentials and answers 409, is right everywhere with the slash, too.
    """
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        return quote(name, safe="") + ("/" if name in _OPEN_ROUTES else "")
    first = "".join(f"%{byte:02X}" for byte in suffix[:1].encode())
    return f"{quote(stem, safe='')}.{first}{quote(suffix[1:], safe='')}/"


def check_delete(call: Call, sent_path: str) -> None:
    """Make sure that a DELETE hits what it is about and nothing above it; raises ``Unaddressable``.

    A DELETE whose last segment got lost on its way into the request wipes a namespace, on every version.
    """
    expected = ["api", *call.names]
    segments = [unquote(segment) for segment in sent_path.removesuffix("/").split("/")]
    if segments[-len(expected) :] != expected or len(call.names) < 2:
        raise errors.Unaddressable(f"refused to send DELETE {sent_path}: it would not delete just {call.names[1:]!r}")


_PORTS = {"http": 80, "https": 443}
# Pages that DHIS2 shows in a browser, whose address people copy: what stands before is that of the server.
_PAGE = r"/(apps/[^/]|dhis-web-[a-z-]+(/|$))"


def base_url(url: str) -> tuple[str, tuple[str, str] | None]:
    """The server's base URL (with its context path, no slash at the end) and the credentials found in the URL.

    It is in normal form, so that one server has one: the host in lower case, and no port that goes without saying. What
    is given may or may not end in ``/api``, ``/api/NN`` or a slash, or be that of a page of DHIS2. Raises
    ``ValueError`` for what is no http(s) URL.
    """
    if not isinstance(url, str):
        raise TypeError(f"the URL of a server is a str, not {type(url).__name__}")
    try:
        parts = urlsplit(url.strip())
        if page := re.search(_PAGE, parts.path):
            parts = parts._replace(path=parts.path[: page.start()], query="", fragment="")
        whole = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", url.strip())
    except ValueError:
        whole = False
    # A slash, question or number sign in a password ends the host: what follows, and is secret, would be a path.
    if not whole or parts.scheme not in ("http", "https") or "@" in parts.path or parts.query or parts.fragment:
        raise ValueError(
            f"not the URL of a DHIS2 server: {url.rpartition('@')[2]!r}; it looks like https://dhis2.example.org"
            " (in credentials, special characters are percent-encoded)"
        )
    credentials = None
    if parts.username is not None:
        credentials = (unquote(parts.username), unquote(parts.password or ""))
    path = re.sub(r"/api(/\d+)?$", "", parts.path.rstrip("/"))
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return urlunsplit((parts.scheme, host + port, path.rstrip("/"), "", "")), credentials
