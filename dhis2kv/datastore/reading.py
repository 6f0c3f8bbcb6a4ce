"""Reading entries: one, some, or all of a namespace; imports the server's calls, the pool and the releases.

Here since what a read means is delicate: keys whose own address is a listing, bulk answers that are not certain or that
hide entries, values that Python cannot hold, servers that have no bulk reads at all.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import quote

from dhis2kv import errors, wire
from dhis2kv.datastore.asking import PROTECTIONS, Queries, Uncertain
from dhis2kv.datastore.many import each
from dhis2kv.datastore.server import Names, Server, shown
from dhis2kv.releases import PROTECTIONS_IS_A_NAMESPACE
from dhis2kv.wire.query import URL_FULL, Query

log = logging.getLogger("dhis2kv")

# What a filter can name: other characters separate, group or stand for others in its grammar.
_FILTERABLE = re.compile(r"[\w.-]+( [\w.-]+)*")


class Found(NamedTuple):
    """What a bulk read brings: values or JSON texts by their keys, and for each that cannot be read why."""

    entries: dict[str, Any]
    left_out: dict[str, errors.Dhis2kvError]


class Reader(Queries):
    """Reads entries of both stores, by their names: store, namespace, key."""

    def __init__(self, server: Server, workers: int) -> None:
        super().__init__(server)
        self._workers = workers
        self._is_head_refused = False

    def exists(self, names: Names) -> bool:
        """Whether an entry exists."""
        try:
            if names[-1] == "keys":
                return "keys" in self.keys(names[:-1])
            self._server.reachable(names)
            if self._is_head_refused or not self._is_told_by_head(names):
                self._server.call("GET", *names)
        except errors.KeyNotFound:
            return False
        return True

    def _is_told_by_head(self, names: Names) -> bool:
        """Whether a HEAD says that an entry exists; raises ``KeyNotFound`` where it says that it does not.

        Where it says nothing that is certain, a GET tells.
        """
        reply = self._server.transport.call(wire.call("HEAD", *names))
        if reply.status in (200, 404) and reply.media_type != "application/json":
            return False  # without a body a page of somebody else's looks alike
        try:
            wire.checked(reply)
        except errors.NotAuthenticated:
            if not self._server.transport.by_token:
                raise  # a password that is wrong is so for every method, and may lock the account
            # A token can be limited to GET, and before 2.40.9, 2.41.6 and 2.42.2 none could be made that allows HEAD.
            self._is_head_refused = True
            return False
        return True

    def entry(self, names: Names) -> Any:
        """The value of an entry; an entry without a value, which an empty PUT makes, reads as null."""
        return self.entry_and_text(names)[0]

    def entry_and_text(self, names: Names) -> tuple[Any, str]:
        """The value of an entry, and its JSON text."""
        value, text = self._entry(names)
        if isinstance(value, errors.Unreadable):
            raise errors.Unreadable(
                f"the value of {shown(names)} is too much for Python: {value}; get_text gives its text", status=200
            ) from value
        return value, text

    def text(self, names: Names) -> str:
        """The JSON text of an entry, also where Python cannot hold the value."""
        return str(self._entry(names)[1])

    def _entry(self, names: Names) -> tuple[Any, str]:
        """The value of an entry, ``Unreadable`` instead of one that Python cannot hold, and its text."""
        if names[-1] != "keys":
            return _value(self._server.call("GET", *names))
        # Its own address means the listing on newer servers: it is found by a query.
        if names[:2] == PROTECTIONS and not PROTECTIONS_IS_A_NAMESPACE.on(self._server.version()):
            raise errors.Unaddressable("servers from 2.42 on have no address for the value of protections/keys")
        query = Query(filters=("_:eq:keys",))
        found: dict[str, str] = {}
        try:
            for batch in self._batches(names[:2], query, {"keys"}):
                found.update(zip(batch.keys, batch.texts, strict=True))
        except errors.KeyNotFound as error:
            raise _absent(error, names) from error  # the whole namespace is
        except Uncertain as answer:
            if answer.keys is not None:  # a server without queries
                return _value(self._keys_entry_by_address(names, answer.keys))
            self._check_listed(names)
            raise answer.error from None
        if "keys" not in found:
            raise errors.KeyNotFound("keys", namespace=names[1], status=200)
        if found["keys"] == "null" and self._not_stored_nulls(names[:2], query, ["keys"]):
            raise errors.Unaddressable(f"servers have no address for an encrypted value of {names[1]}/keys")
        return _read(found["keys"])

    def _keys_entry_by_address(self, names: Names, listed: list[str]) -> wire.Reply:
        """The key ``keys`` where it is as others: on servers without queries, which answer the listing to one."""
        if "keys" not in listed:
            raise errors.KeyNotFound("keys", namespace=names[1], status=200)
        if not self._server.keys_is_an_entry(names[0]):
            raise errors.ServerError(
                f"the value of {shown(names)} cannot be read: the server has queries, and answers the listing to one."
                " Has a proxy before it dropped the query string?"
            )
        return self._server.call("GET", *names)

    def _check_listed(self, names: Names) -> None:
        """Raise ``KeyNotFound`` for an entry that is not in the listing of its namespace."""
        try:
            if names[-1] in self.keys(names[:-1]):
                return
        except errors.KeyNotFound as error:
            raise _absent(error, names) from error
        raise errors.KeyNotFound(names[-1], namespace=names[-2], status=200)

    def is_encrypted(self, names: Names) -> bool:
        """Whether it is certain that an entry is encrypted: bulk reads hide it, and it holds more than null singly."""
        key = names[-1]
        if not _FILTERABLE.fullmatch(key):
            return False
        query = Query(filters=(f"_:in:[{key}]",))
        try:
            found = [text for batch in self._batches(names[:2], query, {key}) for text in batch.texts]
        except (errors.KeyNotFound, Uncertain):
            return False  # a server without queries, or one that answers none here
        return found == ["null"] and self.text(names) != "null"

    def all(self, names: Names, texts: bool) -> dict[str, Any]:
        """Every entry of a namespace, sorted by key: values, or JSON texts; logs which cannot be read."""
        return told(names, self.whole(names, texts))

    def whole(self, names: Names, texts: bool) -> Found:
        """The same, with what cannot be read."""
        try:
            found = self._query(names, Query(), texts)
        except Uncertain as answer:
            found = self.instead(names, answer, texts)
        if all(one < other for one, other in pairwise(found.entries)):
            return found
        return Found(dict(sorted(found.entries.items())), found.left_out)

    def instead(self, names: Names, answer: Uncertain, texts: bool) -> Found:
        """Every entry of a namespace, one by one, where a bulk answer said nothing certain."""
        try:
            keys = answer.keys if answer.keys is not None else self.keys(names)
        except errors.KeyNotFound:
            keys = []
        return self._singly(names, keys, texts)

    def some(self, names: Names, keys: Iterable[str], texts: bool) -> dict[str, Any]:
        """The entries of these keys, in their order: values, or JSON texts; absent ones are left out."""
        wanted = list(dict.fromkeys(keys))
        held = [key for key in wanted if wire.can_be_held(key)]
        if len(held) == 1:
            singly, chunks = held, []
        else:
            singly = [key for key in held if not _FILTERABLE.fullmatch(key)]
            chunks = _url_fulls(key for key in held if _FILTERABLE.fullmatch(key))
        parts = []
        for chunk in chunks:
            try:
                parts.append(self._query(names, Query(filters=(f"_:in:[{','.join(chunk)}]",)), texts, set(chunk)))
            except Uncertain:
                singly += chunk
        parts.append(self._singly(names, singly, texts))
        found = told(names, _joined(parts))
        return {key: found[key] for key in wanted if key in found}

    def chosen(self, names: Names, query: Query) -> dict[str, str]:
        """The JSON texts of the entries that a query finds, whole; raises ``Uncertain`` where the answer is not."""
        return self._query(names, query, texts=True).entries

    def rows(self, names: Names, query: Query) -> dict[str, str]:
        """What a query for parts finds, as JSON texts with the key as null; raises ``Uncertain`` as ``chosen`` does."""
        if names == PROTECTIONS:
            raise Uncertain(errors.Unaddressable("servers from 2.42 on have no address for a query of protections"))
        found: dict[str, str] = {}
        try:
            for batch in self._batches(names, query, None):
                found.update(zip(batch.keys, batch.texts, strict=True))
        except errors.KeyNotFound:
            return {}  # from a server without queries, about a namespace that does not exist
        return found

    def query(self, names: Names, query: Query) -> list[dict[str, Any]]:
        """What the server answers to a query, as a list of objects; logs which cannot be read."""
        whole = query.fields == "."
        rows: list[dict[str, Any]] = []
        left_out: dict[str, errors.Dhis2kvError] = {}
        for batch in self._answer(names, query):
            values, unreadable = batch.read()
            left_out |= unreadable
            rows += [{"key": key, "value": value} if whole else {**value, "key": key} for key, value in values.items()]
        told(names, Found({}, left_out))
        return rows

    def query_text(self, names: Names, query: Query) -> str:
        """The JSON text of what the server answers to a query, with the keys as they are in JSON."""
        before = '"value":' if query.fields == "." else ""
        start = 0 if before else len(wire.ROW) + 1  # after the comma
        rows = []
        for batch in self._answer(names, query):
            for key, text in zip(batch.keys, batch.texts, strict=True):
                rest = f"{before}{text}}}" if before else text[start:] or "}"
                rows.append(f'{{"key":{json.dumps(key)}{"" if rest == "}" else ","}{rest}')
        return f"[{','.join(rows)}]"

    # --- beneath ------------------------------------------------------------------------------------------------------

    def _query(self, names: Names, query: Query, texts: bool, wanted: set[str] | None = None) -> Found:
        """The entries that a query finds, whole; raises ``Uncertain`` where the answer is not certain.

        ``wanted`` are the only keys that the query lets through.
        """
        if names == PROTECTIONS:  # from 2.42 on this address is another route
            raise Uncertain(errors.Unaddressable("servers from 2.42 on have no address for a query of protections"))
        found: dict[str, Any] = {}
        left_out: dict[str, errors.Dhis2kvError] = {}
        nulls: list[str] = []
        null = "null" if texts else None
        count = 0
        try:
            for batch in self._batches(names, query, wanted):
                part, unreadable = (dict(zip(batch.keys, batch.texts, strict=True)), {}) if texts else batch.read()
                count += len(batch.keys)
                found |= part
                left_out |= unreadable
                if null in part.values():
                    nulls += [key for key, value in part.items() if value == null]
        except errors.KeyNotFound:
            return Found({}, {})  # from a server without queries, about a namespace that does not exist
        if len(found) + len(left_out) != count:
            raise Uncertain(errors.ServerError("a key comes twice in the server's answer to a query", status=200))
        hidden = [key for key in self._not_stored_nulls(names, query, nulls) if wire.can_be_held(key)]
        for key in hidden:
            del found[key]
        return _joined([Found(found, left_out), self._singly(names, hidden, texts)])

    def _not_stored_nulls(self, names: Names, query: Query, nulls: list[str]) -> list[str]:
        """Which of these keys may hold more than null: a bulk read shows encrypted entries so, too."""
        if len(nulls) < 2 and nulls != ["keys"]:
            return nulls
        only_nulls = Query(fields="", filters=(*query.filters, ".:null"))
        try:
            listed = {key for batch in self._batches(names, only_nulls, None) for key in batch.keys}
        except (errors.ServerError, errors.KeyNotFound, Uncertain):
            return nulls  # not certain: each of them is read singly
        return [key for key in nulls if key not in listed]

    def _singly(self, names: Names, keys: list[str], texts: bool) -> Found:
        """These entries, read one by one, several at a time; those that are gone are left out.

        Names that have no address of their own cannot be read: up to 2.43 other clients can make an entry whose key is
        empty, and its address is that of the listing.
        """
        found = Found({}, {})
        todo = []
        for key in keys:
            try:
                todo.append((*names, wire.check_name(key)))
            except errors.InvalidKey as error:
                found.left_out[key] = error

        def read(entry: Names) -> None:
            try:
                found.entries[entry[-1]] = self.text(entry) if texts else self.entry(entry)
            except errors.KeyNotFound:
                return
            except (errors.Unreadable, errors.Unaddressable) as error:
                found.left_out[entry[-1]] = error

        try:
            each(self._server, self._workers, [(todo, read)])
        except errors.BulkError as error:
            raise next(iter(error.failed.values())) from None
        return found


def _value(reply: wire.Reply) -> tuple[Any, str]:
    """The value in the reply about an entry, as ``_read`` gives it, and its text."""
    try:
        return _read(reply.text if reply.body else "null")
    except ValueError as error:
        raise reply.error(errors.ServerError, f"the server's reply is not JSON: {error}") from error


def _read(text: str) -> tuple[Any, str]:
    """The value of a text, or ``Unreadable`` instead of one that Python cannot hold, and the text."""
    try:
        return wire.read(text)
    except errors.Unreadable as error:
        return error, wire.Careful(text)


def _joined(parts: Iterable[Found]) -> Found:
    whole = Found({}, {})
    for part in parts:
        whole.entries.update(part.entries)
        whole.left_out.update(part.left_out)
    return whole


def told(names: Names, found: Found) -> dict[str, Any]:
    """The entries that were found, after a warning about those that could not be read."""
    if found.left_out:
        why = "; ".join(f"{key!r}: {error}" for key, error in found.left_out.items())
        log.warning("left out entries of %s that cannot be read: %s", "/".join(names), why)
    return found.entries


def _absent(error: errors.KeyNotFound, names: Names) -> errors.KeyNotFound:
    """The absence of an entry, where its whole namespace is absent."""
    return errors.KeyNotFound(names[-1], **{**error.__dict__, "namespace": names[-2]})


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
