"""Writing whole values; imports the server's calls, the rooms for creating and making anew, and the releases.

Here since a write is more than a request: servers that do not create by it, or that write everybody's entry, races to
create, entries that must never be updated, and errors that say what the state is.
"""

from __future__ import annotations

from dhis2kv import errors, wire
from dhis2kv.datastore.anew import Maker
from dhis2kv.datastore.creating import Creator
from dhis2kv.datastore.server import Names, Server, shown
from dhis2kv.releases import USER_PUT_OF_ALL
from dhis2kv.wire.sharing import Grants


class Writer:
    """Writes entries of both stores, by their names (store, namespace, key) and JSON texts."""

    def __init__(self, server: Server, creator: Creator, maker: Maker, *, read_back: bool) -> None:
        self._server, self._creator, self._maker, self.reads_back = server, creator, maker, read_back

    def write(self, names: Names, text: str, encrypt: bool, given: Grants | None = None) -> None:
        """Create or update, and read back where that is asked for; what is created gets the sharing that is given."""
        if encrypt:
            self._maker.put_encrypted(names, text, given)
        elif given is not None and not given.is_default:
            self._maker.put_closed(names, text, given)
        elif names[0] == wire.USER and not self._server.is_free_of(USER_PUT_OF_ALL):
            self._put_own(names, text)
        else:
            self._put(names, text)
        self.read_back(names, text)

    def create(self, names: Names, text: str, encrypt: bool, given: Grants | None = None) -> None:
        """Create, and read back where that is asked for; raises ``KeyExists`` where there is an entry."""
        self._maker.create(names, text, encrypt, given)
        self.read_back(names, text)

    def _put_own(self, names: Names, text: str) -> None:
        """Create or update in the user store of a server that may have DHIS2-21740.

        There a PUT over an entry writes that entry of every account, and nothing in the reply tells: 2.41.0 to 2.41.9,
        2.42.0 to 2.42.5, 2.43.0. POST and DELETE touch the caller's entries alone.
        """
        lost = False
        try:
            self._creator.create(names, text, False)
            return
        except errors.KeyExists:
            pass
        except (errors.Unreachable, errors.ServerError) as error:
            if not error.sent and error.status != 429:
                raise
            lost = True  # tried once more, as the transport does it with a PUT
        try:
            if not self._server.has(USER_PUT_OF_ALL):
                self._put(names, text)
            elif lost:
                self._create_again(names, text)
            else:
                self._maker.make_anew(names, text, False)
        except errors.Dhis2kvError as error:
            error.sent = error.sent or lost
            raise

    def _create_again(self, names: Names, text: str) -> None:
        """Create or replace what may have been created already, by a try whose answer was lost."""
        try:
            self._creator.create(names, text, False)
        except errors.KeyExists:
            if not wire.same(self._creator.written(names), wire.loads(text)):
                self._maker.make_anew(names, text, False)

    def _put(self, names: Names, text: str) -> None:
        """Create or update; where a PUT does not create, a POST follows and, if need be, a PUT again.

        It does from 2.38.5, 2.39.3 and 2.40.1 on.
        """
        unsure = False
        for last in (False, True):
            try:
                self._server.call("PUT", *names, body=text)
                return
            except errors.KeyNotFound:
                pass
            except errors.Dhis2kvError as error:
                error.sent = error.sent or unsure
                raise
            try:
                self._creator.create(names, text, False)
                return
            except (errors.KeyExists, errors.Unreachable) as error:
                if last:
                    raise
                unsure = error.sent  # somebody was faster, or the connection was dead: a PUT settles either

    def read_back(self, names: Names, text: str) -> None:
        """Where reading back is asked for, look whether the server holds what was written; raises ``NotStored``."""
        if self.reads_back and not wire.same(self._creator.written(names), wire.loads(text)):
            raise errors.NotStored(
                f"the server accepted {shown(names)} and holds another value: the entry is encrypted (then the new"
                " value lies open now: set it again with encrypt=True), or somebody else wrote meanwhile",
                sent=True,
            )
