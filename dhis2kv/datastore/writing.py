"""Writing whole values, plain or encrypted; imports the server's calls, the reader and the releases.

Here since a write is more than a request: servers that do not create by it, or that write everybody's entry, races to
create, encrypted entries that must never be updated, and errors that say what the state is.
"""

from __future__ import annotations

from typing import Any

from dhis2kv import errors, wire
from dhis2kv.datastore.reading import Reader
from dhis2kv.datastore.server import Names, Server, shown, told
from dhis2kv.releases import USER_PUT_OF_ALL


class Writer:
    """Writes entries of both stores, by their names (store, namespace, key) and JSON texts."""

    def __init__(self, server: Server, reader: Reader, *, read_back: bool) -> None:
        self._server, self._reader, self.reads_back = server, reader, read_back

    def write(self, names: Names, text: str, encrypt: bool) -> None:
        """Create or update, and read back where that is asked for."""
        if encrypt:
            self._put_encrypted(names, text)
        elif names[0] == wire.USER and not self._server.is_free_of(USER_PUT_OF_ALL):
            self._put_own(names, text)
        else:
            self._put(names, text)
        self.read_back(names, text)

    def _put_own(self, names: Names, text: str) -> None:
        """Create or update in the user store of a server that may have DHIS2-21740.

        There a PUT over an entry writes that entry of every account, and nothing in the reply tells: 2.41.0 to 2.41.9,
        2.42.0 to 2.42.5, 2.43.0. POST and DELETE touch the caller's entries alone.
        """
        lost = False
        try:
            self.create(names, text, False)
            return
        except errors.KeyExists:
            pass
        except (errors.Unreachable, errors.ServerError) as error:
            if not error.sent and error.status != 429:
                raise
            lost = True  # tried once more, as the transport does it with a PUT
        try:
            faulty = self._server.has(USER_PUT_OF_ALL)
        except errors.Dhis2kvError as error:
            if lost:
                error.sent = True
            raise
        if not faulty:
            self._put(names, text)
        elif lost:
            self._create_again(names, text)
        else:
            self._make_anew(names, text, encrypt=False)

    def _create_again(self, names: Names, text: str) -> None:
        """Create or replace what may have been created already, by a try whose answer was lost."""
        try:
            self.create(names, text, False)
        except errors.KeyExists:
            if not wire.same(self.written(names), wire.loads(text)):
                self._make_anew(names, text, encrypt=False)
        except errors.Dhis2kvError as error:
            error.sent = True
            raise

    def _put(self, names: Names, text: str) -> None:
        """Create or update; up to 2.37 a PUT does not create, so that a POST follows and, if need be, a PUT again."""
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
                self.create(names, text, False)
                return
            except (errors.KeyExists, errors.Unreachable) as error:
                if last:
                    raise
                unsure = error.sent  # somebody was faster, or the connection was dead: a PUT settles either

    def create(self, names: Names, text: str, encrypt: bool) -> None:
        """Create; raises ``KeyExists`` where there is an entry."""
        try:
            self._server.call("POST", *names, query="encrypt=true" if encrypt else "", body=text)
        except errors.ServerError as error:
            # Before 2.40.11, 2.41.8 and 2.42.5 whoever loses a race to create is told this, without a reason.
            if error.status == 500 and "could not execute statement" in error.message and self._reader.exists(names):
                raise errors.KeyExists(f"there is already an entry {shown(names)!r}", status=500) from error
            raise

    def _put_encrypted(self, names: Names, text: str) -> None:
        """Create encrypted; where there is an entry, delete it and create it anew."""
        try:
            self.create(names, text, True)
        except errors.KeyExists:
            self._make_anew(names, text, encrypt=True)

    def _make_anew(self, names: Names, text: str, *, encrypt: bool) -> None:
        """Delete an entry that must not be updated, and create it with its new value; not atomic."""
        try:
            self.discard(names)
        except errors.Dhis2kvError as error:
            if not error.sent:
                raise
            state = f"the old value of {shown(names)} may be deleted, and the new one is not stored: set it again"
            raise told(error, state) from error
        try:
            self._create_anew(names, text, encrypt)
        except errors.Changed:
            raise
        except errors.Dhis2kvError as error:
            new = "whether the new one is stored is not known" if error.sent else "the new one is not stored"
            raise told(error, f"the old value of {shown(names)} is deleted, and {new}: set it again") from error

    def _create_anew(self, names: Names, text: str, encrypt: bool) -> None:
        """Store a value whose predecessor is deleted: tried twice, for it is nowhere but here."""
        unsure = False
        for last in (False, True):
            try:
                self.create(names, text, encrypt)
                return
            except errors.KeyExists as error:
                if unsure and wire.same(self.written(names), wire.loads(text)):
                    return  # the first try did it
                raise errors.Changed(
                    f"the old value of {shown(names)} is deleted, and somebody else stored one since: theirs stays",
                    sent=True,
                ) from error
            except errors.Dhis2kvError as error:
                unsure = error.sent = error.sent or unsure
                if last:
                    raise

    def delete(self, names: Names) -> None:
        """Delete an entry or a namespace; raises ``KeyNotFound`` where there is none.

        An answer that was lost makes no absence: a look tells whether it is gone, for one request more.
        """
        try:
            self._server.call("DELETE", *names)
        except errors.KeyNotFound as error:
            if not error.sent:
                raise  # else it is gone since a try before this one
        except errors.Dhis2kvError as error:
            if not error.sent:
                raise
            self._look_whether_gone(names, error)

    def _look_whether_gone(self, names: Names, lost: errors.Dhis2kvError) -> None:
        what = shown(names)
        try:
            there = self._reader.exists(names) if len(names) > 2 else bool(self._reader.keys(names))
        except errors.KeyNotFound:
            return
        except errors.Dhis2kvError as error:
            raise told(lost, f"whether {what} is deleted is not known, for it cannot be looked for: {error}") from lost
        if there:
            raise told(
                lost,
                f"whether {what} was deleted is not known: there is one, and it is the old one, or one that somebody"
                " has made since. Look at it before trying again",
            ) from lost

    def discard(self, names: Names) -> None:
        """Delete, unless it is absent already."""
        try:
            self.delete(names)
        except errors.KeyNotFound:
            return

    def read_back(self, names: Names, text: str) -> None:
        """Where reading back is asked for, look whether the server holds what was written; raises ``NotStored``."""
        if self.reads_back and not wire.same(self.written(names), wire.loads(text)):
            raise errors.NotStored(
                f"the server accepted {shown(names)} and holds another value: the entry is encrypted (then the new"
                " value lies open now: set it again with encrypt=True), or somebody else wrote meanwhile",
                sent=True,
            )

    def written(self, names: Names) -> Any:
        """The value that the server holds after a write that it has accepted."""
        try:
            return self._reader.entry(names)
        except errors.KeyNotFound as error:
            raise errors.NotStored(
                f"the server accepted {shown(names)} and does not hold it: its namespace is protected, or somebody"
                " else deleted it since",
                sent=True,
            ) from error
        except errors.Dhis2kvError as error:
            raise told(error, f"what {shown(names)} holds after the write could not be read back") from error
