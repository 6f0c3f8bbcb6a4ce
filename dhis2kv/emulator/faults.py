"""Faults on demand: what goes wrong between a client and a server, and the races of live servers.

Here since what happens by chance between a client and a server has to happen in a test when it is told to.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from .messages import Reply, Request, html_reply, json_reply, page_reply, web_message
from .profiles import Profile

KINDS = ("refuse", "drop_before", "drop_after", "status", "cut", "html", "slow", "put_race", "delete_race")

_DUPLICATE = (
    'ERROR: duplicate key value violates unique constraint "keyjsonvalue_unique_key_in_namespace"\n'
    "  Detail: Key (namespace, namespacekey)=({ns}, {key}) already exists."
)
_ROW_COUNT = "Batch update returned unexpected row count from update [0]; actual row count: 0; expected: 1"


@dataclass
class Delivery:
    """What comes of a request: a reply that arrives whole, is cut short, or none ("refused", "dropped")."""

    reply: Reply | None
    fate: str = "whole"
    delay: float = 0.0


@dataclass
class Fault:
    """One fault, for the next ``times`` requests of those that it is for.

    These are the requests with this ``method``, in whatever case it is written, in whose target (path and query, as
    sent) ``match``, a regular expression, is found; all without them. ``times=math.inf`` is for good, until ``reset``.
    What can befall no request raises ``ValueError``.

    Kinds:

    - ``refuse``: the connection is refused (on a socket: closed unanswered);
    - ``drop_before``, ``drop_after``: the connection is lost before or after the server acted;
    - ``status``: ``status`` (503 by default) instead of acting, with ``retry_after`` seconds if given;
    - ``cut``: the server acts, and the body ends early;
    - ``html``: 200 with an HTML page instead of acting, as from a proxy or a login page;
    - ``slow``: the server acts, and its reply comes ``seconds`` late;
    - ``put_race``: what a PUT gets that lost a race: 409 in one of two texts (``duplicate=True``: the database's);
    - ``delete_race``: the 500 of a DELETE that lost one.

    The last two act first if ``done`` is true.
    """

    kind: str
    times: float = 1
    method: str | None = None
    match: str | None = None
    status: int = 503
    retry_after: float | str | None = None
    seconds: float = 60.0
    duplicate: bool = False
    done: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}; there are {', '.join(KINDS)}.")
        if not self.times >= 1:
            raise ValueError(f"times is the number of requests that go wrong, at least 1 and not {self.times}.")
        if not self.seconds >= 0:
            raise ValueError(f"seconds is how late a reply comes, at least 0 and not {self.seconds}.")
        if self.match is not None:
            try:
                re.compile(self.match)
            except re.error as error:
                raise ValueError(
                    f"match is a regular expression, and {self.match!r} is none: {error}. For a text use re.escape."
                ) from error
        if self.method is not None:
            self.method = self.method.upper()
        elif self.kind in ("put_race", "delete_race"):
            self.method = self.kind.partition("_")[0].upper()

    @property
    def acted(self) -> bool:
        """Whether the server acts in spite of the fault."""
        return self.done or self.kind in ("drop_after", "cut", "slow")

    def meets(self, method: str, target: str) -> bool:
        """Whether a request is one of those that the fault waits for."""
        if self.times <= 0 or self.method not in (None, method):
            return False
        return self.match is None or re.search(self.match, target) is not None

    def befall(self, request: Request, handle: Callable[[Request], Reply], profile: Profile) -> Delivery:
        """What becomes of a request that met this fault."""
        reply = handle(request) if self.acted else None
        if self.kind == "refuse":
            return Delivery(None, "refused")
        if self.kind in ("drop_before", "drop_after"):
            return Delivery(None, "dropped")
        if self.kind == "cut":
            return Delivery(reply, "cut")
        if self.kind == "slow":
            return Delivery(reply, delay=self.seconds)
        return Delivery(_finished(self._words(request, profile), request.method))

    def _words(self, request: Request, profile: Profile) -> Reply:
        if self.kind == "html":
            return html_reply(200, "Log in", "Please log in.")
        if self.kind == "put_race":
            return _lost_put(request, profile, duplicate=self.duplicate)
        if self.kind == "delete_race":
            return json_reply(500, web_message(500, _ROW_COUNT), profile.error_type)
        wait = [("Retry-After", str(self.retry_after))] if self.retry_after is not None else []
        return page_reply(self.status, *wait)


def _lost_put(request: Request, profile: Profile, *, duplicate: bool) -> Reply:
    namespace, key = request.target.partition("?")[0].rstrip("/").split("/")[-2:]
    if duplicate:
        status = profile.database_refusal_status
        text = profile.database_refusal_text or _DUPLICATE.format(ns=namespace, key=key)
        return json_reply(status, web_message(status, text), profile.error_type)
    text = profile.texts.key_exists.format(ns=namespace, key=key)
    code = "E1004" if "E1004" in profile.texts.codes else None
    return json_reply(409, web_message(409, text, errorCode=code), profile.error_type)


def _finished(reply: Reply, method: str) -> Reply:
    reply.headers.append(("Content-Length", str(len(reply.body))))
    if method == "HEAD":
        reply.body = b""
    return reply


class Faults:
    """The faults that wait for their requests, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let one more fault wait."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, target: str) -> Fault | None:
        """The fault that befalls this request, if one does."""
        with self._lock:
            fault = next((f for f in self._waiting if f.meets(method, target)), None)
            if fault:
                fault.times -= 1
            return fault
