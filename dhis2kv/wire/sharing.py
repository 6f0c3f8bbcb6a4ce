"""Who may read and write an entry of the shared store: as people say it, and as the server does; imports the errors.

Here since DHIS2 has three forms for it, opens every new entry to every account, and takes nonsense without a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from dhis2kv import errors

_ID = re.compile("[A-Za-z][A-Za-z0-9]{10}")

BY_ID = "id:"


def access(given: object) -> str:
    """An access as DHIS2 spells it: ``"rw"``, ``"r-"``, ``"-w"`` or ``"--"``.

    ``"r"``, ``"w"``, ``""``, None and the form of eight letters are understood. Raises ``InvalidValue`` for others.
    """
    if given is None:
        return "--"
    if given in ("", "r", "w"):
        return {"": "--", "r": "r-", "w": "-w"}[str(given)]
    if isinstance(given, str) and len(given) in (2, 8) and re.fullmatch("[r-][w-][rw-]*", given):
        return given[:2]
    raise errors.InvalidValue(f"{given!r} is no access: write 'rw', 'r' or ''")


def _accesses(given: Mapping[str, object], whose: str) -> dict[str, str]:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and name for name in given):
        raise errors.InvalidValue(f"{whose} maps names to accesses, as in {{'name': 'rw'}}")
    return {name: access(given[name]) for name in sorted(given)}


@dataclass(frozen=True)
class Sharing:
    """Who may read and write an entry; the defaults are what DHIS2 gives every new one: everybody, both.

    ::

        Sharing(public="r", groups={"Editors": "rw"})
        Sharing.private()

    Its owner, who created it, and superusers may always do both. It can be pickled, and used as a key.

    :param public: what every account may: ``"rw"``, ``"r-"`` or ``"--"``; who may not read may not write either.
    :param users: what single accounts may besides, by username; ``"id:..."`` names one by its id.
    :param groups: what the members of groups may besides, by the group's name; ``"id:..."`` names one by its id.
    :param owner: the owner's username, which reading adds; no part of equality, and no matter when it is set.
    """

    public: str = "rw"
    users: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "public", access(self.public))
        object.__setattr__(self, "users", _accesses(self.users, "users"))
        object.__setattr__(self, "groups", _accesses(self.groups, "groups"))

    @classmethod
    def private(cls) -> Sharing:
        """Nobody but the owner, and superusers."""
        return cls(public="--")

    def __hash__(self) -> int:
        return hash((self.public, *self.users.items(), None, *self.groups.items()))


@dataclass(frozen=True)
class Metadata:
    """What the shared store knows about an entry.

    ``id`` is the server's own for it, ``created`` and ``last_updated`` are aware datetimes, ``created_by`` and
    ``last_updated_by`` usernames, or None where the server names nobody. From 2.41 on ``last_updated`` does not move
    when a value is updated.
    """

    namespace: str
    key: str
    id: str
    created: datetime
    last_updated: datetime
    created_by: str | None
    last_updated_by: str | None
    sharing: Sharing


@dataclass(frozen=True)
class Grants:
    """Sharing as the server keeps it: by the ids of users and groups.

    ``external`` is access without signing in, which older servers keep for every object; the data store has none.
    """

    public: str = "rw"
    users: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    external: bool = False

    @property
    def is_default(self) -> bool:
        """Whether this is what the server gives every new entry."""
        return self == Grants()

    @property
    def body(self) -> str:
        """What ``PUT /api/sharing`` takes. A member that is left out would count as empty, or as public."""
        return json.dumps(
            {
                "object": {
                    "publicAccess": f"{self.public}------",
                    "externalAccess": self.external,
                    "userAccesses": [{"id": uid, "access": f"{may}------"} for uid, may in self.users.items()],
                    "userGroupAccesses": [{"id": uid, "access": f"{may}------"} for uid, may in self.groups.items()],
                }
            }
        )


def grants(metadata: Mapping[str, Any]) -> Grants:
    """The sharing in an entry's metaData; raises ``ValueError`` where there is none that can be read."""
    sharing = metadata.get("sharing")
    if not isinstance(sharing, dict):
        raise ValueError("there is no sharing in it")
    return Grants(
        access(sharing.get("public")),
        _by_id(sharing.get("users")),
        _by_id(sharing.get("userGroups")),
        sharing.get("external") is True,
    )


def _by_id(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(about, dict) for about in given.values()):
        raise ValueError("its users or groups are no objects")
    return {uid: access(given[uid].get("access")) for uid in sorted(given)}


def given_id(name: str) -> str | None:
    """The id in a name like ``"id:M5zQapPyTZI"``, or None; raises ``InvalidValue`` where that is no id."""
    if not name.startswith(BY_ID):
        return None
    uid = name.removeprefix(BY_ID)
    if not _ID.fullmatch(uid):
        raise errors.InvalidValue(f"{name!r} holds no id: those of DHIS2 are a letter and ten letters or digits")
    return uid


def moment(text: object, zone: tzinfo) -> datetime:
    """A date of the server, which tells it without its zone; raises ``ValueError`` for what is none."""
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no date")
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=zone)
