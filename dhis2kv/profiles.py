"""Named servers and accounts: profile files, and the environment where no profile is asked for.

A profile file is TOML, and nobody but its owner may read it (mode 0600)::

    default = "play"

    [profiles.play]
    base_url = "https://play.example.org"
    token = "d2p_..."

    [profiles.local]
    base_url = "http://localhost:8080"
    username = "admin"
    password = "district"

It is ``profiles.toml`` in this package's folder of the user's configuration (``~/.config/dhis2kv`` on Linux). The form
is that of the ``d2w`` command line, whose own files count after it: ``.dhis2/profiles.toml`` in the working folder or
the nearest folder above it, and ``~/.config/dhis2/profiles.toml``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from dhis2kv.store import Store, variable

FILE = "profiles.toml"


@dataclass(frozen=True, slots=True)
class Profile:
    """A server and an account there; ``repr`` shows no secret.

    A ``token`` is used rather than a password. With neither, ``requests`` looks into the user's netrc.
    """

    url: str = field(repr=False)  # it may hold credentials
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def lacks_password(self) -> bool:
        """Whether a name is there and what proves it is not."""
        return self.username is not None and self.password is None and self.token is None

    def open(self, **options: Any) -> Store:
        """A store on this server as this account, with the options of ``Store``; sends nothing.

        Raises ``ValueError`` for a name without a password, and for a URL that is none.
        """
        if self.lacks_password:
            raise ValueError(f"there is no password for {self.username!r} at {self.url.rpartition('@')[2]}")
        if self.token is not None or self.username is None:
            return Store(self.url, token=self.token, **options)
        return Store(self.url, (self.username, self.password), **options)


def open_store(profile: str | None = None, **options: Any) -> Store:
    """A store as a profile says, or the environment, with the options of ``Store``; sends nothing.

    See ``find`` for where it looks, and for what it raises.
    """
    return find(profile).open(**options)


def find(name: str | None = None) -> Profile:
    """The profile of this name; sends nothing.

    Without a name it is the one that ``DHIS2_PROFILE`` names; else what the environment says in ``DHIS2_URL``, and
    ``DHIS2_PAT`` or ``DHIS2_USERNAME`` and ``DHIS2_PASSWORD`` (for each, a variable with ``_FILE`` at its end may name
    a file that holds it; a token counts rather than a password); else the ``default`` of the first file that has one.

    Raises ``ValueError``, whose sentence says what to do, when there is no such profile, or a file cannot be used:
    others may read it, somebody else owns it, or it is not what it should be.
    """
    name = name or os.environ.get("DHIS2_PROFILE")
    if not name and (url := variable("DHIS2_URL")):
        return Profile(url, *map(variable, ("DHIS2_USERNAME", "DHIS2_PASSWORD", "DHIS2_PAT")))
    name = name or _default()
    for path, settings in _files():
        profiles = settings.get("profiles", {})
        if name in profiles:
            return _profile(path, name, profiles[name])
    raise ValueError(f"there is no profile {name!r}; looked into {', '.join(map(str, _paths()))}")


def _default() -> str:
    for path, settings in _files():
        if name := settings.get("default"):
            if not isinstance(name, str):
                raise ValueError(f"{path}: the default is not the name of a profile")
            return name
    raise ValueError(
        "which server? Set DHIS2_URL, and DHIS2_PAT or DHIS2_USERNAME and DHIS2_PASSWORD,"
        f" or write a profile into {_paths()[0]} and name it in DHIS2_PROFILE, or there as the default"
    )


def _profile(path: Path, name: str, settings: Any) -> Profile:
    what = f"{path}: the profile {name!r}"
    if not isinstance(settings, dict) or not isinstance(settings.get("base_url"), str):
        raise ValueError(f"{what} has no base_url")
    wanted = {"pat": ("token",), "basic": ("username", "password"), None: ("token", "username", "password")}
    auth = settings.get("auth")
    if not isinstance(auth, str | None) or auth not in wanted:
        raise ValueError(f"{what} signs in by {auth!r}; dhis2kv can do 'basic' and 'pat'")
    account = {key: settings[key] for key in wanted[auth] if key in settings}
    if not all(isinstance(value, str) for value in account.values()):
        raise ValueError(f"{what} holds a {' or '.join(account)} that is no text: put it in quotation marks")
    if not account:
        raise ValueError(f"{what} has no {' and no '.join(wanted[auth])}")
    return Profile(settings["base_url"], **account)


def _paths() -> list[Path]:
    """Where profile files may be, the first of which counts most."""
    here = Path.cwd()
    project = (folder / ".dhis2" / FILE for folder in (here, *here.parents))
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    nearest = [path for path in project if path.exists()][:1]
    return [user_config_path("dhis2kv", appauthor=False) / FILE, *nearest, Path(config) / "dhis2" / FILE]


def _files() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in _paths():
        if path.exists():
            yield path, _read(path)


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        _check_private(path, os.fstat(file.fileno()))
        try:
            settings = tomllib.load(file)
        except ValueError as error:  # not TOML, or not UTF-8
            raise ValueError(f"{path} is not TOML: {error}") from error
    if not isinstance(settings.get("profiles", {}), dict):
        raise ValueError(f"{path}: profiles are written as [profiles.NAME]")
    return settings


def _check_private(path: Path, found: os.stat_result) -> None:
    if os.name == "nt":
        return  # permissions are not in the mode there
    if found.st_mode & 0o077:
        raise ValueError(f"others may read {path}, which is for secrets: chmod 600 '{path}'")
    if found.st_uid not in (0, os.getuid()):
        raise ValueError(f"{path} belongs to another user: it is not used, for it could send you to another server")
