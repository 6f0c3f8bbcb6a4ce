"""The emulator's heart: a request in, a reply out, nothing of sockets."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, MutableSequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from . import paths, routing
from .accounts import Account, Accounts, SignIn, new_uid
from .call import Call, Server
from .faults import Delivery, Fault, Faults
from .jsonb import to_jsonb
from .messages import Page, Reply, Request, page_reply
from .profiles import PROFILES, Profile
from .storage import GLOBAL, Entry, Storage, TextCache

if TYPE_CHECKING:
    from requests import Session

    from .http import ServedEmulator

# Ant patterns below /api that are open to everybody, and that names in the stores can match.
_PUBLIC = re.compile(
    r"/api/(?:.*/)?(?:account|account/recovery|account/restore|loginConfig|auth/login|locales/ui|files/style/external"
    r"|auth/(?:forgotPassword|passwordReset|registration|invite)|authentication/login"
    r"|(?:staticContent|publicKeys|externalFileResources)(?:/.*)?)"
)


@dataclass(frozen=True)
class LogRecord:
    """One request that reached the emulator. ``status`` is None where it was answered with nothing."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    status: int | None
    account: str | None


class Emulator:
    """A DHIS2 data store in a box.

    It answers as a DHIS2 of the given version does on ``/api/dataStore``, ``/api/userDataStore`` and the few routes
    that their clients need besides. ``handle`` is the whole of it; ``session`` and ``serve`` put it behind ``requests``
    and behind a socket.

    ``log`` has a record of every request and ``requests`` their number; ``latency`` is added to every reply, in
    seconds; ``down`` lets every connection be refused; ``sleep`` is what the hosts wait with.

    :param version: "2.36" to "2.44"
    :param db: the SQLite file to keep entries and tokens in; in memory by default
    :param clock: seconds since 1970; dates, sessions and tokens go by it
    :param context_path: where the server lives, as in "/dhis"
    """

    def __init__(
        self,
        version: str = "2.42",
        *,
        db: str = ":memory:",
        clock: Callable[[], float] = time.time,
        context_path: str = "",
    ) -> None:
        if version not in PROFILES:
            raise ValueError(f"No DHIS2 {version!r} to emulate; there are {', '.join(PROFILES)}.")
        self.profile: Profile = PROFILES[version]
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
        accounts = Accounts(self.profile, storage, self._now)
        self._server = Server(self.profile, storage, accounts, {True: TextCache(), False: TextCache()}, self._now)
        self.add_user("admin", "district", superuser=True)

    def _now(self) -> float:
        return self.clock()

    # Filling and watching

    @property
    def version(self) -> str:
        """The DHIS2 version that is emulated, as in "2.42"."""
        return self.profile.version

    def add_user(self, name: str, password: str, *, superuser: bool = False, authorities: Iterable[str] = ()) -> None:
        """Add an account, or replace the one of that name. ``admin``/``district`` is there from the start.

        Raises ``ValueError`` for a name with a colon: Basic credentials end the name there, so it could not sign in.
        """
        if ":" in name:
            raise ValueError(f"The account {name!r} could never sign in: Basic credentials end the name at a colon.")
        with self._lock:
            owned = frozenset(authorities)
            self._server.accounts.add(Account(name, password, superuser or "ALL" in owned, owned))

    def remove_user(self, name: str) -> None:
        """Remove an account; its entries stay."""
        with self._lock:
            self._server.accounts.users.pop(name, None)

    def put(self, namespace: str, key: str, value: Any, *, user: str | None = None, encrypted: bool = False) -> None:
        """Store a value without a request: in dataStore, or in the ``user``'s own store."""
        self.load({namespace: {key: value}}, user=user, encrypted=encrypted)

    def load(
        self,
        data: Mapping[str, Mapping[str, Any]],
        *,
        user: str | None = None,
        encrypted: bool = False,
        replace: bool = True,
    ) -> None:
        """Store ``{namespace: {key: value}}`` without a request: all of it, or nothing and a ValueError.

        :param user: whose own store is meant; dataStore without it
        :param encrypted: as by ``encrypt=true``
        :param replace: False leaves entries alone that are there
        """
        owner, now = user or GLOBAL, self._now()
        creator = user or next((a.name for a in self._server.accounts.users.values() if a.superuser), "admin")
        storage = self._server.storage
        with self._lock:
            storage.begin()
            try:
                for namespace, entries in data.items():
                    for key, value in entries.items():
                        text = json.dumps(value, ensure_ascii=False)
                        plain, secret = (None, text) if encrypted else (to_jsonb(text), None)
                        if replace:
                            storage.delete(owner, namespace, key)
                        elif storage.get(owner, namespace, key):
                            continue
                        storage.add(Entry(namespace, key, new_uid(), plain, secret, now, now, creator, creator, owner))
            except BaseException:
                storage.rollback()
                raise
            storage.commit()
            self._server.texts[owner == GLOBAL].clear()

    def reset(self) -> None:
        """Forget entries, tokens, sessions, faults and the log; accounts stay."""
        with self._lock:
            self._server.storage.clear()
            self._server.accounts.sessions.clear()
            for cache in self._server.texts.values():
                cache.clear()
            self._faults.clear()
            self.log.clear()
            self.requests = 0

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._server.storage.close()

    # Hosts

    def session(self) -> Session:
        """A ``requests`` session whose every request, to whatever host, this emulator answers without a socket."""
        from .adapter import session_for

        return session_for(self)

    def serve(
        self, host: str = "127.0.0.1", port: int = 0, *, idle_seconds: float = 20.0, requests_each: int = 100
    ) -> ServedEmulator:
        """Serve on a socket until closed: a context manager with ``url`` and ``close()``. Port 0 takes a free one.

        A connection is closed after ``idle_seconds`` without a request and after ``requests_each`` requests, by default
        as live servers do it.
        """
        from .http import ServedEmulator

        return ServedEmulator(self, host, port, idle_seconds=idle_seconds, requests_each=requests_each)

    def fail(
        self,
        kind: str,
        *,
        times: float = 1,
        method: str | None = None,
        match: str | None = None,
        status: int = 503,
        retry_after: float | str | None = None,
        seconds: float = 60.0,
        duplicate: bool = False,
        done: bool = False,
    ) -> Fault:
        """Let coming requests go wrong; see :class:`~dhis2kv.emulator.faults.Fault` for kinds and options."""
        fault = Fault(kind, times, method, match, status, retry_after, seconds, duplicate, done)
        self._faults.add(fault)
        return fault

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
        record = LogRecord(request.method, request.target, dict(request.pairs()), request.body, status, account)
        with self._lock:
            self.requests += 1
            self.log.append(record)

    # Answering

    def handle(self, request: Request) -> Reply:
        """Answer one request. Thread-safe; a reply to HEAD has the headers of a GET's and no body."""
        headers = {name.lower(): value for name, value in request.pairs()}
        with self._lock:
            reply, account = self._answer(request, headers)
            self._record(request, reply.status, account)
        if reply.status != 304:
            reply.headers.append(("Content-Length", str(len(reply.body))))
        reply.headers.append(("Date", formatdate(self._now(), usegmt=True)))
        if request.method == "HEAD":
            reply.body = b""
        return reply

    def _answer(self, request: Request, headers: dict[str, str]) -> tuple[Reply, str | None]:
        head_size = sum(len(name) + len(value) + 4 for name, value in request.pairs())
        head_size += len(request.method) + len(request.target) + 14
        try:
            path, query = paths.check(request.method, request.target, head_size, self.profile)
        except Page as page:
            return page_reply(page.status), None
        base = f"{request.scheme}://{headers.get('host', 'localhost')}{self.context_path}"
        below = self._below_context(path)
        if below is None:
            return page_reply(404), None
        if self.profile.ping_route and below == "/api/ping":
            return self._ping(headers), None
        signed = self._sign_in(headers, below, base)
        if signed.refusal:
            reply = signed.refusal
        else:
            parameters = paths.parameters(query)
            call = Call(self._server, request.method, headers, request.body, parameters, base, signed.account)
            reply = routing.answer(call, below)
        if signed.cookie:
            reply.headers.append(self._cookie(signed.cookie))
        return reply, signed.account.name if signed.account else None

    def _sign_in(self, headers: dict[str, str], path: str, base: str) -> SignIn:
        public = self.profile.public_suffixes and _PUBLIC.fullmatch(path) is not None
        return self._server.accounts.sign_in(headers, base, public=public)

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
