"""One request on its way through the server: what its handlers read, and what they leave for the reply.

Here since all handlers ask the same of a request: who sent it, its parameters, its text, and how it takes a refusal.
"""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from .accounts import Account, Accounts
from .messages import Refusal, Reply, json_reply, web_message
from .paths import decode_utf8
from .profiles import Profile
from .storage import Storage, TextCache

_MEDIA_TYPE = re.compile(r"\s*([^\s/;,]+)/([^\s/;,]+)\s*((?:;[^,]*)?)")


@functools.lru_cache(100)
def _charset(content_type: str) -> str:
    """Python's name for the charset of a media type; raises LookupError where it has none for it."""
    found = re.search(r";\s*charset\s*=\s*\"?([^\s;\"]+)", content_type, re.I)
    return codecs.lookup(found[1]).name if found else "utf-8"


@functools.lru_cache(100)
def _ranges(accept: str) -> list[tuple[str, str]]:
    return [(kind, subtype.lower()) for kind, subtype, _ in _MEDIA_TYPE.findall(accept)]


@dataclass
class Server:
    """What all requests of one emulator share."""

    profile: Profile
    storage: Storage
    accounts: Accounts
    texts: dict[bool, TextCache]  # one per table: dataStore's (True) and userDataStore's
    clock: Callable[[], float]


@dataclass
class Call:
    """One request, signed in and routed."""

    server: Server
    method: str
    headers: dict[str, str]
    body: bytes
    parameters: list[tuple[str, str]]
    base: str
    account: Account | None = None
    groups: frozenset[str] = frozenset()  # the uids of the account's groups
    unsecured: bool = False  # the path is outside what asks who somebody is
    forced: str | None = None
    cache_control: str | None = None

    @property
    def profile(self) -> Profile:
        """The facts of the server's version."""
        return self.server.profile

    @property
    def user(self) -> Account:
        """Who is asking; refuses an anonymous call, which only public paths let come so far."""
        if self.account is None:
            if self.unsecured:
                raise Refusal(409, "No authentication found")
            if self.profile.anonymous_is_refused:
                raise Refusal(409, "Authentication principal is not supported; principal:anonymousUser")
            raise Refusal(500, None)
        return self.account

    def require_user(self) -> None:
        """Refuse an anonymous call."""
        _ = self.user

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter."""
        return next((value for key, value in self.parameters if key == name), None)

    def text(self) -> str | None:
        """The body as text in the charset that its Content-Type names; None where there is no body."""
        if not self.body:
            return None
        charset = _charset(self.headers.get("content-type", ""))
        return decode_utf8(self.body) if charset == "utf-8" else self.body.decode(charset, "replace")

    def message(self, status: int, message: str | None, **members: object) -> Reply:
        """A WebMessage that a controller returns."""
        return json_reply(status, web_message(status, message, **members))

    def mistyped(self, name: str, value: str, kind: str) -> Refusal:
        """The refusal of a query parameter that is not of its type."""
        if self.profile.mistyped_is_explained:
            return Refusal(400, f"Value '{value}' is not valid for parameter {name}. It should be of type {kind}")
        return Refusal(self.profile.bad_date_status, f"Invalid {kind} value [{value}]")

    # Media types

    def accepts_json(self) -> bool:
        """Whether the client takes JSON: an extension in the path decides before the Accept header does."""
        return self.accepts("application", "json")

    def accepts(self, kind: str, subtype: str) -> bool:
        """Whether the client takes a media type."""
        if self.forced:
            return (kind, subtype) == ("application", self.forced)
        ranges = _ranges(self.headers.get("accept", "").strip() or "*/*")
        return any(k in ("*", kind) and s in ("*", subtype) for k, s in ranges)

    def check_content_type(self) -> None:
        """Refuse a body that is not announced as JSON."""
        sent = self.headers.get("content-type", "").strip()
        found = _MEDIA_TYPE.fullmatch(sent)
        if not sent:
            raise Refusal(415, self.profile.content_type_missing_text)
        if not found:
            raise Refusal(415, f"Invalid mime type \"{sent}\": does not contain '/'")
        try:
            _charset(sent)
        except LookupError as error:
            raise Refusal(415, f'Invalid mime type "{sent}": unsupported charset') from error
        kind, subtype, rest = found.groups()
        if (kind.lower(), subtype.lower()) != ("application", "json"):
            shown = f"{kind}/{subtype}".lower() + re.sub(r"\s", "", rest)
            raise Refusal(415, self.profile.content_type_text.format(type=shown))
