"""Making entries anew, or closed from the start; imports the rooms beside it and the releases.

Here since DHIS2 opens every new entry of the shared store to every account, and yet some entries can only be deleted
and created again: nothing that is made here is ever wider open than what it replaces, or than what was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dhis2kv import errors, wire
from dhis2kv.datastore.access import Access
from dhis2kv.datastore.creating import Creator
from dhis2kv.datastore.reading import Reader
from dhis2kv.datastore.server import Names, Server, shown, told
from dhis2kv.releases import ENCRYPTED_LAID_OPEN
from dhis2kv.wire.sharing import Grants


class _Half(Exception):
    """An entry was created, and what should have followed failed; ``error`` says what is there now."""

    def __init__(self, error: errors.Dhis2kvError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def _told_whole() -> Iterator[None]:
    """Let out of a half what its error says."""
    try:
        yield
    except _Half as half:
        raise half.error from half.__cause__


class Maker:
    """Makes entries that must not be open, or not be updated, by their names (store, namespace, key) and JSON texts."""

    def __init__(self, server: Server, reader: Reader, creator: Creator, access: Access) -> None:
        self._server, self._reader, self._creator, self._access = server, reader, creator, access

    # --- creating -----------------------------------------------------------------------------------------------------

    def create(self, names: Names, text: str, encrypt: bool, wanted: Grants | None) -> None:
        """Create with a sharing, set before the value is there; raises ``KeyExists`` where there is an entry."""
        with _told_whole():
            self._create(names, text, encrypt, wanted, surely=False)

    def _create(self, names: Names, text: str, encrypt: bool, wanted: Grants | None, *, surely: bool) -> None:
        """Create with a sharing. ``surely``: a lost answer is settled by a second try, that may meet another's null."""
        create = self._creator.create_surely if surely else self._creator.create
        if wanted is None or wanted.is_default:
            create(names, text, encrypt)
        elif encrypt and self._server.has(ENCRYPTED_LAID_OPEN):
            # Only what is created can be encrypted there: it is open until the next two requests have closed it.
            with_value = "with its value"
            self._create_open(names, text, True, with_value)
            self._close(names, wanted, with_value)
        else:
            self._create_open(names, "null", encrypt, "with null for its value", surely=surely)
            self._close(names, wanted, "with null for its value")
            self._fill(names, text, encrypt, wanted)

    def _create_open(self, names: Names, text: str, encrypt: bool, holding: str, *, surely: bool = True) -> None:
        create = self._creator.create_surely if surely else self._creator.create
        try:
            create(names, text, encrypt)
        except errors.KeyExists:
            raise
        except errors.Dhis2kvError as error:
            if not error.sent:
                raise
            state = f"{shown(names)} may be there, open to every account, {holding}: delete it, or share it"
            raise _Half(told(error, state)) from error

    def _close(self, names: Names, wanted: Grants, holding: str) -> None:
        """Set the sharing of an entry that was just created; delete it again where that fails."""
        try:
            _, uid, _ = self._access.look(names)
            self._access.set(names, uid, wanted)
        except errors.KeyNotFound as error:
            raise _Half(_gone(names)) from error
        except errors.Dhis2kvError as error:
            try:
                self._creator.discard(names)
            except errors.Dhis2kvError as failed:
                state = (
                    f"{shown(names)} could not be closed, and not be deleted again ({failed}): it may be open to every"
                    f" account, {holding}; delete it, or share it"
                )
                raise _Half(told(error, state)) from error
            raise _Half(told(error, f"{shown(names)} could not be closed, and was deleted again")) from error

    def _fill(self, names: Names, text: str, encrypt: bool, wanted: Grants) -> None:
        """Give an entry that was created and closed its value."""
        try:
            reply = self._server.call("PUT", *names, query="encrypt=true" if encrypt else "", body=text)
        except errors.KeyNotFound as error:
            raise _Half(_gone(names)) from error
        except errors.Dhis2kvError as error:
            holds = "whether it holds its value is not known" if error.sent else "it holds null"
            raise _Half(told(error, f"{shown(names)} is created and closed, and {holds}: set it again")) from error
        if reply.status == 201:  # somebody deleted it since, so that this made it anew, and open
            self._close(names, wanted, "with its value")

    # --- writing ------------------------------------------------------------------------------------------------------

    def put_closed(self, names: Names, text: str, given: Grants) -> None:
        """Create with a sharing, or update: an entry that is there keeps its own."""
        with _told_whole():
            for _ in range(3):
                try:
                    self._create(names, text, False, given, surely=True)
                    return
                except errors.KeyExists:
                    self._close_leftover(names, given)
                try:
                    reply = self._server.call("PUT", *names, body=text)
                except errors.KeyNotFound:
                    continue  # deleted meanwhile, on a server that does not create by it
                if reply.status == 201:  # or on one that does
                    self._close(names, given, "with its value")
                return
        raise errors.Changed(
            f"somebody else keeps creating and deleting {shown(names)}; nothing was written", sent=True
        )

    def _close_leftover(self, names: Names, given: Grants) -> None:
        """Close what a creation that broke off before it was closed has left: open, with null for its value."""
        now = self._leftover(names, given)
        if now is not None:
            self._access.set(names, now, given)

    def _leftover(self, names: Names, given: Grants) -> str | None:
        """The id of an entry that is open and holds null, though what is created there should be closed."""
        if given.is_default:
            return None
        try:
            if self._reader.entry(names) is not None:
                return None
            _, uid, now = self._access.look(names)
        except errors.KeyNotFound:
            return None
        return uid if now.is_default else None

    def put_encrypted(self, names: Names, text: str, given: Grants | None) -> None:
        """Create encrypted; where there is an entry, encrypt it anew where it lies, or delete it and create it anew."""
        with _told_whole():
            try:
                self._create(names, text, True, given, surely=False)
                return
            except errors.KeyExists:
                pass
            if not self._server.has(ENCRYPTED_LAID_OPEN) and self._reader.is_encrypted(names):
                # Up to 2.40 that encrypts anew, at once, and keeps everything. If it is gone by now it is created.
                reply = self._server.call("PUT", *names, query="encrypt=true", body=text)
                if reply.status == 201 and given is not None:
                    self._close(names, given, "with its value")
                return
        self.make_anew(names, text, True, None if names[0] == wire.USER else self._kept(names, given))

    def _kept(self, names: Names, given: Grants | None) -> Grants | None:
        """The sharing that an entry has, which is kept; what is given where it has none to keep."""
        if given is not None and self._leftover(names, given):
            return given
        try:
            return self._access.look(names)[2]
        except errors.KeyNotFound:
            return given  # deleted meanwhile

    def make_anew(self, names: Names, text: str, encrypt: bool, wanted: Grants | None = None) -> None:
        """Delete an entry that must not be updated, and create it with its new value and this sharing; not atomic."""
        try:
            self._creator.discard(names)
        except errors.Dhis2kvError as error:
            if not error.sent:
                raise
            state = f"the old value of {shown(names)} may be deleted, and the new one is not stored: set it again"
            raise told(error, state) from error
        old = f"the old value of {shown(names)} is deleted"
        try:
            self._create(names, text, encrypt, wanted, surely=True)
        except _Half as half:
            raise told(half.error, f"{old}: set it again") from half.__cause__
        except errors.KeyExists as error:
            raise errors.Changed(f"{old}, and somebody else stored one since: theirs stays", sent=True) from error
        except errors.Dhis2kvError as error:
            new = "whether the new one is stored is not known" if error.sent else "the new one is not stored"
            raise told(error, f"{old}, and {new}: set it again") from error


def _gone(names: Names) -> errors.Dhis2kvError:
    return errors.NotStored(
        f"the server accepted {shown(names)} and does not hold it: its namespace is protected, or somebody else deleted"
        " it since",
        sent=True,
    )
