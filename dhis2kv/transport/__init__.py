"""One HTTP conversation with a DHIS2 server: session, sign-in, time limits, retries and logging.

Imports errors and wire. Here since whether a call may be sent again without changing its outcome is known only where
all of it was sent.
"""

from __future__ import annotations

import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.utils import select_proxy

from dhis2kv import errors, wire
from dhis2kv.transport import bodies
from dhis2kv.transport.adapter import Headers
from dhis2kv.transport.exchange import Exchange
from dhis2kv.transport.failures import failure
from dhis2kv.transport.sessions import OwnSession, check_settings, disconnect, session_like, settings_of
from dhis2kv.transport.signing import Basic, Token, signer, text

log = logging.getLogger("dhis2kv")

TIMEOUT = (5.0, 30.0, 120.0)  # seconds: to connect, between two bytes, for the whole call with its repeats
MAX_BYTES = 256 * 1024 * 1024
LONGEST_WAIT = 30.0  # seconds; the most that a Retry-After is honoured
LONGEST_TIMEOUT = 1e6  # seconds; sockets take no infinity
IDLE = 10.0  # seconds; servers close a connection after 20 s without a request
REPEATED = frozenset({429, 502, 503, 504})
HEADERS = 5  # the level at which headers are logged, below DEBUG, at which requests are

_INHERITED: list[OwnSession] = []  # of the parent process, for as long as this one lives


