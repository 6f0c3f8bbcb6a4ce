"""Who may read and write an entry of dataStore: namespace protections, and each entry's sharing.

Here since each handler of dataStore asks what the caller may do, and so do the routes that change it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .accounts import Account
from .call import Call
from .messages import Page, Refusal, Reply, json_reply
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


def can_read(call: Call, entry: Entry) -> bool:
    """Whether sharing lets the caller read an entry."""
    return _shared(call, entry, 0, "r")


def can_write(call: Call, entry: Entry) -> bool:
    """Whether sharing lets the caller change an entry."""
    return _shared(call, entry, 1, "w")


def _shared(call: Call, entry: Entry, position: int, letter: str) -> bool:
    account = call.user
    if account.superuser or entry.creator == account.name:
        return True
    accesses = [entry.public, entry.users.get(account.uid), *map(entry.groups.get, call.groups)]
    return any(access and access[position] == letter for access in accesses)


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
        found |= {"externalAccess": False, **_public("publicAccess", entry)}
    found["createdBy"] = creator
    if profile.metadata_accesses:
        found |= {
            "userGroupAccesses": _as_list(entry.groups, "userGroupUid"),
            "userAccesses": _as_list(entry.users, "userUid"),
        }
    if profile.metadata_favorites:
        found["favorites"] = []
    found["lastUpdatedBy"] = updater
    accesses = {"users": _by_uid(entry.users), "userGroups": _by_uid(entry.groups)}
    found["sharing"] = {"owner": creator["id"], **external, **accesses, **_public("public", entry)}
    found |= {"namespace": entry.namespace, "key": entry.key}
    if profile.metadata_value:
        found["value"] = entry.text
    if profile.metadata_access:
        found["access"] = _access(call, entry)
    if profile.metadata_favorites:
        found["favorite"] = False
    return {**found, "user": creator, "id": entry.uid, "attributeValues": []}


def _access(call: Call, entry: Entry) -> dict[str, bool]:
    write = can_write(call, entry)
    external = {"externalize": call.user.superuser} if call.profile.external_access else {}
    read = can_read(call, entry)
    return {"manage": write, **external, "write": write, "read": read, "update": write, "delete": write}


def _access_of(access: str) -> dict[str, object]:
    """An access as a member; one that is null is left out, as the server leaves nulls out."""
    return {"access": access} if access else {}


def _by_uid(accesses: Mapping[str, str]) -> dict[str, dict[str, object]]:
    return {uid: {**_access_of(access), "id": uid} for uid, access in accesses.items()}


def _as_list(accesses: Mapping[str, str], name: str) -> list[dict[str, object]]:
    """Accesses as metaData has them up to 2.40, besides."""
    return [{**_access_of(access), name: uid, "id": uid} for uid, access in accesses.items()]


def _public(name: str, entry: Entry) -> dict[str, object]:
    return {name: entry.public} if entry.public else {}


def _named(accesses: Mapping[str, str], names: Mapping[str, str]) -> list[dict[str, object]]:
    """Accesses as the sharing dialog has them: with names, in the names' order, and without those that are gone."""
    shown = [(uid, name) for uid, name in names.items() if uid in accesses]
    return [{"id": uid, "name": name, "displayName": name, **_access_of(accesses[uid])} for uid, name in shown]


def _user_names(call: Call) -> dict[str, str]:
    return {account.uid: account.display_name for account in call.server.accounts.users.values()}


def _group_names(call: Call) -> dict[str, str]:
    """The groups' names by uid, in order of name."""
    return {group.uid: group.name for group in call.server.storage.groups()}


def get_sharing(call: Call) -> Reply:
    """GET /api/sharing: the sharing dialog's data of one entry."""
    entry = _shared_object(call, thrown=True)
    if not can_read(call, entry):
        raise _unmanaged(call, entry)
    external = call.profile.external_access
    shown: dict[str, object] = {
        "id": entry.uid,
        "publicAccess": entry.public or "rw------",  # what a new one would have, where there is none
        "user": {key: _person(call, entry.creator)[key] for key in ("id", "name")},
        "userGroupAccesses": _named(entry.groups, _group_names(call)),
        "userAccesses": _named(entry.users, _user_names(call)),
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
    if not can_write(call, entry):
        raise _unmanaged(call, entry)
    wanted = _wanted(call)
    public = _access_string(wanted.get("publicAccess"), "public access")
    groups = _accesses(call, wanted, "userGroupAccesses", "user group access", _group_names(call))
    users = _accesses(call, wanted, "userAccesses", "user access", _user_names(call))
    entry.public, entry.users, entry.groups = public, users, groups
    entry.updated, entry.updater = call.server.clock(), call.user.name
    call.server.storage.update(entry)
    call.server.texts[True].wrote(entry.owner, entry.namespace, entry.key, None)
    return call.message(200, "Access control set")


def _wanted(call: Call) -> dict[str, Any]:
    try:
        found = json.loads(call.text() or "")
    except ValueError as error:
        raise _malformed(call) from error
    wanted = found.get("object") or {} if isinstance(found, dict) else None
    if not isinstance(wanted, dict):
        raise _mismatched(call)
    return wanted


def _malformed(call: Call) -> Refusal:
    """What the server's parser says of a body that is no JSON: exactly for a bare word, roughly else."""
    text = call.text()
    if text is None:
        return _mismatched(call)
    word = re.match(r"\s*([A-Za-z_$][\w$]*)", text)
    start, end = word.span(1) if word else (0, 0)
    column = (end if call.profile.json_error_is_after_token else start) + 1
    expected = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
    where = f"\n at [Source: {call.profile.json_source}; line: 1, column: {column}]"
    found = f"Unrecognized token '{word[1]}': was expecting" if word else "Unexpected character: expected a valid value"
    return Refusal(409, f"{found} {expected}{where}")


def _mismatched(call: Call) -> Refusal:
    text = "Cannot deserialize value of type `org.hisp.dhis.webapi.webdomain.sharing.Sharing`"
    return Refusal(call.profile.mismatched_sharing_status, text)


def _accesses(call: Call, wanted: Mapping[str, Any], name: str, kind: str, known: Mapping[str, str]) -> dict[str, str]:
    """The accesses of a list by uid: a list that is left out is empty, and whoever does not exist is left out."""
    given = wanted.get(name) or []
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise _mismatched(call)
    found = [(each.get("id"), _access_string(each.get("access"), kind)) for each in given]
    return {uid: access for uid, access in found if uid in known}


def _access_string(access: object, kind: str) -> str:
    """An access as it is stored: without the half that is about data. Null and "" are null, which is "" here."""
    if access is None or access == "":
        return ""
    if not isinstance(access, str) or not _ACCESS.fullmatch(access):
        raise Refusal(409, f"Invalid {kind} string: {access}", thrown=False)
    return access[:2] + "------"


def _shared_object(call: Call, *, thrown: bool) -> Entry:
    for name in ("type", "id"):
        if call.parameter(name) is None:
            raise Page(400)
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
    if call.profile.unreadable_object_is_missing and not can_read(call, entry):
        return _no_object("dataStore", entry.uid, thrown=False)
    return Refusal(403, "You do not have manage access to this object.", call.profile.unmanaged_sharing_code)
