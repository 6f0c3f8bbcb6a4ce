"""The own store of another account, for superusers; imports the server's calls.

Here since a server that does not know ``username=`` answers with one's own data, without a word: whether it listens is
found out before the first call is sent.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from dhis2kv import errors, wire
from dhis2kv.datastore.server import Server
from dhis2kv.releases import USERNAME_IGNORED
from dhis2kv.transport import Transport


class OtherAccount:
    """A ``Transport`` whose calls on the user store are about another account's; all else is as with the given one.

    The first such call costs two more: for the version, where it is not known, and for a look that finds out whether
    the account may do that, and whether the other one exists. On a write both would look like an entry that is there.
    """

    def __init__(self, transport: Transport, server: Server, username: str) -> None:
        self.plain, self._server, self.username = transport, server, username
        self._query = urlencode({"username": username})
        self._may = False
        self._lock = threading.Lock()

    def call(self, call: wire.Call) -> wire.Reply:
        """As ``Transport.call``; raises ``Rejected`` where nobody can ask for that account's store."""
        if call.names[:1] != (wire.USER,):
            return self.plain.call(call)
        with self._lock:
            if not self._may:
                self._check()
                self._may = True
        return self.plain.call(self._about(call))

    def _about(self, call: wire.Call) -> wire.Call:
        return replace(call, query=f"{call.query}&{self._query}" if call.query else self._query)

    def _check(self) -> None:
        if self._server.has(USERNAME_IGNORED):
            raise errors.Rejected(
                "servers before 2.38.1 do not listen to whose store is asked for, and would answer with your own;"
                " nothing was sent. Sign in as that account instead"
            )
        wire.checked(self.plain.call(self._about(wire.call("GET", wire.USER))))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)
