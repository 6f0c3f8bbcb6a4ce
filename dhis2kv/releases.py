"""Which known faults which DHIS2 releases have: the only place that compares versions; imports nothing of ours.

Here since servers do not tell what they do wrong: whoever goes round a fault asks for it by its name. What is said of
releases was read from the tags 2.36.0 to 2.43.1 of dhis2/dhis2-core and the tips of its branches of 2026-08; the faults
that a sentence calls seen were seen on running servers, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

Numbers = tuple[int, ...]


class Version(tuple[int, ...]):
    """A version of DHIS2, which compares like a tuple of its numbers: ``(2, 42, 5, 1) < (2, 42, 6)``.

    ``snapshot`` is whether the server names itself a snapshot, which stands somewhere between two releases;
    ``build_time`` is when it was built, in its own time, without a zone, or None where it does not tell.
    """

    snapshot: bool
    build_time: datetime | None

    def __new__(cls, numbers: Iterable[int], *, snapshot: bool = False, build_time: datetime | None = None) -> Version:
        version = super().__new__(cls, numbers)
        version.snapshot, version.build_time = snapshot, build_time
        return version

    def __str__(self) -> str:
        return ".".join(map(str, self)) + ("-SNAPSHOT" if self.snapshot else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return _version, (tuple(self), self.snapshot, self.build_time)


def _version(numbers: Numbers, snapshot: bool, build_time: datetime | None) -> Version:
    return Version(numbers, snapshot=snapshot, build_time=build_time)


def read_version(text: object, build_time: object = None) -> Version | None:
    """The version in what a server says of itself, like ``"2.42.6-SNAPSHOT"``; None where there is none in it."""
    found = re.match(r"(\d+(?:\.\d+)+)(.*)", text) if isinstance(text, str) else None
    if not found:
        return None
    try:
        built = datetime.fromisoformat(build_time).replace(tzinfo=None) if isinstance(build_time, str) else None
    except ValueError:
        built = None
    return Version(map(int, found[1].split(".")), snapshot="SNAPSHOT" in found[2].upper(), build_time=built)


@dataclass(frozen=True)
class Fault:
    """Something that some releases do wrong, or not at all.

    ``spans`` are pairs: the first release that has it, and the first good one after that, None where there is none.
    ``mended`` is the day on which the branches got what the good releases have.
    """

    name: str
    sentence: str
    source: str
    spans: tuple[tuple[Numbers, Numbers | None], ...]
    mended: date | None = None
    concerns_data: bool = True

    def on(self, version: Version | None) -> bool:
        """Whether a server of this version has it; a version that is not known counts as one that has."""
        return version is None or any(self._within(version, first, good) for first, good in self.spans)

    def _within(self, version: Version, first: Numbers, good: Numbers | None) -> bool:
        if version < first:
            return False
        if good is None or version < good:
            return True
        if not version.snapshot or version != good:
            return False
        # A snapshot of the first good release is good if it was built after the mending. In which zone its time is,
        # nobody tells: the day after may have begun there.
        built = version.build_time
        return self.mended is None or built is None or (built.date() - self.mended).days <= 1


USER_PUT_OF_ALL = Fault(
    "user-put-of-all",
    "a PUT of an existing entry of the user store writes that entry of every account, path and roll too",
    "DHIS2-21740, seen; 62deed193d0 brought it, f5cd454436e, 777888d53d0, 79c4730d8a9 and d94c0f04ef6 mended it",
    (
        ((2, 41), (2, 41, 10)),
        ((2, 42), (2, 42, 6)),
        ((2, 43), (2, 43, 1)),
        ((2, 44), (2, 44)),  # the master, before it was mended there
    ),
    date(2026, 7, 3),
)
SHARING_NOT_ON_READS = Fault(
    "sharing-not-on-reads",
    "sharing does not protect reads: entries that are closed are shown to every account",
    "seen on 2.37 and 2.38; 876c6dd3fd9 (2.39.5), 41af628a181 (2.40.3)",
    (((2, 37), (2, 39, 5)), ((2, 40), (2, 40, 3))),
)
SHARING_NOT_ON_LISTS = Fault(
    "sharing-not-on-lists",
    "sharing does not protect listings: keys that are closed are listed to every account",
    "seen on 2.36 to 2.38; 876c6dd3fd9 (2.39.5), 41af628a181 (2.40.3)",
    (((0,), (2, 39, 5)), ((2, 40), (2, 40, 3))),
)
USERNAME_IGNORED = Fault(
    "username-ignored",
    "username= is ignored in the user store: who asks for another account's gets the own one",
    "seen on 2.36 and 2.37; 6539505c578 and 8d900922fe5 (2.38.1)",
    (((0,), (2, 38, 1)),),
)
UNPROTECTED_BY_UNINSTALLING = Fault(
    "unprotected-by-uninstalling",
    "an app that is uninstalled takes the protection of its namespace along although another version of it stays",
    "17e1a793734 (2.38.5), afe9bec1d3f (2.39.3), 8976d565d32 (2.40.1)",
    (((2, 37), (2, 38, 5)), ((2, 39), (2, 39, 3)), ((2, 40), (2, 40, 1))),
)
CAPTURE_UNPROTECTED = Fault(
    "capture-unprotected",
    "the namespace capture can be written by every account",
    "c8e19a130ec",
    (((0,), (2, 39, 6)), ((2, 40), (2, 40, 5)), ((2, 41), (2, 41, 1))),
)
ENCRYPTED_LAID_OPEN = Fault(
    "encrypted-laid-open",
    "a PUT over an encrypted entry keeps the old value and lays the new one open",
    "seen on 2.41 to 2.44",
    (((2, 41), None),),
)
EMPTY_PUT_DELETES = Fault(
    "empty-put-deletes",
    "a PUT without a body deletes the entry",
    "seen on 2.41 to 2.44",
    (((2, 41), None),),
)
NO_PARTS = Fault(
    "no-parts",
    "path and roll are not known: what is meant for a part is stored as the whole value",
    "seen on 2.36 to 2.40",
    (((0,), (2, 41)),),
    concerns_data=False,
)
PROTECTIONS_IS_A_NAMESPACE = Fault(
    "protections-is-a-namespace",
    "protections is a namespace as others, and tells of no protections",
    "seen on 2.36 to 2.41; the route came with 2.42.0",
    (((0,), (2, 42)),),
    concerns_data=False,
)
OWN_TOKENS_BREAK_ME = Fault(
    "own-tokens-break-me",
    "an account that has access tokens cannot ask who it is: /api/me is an error",
    "Ehcache 3.12.0 (d9fa4b74a4d), c8b52001a25 (2.42.5.1)",
    (((2, 42, 5), (2, 42, 5, 1)),),
    concerns_data=False,
)

#: Every known fault, the gravest first.
FAULTS: tuple[Fault, ...] = (
    USER_PUT_OF_ALL,
    SHARING_NOT_ON_READS,
    SHARING_NOT_ON_LISTS,
    USERNAME_IGNORED,
    UNPROTECTED_BY_UNINSTALLING,
    CAPTURE_UNPROTECTED,
    ENCRYPTED_LAID_OPEN,
    EMPTY_PUT_DELETES,
    NO_PARTS,
    PROTECTIONS_IS_A_NAMESPACE,
    OWN_TOKENS_BREAK_ME,
)
