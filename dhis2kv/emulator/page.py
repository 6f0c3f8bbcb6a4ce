"""A page on what an emulated server holds, for people who write an app against it; imports the core.

Here since it belongs to serving and not to what is emulated: no DHIS2 has it. It can only be looked at, asks for no
sign-in, and is shown on the loopback alone, and only to a browser that means the loopback: a page of some other site,
whose name leads here, gets nothing (DNS rebinding).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from html import escape
from ipaddress import ip_address
from itertools import islice
from time import localtime, strftime
from urllib.parse import parse_qs, quote, urlencode

from .core import Core
from .faults import Delivery
from .messages import HTML, Reply, Request
from .storage import GLOBAL, Entry

_REQUESTS = 50  # that are remembered
_ENTRIES = 200  # on one page
_CHARACTERS = 20_000  # of one value

_HEADERS = [
    ("Content-Type", HTML),
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p { color: GrayText; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #8884; }
th { font-weight: 600; }
td { overflow-wrap: anywhere; }
td:first-child { min-width: 12rem; } td:last-child { min-width: 6rem; }
pre { margin: 0; white-space: pre-wrap; max-height: 24rem; overflow: auto; font: 13px/1.4 ui-monospace, monospace; }
code { font: 13px/1.4 ui-monospace, monospace; }
small { color: GrayText; }
"""


@dataclass(frozen=True)
class _Seen:
    """One request, as the page lists it."""

    time: float
    method: str
    target: str
    status: int | None


class WithPage:
    """An emulator as a host sees it, whose root shows a browser what it holds; all else is the emulator's to answer."""

    def __init__(self, emulator: Core) -> None:
        self._emulator = emulator
        self._seen: deque[_Seen] = deque(maxlen=_REQUESTS)
        self.context_path = emulator.context_path

    def sleep(self, seconds: float) -> object:
        """Wait, as the emulator does."""
        return self._emulator.sleep(seconds)

    def deliver(self, request: Request) -> Delivery:
        """What a host does with a request."""
        if self._asks_for_page(request):
            return Delivery(self._reply(request))
        delivery = self._emulator.deliver(request)
        status = delivery.reply.status if delivery.reply else None
        self._seen.appendleft(_Seen(self._emulator.clock(), request.method, request.target, status))
        return delivery

    def _asks_for_page(self, request: Request) -> bool:
        path = request.target.partition("?")[0]
        accepted = _header(request, "accept")
        return request.method in ("GET", "HEAD") and path == f"{self.context_path}/" and "text/html" in accepted

    def _reply(self, request: Request) -> Reply:
        if not _is_loopback(_header(request, "host")):
            return _page(403, "<p>This page is shown on the loopback alone: at http://localhost, with the port.</p>")
        wanted = parse_qs(request.target.partition("?")[2])
        user, namespace = (wanted.get(name, [None])[0] for name in ("user", "namespace"))
        with self._emulator._lock:
            parts = list(self._stores() if namespace is None else self._namespace(user or GLOBAL, namespace))
        return _page(200, "".join(parts))

    def _stores(self) -> Iterator[str]:
        storage = self._emulator._server.storage
        yield f"<h1>DHIS2 {escape(self._emulator.profile.version)}, emulated</h1>"
        yield "<p>What it holds, to look at; reload for what is new.</p>"
        for owner in (GLOBAL, *sorted(self._emulator._server.accounts.users)):
            namespaces = sorted(storage.namespaces(owner))
            if not namespaces and owner != GLOBAL:
                continue
            store = f"userDataStore of {escape(owner)}" if owner else "dataStore"
            rows = ((_link(owner, name), f"{sum(1 for _ in storage.keys(owner, name, None))}") for name in namespaces)
            yield f"<h2>{store}</h2>{_table(('namespace', 'entries'), rows) if namespaces else '<p>empty</p>'}"
        seen = (
            (
                strftime("%H:%M:%S", localtime(one.time)),
                one.method,
                f"<code>{escape(one.target)}</code>",
                f"{one.status}",
            )
            for one in self._seen.copy()  # other threads add to it
        )
        yield f"<h2>The last requests</h2>{_table(('time', 'method', 'target', 'status'), seen)}"

    def _namespace(self, owner: str, namespace: str) -> Iterator[str]:
        entries = sorted(self._emulator._server.storage.entries(owner, namespace), key=lambda entry: entry.key)
        store = f"userDataStore of {escape(owner)}" if owner else "dataStore"
        yield f"<p><a href='{quote(self.context_path)}/'>all namespaces</a></p><h1>{escape(namespace)}</h1><p>{store}"
        yield f", {len(entries)} entries{f', the first {_ENTRIES} of them' if len(entries) > _ENTRIES else ''}</p>"
        rows = ((f"{escape(entry.key)}{_about(entry)}", _value(entry)) for entry in islice(entries, _ENTRIES))
        yield _table(("key", "value"), rows)


def is_loopback_address(host: str) -> bool:
    """Whether only this machine can reach what listens at an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def indented(text: str) -> str:
    """A JSON text with a member or an item a line; its numbers and texts as they are, also where the text is cut."""
    parts, depth = [], 0
    for part in re.findall(r'"(?:[^"\\]|\\.)*"?|\{\s*\}|\[\s*\]|[{}\[\],:]|[^\s{}\[\],:"]+', text):
        depth += (part in ("{", "[")) - (part in ("}", "]"))
        line = "\n" + "  " * depth
        if part in ("{", "[", ","):
            parts.append(part + line)
        elif part in ("}", "]"):
            parts.append(line + part)
        else:
            parts.append(": " if part == ":" else "".join(part.split()) if part[0] in "{[" else part)
    return "".join(parts)


def _about(entry: Entry) -> str:
    facts = ["encrypted"] if entry.secret is not None else []
    facts.append(f"changed {strftime('%Y-%m-%d %H:%M:%S', localtime(entry.updated))} by {escape(entry.updater)}")
    return f"<br><small>{', '.join(facts)}</small>"


def _value(entry: Entry) -> str:
    text = entry.value if entry.secret is None else entry.secret
    if text is None:
        return "<small>no value</small>"
    cut = text[:_CHARACTERS]
    more = f"<br><small>and {len(text) - len(cut):,} characters more</small>" if len(text) > len(cut) else ""
    return f"<pre>{escape(indented(cut))}</pre>{more}"


def _link(owner: str, namespace: str) -> str:
    query = urlencode({**({"user": owner} if owner else {}), "namespace": namespace})
    return f"<a href='?{escape(query)}'>{escape(namespace)}</a>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _page(status: int, content: str) -> Reply:
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>Emulated DHIS2</title>"
    text = f"<!doctype html><html lang='en'><head>{head}<style>{_STYLE}</style></head><body>{content}</body></html>"
    body = text.encode("utf-8", "replace")
    return Reply(status, [*_HEADERS, ("Content-Length", str(len(body))), ("Date", formatdate(usegmt=True))], body)


def _header(request: Request, name: str) -> str:
    return next((value for key, value in request.pairs() if key.lower() == name), "")


def _is_loopback(host: str) -> bool:
    return re.sub(r":\d+$", "", host.lower()) in ("localhost", "127.0.0.1", "[::1]")
