"""The emulator whole: a core that answers, filled and watched by tests, behind either of its two hosts.

Here since tests fill, watch and break a server, and no server has routes for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import loading
from .accounts import Account, new_uid, uid_of
from .core import Core
from .faults import Fault
from .releases import profile_of
from .storage import GLOBAL, Entry, Group

if TYPE_CHECKING:
    from requests import Session

    from .http import ServedEmulator


class Emulator(Core):
    """A DHIS2 data store in a box.

    It answers as a DHIS2 of the given version does on ``/api/dataStore``, ``/api/userDataStore`` and the few routes
    that their clients need besides. ``handle`` is the whole of it; ``session`` and ``serve`` put it behind ``requests``
    and behind a socket.

    ``log`` has a record of every request and ``requests`` their number; ``latency`` is added to every reply, in
    seconds; ``down`` lets every connection be refused; ``sleep`` is what the hosts wait with.

    :param version: "2.36" to "2.44", the newest of each line; or a release, as in "2.42.5"
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
        super().__init__(profile_of(version), db, clock, context_path)
        self.add_user("admin", "district", superuser=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of DHIS2 {self.version}, {self.requests} requests so far>"

    # Filling and watching

    @property
    def version(self) -> str:
        """The DHIS2 version that is emulated, as it was named: "2.42", or "2.42.5"."""
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

    def add_group(self, name: str, members: Iterable[str]) -> None:
        """Add a group of users, by their usernames, or replace the one of that name; ``reset`` leaves it.

        From 2.42 on a session knows its account's groups of when it signed in. Raises ``ValueError`` for a member
        without an account.
        """
        with self._lock:
            accounts = self._server.accounts.users
            uids = []
            for member in members:
                if member not in accounts:
                    raise ValueError(f"{member!r} cannot be in the group {name!r}: add the account first.")
                uids.append(accounts[member].uid)
            same = next((group.uid for group in self._server.storage.groups() if group.name == name), None)
            self._server.storage.set_group(Group(same or uid_of(f"group {name}"), name, frozenset(uids)))

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
        texts: bool = False,
        sharing: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Store ``{namespace: {key: value}}`` without a request: all of it, or nothing and a ValueError.

        The error says what is wrong: no mapping of mappings, a name that no server could have been given, a value that
        is no JSON, or that the database refuses.

        :param user: whose own store is meant; dataStore without it
        :param encrypted: as by ``encrypt=true``
        :param replace: False leaves entries alone that are there
        :param texts: values are JSON texts
        :param sharing: who may read, ``{namespace: {key: {"public": "r-", "users": {name: "rw"}, "groups": {name:
            "r-"}}}}``; users and groups that there are not are left out, as DHIS2 does
        """
        owner, now = user or GLOBAL, self._now()
        creator = user or next((a.name for a in self._server.accounts.users.values() if a.superuser), "admin")
        storage = self._server.storage
        with self._lock:
            storage.begin()
            try:
                for namespace, key, text in loading.texts_of(data, texts=texts):
                    plain, secret = loading.stored(namespace, key, text, encrypted=encrypted)
                    if replace:
                        storage.delete(owner, namespace, key)
                    elif storage.get(owner, namespace, key):
                        continue
                    shared = loading.shared(self._server, (sharing or {}).get(namespace, {}).get(key, {}))
                    row = (namespace, key, new_uid(), plain, secret, now, now, creator, creator, owner)
                    storage.add(Entry(*row, *shared))
            except BaseException:
                storage.rollback()
                raise
            storage.commit()
            self._server.texts[owner == GLOBAL].clear()

    def reset(self) -> None:
        """Forget entries, tokens, sessions, faults and the log; accounts and groups stay."""
        with self._lock:
            self._server.storage.clear()
            self._server.accounts.sessions.clear()
            for cache in self._server.texts.values():
                cache.clear()
            self._faults.clear()
            self.log.clear()
            self.requests = 0

    def close(self) -> None:
        """Close the database. An emulator is a context manager, too, that does this at its end."""
        with self._lock:
            self._server.storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Hosts

    def session(self) -> Session:
        """A ``requests`` session whose every request, to whatever host, this emulator answers without a socket."""
        from .adapter import session_for

        return session_for(self)

    def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        idle_seconds: float = 20.0,
        requests_each: int = 100,
        page: bool = False,
    ) -> ServedEmulator:
        """Serve on a socket until closed: a context manager with ``url`` and ``close()``. Port 0 takes a free one.

        A connection is closed after ``idle_seconds`` without a request and after ``requests_each`` requests, by default
        as live servers do it. With ``page`` its root shows a browser what it holds, which no DHIS2 does.
        """
        from .http import ServedEmulator
        from .page import WithPage

        return ServedEmulator(
            WithPage(self) if page else self, host, port, idle_seconds=idle_seconds, requests_each=requests_each
        )

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
