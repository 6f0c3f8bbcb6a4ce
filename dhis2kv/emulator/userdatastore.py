"""The handlers of userDataStore: one store for each account.

Here since its entries are their owner's alone, and its ways and texts differ from dataStore's, version by version.
"""

from __future__ import annotations

from .accounts import Account
from .call import Call
from .messages import NO_STORE, Refusal, Reply
from .storage import Entry
from .store import Store


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

    def rows_of_update(self, entry: Entry) -> list[Entry]:
        """Before DHIS2-21740 was mended, every account's entry of that name; the others' as they are, not as read."""
        if not self.profile.user_update_is_of_all:
            return [entry]
        return self.storage.of_all_accounts(entry.namespace, entry.key)

    def delete_entry(self, namespace: str, key: str) -> Reply:
        """DELETE /userDataStore/{ns}/{key}"""
        return self.remove(self._existing(namespace, key))

    def delete_namespace(self, namespace: str) -> Reply:
        """DELETE /userDataStore/{ns}"""
        if not self.profile.user_namespace_delete_always_ok:
            self._check_namespace(namespace)
        return self.remove_namespace(namespace)


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
