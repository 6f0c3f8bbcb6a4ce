"""The handlers of dataStore, which all accounts share: sharing, protected namespaces, dates.

Here since this store alone knows who may do what; how entries are kept and queried is in ``store``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from .call import Call
from .messages import NO_STORE, Refusal, Reply, json_reply
from .profiles import JSON_UTF8
from .sharing import can_read, can_write, is_listed, may_enter, metadata, protection_of
from .storage import GLOBAL, Entry, Reader
from .store import Store

_DATE = re.compile(
    r"(\d{4})(?:-?(\d\d)(?:-?(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?)?)?(Z|[+-]\d\d:?\d\d)?"
)
_UNBOXED = (
    'Cannot invoke "java.lang.Boolean.booleanValue()" because the return value of '
    '"org.hisp.dhis.datastore.DatastoreService.getEntries(org.hisp.dhis.datastore.DatastoreQuery, '
    'java.util.function.Function)" is null'
)


class DataStore(Store):
    """The store that all accounts share, with sharing and protected namespaces."""

    def __init__(self, call: Call) -> None:
        super().__init__(call, GLOBAL, call.profile.texts)
        if call.profile.anonymous_is_refused and not call.unsecured:  # these are refused by what they reach for
            call.require_user()

    def find(self, namespace: str, key: str) -> Entry | None:
        """The entry that the caller may read; None where there is none to be seen."""
        if not may_enter(self.call, namespace, write=False):
            return None
        entry = self.look(namespace, key)
        if entry is None or can_read(self.call, entry):
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
        missed = since is not None and self.profile.empty_listing_is_missing
        if missed and next(self.storage.keys(GLOBAL, namespace, reader, since), None) is None:
            raise self.missing_namespace(namespace)
        return self.listing(self.storage.keys(GLOBAL, namespace, reader, since))

    def _check_namespace(self, namespace: str) -> None:
        if not may_enter(self.call, namespace, write=False) or not self.storage.has_namespace(GLOBAL, namespace):
            raise self.missing_namespace(namespace)

    def _reader(self) -> Reader | None:
        user = self.call.user
        return None if user.superuser else Reader(user.name, user.uid, self.call.groups)

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
            if not can_write(self.call, entry):
                raise self._denied(self.profile.update_denied_text, entry, value=text)
            self.change(entry)
        return self.call.message(200, self.texts.updated.format(ns=namespace, key=key))

    def delete_entry(self, namespace: str, key: str) -> Reply:
        """DELETE /dataStore/{ns}/{key}"""
        seen = self.find if self.profile.sharing_before_existence else self._find_unshared
        entry = seen(namespace, key)
        if entry is None:
            raise self.missing(namespace, key)
        if may_enter(self.call, namespace, write=True) and not can_write(self.call, entry):
            raise self._denied(self.profile.delete_denied_text, entry, value=entry.text)
        return self.remove(entry)

    def delete_namespace(self, namespace: str) -> Reply:
        """DELETE /dataStore/{ns}"""
        self._check_namespace(namespace)
        if may_enter(self.call, namespace, write=True) and self.profile.sharing_on_namespace_delete:
            for entry in self.storage.entries(GLOBAL, namespace):
                if not can_write(self.call, entry):
                    raise self._denied(self.profile.namespace_denied_text, entry)
        return self.remove_namespace(namespace)


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
