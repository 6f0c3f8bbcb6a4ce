"""Asking for the keys of a namespace, and queries of its entries; imports the server's calls and the releases.

Here since an answer counts only where it is certain: what forges entries, takes a query away, or is another route's, is
told apart before anybody reads what it says.
"""

from __future__ import annotations

from collections.abc import Iterator

from dhis2kv import errors, wire
from dhis2kv.datastore.server import Names, Server
from dhis2kv.releases import PROTECTIONS_IS_A_NAMESPACE
from dhis2kv.wire.query import Query

PROTECTIONS = (wire.SHARED, "protections")


class Uncertain(Exception):
    """A bulk answer that says nothing certain, and the error that it is; ``keys`` where it was a listing instead."""

    def __init__(self, error: errors.Dhis2kvError, keys: list[str] | None = None) -> None:
        super().__init__(error, keys)
        self.error, self.keys = error, keys


class Queries:
    """Asks for keys and entries of both stores, by the names of store and namespace."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def keys(self, names: Names) -> list[str]:
        """The keys of a namespace, sorted by code point; raises ``KeyNotFound`` where there is none."""
        if names == PROTECTIONS and not PROTECTIONS_IS_A_NAMESPACE.on(self._server.version()):
            # From 2.42 on that address means something else, and this one the listing. Before 2.39.5 this one would be
            # the entry "keys".
            reply = wire.checked(self._server.transport.call(wire.call_below("GET", *names, below="keys")))
        else:
            reply = self._server.call("GET", *names)
        return sorted(reply.names())

    def _answer(self, names: Names, query: Query) -> Iterator[wire.Batch]:
        """What the server answers to a query, or the error that there is no certain answer."""
        if names == PROTECTIONS and not PROTECTIONS_IS_A_NAMESPACE.on(self._server.version()):
            raise errors.Unaddressable("servers from 2.42 on have no address for a query of protections")
        try:
            yield from self._batches(names, query, None)
        except Uncertain as answer:
            if answer.keys is not None:
                raise errors.Rejected(
                    "this server has no queries (dataStore before 2.38, userDataStore before 2.40.1): it answers the"
                    " listing of keys to one",
                    status=200,
                ) from None
            raise answer.error from None

    def _batches(self, names: Names, query: Query, wanted: set[str] | None) -> Iterator[wire.Batch]:
        """What the server answers to a query, some entries at a time; ``Uncertain`` where they are not certain.

        ``wanted`` are the only keys that the query lets through.
        """
        marked = wire.Marked.of(query)
        try:
            reply = self._server.call("GET", *names, query=marked.query.text)
        except errors.Rejected as error:
            raise Uncertain(error) from error  # a hidden namespace; the listing says what there is
        text, unclear = reply.text, reply.error(errors.ServerError, "the server's answer to a query cannot be read")
        del reply  # a large answer is not held twice
        try:
            batches = marked.batches(text) if marked.mark in text else self._unmarked(names, text, marked.whole, wanted)
            for batch in batches:
                if wanted is not None and not wanted.issuperset(batch.keys):
                    raise ValueError("entries that were not asked for")
                yield batch
        except ValueError as cause:
            unclear.__cause__ = cause
            raise Uncertain(unclear, _listing(text)) from cause

    def _unmarked(self, names: Names, text: str, whole: bool, wanted: set[str] | None) -> Iterator[wire.Batch]:
        """The entries of an answer that has no marks, for whatever reason; ``ValueError`` where they are not certain.

        They are where no key holds a quotation mark, which the listing tells, or the query's filter. Rows without marks
        never are.
        """
        found = dict(wire.entries(text))
        if found and not whole:
            raise ValueError("entries without the member that was asked for")
        if len(found) > 1 and wanted is None:
            try:
                listed = set(self.keys(names))
            except errors.KeyNotFound:
                raise ValueError("the namespace is not there any more") from None
            if not found.keys() <= listed or any('"' in key for key in listed):
                raise ValueError("other keys than those in the listing")
        if found:
            yield wire.Batch(list(found), list(found.values()))


def _listing(text: str) -> list[str] | None:
    """The names in a listing of keys, which servers without queries answer; None for anything else."""
    if text[:200].lstrip()[1:].lstrip()[:1] != '"':
        return None  # not even the beginning of one
    try:
        names = wire.loads(text)
    except ValueError:
        return None
    return names if isinstance(names, list) and names and all(isinstance(name, str) for name in names) else None
