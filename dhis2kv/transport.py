"""One HTTP conversation with a DHIS2 server: session, sign-in, time limits, retries and logging."""

from __future__ import annotations

import base64
import logging
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase, HTTPBasicAuth
from requests.structures import CaseInsensitiveDict
from requests.utils import get_netrc_auth

from dhis2kv import __version__, errors, wire

log = logging.getLogger("dhis2kv")

TIMEOUT = (5.0, 30.0, 120.0)  # seconds: to connect, between two bytes, for the whole call with its repeats
MAX_BYTES = 256 * 1024 * 1024
LONGEST_WAIT = 30.0  # seconds; the most that a Retry-After is honoured
LONGEST_TIMEOUT = 1e6  # seconds; sockets take no infinity
IDLE = 10.0  # seconds; servers close a connection after 20 s without a request
CHUNK = 65536
REPEATED = frozenset({429, 502, 503, 504})


class Transport:
    """Sends calls to one server as one account, and gives back replies.

    Any number of threads may use one transport; after a fork parent and child each have connections of their own.

    :param url: the server, with or without ``/api``; credentials in it are used and never printed.
    :param auth: anything that ``requests`` takes; a pair is name and password. Without it and ``token`` a netrc entry
        counts, as in ``requests``.
    :param token: a DHIS2 personal access token.
    :param timeout: seconds for the whole call with its repeats; or a pair as in ``requests`` (to connect, between two
        bytes); or a triple (to connect, between two bytes, for the whole call). The time for the whole call is checked
        before each repeat and with each piece of the body (urllib3 before 2.0: with each 64 KiB of it).
    :param retries: how often a call is repeated at most, after a wait, where that cannot change its outcome; what looks
        like a lost race or a stale session is repeated once besides, at once.
    :param verify, cert, proxies: as in ``requests``; its environment variables count, and are read once, here.
    :param max_bytes: the largest reply taken, in bytes.
    :param session: a ``requests.Session`` whose adapters, headers, authentication, proxies and certificates are used.
        Its cookies are not: a live DHIS2 session outweighs a wrong password, so accounts never share a jar.

    Raises ``ValueError`` for a URL that is none, for credentials given twice and for times that are not positive.
    """

    def __init__(
        self,
        url: str,
        auth: Any = None,
        *,
        token: str | None = None,
        timeout: float | tuple[float, float] | tuple[float, float, float] = TIMEOUT,
        retries: int = 3,
        verify: bool | str | None = None,
        cert: str | tuple[str, str] | None = None,
        proxies: dict[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base, found = wire.base_url(url)
        if sum(given is not None for given in (auth, token, found)) > 1:
            raise ValueError("give one of auth, token, and credentials in the URL")
        self._connect, self._read, self._total = _times(timeout)
        if retries < 0 or max_bytes < 1:
            raise ValueError("retries cannot be negative, and max_bytes is at least 1")
        self._retries, self._max_bytes, self.sleep, self._clock = retries, max_bytes, sleep, clock
        self._borrowed = session
        self._session = _session(session)
        self._auth = _auth(found if auth is None else auth, token, self._session, self.base)
        # The proxies and CA bundle of the environment: looking them up costs a third of a call, so it is done once.
        self._settings = self._session.merge_environment_settings(self.base + "/", proxies or {}, True, verify, cert)
        _check_settings(**self._settings)
        self._headers = {name: _text(value) for name, value in self._session.headers.items() if value is not None}
        self._last_used = clock()
        self._process = os.getpid()

    @property
    def account(self) -> str | None:
        """The name of the account, where the credentials tell it."""
        return self._auth.username if isinstance(self._auth, _Basic) else None

    def close(self) -> None:
        """Close the connections, unless they belong to a session that was passed in."""
        if self._borrowed is None:
            self._session.close()

    def call(self, call: wire.Call) -> wire.Reply:
        """Send a call, repeat it where that cannot change its outcome, and return the reply, whatever its status.

        Costs one request, plus the repeats. Raises ``Unreachable``, ``TimedOut``, ``ServerError`` for a reply that is
        too large, and ``Unaddressable`` for a DELETE that would hit something else.
        """
        deadline = self._clock() + self._total
        waits = 0
        may_have_acted = stale = race = False
        while True:
            outcome: wire.Reply | errors.Unreachable
            try:
                outcome = self._send(call, deadline)
            except errors.Dhis2kvError as failure:
                failure.sent = call.writes and (failure.sent or may_have_acted)
                if not isinstance(failure, errors.Unreachable):
                    raise
                outcome = failure
            if isinstance(outcome, wire.Reply):
                if may_have_acted and call.method == "DELETE" and outcome.status == 404 and outcome.message:
                    # What was sent before did it, and its answer was lost.
                    return replace(outcome, status=200)
                if not stale and self._drop_stale_session(outcome):
                    stale = True
                    continue
                if not race and _is_race(outcome):
                    race = True
                    may_have_acted = may_have_acted or outcome.may_have_acted
                    continue
            wait = self._wait(call, waits, outcome)
            if wait is None or self._clock() + wait >= deadline:
                if isinstance(outcome, errors.Unreachable):
                    raise outcome
                return replace(outcome, unsure=True) if may_have_acted else outcome
            why = f"status {outcome.status}" if isinstance(outcome, wire.Reply) else outcome
            log.warning("%s %s: %s; again in %.1f s", call.method, call.path, why, wait)
            waits += 1
            acted = outcome.may_have_acted if isinstance(outcome, wire.Reply) else outcome.sent
            may_have_acted = may_have_acted or acted
            self.sleep(wait)

    def _wait(self, call: wire.Call, waits: int, outcome: wire.Reply | errors.Unreachable) -> float | None:
        """Seconds to wait before the call may be repeated; None if it may not be, or need not."""
        if waits >= self._retries:
            return None
        if isinstance(outcome, wire.Reply) and outcome.status not in REPEATED:
            return None
        if isinstance(getattr(outcome, "__cause__", None), requests.exceptions.SSLError):
            return None  # a certificate does not get better by waiting
        acted = isinstance(outcome, wire.Reply) or outcome.sent
        if acted and (call.once or call.method == "POST"):
            return None
        if isinstance(outcome, wire.Reply) and "retry-after" in outcome.headers:
            try:
                return min(float(urllib3.Retry(0).parse_retry_after(outcome.headers["retry-after"])), LONGEST_WAIT)
            except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
                log.warning("%s %s: cannot read its Retry-After", call.method, call.path)
        return float(0.1 * 2**waits * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret

    def _drop_stale_session(self, reply: wire.Reply) -> bool:
        """Whether the reply may be due to a session that the server has forgotten; forgets it here too."""
        refused = reply.status == 401 or (reply.status == 302 and "login" in reply.headers.get("location", ""))
        if refused and len(self._session.cookies):
            self._session.cookies.clear()
            return True
        return False

    def _send(self, call: wire.Call, deadline: float) -> wire.Reply:
        """Send a call once."""
        if self._process != os.getpid():
            self._renew()
        now = self._clock()
        if (call.once or call.method == "POST") and now - self._last_used > IDLE and self._borrowed is None:
            # A connection that the server is just closing would leave open whether the call was done.
            self._session.close()
        self._last_used = now
        request = self._prepared(call)
        url = f"{self.base}{call.target}"
        if call.method == "DELETE":
            wire.check_delete(call, urlsplit(request.url or "").path)
        left = max(deadline - now, 0.001)
        limits = (min(self._connect, left), min(self._read, left))
        facts: dict[str, Any] = {"method": call.method, "url": url}
        try:
            response = self._session.send(request, timeout=limits, allow_redirects=False, **self._settings)
            try:
                body = self._body(response, deadline, facts)
            except BaseException:
                response.close()  # what is left of the body must not be taken for the next reply
                raise
        except errors.Dhis2kvError:
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            log.debug("%s %s: %s", call.method, url, type(error).__name__)
            raise _failure(error, facts) from error
        log.debug("%s %s: %d, %d bytes", call.method, url, response.status_code, len(body))
        headers = {name.lower(): value for name, value in response.headers.items()}
        return wire.Reply(call, url, response.status_code, headers, body)

    def _prepared(self, call: wire.Call) -> requests.PreparedRequest:
        """The request as it will leave the socket.

        Built by hand: what prepares a URL in ``requests`` undoes the escapes that dotted names need.
        """
        request = requests.PreparedRequest()
        request.method = call.method
        request.url = f"{self.base}{call.target}"
        request.headers = CaseInsensitiveDict(self._headers)
        request.hooks = {"response": list(self._session.hooks["response"])}
        if call.body is not None:
            request.body = call.body.encode()
            request.headers["Content-Type"] = "application/json"
            request.headers["Content-Length"] = str(len(request.body))
        request.prepare_cookies(self._session.cookies)
        if self._auth is not None:
            request = self._auth(request)
        return request

    def _body(self, response: requests.Response, deadline: float, facts: dict[str, Any]) -> bytes | bytearray:
        """The body, read as it comes, so that neither a slow trickle nor a flood goes on for ever."""
        raw = response.raw
        # Where urllib3 has it, read1 returns with what is there; read waits until the chunk is full.
        read = getattr(raw, "read1", raw.read)
        body = bytearray()
        while chunk := read(CHUNK, decode_content=True):
            body += chunk
            if len(body) > self._max_bytes:
                raise errors.ServerError(
                    f"the reply is larger than max_bytes={self._max_bytes}",
                    sent=True,
                    status=response.status_code,
                    **facts,
                )
            if self._clock() > deadline:
                raise errors.TimedOut(f"no whole reply within {self._total:g} s", sent=True, **facts)
        if raw.length_remaining and facts["method"] != "HEAD":
            raise urllib3.exceptions.IncompleteRead(len(body), raw.length_remaining)
        return body

    def _renew(self) -> None:
        """Leave the parent's connections alone after a fork; closing them would ask for locks that nobody may hold."""
        self._session = _session(self._borrowed)
        for prefix, adapter in self._session.adapters.items():
            if isinstance(adapter, requests.adapters.HTTPAdapter):
                self._session.adapters[prefix] = _without_connections(adapter)
        self._process = os.getpid()


def _without_connections(adapter: requests.adapters.HTTPAdapter) -> requests.adapters.HTTPAdapter:
    """An adapter like another one, which may be of a class of somebody's own, with no connection yet."""
    twin: Any = object.__new__(type(adapter))
    twin.__dict__.update(adapter.__dict__, proxy_manager={})
    twin.init_poolmanager(twin._pool_connections, twin._pool_maxsize, block=twin._pool_block)
    return twin  # type: ignore[no-any-return]  # of the adapter's class


class _Session(requests.Session):
    """A session that sees no redirects: a malformed Location raises bare errors deep inside the ordinary one."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - the name is requests'
        return None


class _Basic(AuthBase):
    """Basic sign-in in UTF-8, as DHIS2 reads it; ``requests`` itself writes Latin-1."""

    def __init__(self, username: str, password: str) -> None:
        if ":" in username:
            raise ValueError("a username cannot hold a colon: Basic sign-in would take the rest for the password")
        self.username = username
        self._header = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


class _Token(AuthBase):
    """A DHIS2 personal access token."""

    def __init__(self, token: str) -> None:
        if not re.fullmatch(r"[!-~]+", token):
            raise ValueError("a personal access token is one word of ASCII characters, like d2pat_...")
        self._header = f"ApiToken {token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


def _auth(auth: Any, token: str | None, session: requests.Session, base: str) -> Any:
    """What signs requests, a callable or None; a netrc entry counts only where nothing else was given."""
    if token is not None:
        return _Token(token)
    auth = auth if auth is not None else session.auth
    if auth is None and session.trust_env:
        auth = get_netrc_auth(base)
    if isinstance(auth, tuple | list) and len(auth) == 2 and all(isinstance(part, str) for part in auth):
        return _Basic(*auth)
    if type(auth) is HTTPBasicAuth:
        return _Basic(_text(auth.username), _text(auth.password))
    if auth is None or callable(auth):
        return auth
    raise TypeError("auth is a pair (name, password), or an authentication object of requests")


def _session(given: requests.Session | None) -> requests.Session:
    session = _Session()
    if given is None:
        adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=32, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
    else:
        session.adapters, session.auth, session.hooks = dict(given.adapters), given.auth, given.hooks
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


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_settings(*, proxies: Any, verify: Any, cert: Any, **_: Any) -> None:
    """Find out now what would look like a broken connection later; raises ``ValueError``."""
    files = [*(cert if isinstance(cert, tuple) else [cert]), verify]
    for path in files:
        if isinstance(path, str) and not os.path.exists(path):
            raise ValueError(f"verify, cert, or REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE name {path!r}, which is not there")
    for kind, proxy in (proxies or {}).items():
        if kind.partition(":")[0] not in ("http", "https", "all"):
            continue  # of the environment: other protocols, and where no proxy is wanted
        try:
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            usable = bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(f"the proxy for {kind!r} is not a URL like http://proxy.example.org:3128")
        if parts.scheme.startswith("socks") and find_spec("socks") is None:
            raise ValueError(f"the proxy for {kind!r} needs PySocks:  pip install 'requests[socks]'")


def _times(timeout: Any) -> tuple[float, float, float]:
    given = timeout if isinstance(timeout, tuple) else (timeout, timeout, timeout)
    known = len(given) in (2, 3) and all(isinstance(one, int | float) and 0 < one <= LONGEST_TIMEOUT for one in given)
    if not known:
        raise ValueError("timeout is a number of seconds above 0, or a pair or triple of such")
    connect, read, total = given if len(given) == 3 else (*given, max(TIMEOUT[2], sum(given)))
    return connect, read, total


def _is_race(reply: wire.Reply) -> bool:
    """Whether this is what a lost race looks like: live servers answer the loser so, and a second try succeeds."""
    method, once = reply.call.method, reply.call.once
    return not once and (
        (method == "PUT" and reply.status in (409, 500)) or (method == "DELETE" and reply.status == 500)
    )


def _failure(error: Exception, facts: dict[str, Any]) -> errors.Dhis2kvError:
    """Which of our errors an exception of requests or urllib3 is, and whether the request had been sent."""
    cause: Any = error
    while isinstance(cause, requests.RequestException) and cause.args and isinstance(cause.args[0], Exception):
        cause = cause.args[0]
    never_connected = isinstance(cause, urllib3.exceptions.MaxRetryError)
    if never_connected:
        cause = cause.reason or cause
    never_connected = never_connected or isinstance(cause, urllib3.exceptions.ConnectTimeoutError)
    sent = not never_connected or isinstance(
        cause, urllib3.exceptions.ReadTimeoutError | urllib3.exceptions.ProtocolError
    )
    if isinstance(error, ValueError):  # how requests says that it cannot even begin
        sent = False
    facts = {**facts, "sent": sent}
    host = urlsplit(facts["url"]).netloc
    timeouts = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    refused = isinstance(cause, urllib3.exceptions.NewConnectionError)  # which is, for history's sake, a time-out too
    if not refused and (isinstance(error, timeouts) or isinstance(cause, timeouts)):
        return errors.TimedOut(f"{host} did not {'answer' if sent else 'accept a connection'} in time", **facts)
    if not sent:
        return errors.Unreachable(f"no connection to {host}: {_reason(cause)}", **facts)
    return errors.Unreachable(f"the connection to {host} broke: {_reason(cause)}", **facts)


def _reason(cause: BaseException) -> str:
    """What went wrong, without the addresses of objects that urllib3 prints."""
    return re.sub(r"<[^>]*>:?\s*", "", str(cause)).strip() or type(cause).__name__
