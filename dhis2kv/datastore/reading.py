"""Reading entries: one, some, or all of a namespace; imports the server's calls, the pool and the releases.

Here since what a read means is delicate: keys whose own address is a listing, bulk answers that are not certain or that
hide entries, servers that have no bulk reads at all.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from dhis2kv import errors, wire
from dhis2kv.datastore.many import each
from dhis2kv.datastore.server import Names, Server, holdable, shown
from dhis2kv.releases import PROTECTIONS_IS_A_NAMESPACE
from dhis2kv.wire.query import URL_FULL, Query

log = logging.getLogger("dhis2kv")

# What a filter can name: other characters separate, group or stand for others in its grammar.
_FILTERABLE = re.compile(r"[\w.-]+( [\w.-]+)*")

_PROTECTIONS = (wire.SHARED, "protections")


class Unreadable(Exception):
    """A bulk answer that says nothing certain; ``keys`` where it was a listing of keys instead."""

    def __init__(self, keys: list[str] | None = None) -> None:
        super().__init__(keys)
        self.keys = keys


class Reader:
    """Reads entries of both stores, by their names: store, namespace, key."""

    def __init__(self, server: Server, workers: int) -> None:
        self._server, self._workers = server, workers

    def keys(self, names: Names) -> list[str]:
        """The keys of a namespace, sorted by code point; raises ``KeyNotFound`` where there is none."""
        if names == _PROTECTIONS and not PROTECTIONS_IS_A_NAMESPACE.on(self._server.version()):
            # From 2.42 on that address means something else, and this one the listing. Before 2.39.5 this one would be
            # the entry "keys".
            reply = wire.checked(self._server.transport.call(wire.call_below("GET", *names, below="keys")))
        else:
            reply = self._server.call("GET", *names)
        return sorted(reply.names())

    def exists(self, names: Names) -> bool:
        """Whether an entry exists."""
        try:
            if names[-1] == "keys":
                return "keys" in self.keys(names[:-1])
            self._server.reachable(names)
            reply = self._server.transport.call(wire.call("HEAD", *names))
            if reply.status in (200, 404) and reply.media_type != "application/json":
                self._server.call("GET", *names)  # without a body a page of somebody else's looks alike: a GET tells
            else:
                wire.checked(reply)
        except errors.KeyNotFound:
            return False
        return True

    def entry(self, names: Names) -> tuple[Any, str]:
        """The value of an entry and its text; an entry without a value, which an empty PUT makes, reads as null."""
        if names[-1] == "keys":
            return self._keys_entry(names)
        reply = self._server.call("GET", *names)
        return (reply.json(), reply.text) if reply.body else (None, "null")

    def _keys_entry(self, names: Names) -> tuple[Any, str]:
        """The key ``keys``, whose own address means the listing on newer servers: found by a query."""
        if names[:2] == _PROTECTIONS and not PROTECTIONS_IS_A_NAMESPACE.on(self._server.version()):
            raise errors.Unaddressable("servers from 2.42 on have no address for the value of protections/keys")
        try:
            reply = self._server.call("GET", *names[:2], query=Query(filters=("_:eq:keys",)).text)
        except errors.KeyNotFound as error:
            raise _absent(error, names) from error  # the whole namespace is
        except errors.Rejected:  # a hidden namespace; the listing says what there is
            self._check_listed(names)
            raise
        text = reply.text
        listed = listing(text)
        if listed is not None:  # a server without queries
            return self._keys_entry_by_address(names, listed)
        try:
            entries = {key: (value, text[start:end]) for key, value, start, end in wire.entries(text)}
        except ValueError as error:
            self._check_listed(names)
            raise reply.error(errors.ServerError, f"the server's answer cannot be read: {error}") from error
        if "keys" not in entries:
            raise reply.error(errors.KeyNotFound, "", "keys", namespace=names[1])
        if entries["keys"][0] is None:
            stored = Query(fields="", filters=("_:eq:keys", ".:null")).text
            if not self._server.call("GET", *names[:2], query=stored).json():
                raise errors.Unaddressable(f"servers have no address for an encrypted value of {names[1]}/keys")
        return entries["keys"]

    def _keys_entry_by_address(self, names: Names, listed: list[str]) -> tuple[Any, str]:
        """The key ``keys`` where it is as others: on servers without queries, which answer the listing to one."""
        if "keys" not in listed:
            raise errors.KeyNotFound("keys", namespace=names[1], status=200)
        if not self._server.keys_is_an_entry(names[0]):
            raise errors.ServerError(
                f"the value of {shown(names)} cannot be read: the server has queries, and answers the listing to one."
                " Has a proxy before it dropped the query string?"
            )
        reply = self._server.call("GET", *names)
        return (reply.json(), reply.text) if reply.body else (None, "null")

    def _check_listed(self, names: Names) -> None:
        """Raise ``KeyNotFound`` for an entry that is not in the listing of its namespace."""
        try:
            if names[-1] in self.keys(names[:-1]):
                return
        except errors.KeyNotFound as error:
            raise _absent(error, names) from error
        raise errors.KeyNotFound(names[-1], namespace=names[-2], status=200)

    def query(self, names: Names, query: Query) -> list[dict[str, Any]]:
        """What the server answers to a query, as a list of objects."""
        if names == _PROTECTIONS and not PROTECTIONS_IS_A_NAMESPACE.on(self._server.version()):
            raise errors.Unaddressable("servers from 2.42 on have no address for a query of protections")
        return list(self._server.call("GET", *names, query=query.text).json())

    def all(self, names: Names, texts: bool) -> dict[str, Any]:
        """Every entry of a namespace, sorted by key: values, or JSON texts."""
        try:
            found = self.chosen(names, Query(), texts)
        except Unreadable as unreadable:
            found = self.instead(names, unreadable, texts)
        return dict(sorted(found.items()))

    def instead(self, names: Names, unreadable: Unreadable, texts: bool) -> dict[str, Any]:
        """Every entry of a namespace, one by one, where a bulk answer said nothing certain."""
        try:
            keys = unreadable.keys if unreadable.keys is not None else self.keys(names)
        except errors.KeyNotFound:
            keys = []
        return self._singly(names, keys, texts)

    def some(self, names: Names, keys: Iterable[str], texts: bool) -> dict[str, Any]:
        """The entries of these keys, in their order: values, or JSON texts; absent ones are left out."""
        wanted = list(dict.fromkeys(keys))
        held = [key for key in wanted if holdable(key)]
        if len(held) == 1:
            singly, chunks = held, []
        else:
            singly = [key for key in held if not _FILTERABLE.fullmatch(key)]
            chunks = _url_fulls(key for key in held if _FILTERABLE.fullmatch(key))
        found: dict[str, Any] = {}
        for chunk in chunks:
            try:
                part = self.chosen(names, Query(filters=(f"_:in:[{','.join(chunk)}]",)), texts)
                if not part.keys() <= set(chunk):
                    raise Unreadable
                found |= part
            except Unreadable:
                singly += chunk
        found |= self._singly(names, singly, texts)
        return {key: found[key] for key in wanted if key in found}

    def answer(self, names: Names, query: Query) -> str:
        """What the server says to a query; raises ``Unreadable`` where it refuses, or has none."""
        if names == _PROTECTIONS:
            raise Unreadable  # from 2.42 on this address is another route
        self._server.reachable(names)
        reply = self._server.transport.call(wire.call("GET", *names, query=query.text))
        try:
            return wire.checked(reply).text
        except errors.KeyNotFound:
            return "[]"  # from a server without queries, about a namespace that does not exist
        except errors.Rejected as error:
            raise Unreadable from error  # a hidden namespace; the listing says what there is

    def chosen(self, names: Names, query: Query, texts: bool) -> dict[str, Any]:
        """The entries that a query finds, whole; raises ``Unreadable`` where the answer is not certain."""
        text = self.answer(names, query)
        found: dict[str, Any] = {}
        nulls = []
        try:
            for key, value, start, end in wire.entries(text):
                found[key] = text[start:end] if texts else value
                if value is None:
                    nulls.append(key)
        except ValueError as error:
            raise Unreadable(listing(text)) from error
        hidden = [key for key in self._not_stored_nulls(names, query, nulls) if holdable(key)]
        for key in hidden:
            del found[key]
        return found | self._singly(names, hidden, texts)

    def _not_stored_nulls(self, names: Names, query: Query, nulls: list[str]) -> list[str]:
        """Which of these keys may hold more than null: a bulk read shows encrypted entries so, too."""
        if len(nulls) < 2:
            return nulls
        only_nulls = Query(fields="", filters=(*query.filters, ".:null"))
        try:
            listed = {entry["key"] for entry in self._server.call("GET", *names, query=only_nulls.text).json()}
        except (errors.ServerError, KeyError, TypeError):
            return nulls  # not certain: each of them is read singly
        return [key for key in nulls if key not in listed]

    def _singly(self, names: Names, keys: list[str], texts: bool) -> dict[str, Any]:
        """These entries, read one by one, several at a time; those that are gone are left out.

        So are those of names that have no address of their own, with a warning in the log: up to 2.43 other clients
        can make an entry whose key is empty, and its address is that of the listing.
        """
        found: dict[str, Any] = {}
        unreadable = [key for key in keys if not holdable(key)]
        if unreadable:
            log.warning("left out entries of %s that no address leads to: %r", "/".join(names), unreadable)
            keys = [key for key in keys if key not in unreadable]

        def read(entry: Names) -> None:
            try:
                value, text = self.entry(entry)
            except errors.KeyNotFound:
                return
            found[entry[-1]] = text if texts else value

        try:
            each(self._server, self._workers, [([(*names, key) for key in keys], read)])
        except errors.BulkError as error:
            raise next(iter(error.failed.values())) from None
        return found


def _absent(error: errors.KeyNotFound, names: Names) -> errors.KeyNotFound:
    """The absence of an entry, where its whole namespace is absent."""
    return errors.KeyNotFound(names[-1], **{**error.__dict__, "namespace": names[-2]})


def listing(text: str) -> list[str] | None:
    """The names in a listing of keys, which servers without queries answer; None for anything else."""
    try:
        names = wire.loads(text)
    except ValueError:
        return None
    return names if isinstance(names, list) and names and all(isinstance(name, str) for name in names) else None


def _url_fulls(keys: Iterable[str]) -> list[list[str]]:
    """The keys in parts that fit into one URL each."""
    parts: list[list[str]] = []
    room = 0
    for key in keys:
        size = len(quote(key)) + 3  # the comma is percent-encoded
        if size > room:
            parts.append([])
            room = URL_FULL
        parts[-1].append(key)
        room -= size
    return parts
