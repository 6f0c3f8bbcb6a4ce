"""Calls to one server that reach what they name, and what the server says of itself; imports transport, wire, releases.

Here since every operation on the stores begins with a name, and no name may ever reach another one's entry.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from typing import Any

from dhis2kv import errors, wire
from dhis2kv.releases import OWN_TOKENS_BREAK_ME, Fault, Version, read_version
from dhis2kv.transport import Transport

log = logging.getLogger("dhis2kv")

Names = tuple[str, ...]


class Server:
    """What ``Datastore`` and the rooms behind it ask: calls on names, checked for what the reply means."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._version: Version | None = None
        self._hides_version = False
        self._asking = (os.getpid(), threading.Lock())
        self._survives_proxies: bool | None = None
        self._keys_is_an_entry: dict[str, bool] = {}

    def call(
        self, method: str, *names: str, query: str = "", body: str | None = None, once: bool = False
    ) -> wire.Reply:
        """The reply to a call on a store, a namespace or a key, if it is a success; raises the error that it means."""
        self.reachable(names)
        return wire.checked(self.transport.call(wire.call(method, *names, query=query, body=body, once=once)))

    def reachable(self, names: Names) -> None:
        """Make sure that a name with a registered extension arrives whole; raises ``Unaddressable``.

        A proxy may undo the percent-encoding that protects it, and 2.44 then takes ``config.json`` for ``config``.
        The text of a 404 tells what the server understood: the check asks once for a key that cannot exist, in a
        namespace that cannot exist, so that it is harmless and no protection hides the text.
        """
        if len(names) == 1 or not wire.cut_by_proxies(names[-1]):
            return
        if self._survives_proxies is None:
            unknown = f"x{secrets.token_hex(8)}"
            reply = self.transport.call(wire.call("GET", wire.SHARED, unknown, f"{unknown}.json"))
            whole = wire.understood(reply, f"{unknown}.json")
            if whole is None:
                wire.checked(reply)
                raise reply.error(errors.ServerError, "the server does not say how it understands dotted names")
            self._survives_proxies = whole
        if not self._survives_proxies:
            raise errors.Unaddressable(
                f"{names[-1]!r} cannot be reached: a proxy before the server rewrites its address into that of"
                f" {names[-1].partition('.')[0]!r}. Have the proxy pass paths unchanged (nginx: proxy_pass without a"
                " path; Apache: nocanon), or use another name"
            )

    def keys_is_an_entry(self, store: str) -> bool:
        """Whether the address of a key ``keys`` in this store is that of the entry, and not of the listing.

        Releases differ, by store. Asked once, in a namespace that cannot exist: the text of the 404 is about the key or
        about the namespace. Raises ``ServerError`` for any other answer.
        """
        if store not in self._keys_is_an_entry:
            unknown = f"x{secrets.token_hex(8)}"
            reply = self.transport.call(wire.call("GET", store, unknown, "keys"))
            about = wire.missing(reply, unknown, "keys")
            if about is None:
                wire.checked(reply)
                raise reply.error(errors.ServerError, "the server does not say what the address of the key 'keys' is")
            self._keys_is_an_entry[store] = about == "keys"
        return self._keys_is_an_entry[store]

    def version(self) -> Version:
        """The server's version; one request, the first time."""
        with self._lock():
            if self._version is None:
                self._version = self._ask_version()
            return self._version

    def _lock(self) -> threading.Lock:
        """The lock under which the version is asked; a new one after a fork, for somebody may have held the old one."""
        if self._asking[0] != os.getpid():
            self._asking = (os.getpid(), threading.Lock())
        return self._asking[1]

    def _ask_version(self) -> Version:
        call = wire.Call("GET", "/api/system/info", query="fields=version,buildTime")
        reply = wire.checked(self.transport.call(call))
        info = reply.members()
        found = read_version(info.get("version"), info.get("buildTime"))
        if found is None:
            raise reply.error(errors.ServerError, "the server does not tell its version")
        return found

    def has(self, fault: Fault) -> bool:
        """Whether the server has a known fault; one request, the first time.

        Where the server does not tell its version the answer is yes. Trouble that passes is raised instead: what is
        done on a server with a fault is the dearer way, and not atomic.
        """
        with self._lock():
            if self._version is None and not self._hides_version:
                try:
                    self._version = self._ask_version()
                except errors.Dhis2kvError as error:
                    if error.status in (None, 429, 502, 503, 504):
                        raise
                    self._hides_version = True
                    log.warning("the server's version cannot be read, so that it counts as faulty: %s", error)
            return fault.on(self._version)

    def is_free_of(self, fault: Fault) -> bool:
        """Whether it is known already that the server has not this fault; sends nothing."""
        return self._version is not None and not fault.on(self._version)

    def account(self) -> dict[str, Any]:
        """Who is signed in: ``{"id": ..., "username": ...}``, up to 2.37 without ``username``; one request."""
        try:
            reply = wire.checked(self.transport.call(wire.Call("GET", "/api/me", query="fields=id,username")))
            me = reply.members()
        except errors.ServerError as error:
            if error.status != 500 or not self.has(OWN_TOKENS_BREAK_ME) or self._hides_version:
                raise
            raise explained(
                error,
                "a DHIS2 2.42.5 cannot tell an account that has access tokens who it is (2.42.5.1 can): give its name"
                " to the store as account=",
            ) from error
        known = {name: me[name] for name in ("id", "username") if isinstance(me.get(name), str)}
        if not known.get("id"):
            raise reply.error(errors.ServerError, "the server does not tell who is signed in")
        return known


def store_of(user: bool) -> str:
    return wire.USER if user else wire.SHARED


def names_of(user: bool, namespace: str, key: str) -> Names:
    return store_of(user), wire.check_name(namespace, "namespace"), wire.check_name(key)


def new_names_of(user: bool, namespace: str, key: str) -> Names:
    return store_of(user), wire.check_name(namespace, "namespace"), wire.check_new_key(key)


def shown(names: Names) -> str:
    """An entry, as sentences call it."""
    return "/".join(names[1:])


def told(error: errors.Dhis2kvError, state: str) -> errors.Dhis2kvError:
    """The same error about something that was sent, whose sentence says what the state is now."""
    error = explained(error, state)
    error.sent = True
    return error


def explained(error: errors.Dhis2kvError, what: str) -> errors.Dhis2kvError:
    """The same error, whose sentence says more."""
    return type(error)(f"{error}; {what}", **error.__dict__)
