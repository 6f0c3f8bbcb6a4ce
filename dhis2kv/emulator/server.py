"""The emulator's heart: a request in, a reply out, nothing of sockets."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, MutableSequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from . import paths, system
from .accounts import Account, Accounts, SignIn, new_uid
from .call import Call, Server
from .faults import Delivery, Fault, Faults
from .jsonb import TooDeep, to_jsonb
from .messages import (
    HTML,
    NO_STORE,
    PRIVATE,
    XML,
    NoResource,
    Page,
    Refusal,
    Reply,
    Request,
    json_reply,
    page_reply,
    web_message,
    xml_message,
)
from .profiles import JSON_UTF8, PROFILES, Profile
from .sharing import get_sharing, put_sharing
from .storage import GLOBAL, Entry, Storage, TextCache
from .stores import DataStore, UserStore

if TYPE_CHECKING:
    from requests import Session

    from .http import ServedEmulator

Handlers = dict[str, Callable[[], Reply]]

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

    :param version: "2.36" to "2.44"
    ``log`` has a record of every request and ``requests`` their number; ``latency`` is added to every reply, in
    seconds; ``down`` lets every connection be refused; ``sleep`` is what the hosts wait with.

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
        """Add an account, or replace the one of that name. ``admin``/``district`` is there from the start."""
        with self._lock:
            self._server.accounts.add(Account(name, password, superuser, frozenset(authorities)))

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
        """Store ``{namespace: {key: value}}`` without a request; ``replace=False`` leaves present entries alone."""
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

    def fail(self, kind: str, **how: Any) -> Fault:
        """Let coming requests go wrong; see :class:`~dhis2kv.emulator.faults.Fault` for kinds and options."""
        fault = Fault(kind, **how)
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
        self.requests += 1
        self.log.append(LogRecord(request.method, request.target, dict(request.pairs()), request.body, status, account))

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
            reply = self._route(call, below, headers)
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
        reply = Reply(200, [("ETag", _etag(b""))])
        if self.profile.ping_sets_cookie and "JSESSIONID=" not in headers.get("cookie", ""):
            reply.headers.append(self._cookie(self._server.accounts.open_session(None)))
        return reply

    def _route(self, call: Call, path: str, headers: dict[str, str]) -> Reply:
        slashed = call.method == "GET" and path.endswith("/") and path != "/"
        if slashed and self.profile.slashed_get_is_no_store:
            call.cache_control = NO_STORE
        try:
            reply = self._dispatch(call, path)
        except NoResource:
            reply = page_reply(404)
        except Page as page:
            reply = page_reply(page.status)
        except TooDeep:
            reply = page_reply(500)  # Java's stack overflows, and nobody words that
        except Refusal as refusal:
            reply = self._worded(call, path, refusal)
        if call.cache_control and reply.header("Cache-Control") is None:
            reply.headers.append(("Cache-Control", call.cache_control))
        return self._conditional(call, reply, headers)

    def _conditional(self, call: Call, reply: Reply, headers: dict[str, str]) -> Reply:
        """The ETag of a successful GET that may be stored, and 304 where the client has it already."""
        cached = reply.header("Cache-Control") or ""
        if call.method != "GET" or not 200 <= reply.status < 300 or "no-store" in cached:
            return reply
        etag = _etag(reply.body)
        known = re.findall(r'(?:W/)?("[^"]*")', headers.get("if-none-match", ""))
        if etag in known:
            return Reply(304, [("ETag", etag)])
        reply.headers.append(("ETag", etag))
        return reply

    # Routes

    def _dispatch(self, call: Call, path: str) -> Reply:
        rest = paths.below_api(path, self.profile)
        if rest is None:
            return self._outside_api(call, path)
        if rest in ("", "/"):
            return Reply(302, [("Location", f"{call.base}/api/resources")])
        for number, route in enumerate(readings := paths.routes(rest, self.profile), 1):
            call.forced = route.forced
            handlers = self._handlers(call, route.segments)
            if handlers or number == len(readings):
                break
        if not handlers:
            raise NoResource
        return self._run(call, handlers, produces_json=_produces_json(call.method, route.segments))

    def _outside_api(self, call: Call, path: str) -> Reply:
        if path == "/":
            return Reply(302, [("Location", self.profile.root_location.format(base=call.base))])
        if self.profile.wrong_context_redirects and not path.endswith("/"):
            return Reply(301, [("Location", f"{self.context_path}{path}/")])
        raise NoResource

    def _run(self, call: Call, handlers: Handlers, *, produces_json: bool) -> Reply:
        """As Spring does: the method decides first, then what the client sends, then what it takes."""
        if call.method == "OPTIONS":
            allowed = [method for verb in handlers for method in ((verb, "HEAD") if verb == "GET" else (verb,))]
            return Reply(200, [("Allow", ",".join([*allowed, "OPTIONS"]))])
        handler = handlers.get("GET" if call.method == "HEAD" else call.method)
        if handler is None:
            raise Refusal(405, self.profile.method_text.format(method=call.method))
        optional = call.method == "PUT" and self.profile.put_without_body_deletes
        if call.method in ("POST", "PUT") and (call.body or not optional):
            call.check_content_type()
        if produces_json and not call.accepts_json():
            raise Refusal(406, "Could not find acceptable representation")
        reply = handler()
        if produces_json or call.accepts_json() or not self.profile.messages_follow_accept:
            return reply
        return self._rendered(call, reply.status, json.loads(reply.body), JSON_UTF8)

    def _handlers(self, call: Call, segments: tuple[str, ...]) -> Handlers:
        """The handlers of a path by method; none where no route has it."""
        if segments[0] == "dataStore":
            return self._data_store(call, segments[1:])
        if segments[0] == "userDataStore":
            return self._user_store(call, segments[1:])
        return self._system(call, "/".join(segments))

    def _data_store(self, call: Call, names: tuple[str, ...]) -> Handlers:
        store = DataStore(call)
        match names:
            case ():
                return {"GET": store.get_namespaces}
            case ("protections",) if self.profile.protections_route:
                return {"GET": store.get_protections, "DELETE": lambda: store.delete_namespace("protections")}
            case (namespace,):
                return self._namespace(call, store, namespace, queries=self.profile.entries_query)
            case (namespace, key):
                return _entry_handlers(store, namespace, key, listed=self.profile.keys_route)
            case (namespace, key, "metaData"):
                return {"GET": lambda: store.get_metadata(namespace, key)}
        return {}

    def _user_store(self, call: Call, names: tuple[str, ...]) -> Handlers:
        if len(names) > 2:
            return {}
        store = UserStore(call)
        match names:
            case (namespace,):
                return self._namespace(call, store, namespace, queries=self.profile.user_entries_query)
            case (namespace, key):
                return _entry_handlers(store, namespace, key, listed=self.profile.user_keys_route)
        return {"GET": store.get_namespaces}

    def _namespace(self, call: Call, store: DataStore | UserStore, namespace: str, *, queries: bool) -> Handlers:
        asked = queries and call.parameter("fields") is not None
        get = store.get_entries if asked else store.get_keys
        return {"GET": lambda: get(namespace), "DELETE": lambda: store.delete_namespace(namespace)}

    def _system(self, call: Call, path: str) -> Handlers:
        profile = self.profile
        known: dict[str, dict[str, Callable[[Call], Reply]]] = {
            "system/ping": {"GET": system.system_ping},
            "system/info": {"GET": system.system_info},
            "me": {"GET": system.me},
            "sharing": {"GET": get_sharing, "POST": put_sharing, "PUT": put_sharing},
        }
        if profile.login_config_route:
            known["loginConfig"] = {"GET": system.login_config}
        if profile.token_route:
            known["apiToken"] = {"POST": system.create_token}
        return {method: lambda h=handler: h(call) for method, handler in known.get(path, {}).items()}  # type: ignore[misc]

    # Words

    def _worded(self, call: Call, path: str, refusal: Refusal) -> Reply:
        """A refusal as this version words it, in a type that the client takes."""
        message = web_message(refusal.status, refusal.message, errorCode=refusal.code)
        kind = self.profile.error_type if refusal.thrown else JSON_UTF8
        if self.profile.messages_follow_accept:
            reply = self._rendered(call, refusal.status, message, kind)
        elif _prefers_xml(call, path):
            reply = Reply(refusal.status, [("Content-Type", f"{XML};charset=UTF-8")], xml_message(message))
        else:
            reply = json_reply(refusal.status, message, kind)
        is_message = reply.header("Content-Type") != HTML
        if self.profile.errors_are_always_private or (call.cache_control is None and is_message):
            call.cache_control = PRIVATE
        return reply

    def _rendered(self, call: Call, status: int, message: dict[str, object], kind: str) -> Reply:
        if call.accepts_json():
            return json_reply(status, message, kind)
        if self.profile.xml_messages and call.accepts("application", "xml"):
            return Reply(status, [("Content-Type", f"{XML};charset=UTF-8")], xml_message(message))
        return page_reply(406)


def _entry_handlers(store: DataStore | UserStore, namespace: str, key: str, *, listed: bool) -> Handlers:
    return {
        "GET": lambda: store.get_keys(namespace) if listed and key == "keys" else store.get_entry(namespace, key),
        "POST": lambda: store.post_entry(namespace, key),
        "PUT": lambda: store.put_entry(namespace, key),
        "DELETE": lambda: store.delete_entry(namespace, key),
    }


def _produces_json(method: str, segments: tuple[str, ...]) -> bool:
    """Every route says that it answers JSON, but for the DELETE of a namespace, and the sharing dialog's writes."""
    stores = segments[0] in ("dataStore", "userDataStore")
    return not (method == "DELETE" and stores and len(segments) == 2)


def _prefers_xml(call: Call, path: str) -> bool:
    """2.36's own rule for messages: the path's ending decides, then the Accept header, and JSON is the default."""
    decoded = paths.decode_path(path)
    if decoded.endswith((".json", ".xml")):
        return decoded.endswith(".xml")
    call.forced = None
    return not call.accepts_json() and call.accepts("application", "xml")


def _etag(body: bytes | bytearray) -> str:
    return f'"0{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
