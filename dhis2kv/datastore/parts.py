"""Changing a part of a value on the server: ``patch`` and ``roll``; imports the rooms for reading, making and
writing, and the releases.

Here since the server's own words for it are full of traps: it takes a fragment for a whole value wherever there is
nothing to change, and says yes.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from dhis2kv import errors, wire
from dhis2kv.datastore.anew import Maker
from dhis2kv.datastore.creating import Creator
from dhis2kv.datastore.reading import Reader
from dhis2kv.datastore.server import Names, Server, shown, told
from dhis2kv.datastore.writing import Writer
from dhis2kv.releases import NO_PARTS, USER_PUT_OF_ALL
from dhis2kv.wire.sharing import Grants

_PATH = re.compile(r"(?!null(\.|$))[\w-]+(\.(?!null(\.|$))[\w-]+)*", re.I)


def check_path(path: str) -> None:
    """Raise ``InvalidValue`` for a path that is not names and numbers between dots; sends nothing."""
    if not _PATH.fullmatch(path):
        raise errors.InvalidValue(f"{path!r} is not a path: write names and numbers, with dots between them")


class PartWriter:
    """Changes parts of entries, by their names (store, namespace, key) and JSON texts."""

    def __init__(self, server: Server, reader: Reader, creator: Creator, maker: Maker, writer: Writer) -> None:
        self._server, self._reader, self._creator, self._maker = server, reader, creator, maker
        self._writer = writer

    def patch(self, names: Names, path: str, text: str) -> None:
        """Set the member at a path."""
        self._check_server(names, "patch")
        what = shown(names)
        if not member(self._reader.entry(names), path)[0]:
            raise errors.NotStored(f"there is no {path!r} in {what}, and a server changes only what is there")
        reply = self._server.call("PUT", *names, query=urlencode({"path": path}), body=text)
        if reply.status == 201:
            raise errors.NotStored(
                f"{what} was deleted meanwhile, and the server made a new entry of the fragment: write the whole value",
                sent=True,
            )
        there, now = member(self._creator.written(names), path)
        if not there or not wire.same(now, wire.loads(text)):
            raise errors.NotStored(
                f"the server accepted {path!r} of {what} and holds something else there: the entry is encrypted, or"
                " somebody else wrote meanwhile",
                sent=True,
            )

    def roll(self, names: Names, text: str, keep: int, given: Grants | None = None) -> None:
        """Append to a list and keep its last items; a list that is created gets the sharing that is given."""
        self._check_server(names, "roll")
        what = shown(names)
        try:
            now, created = self._reader.entry(names), False
        except errors.KeyNotFound:
            now, created = self._empty_list(names, given)
        if not isinstance(now, list):
            raise errors.InvalidValue(f"{what} holds no list: the server would replace it by one")
        try:
            reply = self._server.call("PUT", *names, query=urlencode({"roll": keep}), body=text, once=True)
        except errors.Dhis2kvError as error:
            if error.sent:
                state = f"whether it was appended to {what} is not known: read the list before trying again"
                raise told(error, state) from error
            if created:
                raise told(error, f"{what} was created as an empty list, and nothing was appended") from error
            raise
        if reply.status == 201:
            raise errors.NotStored(
                f"the server found no list {what} to append to: its namespace is protected, or the list was deleted"
                " meanwhile, and the entry holds the bare value now",
                sent=True,
            )
        if not self._writer.reads_back:
            return
        if not any(wire.same(item, wire.loads(text)) for item in _items(self._creator.written(names))):
            raise errors.NotStored(
                f"the server accepted an item for {what} and does not hold it: the entry is encrypted (then the item"
                " lies open now), or others have appended or written since",
                sent=True,
            )

    def _check_server(self, names: Names, what: str) -> None:
        """Raise ``Rejected`` where the server would change more than the part that is meant; nothing is sent then."""
        version = self._server.version()
        if NO_PARTS.on(version):
            raise errors.Rejected(
                f"{what} needs DHIS2 2.41 or later, and this server is {version}, which would store the fragment"
                " as the whole value; nothing was sent. Read, change and write the whole value instead"
            )
        if names[0] == wire.USER and USER_PUT_OF_ALL.on(version):
            raise errors.Rejected(
                f"{what} in the user store would change this entry of every account: this server is {version}, which"
                " has DHIS2-21740 (mended in 2.41.10, 2.42.6 and 2.43.1); nothing was sent. Read, change and write the"
                " whole value instead"
            )

    def _empty_list(self, names: Names, given: Grants | None) -> tuple[Any, bool]:
        """Create an entry for ``roll``, unless somebody is faster: the value that is there then, and if it is new."""
        try:
            self._maker.create(names, "[]", False, given)
        except errors.KeyExists:
            return self._reader.entry(names), False
        except errors.Dhis2kvError as error:
            if not error.sent:
                raise
            state = f"whether {shown(names)} was created as an empty list is not known, and nothing was appended"
            raise told(error, state) from error
        return [], True


def member(value: Any, path: str) -> tuple[bool, Any]:
    """Whether a value has a member at a dotted path, and that member."""
    for name in path.split("."):
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and re.fullmatch("-?[0-9]+", name) and -len(value) <= int(name) < len(value):
            value = value[int(name)]
        else:
            return False, None
    return True, value


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
