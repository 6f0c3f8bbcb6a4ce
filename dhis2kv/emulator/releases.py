"""The releases that were made of each line, where they do otherwise than the tip of their branch.

Here since a release is the tip with what had not been mended yet: each change below says which releases brought what
the tip does, and what held before. Versions are compared here and nowhere else. What changed when was read from the
tags of dhis2-core, 2.36.0 to 2.43.1; a release that came or comes later is as good as the tip.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from .profiles import PROFILES, Profile

Numbers = tuple[int, ...]

# The day of a line's first release, about, and of its newest, as the tags have it.
_DAYS = {
    "2.36": ("2021-04-29", "2022-12-21", "2.36.13.2"),
    "2.37": ("2021-11-18", "2023-08-21", "2.37.10"),
    "2.38": ("2022-05-05", "2024-06-25", "2.38.7"),
    "2.39": ("2022-12-15", "2025-07-17", "2.39.10.1"),
    "2.40": ("2023-05-09", "2026-06-23", "2.40.12"),
    "2.41": ("2024-06-13", "2026-08-10", "2.41.9.1"),
    "2.42": ("2025-05-15", "2026-08-10", "2.42.5.2"),
    "2.43": ("2026-05-21", "2026-08-03", "2.43.1"),
}
# Releases that name themselves snapshots all the same.
_LIKE_SNAPSHOTS = frozenset({"2.36.12.1", "2.37.8.1", "2.38.2.1", "2.39.0.1"})


@dataclass(frozen=True)
class _Change:
    """What the releases before ``first_good`` of their line do otherwise, and from ``since`` on where that is said."""

    first_good: Mapping[str, str]
    before: Callable[[Profile], Profile]
    since: Mapping[str, str] = field(default_factory=dict)

    def concerns(self, line: str, release: Numbers) -> bool:
        """Whether a release of a line still does otherwise."""
        good, since = self.first_good.get(line), self.since.get(line)
        return good is not None and release < _numbers(good) and (since is None or release >= _numbers(since))


def _numbers(text: str) -> Numbers:
    return tuple(map(int, text.split(".")))


def _old_user_store(profile: Profile) -> Profile:
    """The controller of 2.39, and its validator."""
    old = PROFILES["2.39"]
    return replace(
        profile,
        user_texts=old.user_texts,
        user_keys_route=False,
        user_entries_query=False,
        username_parameter=old.username_parameter,
        user_entry_is_no_store=True,
        user_lists_decide_late=True,
        user_namespace_delete_always_ok=True,
        texts=replace(profile.texts, codes=("E1005",)),
        put_checks_json=True,
        json_trailing_commas=False,
        json_leading_zeros=False,
        json_stops_after_value=True,
    )


def _put_updates_only(profile: Profile) -> Profile:
    texts = replace(profile.user_texts, updated=PROFILES["2.37"].user_texts.updated)
    return replace(profile, put_creates=False, user_update_status=201, user_texts=texts)


def _reads_are_open(profile: Profile) -> Profile:
    denied = PROFILES["2.38"]
    return replace(
        profile,
        sharing_on_reads=False,
        sharing_on_lists=False,
        sharing_on_namespace_delete=False,
        update_denied_text=denied.update_denied_text,
        delete_denied_text=denied.delete_denied_text,
    )


def _database_is_unheard(profile: Profile) -> Profile:
    return replace(profile, database_refusal_status=500, database_refusal_text="could not execute statement")


def _capture_is_open(profile: Profile) -> Profile:
    return replace(profile, protections=tuple(p for p in profile.protections if p.namespace != "capture"))


def _unshown_is_missing(profile: Profile) -> Profile:
    return replace(profile, unreadable_object_is_missing=True)


# In the order in which they are undone: a later one may build upon an earlier.
_CHANGES = (
    _Change({"2.40": "2.40.1"}, _old_user_store),
    _Change({"2.38": "2.38.5", "2.39": "2.39.3", "2.40": "2.40.1"}, _put_updates_only),
    _Change(
        {"2.41": "2.41.10", "2.42": "2.42.6", "2.43": "2.43.1"},
        lambda profile: replace(profile, user_update_is_of_all=True),
    ),
    _Change({"2.39": "2.39.5", "2.40": "2.40.3"}, _reads_are_open),
    _Change({"2.38": "2.38.1"}, lambda profile: replace(profile, username_parameter=None, pager_has_comma=True)),
    _Change({"2.39": "2.39.6", "2.40": "2.40.5", "2.41": "2.41.1"}, _capture_is_open),
    _Change({"2.39": "2.39.5"}, lambda profile: replace(profile, keys_route=False)),
    _Change({"2.37": "2.37.7", "2.38": "2.38.1"}, lambda profile: replace(profile, empty_listing_is_missing=True)),
    _Change({"2.40": "2.40.11", "2.41": "2.41.8", "2.42": "2.42.5"}, _database_is_unheard),
    _Change({"2.42": "2.42.5.1"}, lambda profile: replace(profile, tokens_break_me=True), since={"2.42": "2.42.5"}),
    _Change(
        {"2.38": "2.38.6", "2.39": "2.39.5", "2.40": "2.40.3"},
        lambda profile: replace(profile, unpaged_is_headless=True),
    ),
    _Change({"2.41": "2.41.9", "2.42": "2.42.6"}, lambda profile: replace(profile, external_access=True)),
    _Change({"2.36": "2.36.7", "2.37": "2.37.3"}, _unshown_is_missing),
    _Change(
        {"2.37": "2.37.10", "2.38": "2.38.4", "2.39": "2.39.2"}, lambda profile: replace(profile, ping_route=False)
    ),
    _Change(
        {"2.40": "2.40.9", "2.41": "2.41.6", "2.42": "2.42.2"},
        lambda profile: replace(profile, token_methods=("DELETE", "GET", "PATCH", "POST", "PUT")),
    ),
)


@functools.cache
def profile_of(version: str) -> Profile:
    """The facts of a version: the tip of a branch ("2.42"), or a release of it ("2.42.5", "2.41.9.1").

    Raises ``ValueError`` for anything else.
    """
    if version in PROFILES:
        return PROFILES[version]
    line, _, _ = version.partition(".")[2].partition(".")
    line = f"2.{line}"
    if line not in PROFILES or not re.fullmatch(r"2\.[0-9]{2}(?:\.(?:0|[1-9][0-9]{0,3})){1,2}", version):
        raise ValueError(
            f"No DHIS2 {version!r} to emulate; there are {', '.join(PROFILES)}, and releases of these as in"
            ' "2.41.0" or "2.42.5.1".'
        )
    release = _numbers(version)
    profile = PROFILES[line]
    for change in _CHANGES:
        if change.concerns(line, release):
            profile = change.before(profile)
    name = f"{version}-SNAPSHOT" if version in _LIKE_SNAPSHOTS else version
    first, newest, newest_release = _DAYS.get(line, (profile.build_day, profile.build_day, version))
    day = newest if release >= _numbers(newest_release) else first
    return replace(profile, version=version, release=name, build_day=day, revision="emulated")


# The releases that differ from each other and from the tips in what is emulated.
RELEASES: dict[str, Profile] = {
    version: profile_of(version)
    for version in (
        *("2.36.0", "2.37.0", "2.38.0", "2.38.4", "2.39.0", "2.39.4", "2.40.0", "2.40.2", "2.40.10"),
        *("2.41.0", "2.41.7", "2.41.9", "2.42.0", "2.42.4", "2.42.5", "2.43.0"),
    )
}
