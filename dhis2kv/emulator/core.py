"""The emulator's heart: a request in, a reply out, and what goes wrong on its way. Nothing of sockets or of hosts.

Here since the same answer has to come out of every host.
"""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass
from email.utils import formatdate

from . import paths, routing
from .accounts import Accounts, SignIn
from .call import Call, Server
from .faults import Delivery, Faults
from .messages import Page, Reply, Request, html_reply, page_reply
from .profiles import Profile
from .storage import Storage, TextCache

# Ant patterns below /api that are open to everybody, and that names in the stores can match.
_PUBLIC = re.compile(
    r"/api/(?:.*/)?(?:account|account/recovery|account/restore|loginConfig|auth/login|locales/ui|files/style/external"
    r"|auth/(?:forgotPassword|passwordReset|registration|invite)|authentication/login"
    r"|(?:staticContent|publicKeys|externalFileResources)(?:/.*)?)"
)


@functools.lru_cache(10)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


@dataclass(frozen=True)
class LogRecord:
    """One request that reached the emulator. ``status`` is None where it was answered with nothing."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    status: int | None
    account: str | None


class Core:
    """A server without a host: ``handle`` answers a request, ``deliver`` is what a host does with one.

    :param profile: the facts of the version to be
    :param db: the SQLite file to keep entries and tokens in
    :param clock: seconds since 1970
    :param context_path: where the server lives, as in "/dhis"
    """

    def __init__(self, profile: Profile, db: str, clock: Callable[[], float], context_path: str) -> None:
        self.profile = profile
        self.context_path = context_path.rstrip("/")
        self.clock = clock
        self.sleep: Callable[[float], object] = time.sleep
        self.latency = 0.0
        self.down = False
        self.log: MutableSequence[LogRecord] = []
        self.requests = 0
        self._lock = threading.RLock()
        self._faults = Faults()
        storage = Storage(db)
        accounts = Accounts(profile, storage, self._now)
        self._login_path = profile.login_location.partition("}")[2].rstrip("/")
        self._server = Server(profile, storage, accounts, {True: TextCache(), False: TextCache()}, self._now)

    def _now(self) -> float:
        return self.clock()

    def deliver(self, request: Request) -> Delivery:
        """What a host does with a request: the reply, and what goes wrong on its way."""
        if self.down:
            return Delivery(None, "refused")
        fault = self._faults.take(request.method, request.target)
        if fault is None:
            return Delivery(self.handle(request), delay=self.latency)
        delivery = fault.befall(request, self.handle, self.profile)
        delivery.delay += self.latency
        if not fault.acted:
            status = delivery.reply.status if delivery.reply else None
            self._record(request, status, None)
        return delivery

    def _record(self, request: Request, status: int | None, account: str | None) -> None:
        headers = dict(request.headers)
        record = LogRecord(request.method, request.target, headers, request.body, status, account)
        with self._lock:
            self.requests += 1
            self.log.append(record)

    def handle(self, request: Request) -> Reply:
        """Answer one request. Thread-safe; a reply to HEAD has the headers of a GET's and no body."""
        headers = {name.lower(): value for name, value in request.pairs()}
        with self._lock:
            reply, account = self._answer(request, headers)
            self._record(request, reply.status, account)
        if reply.status != 304 and (request.method != "HEAD" or self.profile.head_has_length):
            reply.headers.append(("Content-Length", str(len(reply.body))))
        reply.headers.append(("Date", _date(int(self._now()))))
        if request.method == "HEAD":
            reply.body = b""
        return reply

    def _answer(self, request: Request, headers: dict[str, str]) -> tuple[Reply, str | None]:
        head_size = sum(map(len, headers)) + sum(map(len, headers.values())) + 4 * len(headers)
        head_size += len(request.method) + len(request.target) + 14
        try:
            path, query = paths.check(request.method, request.target, head_size, self.profile)
        except Page as page:
            return page_reply(page.status), None
        base = f"{request.scheme}://{headers.get('host', 'localhost')}{self.context_path}"
        below = self._below_context(path)
        if below is None:
            return page_reply(404), None
        decoded = paths.decode_path(below)
        if reply := self._asks_nobody(decoded, headers):
            return reply, None
        suffix = self.profile.unsecured_suffix
        unsecured = suffix is not None and decoded.startswith("/api/") and decoded.endswith(suffix)
        signed = SignIn() if unsecured else self._sign_in(request.method, headers, decoded, base)
        if signed.refusal:
            reply = signed.refusal
        else:
            parameters = paths.parameters(query)
            call = Call(
                self._server,
                request.method,
                headers,
                request.body,
                parameters,
                base,
                signed.account,
                signed.groups,
                unsecured,
            )
            reply = routing.answer(call, below)
        if signed.cookie:
            reply.headers.append(self._cookie(signed.cookie))
        return reply, signed.account.name if signed.account else None

    def _asks_nobody(self, path: str, headers: dict[str, str]) -> Reply | None:
        """The reply of a route to which it is all the same who asks."""
        if self.profile.ping_route and path == "/api/ping":
            return self._ping(headers)
        if path.rstrip("/") == self._login_path:
            return html_reply(200, "DHIS 2") if self.profile.login_page else page_reply(404)
        return None

    def _sign_in(self, method: str, headers: dict[str, str], path: str, base: str) -> SignIn:
        return self._server.accounts.sign_in(method, headers, base, is_public=lambda: self._is_public(path))

    def _is_public(self, path: str) -> bool:
        if self.profile.system_ping_is_open and path == "/api/system/ping":
            return True
        return self.profile.public_suffixes and _PUBLIC.fullmatch(path) is not None

    def _below_context(self, path: str) -> str | None:
        if not self.context_path:
            return path
        if path == self.context_path:
            return "/"
        return path[len(self.context_path) :] if path.startswith(self.context_path + "/") else None

    def _cookie(self, session: str) -> tuple[str, str]:
        return "Set-Cookie", f"JSESSIONID={session}; Path={self.context_path or '/'}; HttpOnly"

    def _ping(self, headers: dict[str, str]) -> Reply:
        reply = Reply(200, [("ETag", routing.etag(b""))])
        if self.profile.ping_sets_cookie and "JSESSIONID=" not in headers.get("cookie", ""):
            reply.headers.append(self._cookie(self._server.accounts.open_session(None)))
        return reply