class Transport:
    """Sends calls to one server as one account, and gives back replies.

    Any number of threads may use one transport; after a fork parent and child each have connections of their own.

    :param url: the server, with or without ``/api``; credentials in it are used and never printed.
    :param auth: anything that ``requests`` takes; a pair is name and password. Without it and ``token`` a netrc entry
        counts, as in ``requests``.
    :param token: a DHIS2 personal access token.
    :param timeout: seconds for the whole call with its repeats; or a pair as in ``requests`` (to connect, between two
        bytes); or a triple (to connect, between two bytes, for the whole call). The time for the whole call bounds it
        whatever comes, byte by byte or without end; but looking up the host's name takes what time it takes, and each
        of a host's addresses may take the time to connect.
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
        self._session = session_like(session)
        self._auth = signer(found if auth is None else auth, token, self._session, self.base)
        # The proxies and CA bundle of the environment: looking them up costs a third of a call, so it is done once.
        self._settings = settings_of(self._session, self.base, proxies, verify, cert)
        check_settings(**self._settings)
        # Whoever names a file trusts nobody else.
        self._ask_system = self._settings["verify"] is True
        self._session = session_like(session, ask_system=self._ask_system)
        self._headers = {name: text(value) for name, value in self._session.headers.items() if value is not None}
        self._root = urlsplit(self.base).path + "/api/"
        self._reads: tuple[Any, Any] = ("no cookie yet", None)  # the headers of a read, for as long as a cookie lasts
        self._last_used = clock()
        self._process = os.getpid()
        self._signing = threading.Lock()

    @property
    def account(self) -> str | None:
        """The name of the account, where the credentials tell it."""
        return self._auth.username if isinstance(self._auth, Basic) else None

    @property
    def by_token(self) -> bool:
        """Whether requests are signed with a personal access token, which may be for some methods only."""
        return isinstance(self._auth, Token) or self._headers.get("Authorization", "").startswith("ApiToken ")

    def close(self) -> None:
        """Close the connections; in a child process its own, not its parent's."""
        if self._process == os.getpid():
            disconnect(self._session)

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
            log.info("%s %s: %s; again in %.1f s", call.method, call.path, why, wait)
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
        if isinstance(outcome, wire.Reply):
            # Busy servers and proxies refuse a DELETE with 429 before anything of it is done.
            acted = outcome.may_have_acted if call.method == "DELETE" else True
        else:
            acted = outcome.sent
        if acted and not call.repeatable:
            return None
        if isinstance(outcome, wire.Reply) and "retry-after" in outcome.headers:
            try:
                return min(float(urllib3.Retry().parse_retry_after(outcome.headers["retry-after"])), LONGEST_WAIT)
            except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
                log.warning("%s %s: cannot read its Retry-After", call.method, call.path)
        return float(0.1 * 2**waits * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret

    def _drop_stale_session(self, reply: wire.Reply) -> bool:
        """Whether the reply may be due to a session that the server has forgotten; forgets it here too."""
        refused = reply.status == 401 or (reply.status == 302 and "login" in reply.headers.get("location", ""))
        stale = refused and len(self._session.cookies) > 0
        if stale:
            self._session.cookies.clear()
        return stale

    def _send(self, call: wire.Call, deadline: float) -> wire.Reply:
        """Send a call once."""
        if self._process != os.getpid():
            self._renew()
        now = self._clock()
        if not call.repeatable and now - self._last_used > IDLE:
            # A connection that the server is just closing would leave open whether the call was done.
            disconnect(self._session)
        self._last_used = now
        request = self._prepared(call)
        url = f"{self.base}{call.target}"
        if call.method == "DELETE":
            wire.check_delete(call, urlsplit(str(request.url)).path)
        left = max(deadline - now, 0.001)
        limits = (min(self._connect, left), min(self._read, left))
        facts: dict[str, Any] = {"method": call.method, "url": url}
        with Exchange(deadline, limits[1], self._clock) as exchange:
            try:
                response = self._session.send(request, timeout=limits, allow_redirects=False, **self._settings)
                exchange.sent = True
                body, counted = self._body(response, exchange, facts)
            except (urllib3.exceptions.HTTPError, OSError) as error:  # those of requests are OSErrors
                log.debug("%s %s: %s", call.method, url, type(error).__name__)
                proxy = select_proxy(self.base, self._settings["proxies"])
                raise failure(error, exchange, self._total, facts, proxy) from error
        log.debug("%s %s: %d, %d bytes", call.method, url, response.status_code, len(body))
        _log_headers(">", request.headers)
        _log_headers("<", response.headers)
        headers = dict(response.headers.lower_items())
        anonymous = "Authorization" not in request.headers and "Cookie" not in request.headers
        reply = wire.Reply(call, url, response.status_code, headers, body, counted=counted, anonymous=anonymous)
        if 200 <= reply.status < 300 and not reply.whole:
            host = urlsplit(url).netloc
            raise reply.error(errors.Unreachable, f"the connection to {host} broke: its reply may be cut")
        return reply

    def _prepared(self, call: wire.Call) -> requests.PreparedRequest:
        """The request as it will leave the socket.

        Built by hand: what prepares a URL in ``requests`` undoes the escapes that dotted names need.
        """
        request = requests.PreparedRequest()
        request.method = call.method
        request.url = f"{self.base}{call.target}"
        request.hooks = {"response": list(self._session.hooks["response"])}
        request.headers = Headers()
        cookie = self._session.cookies.header(request, self._root)
        if not call.writes and cookie == self._reads[0] and not request.hooks["response"]:
            request.headers = self._reads[1]
            return request
        request.headers = Headers(self._headers)
        request.prepare_cookies(self._session.cookies)
        if not call.writes:
            # Coming servers let caches hand out what is a minute old, and say 304 for whole types of entries at a time:
            # reads go to the server, and no ETag is used.
            request.headers["Cache-Control"] = "no-cache"
        if call.body is not None:
            request.body = call.body.encode()
            request.headers["Content-Type"] = "application/json"
            request.headers["Content-Length"] = str(len(request.body))
        if self._auth is None or isinstance(self._auth, Basic | Token):
            request = self._auth(request) if self._auth else request
            if not call.writes:
                self._reads = (cookie, request.headers)
            return request
        with self._signing:  # where it gets a new token, one thread does, and the others wait for it
            return self._sign(request)

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            return self._auth(request)  # type: ignore[no-any-return]  # what auth objects of requests return
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise errors.Unreachable(f"what signs requests could not: {error}", url=request.url) from error

    def _body(
        self, response: requests.Response, exchange: Exchange, facts: dict[str, Any]
    ) -> tuple[bytes | bytearray, bool]:
        """The body, and whether it was counted or chunked to its end."""
        try:
            return bodies.read(response, exchange, self._max_bytes)
        except BaseException as error:
            if response.raw is not None:  # as test doubles have it
                response.close()  # what is left of the body must not be taken for the next reply
            if not isinstance(error, bodies.TooLargeError):
                raise
            sentence = f"the reply is larger than max_bytes={self._max_bytes}"
            raise errors.ServerError(sentence, sent=True, status=response.status_code, **facts) from None

    def _renew(self) -> None:
        """Leave the parent's connections alone after a fork: kept, for what drops them asks for locks of theirs."""
        _INHERITED.append(self._session)
        self._session = session_like(self._borrowed, ask_system=self._ask_system)
        self._signing = threading.Lock()
        self._process = os.getpid()


def _log_headers(sign: str, headers: Mapping[str, str]) -> None:
    """Log headers, below the level DEBUG, without what could sign somebody in."""
    if log.isEnabledFor(HEADERS):
        for name, value in headers.items():
            secret = re.search("auth|cookie|token|key|secret|password", name, re.I)
            log.log(HEADERS, "%s %s: %s", sign, name, "********" if secret else value)


def _times(timeout: Any) -> tuple[float, float, float]:
    given = timeout if isinstance(timeout, tuple) else (timeout, timeout, timeout)
    known = len(given) in (2, 3) and all(isinstance(one, int | float) and 0 < one <= LONGEST_TIMEOUT for one in given)
    if not known:
        raise ValueError("timeout is a number of seconds above 0, or a pair or triple of such")
    connect, read, total = given if len(given) == 3 else (*given, max(TIMEOUT[2], sum(given)))
    return connect, read, total


def _is_race(reply: wire.Reply) -> bool:
    """Whether this is what a lost race looks like: live servers answer the loser so, and a second try succeeds."""
    if reply.call.method == "DELETE":
        # In DHIS2's own words it is a transaction that was rolled back; anybody else's may stand for a lost answer.
        return reply.status == 500 and bool(reply.web_message)
    return reply.call.method == "PUT" and not reply.call.once and reply.status in (409, 500)
