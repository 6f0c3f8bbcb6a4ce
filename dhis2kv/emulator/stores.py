"""The handlers of the two stores: dataStore, shared by all accounts, and userDataStore, one for each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from . import jsonb
from .accounts import Account, new_uid
from .call import Call
from .entries import Query, QueryError
from .messages import NO_STORE, Refusal, Reply, dumps, json_reply
from .profiles import JSON_UTF8, Texts
from .sharing import can_read, can_write, is_listed, may_enter, metadata, protection_of
from .storage import GLOBAL, Entry, Reader

_NAME_LIMIT = 255
_BOOLEANS = dict.fromkeys(("true", "on", "yes", "1"), True) | dict.fromkeys(("false", "off", "no", "0"), False)
_TOO_LONG = f"ERROR: value too long for type character varying({_NAME_LIMIT})"
_DATE = re.compile(
    r"(\d{4})(?:-?(\d\d)(?:-?(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?)?)?(Z|[+-]\d\d:?\d\d)?"
)


class Store:
    """What the two stores have in common: rows of one owner, and how values are read and written."""

    def __init__(self, call: Call, owner: str, texts: Texts) -> None:
        self.call, self.owner, self.texts = call, owner, texts
        self.profile, self.storage = call.profile, call.server.storage
        self.cache = call.server.texts[owner == GLOBAL]

    def missing(self, namespace: str, key: str) -> Refusal:
        """The refusal for a key that is not there."""
        return Refusal(404, self.texts.key_missing.format(ns=namespace, key=key), self.call.code("E1005"))

    def missing_namespace(self, namespace: str) -> Refusal:
        """The refusal for a namespace that is not there."""
        return Refusal(404, self.texts.namespace_missing.format(ns=namespace), self.call.code("E1005"))

    def exists(self, namespace: str, key: str) -> Refusal:
        """The refusal to create a key twice."""
        return Refusal(409, self.texts.key_exists.format(ns=namespace, key=key), self.call.code("E1004"))

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
            raise Refusal(400, self.texts.invalid_json.format(key=key), self.call.code("E1003")) from error

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
        if max(len(namespace), len(key)) > _NAME_LIMIT:
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
        else:
            entry.secret = text
        entry.updated, entry.updater = self.call.server.clock(), self.call.user.name
        self.storage.update(entry)
        self.cache.wrote(entry.owner, entry.namespace, entry.key, text)

    def _change_by_sql(self, entry: Entry) -> None:
        """From 2.41 on one statement changes the plain value: neither the encrypted one nor the date."""
        text, path, roll = self.call.text(), self.call.parameter("path") or None, self._roll()
        if text is None and path is None:
            self.storage.delete(entry.owner, entry.namespace, entry.key)
            self.cache.clear()
            return
        try:
            if roll is not None:
                entry.value = jsonb.roll(entry.value, text, roll, path)
            elif path is not None:
                entry.value = jsonb.set_path(entry.value, path, text)
            else:
                entry.value = jsonb.to_jsonb(text or "")
        except jsonb.DatabaseRefusal as error:
            raise self._refused(str(error)) from error
        self.storage.update(entry)
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


class DataStore(Store):
    """The store that all accounts share, with sharing and protected namespaces."""

    def __init__(self, call: Call) -> None:
        super().__init__(call, GLOBAL, call.profile.texts)
        if call.profile.anonymous_is_refused:
            call.require_user()

    def find(self, namespace: str, key: str) -> Entry | None:
        """The entry that the caller may read; None where there is none to be seen."""
        if not may_enter(self.call, namespace, write=False):
            return None
        entry = self.look(namespace, key)
        if entry is None or can_read(self.call.user, entry):
            return entry
        if self.profile.sharing_on_reads or protection_of(self.profile, namespace):
            raise self._denied(self.profile.read_denied_text, entry, self.profile.read_denied_code)
        return entry

    def _denied(self, text: str, entry: Entry, code: str | None = None, *, value: str | None = None) -> Refusal:
        return Refusal(403, text.format(ns=entry.namespace, key=entry.key, value=value), code)

    # Lists

    def get_namespaces(self) -> Reply:
        """GET /dataStore"""
        return self.listing(ns for ns in self.storage.namespaces(GLOBAL) if is_listed(self.call, ns))

    def get_keys(self, namespace: str) -> Reply:
        """GET /dataStore/{ns} and /dataStore/{ns}/keys"""
        since = self._since()
        if not self.profile.errors_are_always_private:
            self.call.cache_control = NO_STORE
        self._check_namespace(namespace)
        reader = self._reader() if self.profile.sharing_on_lists else None
        return self.listing(self.storage.keys(GLOBAL, namespace, reader, since))

    def _check_namespace(self, namespace: str) -> None:
        if not may_enter(self.call, namespace, write=False) or not self.storage.has_namespace(GLOBAL, namespace):
            raise self.missing_namespace(namespace)

    def _reader(self) -> Reader | None:
        user = self.call.user
        return None if user.superuser else (user.name, user.uid)

    def _since(self) -> float | None:
        given = self.call.parameter("lastUpdated")
        if not given:
            return None
        try:
            return _timestamp(given)
        except ValueError as error:
            raise Refusal(self.profile.bad_date_status, self.profile.bad_date_text.format(value=given)) from error

    def get_entries(self, namespace: str) -> Reply:
        """GET /dataStore/{ns}?fields="""
        query = self.query()
        self.call.cache_control = NO_STORE
        failed = "Unknown error when running the query: "
        try:
            visible = may_enter(self.call, namespace, write=False)
        except Refusal as refusal:
            raise Refusal(400, f"{failed}{refusal.message}", thrown=False) from refusal
        if visible:
            return self.answer(query, namespace, self._reader() if self.profile.sharing_on_lists else None)
        if self.profile.hidden_query_is_empty:
            return Reply(200, [("Content-Type", JSON_UTF8)])
        raise Refusal(400, f"{failed}{_UNBOXED}", thrown=False)

    def get_protections(self) -> Reply:
        """GET /dataStore/protections"""
        authority = "M_dhis-web-app-management"
        if not self.call.user.may((authority,)):
            raise Refusal(403, f"Access is denied, requires one Authority from [{authority}]")
        wanted = self.call.parameter("namespace")
        shown = [
            {
                "namespace": p.namespace,
                "reads": p.reads,
                "writes": p.writes,
                "readAuthorities": list(p.authorities),
                "writeAuthorities": list(p.authorities),
            }
            for p in self.profile.protections
            if wanted in (None, "", p.namespace)
        ]
        if not wanted:
            return json_reply(200, shown)
        return json_reply(200, shown[0]) if shown else Reply(200)

    # One entry

    def get_entry(self, namespace: str, key: str) -> Reply:
        """GET /dataStore/{ns}/{key}"""
        entry = self.find(namespace, key)
        if entry is None:
            raise self.missing(namespace, key)
        return self.value_reply(entry)

    def get_metadata(self, namespace: str, key: str) -> Reply:
        """GET /dataStore/{ns}/{key}/metaData"""
        entry = self.find(namespace, key)
        if entry is None:
            raise self.missing(namespace, key)
        times = _printed(entry.created), _printed(entry.updated)
        return json_reply(200, metadata(self.call, entry, times))

    def post_entry(self, namespace: str, key: str) -> Reply:
        """POST /dataStore/{ns}/{key}"""
        return self._create(namespace, key, self.required_text())

    def _create(self, namespace: str, key: str, text: str | None) -> Reply:
        seen = self.find if self.profile.sharing_before_existence else self._find_unshared
        if seen(namespace, key) is not None:
            raise self.exists(namespace, key)
        self.check_json(key, text)
        if may_enter(self.call, namespace, write=True):
            self.insert(namespace, key, text)
        return self.created(namespace, key)

    def _find_unshared(self, namespace: str, key: str) -> Entry | None:
        return self.look(namespace, key) if may_enter(self.call, namespace, write=False) else None

    def put_entry(self, namespace: str, key: str) -> Reply:
        """PUT /dataStore/{ns}/{key}"""
        text = self.call.text() if self.profile.put_without_body_deletes else self.required_text()
        seen = self.find if self.profile.sharing_before_existence else self._find_unshared
        entry = seen(namespace, key)
        if entry is None:
            if not self.profile.put_creates:
                raise self.missing(namespace, key)
            return self._create(namespace, key, text)
        if self.profile.put_checks_json:
            self.check_json(key, text)
        if may_enter(self.call, namespace, write=True):
            if not can_write(self.call.user, entry):
                raise self._denied(self.profile.update_denied_text, entry, value=text)
            self.change(entry)
        return self.call.message(200, self.texts.updated.format(ns=namespace, key=key))

    def delete_entry(self, namespace: str, key: str) -> Reply:
        """DELETE /dataStore/{ns}/{key}"""
        seen = self.find if self.profile.sharing_before_existence else self._find_unshared
        entry = seen(namespace, key)
        if entry is None:
            raise self.missing(namespace, key)
        if may_enter(self.call, namespace, write=True) and not can_write(self.call.user, entry):
            raise self._denied(self.profile.delete_denied_text, entry, value=entry.text)
        return self.remove(entry)

    def delete_namespace(self, namespace: str) -> Reply:
        """DELETE /dataStore/{ns}"""
        self._check_namespace(namespace)
        if may_enter(self.call, namespace, write=True) and self.profile.sharing_on_namespace_delete:
            for entry in self.storage.entries(GLOBAL, namespace):
                if not can_write(self.call.user, entry):
                    raise self._denied(self.profile.namespace_denied_text, entry)
        return self.remove_namespace(namespace)


class UserStore(Store):
    """The store of one account."""

    def __init__(self, call: Call) -> None:
        super().__init__(call, _whose(call).name, call.profile.user_texts)

    def get_namespaces(self) -> Reply:
        """GET /userDataStore"""
        return self.listing(self.storage.namespaces(self.owner))

    def get_keys(self, namespace: str) -> Reply:
        """GET /userDataStore/{ns} and /userDataStore/{ns}/keys"""
        if not self.profile.user_lists_decide_late:
            self.call.cache_control = NO_STORE
        self._check_namespace(namespace)
        return self.listing(self.storage.keys(self.owner, namespace, None))

    def _check_namespace(self, namespace: str) -> None:
        if not self.storage.has_namespace(self.owner, namespace):
            raise self.missing_namespace(namespace)

    def get_entries(self, namespace: str) -> Reply:
        """GET /userDataStore/{ns}?fields="""
        query = self.query()
        self.call.cache_control = NO_STORE
        return self.answer(query, namespace, None)

    def _existing(self, namespace: str, key: str) -> Entry:
        entry = self.look(namespace, key)
        if entry is None:
            raise self.missing(namespace, key)
        return entry

    def get_entry(self, namespace: str, key: str) -> Reply:
        """GET /userDataStore/{ns}/{key}"""
        entry = self._existing(namespace, key)
        if self.profile.user_entry_is_no_store:
            self.call.cache_control = NO_STORE
        return self.value_reply(entry)

    def post_entry(self, namespace: str, key: str) -> Reply:
        """POST /userDataStore/{ns}/{key}"""
        text = self.required_text()
        if self.look(namespace, key):
            raise self.exists(namespace, key)
        return self._create(namespace, key, text)

    def _create(self, namespace: str, key: str, text: str | None) -> Reply:
        self.check_json(key, text)
        self.insert(namespace, key, text)
        return self.created(namespace, key)

    def put_entry(self, namespace: str, key: str) -> Reply:
        """PUT /userDataStore/{ns}/{key}"""
        text = self.call.text() if self.profile.put_without_body_deletes else self.required_text()
        entry = self.look(namespace, key)
        if entry is None:
            if not self.profile.put_creates:
                raise self.missing(namespace, key)
            return self._create(namespace, key, text)
        if self.profile.put_checks_json:
            self.check_json(key, text)
        self.change(entry)
        updated = self.texts.updated.format(ns=namespace, key=key)
        return self.call.message(self.profile.user_update_status, updated)

    def delete_entry(self, namespace: str, key: str) -> Reply:
        """DELETE /userDataStore/{ns}/{key}"""
        return self.remove(self._existing(namespace, key))

    def delete_namespace(self, namespace: str) -> Reply:
        """DELETE /userDataStore/{ns}"""
        if not self.profile.user_namespace_delete_always_ok:
            self._check_namespace(namespace)
        return self.remove_namespace(namespace)


_UNBOXED = (
    'Cannot invoke "java.lang.Boolean.booleanValue()" because the return value of '
    '"org.hisp.dhis.datastore.DatastoreService.getEntries(org.hisp.dhis.datastore.DatastoreQuery, '
    'java.util.function.Function)" is null'
)


def _whose(call: Call) -> Account:
    """Whose store is meant: the caller's own, or with ``username`` that of somebody else."""
    label, wanted = call.profile.username_parameter, call.parameter("username")
    if label is None or not (wanted or "").strip():
        return call.user
    if not call.user.superuser:
        raise Refusal(409, f"Only superusers can read or write other users data using the `{label}` parameter.")
    account = call.server.accounts.users.get(wanted or "")
    if account is None:
        raise Refusal(409, f"No user with username {wanted} exists.")
    return account


def _timestamp(text: str) -> float:
    """A date as ``lastUpdated`` takes it, in seconds since 1970; the server's zone is UTC here."""
    found = _DATE.fullmatch(text.strip())
    if not found:
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    moment = datetime(
        int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
    ).timestamp() + float(f"0.{fraction or 0}")
    if zone and zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        moment -= sign * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    return moment


def _printed(moment: float) -> str:
    """A date as the server prints it: without a zone, in milliseconds."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
