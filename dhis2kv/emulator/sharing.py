"""Who may read and write an entry of dataStore: namespace protections, and each entry's sharing."""

from __future__ import annotations

import json
import re
from typing import Any

from .accounts import Account
from .call import Call
from .messages import Refusal, Reply, json_reply
from .profiles import Profile, Protection
from .storage import Entry

_ACCESS = re.compile(r"([r-][w-]){2}-{4}")


def protection_of(profile: Profile, namespace: str) -> Protection | None:
    """The protection of a namespace, if it has one."""
    return next((p for p in profile.protections if p.namespace == namespace), None)


def may_enter(call: Call, namespace: str, *, write: bool) -> bool:
    """Whether a protected namespace is open to the caller; False where it is hidden, refused where restricted."""
    if call.unsecured:
        call.require_user()
    protection = protection_of(call.profile, namespace)
    kind = protection and (protection.writes if write else protection.reads)
    if protection is None or kind == "NONE":
        return True
    if call.user.may(protection.authorities) and not call.profile.hidden_from_everybody:
        return True
    if kind == "RESTRICTED":
        raise Refusal(403, f"Namespace '{namespace}' is protected, access denied")
    return False


def is_listed(call: Call, namespace: str) -> bool:
    """Whether a namespace stands in the list of namespaces: all do that are not hidden from the caller."""
    protection = protection_of(call.profile, namespace)
    return protection is None or protection.reads != "HIDDEN" or may_enter(call, namespace, write=False)


def can_read(account: Account, entry: Entry) -> bool:
    """Whether sharing lets an account read an entry."""
    return _shared(account, entry, 0, "r")


def can_write(account: Account, entry: Entry) -> bool:
    """Whether sharing lets an account change an entry."""
    return _shared(account, entry, 1, "w")


def _shared(account: Account, entry: Entry, position: int, letter: str) -> bool:
    if account.superuser or entry.creator == account.name:
        return True
    return entry.public[position] == letter or entry.users.get(account.uid, "--")[position] == letter


def _person(call: Call, name: str) -> dict[str, object]:
    account = call.server.accounts.users.get(name) or Account(name, "")
    shown = account.display_name
    code = "admin" if name == "admin" else None
    return {"id": account.uid, "code": code, "name": shown, "displayName": shown, "username": name}


def metadata(call: Call, entry: Entry, times: tuple[str, str]) -> dict[str, object]:
    """The answer of ``/metaData``; ``times`` are created and last updated as the server prints them."""
    profile = call.profile
    creator, updater = _person(call, entry.creator), _person(call, entry.updater)
    external = {"external": False} if profile.external_access else {}
    found: dict[str, object] = {"created": times[0], "lastUpdated": times[1], "translations": []}
    if profile.metadata_accesses:
        found |= {"externalAccess": False, "publicAccess": entry.public}
    found["createdBy"] = creator
    if profile.metadata_accesses:
        found |= {"userGroupAccesses": [], "userAccesses": _user_accesses(call, entry)}
    if profile.metadata_favorites:
        found["favorites"] = []
    found["lastUpdatedBy"] = updater
    users = {uid: {"id": uid, "access": access} for uid, access in entry.users.items()}
    owner = {"owner": creator["id"]}
    found["sharing"] = {**owner, **external, "users": users, "userGroups": {}, "public": entry.public}
    found |= {"namespace": entry.namespace, "key": entry.key}
    if profile.metadata_value:
        found["value"] = entry.text
    if profile.metadata_access:
        found["access"] = _access(call, entry)
    if profile.metadata_favorites:
        found["favorite"] = False
    return {**found, "user": creator, "id": entry.uid, "attributeValues": []}


def _access(call: Call, entry: Entry) -> dict[str, bool]:
    write = can_write(call.user, entry)
    external = {"externalize": call.user.superuser} if call.profile.external_access else {}
    read = can_read(call.user, entry)
    return {"manage": write, **external, "write": write, "read": read, "update": write, "delete": write}


