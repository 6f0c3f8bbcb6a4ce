"""Named servers and accounts: profile files, and the environment where no profile is asked for.

A profile file is TOML, and nobody but its owner may read it (mode 0600)::

    default = "play"

    [profiles.play]
    base_url = "https://play.example.org"
    token = "d2p_..."

    [profiles.local]
    base_url = "https://localhost:8443"
    username = "admin"
    password = "district"
    ca_file = "/etc/ssl/local.pem"

``keyring = "token"``, or ``"password"``, instead of a secret says that the keyring of the operating system holds it.

It is ``profiles.toml`` in this package's folder of the user's configuration (``~/.config/dhis2kv`` on Linux). The form
is that of the ``d2w`` command line, whose own files count after it: ``.dhis2/profiles.toml`` in the working folder or
the nearest folder above it, and ``~/.config/dhis2/profiles.toml``.

Imports ``environment`` and ``private``, and knows no server: ``Store.from_profile`` stands on it, without any extra.
Here since a secret belongs neither in a program nor on a command line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dhis2kv.environment import variable
from dhis2kv.profiles import files

KEYRING = "dhis2kv"  # the name of this package's secrets in the keyring


@dataclass(frozen=True, slots=True)
class Profile:
    """A server and an account there; ``repr`` shows no secret.

    A ``token`` is used rather than a password. With neither, ``requests`` looks into the user's netrc.
    """

    url: str = field(repr=False)  # it may hold credentials
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    @property
    def lacks_password(self) -> bool:
        """Whether a name is there and what proves it is not."""
        return self.username is not None and self.password is None and self.token is None

    def options(self) -> dict[str, Any]:
        """What ``Store(url, ...)`` takes for this account; raises ``ValueError`` for a name without a password."""
        if self.lacks_password:
            raise ValueError(f"there is no password for {self.username!r} at {self.url.rpartition('@')[2]}")
        options: dict[str, Any] = {} if self.ca_file is None else {"verify": self.ca_file}
        if self.token is not None or self.username is None:
            return {"token": self.token, **options}
        return {"auth": (self.username, self.password), **options}


@dataclass(frozen=True, slots=True)
class Found:
    """A profile as it stands in a file; ``settings`` may hold secrets."""

    name: str
    path: Path
    settings: Any = field(repr=False)
    is_default: bool

    def read(self) -> Profile:
        """The server and the account; raises ``ValueError`` for settings that make none."""
        return _profile(self)


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
    return found(name).read()


def found(name: str | None = None) -> Found:
    """Where this profile stands, or the default; raises ``ValueError``, with the names there are, where it does not."""
    name = name or _default()
    there = every()
    for profile in there:
        if profile.name == name:
            return profile
    known = f"there are {', '.join(profile.name for profile in there)}" if there else "there is none at all"
    raise ValueError(f"there is no profile {name!r}; {known}. Make one with:  dhis2kv profile add {name}")


def every() -> list[Found]:
    """All profiles of all files, without those that one of the same name in an earlier file hides."""
    all_files = list(files.read())
    default = next((file.default for file in all_files if file.default), None)
    there: dict[str, Found] = {}
    for file in all_files:
        for name, settings in file.profiles.items():
            there.setdefault(name, Found(name, file.path, settings, name == default))
    return list(there.values())


def _default() -> str:
    for file in files.read():
        if file.default:
            return file.default
    raise ValueError(
        "which server? Set DHIS2_URL, and DHIS2_PAT or DHIS2_USERNAME and DHIS2_PASSWORD; or make a profile with:"
        f"  dhis2kv profile add NAME  (it is kept in {files.own()})"
    )


def _profile(found: Found) -> Profile:
    settings, what = found.settings, f"{found.path}: the profile {found.name!r}"
    if not isinstance(settings, dict) or not isinstance(settings.get("base_url"), str):
        raise ValueError(f"{what} has no base_url")
    wanted = {"pat": ("token",), "basic": ("username", "password"), None: ("token", "username", "password")}
    auth = settings.get("auth")
    if not isinstance(auth, str | None) or auth not in wanted:
        raise ValueError(f"{what} signs in by {auth!r}; dhis2kv can do 'basic' and 'pat'")
    account = {key: settings[key] for key in (*wanted[auth], "ca_file") if key in settings}
    if "keyring" in settings:
        account[settings["keyring"]] = _from_keyring(found)
    for key, value in account.items():
        if not isinstance(value, str):
            raise ValueError(f"{what} holds a {key} that is no text: put it in quotation marks")
    if not any(key in account for key in wanted[auth]):
        raise ValueError(f"{what} has no {' and no '.join(wanted[auth])}")
    return Profile(settings["base_url"], **account)


def _from_keyring(found: Found) -> str:
    """The secret that the operating system keeps for this profile; raises ``ValueError`` where it cannot be had."""
    kind = found.settings["keyring"]
    if kind not in ("token", "password"):
        raise ValueError(f"{found.path}: the keyring of the profile {found.name!r} holds a 'token' or a 'password'")
    try:
        import keyring
        import keyring.errors
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the {kind} of the profile {found.name!r} is in the keyring: install  'dhis2kv[keyring]'"
        ) from error
    try:
        secret = keyring.get_password(KEYRING, found.name)
    except keyring.errors.KeyringError as error:
        raise ValueError(f"the keyring does not give the {kind} of the profile {found.name!r}: {error}") from error
    if secret is None:
        raise ValueError(f"the keyring has no {kind} of the profile {found.name!r}: add the profile again")
    return secret
