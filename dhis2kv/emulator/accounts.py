"""Accounts, sessions and tokens: who a request comes from, and what is answered where that cannot be told.

Here since who is asking is found out before anything else is, and versions refuse whoever is nobody in many ways.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import re
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from .messages import PRIVATE, Reply, json_reply, page_reply, web_message
from .profiles import Profile
from .storage import Storage, Token

ADMIN_UID = "M5zQapPyTZI"
SESSION_SECONDS = 3600
SESSION_LIMIT = 10_000  # a client without cookies opens one per request
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ALPHABET = "0123456789" + _LETTERS
_BEARER = 'Bearer realm="oauth", error="invalid_token", error_description="Invalid access token"'


def new_uid() -> str:
    """A fresh DHIS2 identifier: a letter and ten letters or digits."""
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_ALPHABET) for _ in range(10))


@functools.lru_cache(1000)  # asked for with every request
def uid_of(name: str) -> str:
    """The identifier of a configured account: always the same, so that a database file outlives the process."""
    if name == "admin":
        return ADMIN_UID
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:12], "big")
    letters = [_LETTERS[number % 52]]
    for _ in range(10):
        number //= 62
        letters.append(_ALPHABET[number % 62])
    return "".join(letters)


@dataclass(frozen=True)
class Account:
    """One user of the server."""

    name: str
    password: str
    superuser: bool = False
    authorities: frozenset[str] = frozenset()

    @property
    def uid(self) -> str:
        """The account's identifier."""
        return uid_of(self.name)

    @property
    def first_name(self) -> str:
        """The first name: the username."""
        return self.name

    @property
    def surname(self) -> str:
        """The surname, the same for all but the server's first account."""
        return "admin" if self.name == "admin" else "Tester"

    @property
    def display_name(self) -> str:
        """First name and surname, as the server prints them."""
        return f"{self.first_name} {self.surname}"

    def may(self, authorities: tuple[str, ...]) -> bool:
        """Whether the account is a superuser or has one of these authorities."""
        return self.superuser or not self.authorities.isdisjoint(authorities)


@dataclass
class Session:
    """One server session; ``account`` is None while nobody has signed in."""

    id: str
    account: str | None
    used: float
    groups: frozenset[str] = frozenset()  # of the account, when it signed in


@dataclass
class SignIn:
    """Who is asking, the session cookie to set if any, and the refusal where nobody may ask."""

    account: Account | None = None
    cookie: str | None = None
    refusal: Reply | None = None
    groups: frozenset[str] = frozenset()


