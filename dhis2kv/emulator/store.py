"""What the two stores have in common: rows of one owner, how values are read and written, and how lists are told.

Here since both stand on the same rows and queries; what only one of them does is in ``datastore`` and
``userdatastore``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from . import jsonb
from .accounts import new_uid
from .call import Call
from .entries import Query, QueryError
from .messages import NO_STORE, Refusal, Reply, dumps
from .profiles import JSON_UTF8, Texts
from .storage import GLOBAL, Entry, Reader

_NAME_LIMIT = 255
_BOOLEANS = dict.fromkeys(("true", "on", "yes", "1"), True) | dict.fromkeys(("false", "off", "no", "0"), False)
_TOO_LONG = f"ERROR: value too long for type character varying({_NAME_LIMIT})"
# Of UTF-8, in all versions: one more, and its base64 once encrypted is longer than the 255 characters of its column.
_SECRET_LIMIT = 159


class Store:
    """What the two stores have in common: rows of one owner, and how values are read and written."""

    def __init__(self, call: Call, owner: str, texts: Texts) -> None:
        self.call, self.owner, self.texts = call, owner, texts
        self.profile, self.storage = call.profile, call.server.storage
        self.cache = call.server.texts[owner == GLOBAL]

    def code(self, code: str) -> str | None:
        """An error code, in the versions whose messages have it."""
        return code if code in self.texts.codes else None

    def missing(self, namespace: str, key: str) -> Refusal:
        """The refusal for a key that is not there."""
        return Refusal(404, self.texts.key_missing.format(ns=namespace, key=key), self.code("E1005"))

    def missing_namespace(self, namespace: str) -> Refusal:
        """The refusal for a namespace that is not there."""
        return Refusal(404, self.texts.namespace_missing.format(ns=namespace), self.code("E1005"))

    def exists(self, namespace: str, key: str) -> Refusal:
        """The refusal to create a key twice."""
        return Refusal(409, self.texts.key_exists.format(ns=namespace, key=key), self.code("E1004"))

    def look(self, namespace: str, key: str) -> Entry | None:
        """The entry of that name, if there is one."""
        entry = self.storage.get(self.owner, namespace, key)
        if entry:
            entry.text = self.cache.look(entry)
        return entry

    def value_reply(self, entry: Entry) -> Reply:
        """A value as it is; SQL NULL is an empty body without a type."""
        if entry.text is None:
            return Reply(200)
        return Reply(200, [("Content-Type", JSON_UTF8)], entry.text.encode())

    def check_json(self, key: str, text: str | None) -> None:
        """Refuse what this version's JSON validator does not take."""
        if text is None:
            return
        try:
            jsonb.check(text, self.profile)
        except jsonb.InvalidJson as error:
            raise Refusal(400, self.texts.invalid_json.format(key=key), self.code("E1003")) from error

    def required_text(self) -> str:
        """The body, where the version insists on one."""
        text = self.call.text()
        if text is None:
            missing = "Required request body is missing: public org.hisp.dhis.dxf2.webmessage.WebMessage"
            raise Refusal(self.profile.missing_body_status, missing)
        return text

    def insert(self, namespace: str, key: str, text: str | None) -> None:
        """Store a new entry; ``encrypt=true`` keeps its text as it is, out of the database's sight."""
        encrypt = self._encrypts() and text is not None
        if max(len(namespace), len(key)) > _NAME_LIMIT or (encrypt and is_too_secret(text)):
            raise self._refused(_TOO_LONG)
        value = None if encrypt or text is None else self._jsonb(text)
        now, name = self.call.server.clock(), self.call.user.name
        secret = text if encrypt else None
        self.storage.add(Entry(namespace, key, new_uid(), value, secret, now, now, name, name, self.owner))
        self.cache.wrote(self.owner, namespace, key, text)

    def _encrypts(self) -> bool:
        given = self.call.parameter("encrypt") or "false"
        if given.lower() not in _BOOLEANS:
            raise self.call.mistyped("encrypt", given, "boolean")
        return _BOOLEANS[given.lower()]

    def change(self, entry: Entry) -> None:
        """Update an existing entry from the request, as this version does it."""
        if self.profile.path_and_roll:
            self._change_by_sql(entry)
        else:
            self._change_object(entry)

    def _change_object(self, entry: Entry) -> None:
        text = self.required_text()
        if entry.secret is None:
            entry.value = self._jsonb(text)
        elif is_too_secret(text):
            raise self._refused(_TOO_LONG)
        else:
            entry.secret = text
        entry.updated, entry.updater = self.call.server.clock(), self.call.user.name
        self.storage.update(entry)
        self.cache.wrote(entry.owner, entry.namespace, entry.key, text)

    def rows_of_update(self, entry: Entry) -> list[Entry]:
        """The rows that the SQL of an update means."""
        return [entry]

    def _change_by_sql(self, entry: Entry) -> None:
        """From 2.41 on one statement changes the plain value: neither the encrypted one nor the date."""
        text, path, roll = self.call.text(), self.call.parameter("path") or None, self._roll()
        rows = self.rows_of_update(entry)
        if text is None and path is None:
            for row in rows:
                self.storage.delete(row.owner, row.namespace, row.key)
            self.cache.clear()
            return
        try:  # of all rows before any is written: a statement changes all of them, or none
            for row in rows:
                row.value = _updated(row.value, text, path, roll)
        except jsonb.DatabaseRefusal as error:
            raise self._refused(str(error)) from error
        for row in rows:
            self.storage.update(row)
        self.cache.clear()

    def _roll(self) -> int | None:
        given = self.call.parameter("roll")
        if not given:
            return None
        if not re.fullmatch(r"[+-]?\d{1,10}", given.strip()):
            raise self.call.mistyped("roll", given, "Integer")
        return int(given)

    def _jsonb(self, text: str) -> str:
        try:
            return jsonb.to_jsonb(text)
        except jsonb.DatabaseRefusal as error:
            raise self._refused(str(error)) from error

    def _refused(self, text: str) -> Refusal:
        profile = self.profile
        return Refusal(profile.database_refusal_status, profile.database_refusal_text or text)

    def remove(self, entry: Entry) -> Reply:
        """Delete one entry."""
        self.storage.delete(entry.owner, entry.namespace, entry.key)
        self.cache.gone(entry.owner, entry.namespace, entry.key)
        return self.call.message(200, self.texts.deleted.format(ns=entry.namespace, key=entry.key))

    def remove_namespace(self, namespace: str) -> Reply:
        """Delete all entries of a namespace."""
        self.storage.delete_namespace(self.owner, namespace)
        self.cache.clear()
        return self.call.message(200, self.texts.namespace_deleted.format(ns=namespace))

    def created(self, namespace: str, key: str) -> Reply:
        """The reply to an entry's creation."""
        return self.call.message(201, self.texts.created.format(ns=namespace, key=key))

    def listing(self, names: Iterable[str]) -> Reply:
        """A list of names, one after the other into one buffer: a namespace may have more keys than fit twice."""
        self.call.cache_control = NO_STORE
        body = bytearray(b"[")
        for name in names:
            body += dumps(name)
            body += b","
        if len(body) > 1:
            body.pop()
        body += b"]"
        return Reply(200, [("Content-Type", JSON_UTF8)], body)

    def answer(self, query: Query, namespace: str, reader: Reader | None) -> Reply:
        """The answer to an entries query."""
        try:
            body = query.answer(self.storage.rows(self.owner, namespace, reader))
        except QueryError as error:
            raise Refusal(error.status, error.message, error.error_code, thrown=False) from error
        return Reply(200, [("Content-Type", JSON_UTF8)], body)

    def query(self) -> Query:
        """The entries query that the request asks."""
        try:
            return Query.parse(self.call.parameters, self.profile)
        except QueryError as error:
            raise Refusal(error.status, error.message, error.error_code) from error


def is_too_secret(text: str | None) -> bool:
    """Whether a JSON text is longer than an encrypted value can be."""
    return text is not None and len(text.encode("utf-8", "replace")) > _SECRET_LIMIT


def _updated(value: str | None, text: str | None, path: str | None, roll: int | None) -> str | None:
    """What the SQL of an update makes of a row's value."""
    if roll is not None:
        return jsonb.roll(value, text, roll, path)
    if path is not None:
        return jsonb.set_path(value, path, text)
    return jsonb.to_jsonb(text or "")
