"""Creating and deleting entries, and what is certain afterwards; imports the server's calls and the reader.

Here since whoever makes entries anew, closed, encrypted or plain, stands on it: lost races are told in several ways,
and a lost answer is settled by looking.
"""

from __future__ import annotations

from typing import Any

from dhis2kv import errors, wire
from dhis2kv.datastore.reading import Reader
from dhis2kv.datastore.server import Names, Server, shown, told


class Creator:
    """Creates and deletes entries of both stores, by their names (store, namespace, key) and JSON texts."""

    def __init__(self, server: Server, reader: Reader) -> None:
        self._server, self._reader = server, reader

    def create(self, names: Names, text: str, encrypt: bool) -> None:
        """Create; raises ``KeyExists`` where there is an entry."""
        try:
            self._server.call("POST", *names, query="encrypt=true" if encrypt else "", body=text)
        except errors.ServerError as error:
            # Before 2.40.11, 2.41.8 and 2.42.5 whoever loses a race to create is told this, without a reason.
            if error.status == 500 and "could not execute statement" in error.message and self._reader.exists(names):
                raise errors.KeyExists(f"there is already an entry {shown(names)!r}", status=500) from error
            raise

    def create_surely(self, names: Names, text: str, encrypt: bool) -> None:
        """Create, a lost answer being settled by a second try; raises ``KeyExists`` where there is somebody else's."""
        unsure = False
        for last in (False, True):
            try:
                self.create(names, text, encrypt)
                return
            except errors.KeyExists:
                if unsure and wire.same(self.written(names), wire.loads(text)):
                    return  # the first try did it
                raise
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
