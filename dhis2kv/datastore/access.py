"""What the shared store knows about entries, and who may read them; imports the server's calls and the releases.

Here since DHIS2 drops users and groups that it does not know without a word, names them by ids that differ from server
to server, and on some releases takes sharing and does not heed it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dhis2kv import errors, wire
from dhis2kv.datastore.server import Names, Server, shown
from dhis2kv.releases import PROTECTIONS_IS_A_NAMESPACE, SHARING_NOT_ON_LISTS, SHARING_NOT_ON_READS
from dhis2kv.wire.sharing import BY_ID, Grants, Metadata, Sharing, access, given_id, grants, moment

log = logging.getLogger("dhis2kv")

# More than any server has. The search shows 50 without a size, and a name that is wanted may be none of those.
_ALL = 100_000


class Access:
    """Reads and sets who may read and write entries of the shared store, by their names (store, namespace, key)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._usernames: dict[str, str] = {}
        self._group_names: dict[str, str] = {}
        self._zone: tzinfo | None = None
        self._has_warned = False

    # --- reading ------------------------------------------------------------------------------------------------------

    def metadata(self, names: Names) -> Metadata:
        """What the server knows about an entry, its sharing by names."""
        about, uid, now = self.look(names)
        sharing = self._named(about, uid, now)
        zone = self._server_zone()
        try:
            created, last_updated = (moment(about.get(name), zone) for name in ("created", "lastUpdated"))
        except ValueError as error:
            raise errors.ServerError(f"the metadata of {shown(names)} cannot be read: {error}") from error
        by, last_by = (self._username_in(about.get(name)) for name in ("createdBy", "lastUpdatedBy"))
        return Metadata(names[1], names[2], uid, created, last_updated, by, last_by, sharing)

    def sharing(self, names: Names) -> Sharing:
        """Who may read and write an entry, by names."""
        return self._named(*self.look(names))

    def look(self, names: Names) -> tuple[dict[str, Any], str, Grants]:
        """The metadata of an entry as the server tells it, the entry's id, and its sharing by ids; one request."""
        reply = wire.checked(self._server.transport.call(wire.call_below("GET", *names, below="metaData")))
        about = reply.json()
        try:
            if not isinstance(about, dict) or not isinstance(about.get("id"), str):
                raise ValueError("there is no id in it")
            return about, about["id"], grants(about)
        except ValueError as error:
            raise reply.error(errors.ServerError, f"the metadata of {shown(names)} cannot be read: {error}") from error

    def _named(self, about: Mapping[str, Any], uid: str, now: Grants) -> Sharing:
        for name in ("createdBy", "lastUpdatedBy"):
            self._username_in(about.get(name))
        if any(group not in self._group_names for group in now.groups):
            self._learn_groups(uid)
        owner = about["sharing"].get("owner")
        return Sharing(
            now.public,
            {self._username(user): may for user, may in now.users.items()},
            {self._group_names.get(group, BY_ID + group): may for group, may in now.groups.items()},
            self._username(owner) if isinstance(owner, str) else None,
        )

    def _username_in(self, person: object) -> str | None:
        """The username in what metadata tells about a person, which is kept for when only the id comes."""
        if not isinstance(person, dict) or not isinstance(person.get("username"), str):
            return None
        if isinstance(person.get("id"), str):
            self._usernames[person["id"]] = person["username"]
        return str(person["username"])

    def _username(self, uid: str) -> str:
        """The username for an id, asked for once; the id itself where nobody has it any more."""
        if uid not in self._usernames:
            person = self._look_up(uid)
            if person.get("id") != uid or not isinstance(person.get("username"), str):
                return BY_ID + uid
            self._usernames[uid] = person["username"]
        return self._usernames[uid]

    def _look_up(self, name: str) -> dict[str, Any]:
        """What every account is told about a user, by id or username; nothing about nobody."""
        reply = self._server.call("GET", "userLookup", name)
        found = reply.json() if reply.body else {}
        return found if isinstance(found, dict) else {}

    def _learn_groups(self, uid: str) -> None:
        """Keep the names of the groups with which an entry is shared; metadata has their ids only."""
        reply = wire.checked(self._server.transport.call(_sharing_call("GET", uid)))
        shared = _member(reply.json(), "object")
        self._group_names.update(
            (group["id"], group["name"])
            for group in _objects(shared, "userGroupAccesses")
            if isinstance(group.get("id"), str) and isinstance(group.get("name"), str)
        )

    def _server_zone(self) -> tzinfo:
        """The time zone in which the server tells dates; one request, the first time."""
        if self._zone is None:
            call = wire.Call("GET", "/api/system/info", query="fields=serverTimeZoneId")
            name = _member(wire.checked(self._server.transport.call(call)).json(), "serverTimeZoneId") or "UTC"
            try:
                self._zone = UTC if name == "UTC" else ZoneInfo(str(name))
            except (ZoneInfoNotFoundError, ValueError) as error:
                raise errors.ServerError(
                    f"the server's dates are in the time zone {name!r}, which is not known here: install tzdata"
                ) from error
        return self._zone

    def protections(self) -> list[dict[str, Any]] | None:
        """The protected namespaces, as the server tells them; None where it does not."""
        if PROTECTIONS_IS_A_NAMESPACE.on(self._server.version()):
            return None
        reply = wire.checked(self._server.transport.call(wire.Call("GET", "/api/dataStore/protections")))
        found = reply.json()
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise reply.error(errors.ServerError, "the server's reply is no list of protections")
        return found

    # --- setting ------------------------------------------------------------------------------------------------------

    def resolved(
        self, users: Mapping[str, str] | None, groups: Mapping[str, str] | None
    ) -> tuple[dict[str, str] | None, dict[str, str] | None]:
        """Users and groups by their ids; one request for each that is not given by its id.

        Raises ``InvalidValue`` that names those that do not exist, or that several groups are called.
        """
        wrong: list[str] = []
        by_name = Sharing(users=users or {}, groups=groups or {})
        found_users = {self._user_id(name, wrong) or name: may for name, may in by_name.users.items()}
        found_groups = {self._group_id(name, wrong) or name: may for name, may in by_name.groups.items()}
        if wrong:
            raise errors.InvalidValue(f"{'; '.join(wrong)}. Nothing was changed")
        return None if users is None else found_users, None if groups is None else found_groups

    def known(self, sharing: Sharing) -> tuple[Sharing, list[str]]:
        """The part of a sharing whose users and groups there are here, and of the others a sentence each."""
        wrong: list[str] = []
        users = {name: may for name, may in sharing.users.items() if self._user_id(name, wrong)}
        groups = {name: may for name, may in sharing.groups.items() if self._group_id(name, wrong)}
        return Sharing(sharing.public, users, groups), wrong

    def grants_of(self, sharing: Sharing) -> Grants:
        """Sharing by ids; costs and raises as ``resolved`` does."""
        users, groups = self.resolved(sharing.users, sharing.groups)
        return Grants(sharing.public, users or {}, groups or {})

    def _user_id(self, name: str, wrong: list[str]) -> str | None:
        if uid := given_id(name):
            return uid
        try:
            person = self._look_up(wire.check_name(name, "username"))
        except errors.InvalidKey:
            person = {}
        if person.get("username") == name and isinstance(person.get("id"), str):
            return str(person["id"])
        hint = ""
        if person.get("id") == name:
            hint = f" (to give an id, write {BY_ID}{name})"
        elif isinstance(person.get("username"), str):
            hint = f" (there is {person['username']!r})"
        wrong.append(f"there is no user {name!r}{hint}")
        return None

    def _group_id(self, name: str, wrong: list[str]) -> str | None:
        if uid := given_id(name):
            return uid
        query = urlencode({"key": name, "pageSize": _ALL})
        reply = wire.checked(self._server.transport.call(wire.Call("GET", "/api/sharing/search", query=query)))
        # The search finds names that merely contain the text, in any case.
        ids = sorted(
            {str(group.get("id")) for group in _objects(reply.json(), "userGroups") if group.get("name") == name}
        )
        if len(ids) == 1:
            return ids[0]
        several = f"several groups are called {name!r}: take one by its id, {' or '.join(BY_ID + uid for uid in ids)}"
        wrong.append(several if ids else f"there is no group {name!r}")
        return None

    def share(
        self, names: Names, public: str | None, users: dict[str, str] | None, groups: dict[str, str] | None
    ) -> None:
        """Change the parts of an entry's sharing that are given, each as a whole; users and groups by ids."""
        _, uid, now = self.look(names)
        wanted = Grants(
            now.public if public is None else access(public),
            now.users if users is None else users,
            now.groups if groups is None else groups,
            now.external,
        )
        if wanted != now:
            self.set(names, uid, wanted)

    def set(self, names: Names, uid: str, wanted: Grants) -> None:
        """Set an entry's sharing, and read it back; raises ``NotStored`` where it is not so then."""
        self._warn(wanted)
        reply = self._server.transport.call(_sharing_call("PUT", uid, wanted.body))
        if reply.status == 404:
            self.look(names)  # raises where the entry is gone
        wire.checked(reply)
        try:
            _, found, now = self.look(names)
        except errors.Forbidden:
            return  # the account has shut itself out by this, which it could not if it were not so
        if found != uid:
            raise errors.NotStored(
                f"somebody else made {shown(names)} anew meanwhile: its sharing is theirs", sent=True
            )
        if now != wanted:
            raise errors.NotStored(
                f"the server accepted the sharing of {shown(names)} and holds another: {_difference(wanted, now)}",
                sent=True,
            )

    def _warn(self, wanted: Grants) -> None:
        """Say once where the server does not heed what is being set."""
        if wanted.public[0] == "r" or self._has_warned:
            return
        for fault in (SHARING_NOT_ON_READS, SHARING_NOT_ON_LISTS):
            if self._server.has(fault):
                self._has_warned = True
                log.warning(
                    "this server has %s, on which %s. Only store.user is private there", self._release(), fault.sentence
                )
                return

    def _release(self) -> str:
        try:
            return f"DHIS2 {self._server.version()}"
        except errors.Dhis2kvError:
            return "a release that it does not tell"


def no_sharing() -> errors.Rejected:
    """The error for whoever asks for sharing where there is none."""
    return errors.Rejected(
        "store.user has no sharing and no metadata: nobody but the account reads it, and superusers; nothing was sent"
    )


def _difference(wanted: Grants, now: Grants) -> str:
    """What of some grants is not as it was wanted."""
    lost = [f"user {BY_ID}{uid}" for uid in wanted.users if uid not in now.users]
    lost += [f"group {BY_ID}{uid}" for uid in wanted.groups if uid not in now.groups]
    if lost:
        return f"it does not know {', '.join(lost)}, or hides them from this account"
    return "somebody else has set it meanwhile"


def _sharing_call(method: str, uid: str, body: str | None = None) -> wire.Call:
    return wire.Call(method, "/api/sharing", query=urlencode({"type": "dataStore", "id": uid}), body=body)


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _objects(value: Any, name: str) -> list[dict[str, Any]]:
    found = _member(value, name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