def _user_accesses(call: Call, entry: Entry) -> list[dict[str, object]]:
    names = {account.uid: account for account in call.server.accounts.users.values()}
    shared = [(names[uid], access) for uid, access in entry.users.items() if uid in names]
    shown = [(account.uid, account.display_name, access) for account, access in shared]
    return [{"id": uid, "name": name, "displayName": name, "access": access} for uid, name, access in shown]


def get_sharing(call: Call) -> Reply:
    """GET /api/sharing: the sharing dialog's data of one entry."""
    entry = _shared_object(call, thrown=True)
    if not can_read(call.user, entry):
        raise _unmanaged(call, entry)
    external = call.profile.external_access
    shown: dict[str, object] = {
        "id": entry.uid,
        "publicAccess": entry.public,
        "user": {key: _person(call, entry.creator)[key] for key in ("id", "name")},
        "userGroupAccesses": [],
        "userAccesses": _user_accesses(call, entry),
    }
    meta = {"allowPublicAccess": True}
    if external:
        meta["allowExternalAccess"] = False
        shown["externalAccess"] = False
    call.cache_control = call.profile.sharing_cache
    return json_reply(200, {"meta": meta, "object": shown})


def put_sharing(call: Call) -> Reply:
    """PUT and POST /api/sharing: replace the sharing of one entry."""
    call.check_content_type()
    entry = _shared_object(call, thrown=False)
    if not can_write(call.user, entry):
        raise _unmanaged(call, entry)
    wanted = _wanted(call)
    public = wanted.get("publicAccess")
    _check_access(public, "public access")
    users: dict[str, str] = {}
    known = {account.uid for account in call.server.accounts.users.values()}
    for given in _accesses(wanted, "userAccesses"):
        _check_access(given.get("access"), "user access")
        if given.get("id") in known:
            users[given["id"]] = given["access"][:2] + "------"
    for given in _accesses(wanted, "userGroupAccesses"):  # there are no user groups here, as there are no roles
        _check_access(given.get("access"), "user group access")
    entry.public, entry.users = str(public)[:2] + "------", users
    entry.updated, entry.updater = call.server.clock(), call.user.name
    call.server.storage.update(entry)
    call.server.texts[True].wrote(entry.owner, entry.namespace, entry.key, None)
    return call.message(200, "Access control set")


def _wanted(call: Call) -> dict[str, Any]:
    try:
        found = json.loads(call.text() or "")
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    wanted = found.get("object") if isinstance(found, dict) else None
    return wanted if isinstance(wanted, dict) else {}


def _accesses(wanted: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = wanted.get(name) or []
    if not isinstance(found, list) or not all(isinstance(given, dict) for given in found):
        raise Refusal(400, f"Cannot deserialize value of `{name}`")
    return found


def _check_access(access: object, kind: str) -> None:
    if not isinstance(access, str) or not _ACCESS.fullmatch(access):
        shown = "null" if access is None else access
        raise Refusal(409, f"Invalid {kind} string: {shown}", thrown=False)


def _shared_object(call: Call, *, thrown: bool) -> Entry:
    for name in ("type", "id"):
        if call.parameter(name) is None:
            raise Refusal(400, f"Required request parameter '{name}' for method parameter type String is not present")
    kind, uid = call.parameter("type"), call.parameter("id")
    entry = call.server.storage.by_uid(str(uid)) if kind == "dataStore" else None
    if entry is not None:
        return entry
    if thrown and not call.profile.missing_object_is_private:
        call.cache_control = ""  # neither private nor anything else
    if kind != "dataStore":
        raise Refusal(409, f"Type {kind} is not supported.", thrown=thrown)
    raise _no_object(kind, str(uid), thrown=thrown)


def _no_object(kind: str, uid: str, *, thrown: bool) -> Refusal:
    return Refusal(404, f"Object of type {kind} with ID {uid} was not found.", thrown=thrown)


def _unmanaged(call: Call, entry: Entry) -> Refusal:
    if call.profile.unreadable_object_is_missing and not can_read(call.user, entry):
        return _no_object("dataStore", entry.uid, thrown=False)
    return Refusal(403, "You do not have manage access to this object.", call.profile.unmanaged_sharing_code)
