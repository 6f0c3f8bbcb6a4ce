"""Users and groups of users, as far as who shares entries meets them: lists, look-ups, groups made and gone.

Here since sharing names people by ids, and these routes are where a client finds those.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from .accounts import Account, new_uid
from .call import Call
from .messages import PRIVATE, Page, Refusal, Reply, dumps, json_reply, web_message
from .profiles import JSON_UTF8
from .storage import Group

_GROUP_CLASS = "org.hisp.dhis.user.UserGroup"
_PAGE_SIZE = 50

Object = dict[str, object]

# What a filter compares with.
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda found, value: found == value,
    "ieq": lambda found, value: found.lower() == value.lower(),
    "like": lambda found, value: value in found,
    "ilike": lambda found, value: value.lower() in found.lower(),
    "in": lambda found, value: found in value.strip("[]").split(","),
}


def search(call: Call) -> Reply:
    """GET /api/sharing/search: users and groups whose names contain a text, for every account."""
    key = _required(call, "key")
    size = _positive(call.parameter("pageSize"), _PAGE_SIZE)
    users = [_shown_user(user) for user in _users(call, key)]
    groups = [_shown(group.uid, group.name) for group in _groups(call) if key.lower() in group.name.lower()]
    call.cache_control = call.profile.sharing_cache
    return json_reply(200, {"users": users[:size], "userGroups": groups[:size]})


def look_up_users(call: Call) -> Reply:
    """GET /api/userLookup: users whose names contain a text, for every account."""
    return json_reply(200, {"users": [_looked_up(user) for user in _users(call, _required(call, "query"))]})


def look_up_user(call: Call, name: str) -> Reply:
    """GET /api/userLookup/{id or username}: one user; nothing at all for nobody."""
    found = next((user for user in _users(call) if name in (user.uid, user.name)), None)
    return json_reply(200, _looked_up(found)) if found else Reply(200)


def get_users(call: Call) -> Reply:
    """GET /api/users: for those who may see users."""
    if not call.user.may(("F_USER_VIEW",)):
        raise _forbidden(call, "read objects of this type")
    return _listed(call, "users", [_shown_user(user) for user in _users(call)])


def get_groups(call: Call) -> Reply:
    """GET /api/userGroups: for every account."""
    return _listed(call, "userGroups", [_shown(group.uid, group.name) for group in _groups(call)])


def get_group(call: Call, uid: str) -> Reply:
    """GET /api/userGroups/{id}"""
    group = _group(call, uid)
    call.cache_control = PRIVATE
    whole = _shown(group.uid, group.name) | {"users": [{"id": member} for member in sorted(group.members)]}
    return json_reply(200, _chosen(call, whole, whole))


def create_group(call: Call) -> Reply:
    """POST /api/userGroups"""
    call.check_content_type()
    try:
        wanted = json.loads(call.text() or "")
    except ValueError as error:
        raise Refusal(409, str(error)) from error
    if not call.user.may(("F_USERGROUP_PUBLIC_ADD", "F_USERGROUP_PRIVATE_ADD")):
        raise _forbidden(call, "create this object")
    group = _group_of(call, wanted)
    call.server.storage.set_group(group)
    reply = _report(201, group)
    reply.headers.append(("Location", f"{call.base}/api/userGroups/{group.uid}"))
    return reply


def _group_of(call: Call, wanted: object) -> Group:
    """The group that a body asks for; members who do not exist are left out."""
    about = wanted if isinstance(wanted, dict) else {}
    name, members = about.get("name"), about.get("users") or []
    taken = {group.name for group in _groups(call)}
    if not isinstance(name, str) or not name or name in taken or not isinstance(members, list):
        report = "One or more errors occurred, please see full details in import report."
        raise Refusal(409, report, thrown=False)
    given = {member.get("id") for member in members if isinstance(member, dict)}
    return Group(new_uid(), name, frozenset(user.uid for user in _users(call) if user.uid in given))


def delete_group(call: Call, uid: str) -> Reply:
    """DELETE /api/userGroups/{id}: no entry is shared with it any longer."""
    group = _group(call, uid)
    if not call.user.may(("F_USERGROUP_DELETE",)):
        raise _forbidden(call, "delete this object")
    call.server.storage.delete_group(uid)
    return _report(200, group)


def _users(call: Call, text: str = "") -> list[Account]:
    """The users whose name or username contains a text, in any case; by surname, as the database sorts."""
    call.require_user()
    wanted = text.lower()
    users = call.server.accounts.users.values()
    found = [user for user in users if wanted in user.display_name.lower() or wanted in user.name.lower()]
    return sorted(found, key=lambda user: (user.surname, user.first_name))


def _groups(call: Call) -> Sequence[Group]:
    call.require_user()
    return call.server.storage.groups()


def _group(call: Call, uid: str) -> Group:
    group = next((group for group in _groups(call) if group.uid == uid), None)
    if group is None:
        code = call.profile.list_denied_code and "E1005"
        raise Refusal(404, f"UserGroup with id {uid} could not be found.", code)
    return group


def _required(call: Call, name: str) -> str:
    given = call.parameter(name)
    if given is None:
        raise Page(400)
    return given


def _shown(uid: str, name: str) -> Object:
    return {"id": uid, "name": name, "displayName": name}


def _shown_user(user: Account) -> Object:
    return {**_shown(user.uid, user.display_name), "username": user.name}


def _looked_up(user: Account) -> Object:
    names = {"firstName": user.first_name, "surname": user.surname, "displayName": user.display_name}
    return {"id": user.uid, "username": user.name, **names}


def _forbidden(call: Call, what: str) -> Refusal:
    return Refusal(403, f"You don't have the proper permissions to {what}.", call.profile.list_denied_code)


def _report(status: int, group: Group) -> Reply:
    report = {"responseType": "ObjectReport", "uid": group.uid, "klass": _GROUP_CLASS, "errorReports": []}
    return Reply(status, [("Content-Type", JSON_UTF8)], dumps(web_message(status, None, response=report)))


# --- collections, as the server lists them ----------------------------------------------------------------------------


def _listed(call: Call, name: str, found: Sequence[Object]) -> Reply:
    """A list: filtered, paged, and with the members that are asked for."""
    matching = [each for each in found if all(_matches(each, text) for text in _filters(call))]
    call.cache_control = PRIVATE
    pages: Object = {}
    if (call.parameter("paging") or "true").lower() != "false":
        size, page = _positive(call.parameter("pageSize"), _PAGE_SIZE), _positive(call.parameter("page"), 1)
        count = max(1, -(-len(matching) // size))
        pages = {"pager": {"page": page, "total": len(matching), "pageSize": size, "pageCount": count}}
        matching = matching[(page - 1) * size : page * size]
    shown = [_chosen(call, each, {of: each[of] for of in ("id", "displayName")}) for each in matching]
    return json_reply(200, {**pages, name: shown})


def _positive(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and int(text) > 0 else default


def _filters(call: Call) -> list[str]:
    """The filters. One that stands alone is split at commas, so that no name with a comma in it is ever found."""
    given = [value for key, value in call.parameters if key == "filter"]
    return given[0].split(",") if len(given) == 1 and ":in:" not in given[0] else given


def _matches(each: Mapping[str, object], text: str) -> bool:
    name, _, rest = text.partition(":")
    operator, _, value = rest.partition(":")
    compare = _OPERATORS.get(operator)
    return compare is not None and name in each and compare(str(each[name]), value)


def _chosen(call: Call, whole: Mapping[str, object], usual: Mapping[str, object]) -> Object:
    wanted = {name.strip() for name in (call.parameter("fields") or "").split(",") if name.strip()}
    if not wanted:
        return dict(usual)
    return {name: value for name, value in whole.items() if name in wanted or wanted & {"*", ":all"}}
