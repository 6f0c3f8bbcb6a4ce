"""Recorded conversations, replayed on an emulator in this process: what is sent, and how replies are compared."""

from __future__ import annotations

import base64
import decimal
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dhis2kv.emulator import Emulator, Reply, Request

RECORDINGS = Path(__file__).parents[1] / "recordings"
PASSWORDS = {"admin": "district", "alice": "Alice_pw_1!", "carol": "Carol_pw_1!"}
HOST = "127.0.0.1:8080"
USUAL = {"Accept": "application/json", "X-Requested-With": "XMLHttpRequest"}
COMPARED = ("cache-control", "location", "allow", "www-authenticate")
# Texts of the database and of Java, which nobody should rely on.
FOREIGN = re.compile(r"ERROR: |org\.hisp|java\.|could not |position |line \d|For input string", re.I)


def recordings() -> dict[str, dict[str, Any]]:
    """All recorded conversations by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDINGS.glob("*.json"))}


class Conversation:
    """One conversation with one emulator: values saved so far, and a session per account."""

    def __init__(self, recording: dict[str, Any], version: str, replies_of: str | None = None) -> None:
        self.recording, self.version = recording, replies_of or version
        self.sessions = recording.get("sessions", False)
        self.cookies: dict[str, str] = {}
        self.saved: dict[str, str] = {}
        self.emulator = Emulator(version)
        for name in ("alice", "carol"):
            self.emulator.add_user(name, PASSWORDS[name])

    def deviations(self) -> Iterator[str]:
        """Every difference between what is answered and what was recorded."""
        for number, exchange in enumerate(self.recording["exchanges"]):
            wanted = next((reply for reply in exchange["replies"] if self.version in reply["servers"]), None)
            if wanted is None:
                continue
            asked = exchange["request"]
            reply = self._ask(asked)
            self._save(exchange.get("save", {}), reply)
            for difference in self._differences(asked, wanted, reply):
                yield f"[{number}] {asked['method']} {asked['target'][:100]}: {difference}"

    # Asking

    def _fill(self, text: str) -> str:
        return re.sub(r"\{\{(\w+)\}\}", lambda found: self.saved.get(found[1], found[0]), text)

    def _ask(self, asked: dict[str, Any]) -> Reply:
        account, body = asked.get("as"), asked.get("body")
        headers: dict[str, str | None] = {"Host": HOST, **USUAL}
        if body is not None:
            headers["Content-Type"] = "application/json"
        headers |= asked.get("headers", {})
        if "authorization" in asked:
            headers["Authorization"] = asked["authorization"]
        elif account:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{account}:{PASSWORDS[account]}".encode()).decode()
        if "cookie" in asked:
            headers["Cookie"] = asked["cookie"]
        elif not self.sessions and account in self.cookies:
            headers["Cookie"] = self.cookies[account]
        data = base64.b64decode(body["base64"]) if isinstance(body, dict) else self._fill(body or "").encode()
        if body is not None or asked["method"] in ("PUT", "POST"):
            headers["Content-Length"] = str(len(data))
        sent = [(name, self._fill(value)) for name, value in headers.items() if value is not None]
        reply = self.emulator.handle(Request(asked["method"], self._fill(asked["target"]), sent, data))
        cookie = reply.header("Set-Cookie")
        if account and cookie and not self.sessions:
            self.cookies[account] = cookie.partition(";")[0]
        return reply

    def _save(self, wanted: dict[str, str], reply: Reply) -> None:
        for name, where in wanted.items():
            if where == "cookie":
                self.saved[name] = (reply.header("Set-Cookie") or "NONE=1").partition(";")[0]
            elif where.startswith("header:"):
                self.saved[name] = reply.header(where[7:]) or ""
            else:
                self.saved[name] = _at(_text(reply), where)

    # Comparing

    def _differences(self, asked: dict[str, Any], wanted: dict[str, Any], reply: Reply) -> Iterator[str]:
        text = _text(reply)
        if reply.status != wanted["status"]:
            yield f"status {reply.status}, recorded {wanted['status']}; body {text[:120]!r}"
            return
        media_type = (reply.header("Content-Type") or "").replace(" ", "").lower()
        if media_type != wanted.get("type", "").lower():
            yield f"type {media_type!r}, recorded {wanted.get('type')!r}"
        if (reply.header("ETag") is not None) != wanted.get("etag", False):
            yield "an ETag where none was" if reply.header("ETag") else "no ETag where one was"
        if self.sessions and (reply.header("Set-Cookie") is not None) != wanted.get("cookie", False):
            yield "a cookie where none was" if reply.header("Set-Cookie") else "no cookie where one was"
        for name in COMPARED:
            got, recorded = reply.header(name), wanted.get("headers", {}).get(name)
            if self._header(name, got) != self._header(name, recorded):
                yield f"{name} {got!r}, recorded {recorded!r}"
        if "html" not in wanted and asked["method"] != "HEAD":
            yield from self._body_differences(asked, wanted, text)

    def _header(self, name: str, value: str | None) -> object:
        if value is None:
            return None
        if name == "location":
            return urlsplit(self._fill(value).replace("{{base}}", "")).path
        return sorted(value.replace(" ", "").split(",")) if name == "allow" else value

    def _body_differences(self, asked: dict[str, Any], wanted: dict[str, Any], text: str) -> Iterator[str]:
        expected = self._fill(wanted.get("body", ""))
        got, recorded = _parsed(text[: len(expected)] if wanted.get("cut") else text), _parsed(expected)
        if _is_listing(asked["target"]) and _are_names(got) and _are_names(recorded):
            got, recorded = sorted(got), sorted(recorded)
        if _is_message(got) and _is_message(recorded) and FOREIGN.search(str(recorded.get("message", ""))):
            got, recorded = _wordless(got), _wordless(recorded)
        if wanted.get("partial") and isinstance(got, dict):
            got = {name: value for name, value in got.items() if name in recorded}
        if _unordered(got) != _unordered(recorded):
            yield f"body {text[:300]!r}, recorded {expected[:300]!r}"


def _text(reply: Reply) -> str:
    return bytes(reply.body).decode("utf-8", "replace")


def _at(text: str, pointer: str) -> str:
    try:
        value = json.loads(text)
        for part in pointer.strip("/").split("/"):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (ValueError, KeyError, IndexError, TypeError):
        return "MISSING"
    return str(value)


def _parsed(text: str) -> Any:
    """A body as JSON with what servers make up masked; as text without blanks where it is no JSON."""
    text = re.sub(r'"\d{4}-\d\d-\d\dT[\d:.]+[^"]*"', '"{{date}}"', text)
    text = re.sub(r'"(id|uid|owner)":\s*"[A-Za-z][A-Za-z0-9]{10}"', r'"\1":"{{uid}}"', text)
    text = re.sub(r'"(users|userGroups)":\s*\{\s*"[A-Za-z][A-Za-z0-9]{10}":', r'"\1":{"{{uid}}":', text)
    text = re.sub(r'"(version|apiVersion)":\s*"(2\.\d+)[^"]*"', r'"\1":"\2{{patch}}"', text)
    text = text.replace(HOST, "{{host}}")
    try:
        return json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal)
    except (ValueError, RecursionError):
        return re.sub(r"\s+", "", text)


def _unordered(value: Any) -> Any:
    """A body with whom an entry is shared with as sorted lists: the server does not order them."""
    if isinstance(value, list):
        return [_unordered(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: _unordered(each) for name, each in value.items()}
    for name in ("users", "userGroups"):
        if isinstance(found.get(name), dict):
            found[name] = sorted(map(str, found[name].values()))
    for name in ("userAccesses", "userGroupAccesses"):
        if isinstance(found.get(name), list):
            found[name] = sorted(map(str, found[name]))
    return found


def _is_listing(target: str) -> bool:
    parts = target.partition("?")[0].rstrip("/").removeprefix("/api/").split("/")
    return len(parts) <= 2 or (len(parts) == 3 and parts[2].lower() in ("keys", "%6beys", "keys.json"))


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and "httpStatusCode" in value


def _wordless(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in ("message", "devMessage")}
