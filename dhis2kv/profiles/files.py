"""Profile files: where they are, and what stands in them; imports ``private``.

Here since finding the one profile that is meant is another matter than reading all that there are.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dhis2kv import private

NAME = "profiles.toml"

_MEMBERS = ("base_url", "auth", "username", "password", "token", "keyring", "ca_file")


@dataclass(frozen=True, slots=True)
class File:
    """What a profile file holds, as it stands there."""

    path: Path
    default: str | None
    profiles: dict[str, Any]


def own() -> Path:
    """This package's profile file, in the folder that the system has for the user's configuration."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = _config_home()
    return folder / "dhis2kv" / NAME


def places() -> list[Path]:
    """Where profile files may be, the first of which counts most: this package's own, then those of d2w."""
    here = Path.cwd()
    project = (folder / ".dhis2" / NAME for folder in (here, *here.parents))
    nearest = [path for path in project if path.exists()][:1]
    return [own(), *nearest, _config_home() / "dhis2" / NAME]


def read() -> Iterator[File]:
    """The profile files that are there, the first of which counts most.

    Raises ``ValueError``, whose sentence says what to do, for a file that cannot be used: others may read it, somebody
    else owns it, or it is not what it should be.
    """
    for path in places():
        if path.exists():
            yield _read(path)


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _read(path: Path) -> File:
    with path.open("rb") as file:
        private.check(path, os.fstat(file.fileno()))
        try:
            settings = tomllib.load(file)
        except ValueError as error:  # not TOML, or not UTF-8
            raise ValueError(f"{path} is not TOML: {error}") from error
    profiles, default = settings.get("profiles", {}), settings.get("default")
    if not isinstance(profiles, dict):
        raise ValueError(f"{path}: profiles are written as [profiles.NAME]")
    if not isinstance(default, str | None):
        raise ValueError(f"{path}: the default is not the name of a profile")
    if path == own():
        _check_members(f"{path}: there", settings, ("default", "profiles"))
        for name, profile in profiles.items():
            _check_members(f"{path}: in the profile {name!r} there", profile, _MEMBERS)
    return File(path, default or None, profiles)


def _check_members(where: str, table: Any, known: tuple[str, ...]) -> None:
    """Refuse what would be read past, such as a misspelled member; files of d2w may hold more than we know."""
    unknown = [name for name in table if name not in known] if isinstance(table, dict) else []
    if unknown:
        raise ValueError(f"{where} is {unknown[0]!r}, which means nothing; known are {', '.join(known)}")