class Accounts:
    """The accounts of one emulator with their sessions. Not thread-safe: called under the emulator's lock."""

    def __init__(self, profile: Profile, storage: Storage, clock: Callable[[], float]) -> None:
        self.profile, self.storage, self.clock = profile, storage, clock
        self.users: dict[str, Account] = {}
        self.sessions: dict[str, Session] = {}

    def add(self, account: Account) -> None:
        """Add an account, or replace the one of that name."""
        self.users[account.name] = account

    # Tokens

    def create_token(self, owner: Account, expires: float, methods: frozenset[str] | None) -> Token:
        """A new personal access token of an account, for requests of these methods (None: of all)."""
        secret = "".join(secrets.choice(_ALPHABET) for _ in range(44))
        token = Token(new_uid(), f"d2p_{secret}{_checksum(secret)}", owner.name, expires, methods)
        self.storage.add_token(token)
        return token

    # Signing in

    def sign_in(self, method: str, headers: dict[str, str], base: str, *, is_public: Callable[[], bool]) -> SignIn:
        """Who a request comes from; where nobody says so, it is asked whether the path is public."""
        session = self._session(headers.get("cookie", ""))
        scheme, _, credentials = headers.get("authorization", "").strip().partition(" ")
        found: SignIn | None
        by_token = scheme.lower() == "apitoken" and self.profile.token_sign_in
        if by_token:
            found = self._token(credentials.strip(), method)
        else:
            found = self._by_header(scheme.lower(), credentials.strip(), session, headers)
        if found is None and session and session.account:
            found = SignIn(self.users[session.account])
        attempted = found is not None
        if found is None:
            found = SignIn() if is_public() else SignIn(refusal=self._entry_point(headers, base))
        if found.account:
            goes_on = session is not None and session.account == found.account.name and not by_token
            found.groups = self._groups(found.account, session if goes_on else None)
        self._give_session(found, session, attempted, headers)
        return found

    def _groups(self, account: Account, session: Session | None) -> frozenset[str]:
        """An account's groups: those of its sign-in within a session that goes on, where the version has it so."""
        if session and self.profile.groups_of_sign_in:
            return session.groups
        return self.storage.groups_of(account.uid)

    def _session(self, cookies: str) -> Session | None:
        found = re.search(r"(?:^|;\s*)JSESSIONID=([^;\s]*)", cookies)
        session = self.sessions.get(found[1]) if found else None
        if session is None:
            return None
        if self.clock() - session.used > SESSION_SECONDS or (session.account and session.account not in self.users):
            del self.sessions[session.id]
            return None
        session.used = self.clock()
        self.sessions[session.id] = self.sessions.pop(session.id)  # the least recently used stands first
        return session

    def _by_header(
        self, scheme: str, credentials: str, session: Session | None, headers: dict[str, str]
    ) -> SignIn | None:
        """What the Authorization header comes to; None where it says nothing that this version listens to."""
        if scheme == "basic":
            return self._basic(credentials, session, headers)
        if scheme == "bearer" and self.profile.bearer_is_oauth:
            error = {"error": "invalid_token", "error_description": "Invalid access token"}
            reply = json_reply(401, error)
            reply.headers += [("Cache-Control", "no-store"), ("WWW-Authenticate", _BEARER)]
            return SignIn(refusal=reply)
        return None

    def _basic(self, credentials: str, session: Session | None, headers: dict[str, str]) -> SignIn:
        try:
            padded = credentials + "=" * (-len(credentials) % 4)
            name, colon, password = base64.b64decode(padded, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return SignIn(refusal=self._unauthorized(headers))
        account = self.users.get(name) if colon else None
        # A session of the same account is believed: the server skips the slow password check then.
        known = session is not None and account is not None and session.account == account.name
        if account and (known or secrets.compare_digest(account.password.encode(), password.encode())):
            return SignIn(account)
        if session and self.profile.bad_password_ends_session:
            session.account = None
        return SignIn(refusal=self._unauthorized(headers))

    def _token(self, key: str, method: str) -> SignIn:
        if self.profile.token_checksum and not _has_checksum(key):
            return SignIn(refusal=self._token_refused(400, "Checksum validation failed"))
        token = self.storage.token(key)
        if token is None or token.owner not in self.users:
            return SignIn(refusal=self._token_refused(401, "The API token does not exists."))
        if token.expires <= self.clock():
            return SignIn(refusal=self._token_refused(401, "Failed to authenticate API token, token has expired."))
        if token.methods is not None and method not in token.methods:
            refused = "Failed to authenticate API token, request http method is not allowed."
            return SignIn(refusal=self._token_refused(401, refused))
        return SignIn(self.users[token.owner])

    def _token_refused(self, status: int, message: str) -> Reply:
        if not self.profile.token_failure_has_message:
            return Reply(status, [("WWW-Authenticate", "ApiToken")])
        reply = json_reply(status, web_message(status, message))
        reply.headers += [("Cache-Control", PRIVATE), ("WWW-Authenticate", "ApiToken")]
        return reply

    def _unauthorized(self, headers: dict[str, str]) -> Reply:
        if self.profile.unauthorized_has_message:
            return json_reply(401, web_message(401, "Unauthorized"))
        if _is_script(headers):
            return Reply(401)
        return page_reply(401, ("WWW-Authenticate", 'Basic realm="Realm"'))

    def _entry_point(self, headers: dict[str, str], base: str) -> Reply:
        if self.profile.unauthorized_asks_for_basic or _is_script(headers):
            return self._unauthorized(headers)
        return Reply(302, [("Location", self.profile.login_location.format(base=base, context=urlsplit(base).path))])

    # Sessions

    def _give_session(self, found: SignIn, session: Session | None, attempted: bool, headers: dict[str, str]) -> None:
        if found.account:
            if session:
                session.account, session.groups = found.account.name, found.groups
                found.cookie = session.id if self.profile.session_renews_cookie else None
            else:
                found.cookie = self.open_session(found.account.name, found.groups)
        elif session is None and self._starts_anonymous_session(attempted, headers):
            found.cookie = self.open_session(None)

    def _starts_anonymous_session(self, attempted: bool, headers: dict[str, str]) -> bool:
        kind = self.profile.anonymous_session
        if kind == "saved request":  # a browser's request, remembered until it has signed in
            return not attempted and not _is_script(headers) and "text/html" in headers.get("accept", "")
        return kind == "always" or (kind == "anonymous" and not attempted)

    def open_session(self, account: str | None, groups: frozenset[str] = frozenset()) -> str:
        """Start a session and return its id."""
        session = Session(secrets.token_hex(16).upper(), account, self.clock(), groups)
        self.sessions[session.id] = session
        if len(self.sessions) > SESSION_LIMIT:
            del self.sessions[next(iter(self.sessions))]
        return session.id


def _is_script(headers: dict[str, str]) -> bool:
    return headers.get("x-requested-with") == "XMLHttpRequest"


def _checksum(secret: str) -> str:
    number = zlib.crc32(secret.encode())
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits


def _has_checksum(key: str) -> bool:
    found = re.fullmatch(r"d2p_([0-9A-Za-z]{44})([0-9A-Za-z]{6})", key)
    return found is not None and _checksum(found[1]) == found[2]
