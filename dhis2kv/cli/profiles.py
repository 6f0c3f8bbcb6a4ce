"""The commands on profiles: profile add, list, show, verify, default, remove.

Here since a profile is kept only after its server has said who signs in with it, and no secret in it is ever shown.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dhis2kv import wire
from dhis2kv.cli import output
from dhis2kv.cli.connection import (
    account_options,
    complete_profile,
    current,
    password_from_stdin,
    password_of,
    profile_argument,
)
from dhis2kv.cli.failures import Commands, Misconfigured
from dhis2kv.cli.output import confirm, output_option, say, show
from dhis2kv.environment import variable
from dhis2kv.profiles import KEYRING, Found, Profile, every, find, found

if TYPE_CHECKING:
    from dhis2kv.store import Store

_OPEN = ("base_url", "auth", "username", "keyring", "ca_file")  # what else a file holds may be a secret
_MASK = "********"
_profile_or_default = click.argument("name", required=False, shell_complete=complete_profile)


@click.group(cls=Commands)
def profile() -> None:
    """Named servers and accounts, which --profile NAME means.

    They are kept in a file for your eyes only. Those of d2w are found, too, and left as they are.
    """


@profile.command()
@account_options
@click.argument("name")
@click.option("--token-from-server", is_flag=True, help="Have the server make a token, and keep that, no password.")
@click.option(
    "--days", type=click.IntRange(min=1), default=365, show_default=True, help="How long that token can be used."
)
@click.option("--keyring", is_flag=True, help="Keep the secret in the system's keyring, not in the file.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a profile is replaced.")
def add(name: str, token_from_server: bool, days: int, keyring: bool, yes: bool) -> None:
    """Add a profile, after its server has said who signs in with it.

    Asks for what is not given: --url, or DHIS2_URL; --username, or DHIS2_USERNAME, with DHIS2_PASSWORD or
    --password-stdin; or a token in DHIS2_PAT. The first profile is the default.
    """
    from dhis2kv.cli.profile_file import ProfileFile

    with _said():
        file = ProfileFile()
        if keyring:
            _check_keyring(name)  # before a token is made that could not be kept
        if name in file:
            confirm(f"Replace the profile {name!r} in {_short(file.path)}?", yes)
        account = _asked_for()
        with _opened(account) as store:
            _tell(store)
            if token_from_server:
                account = _with_token(store, account, days)
    file.set(name, _kept(name, account, keyring))
    if file.default is None:
        file.default = name
        say(f"{name!r} is the default")
    file.save()
    say(f"added the profile {name!r} to {_short(file.path)}")


@profile.command("list")
@output_option("table")
def list_(form: str) -> None:
    """List the profiles: name, server and account."""
    with _said():
        rows = [_row(one) for one in every()]
    if form == "table":
        rows = [{name.upper(): {True: "*", False: ""}.get(cell, cell) for name, cell in row.items()} for row in rows]
    show(rows, form)
    if form == "table" and not rows:
        say("there is no profile. Make one with:  dhis2kv profile add NAME")


@profile.command("show")
@_profile_or_default
@output_option("json")
def show_(name: str | None, form: str) -> None:
    """Print what a profile, or the default, says, its secrets masked."""
    with _said():
        one = found(name or os.environ.get("DHIS2_PROFILE"))
    found_there = one.settings if isinstance(one.settings, dict) else {}
    settings = {key: value if key in _OPEN else _MASK for key, value in found_there.items()}
    if "base_url" in settings:
        settings["base_url"] = _without_credentials(settings["base_url"])
    show({**settings, "default": one.is_default, "file": str(one.path)}, form)


@profile.command()
@_profile_or_default
def verify(name: str | None) -> None:
    """Ask the server of a profile, or of the default, whether it knows the account."""
    with _said():
        account = find(name)
        if account.lacks_password:
            account = replace(account, password=password_of(account))
        with _opened(account) as store:
            _tell(store)


@profile.command()
@profile_argument
def default(name: str) -> None:
    """Make a profile the one that counts where none is named."""
    from dhis2kv.cli.profile_file import ProfileFile

    with _said():
        found(name)
        file = ProfileFile()
    file.default = name
    file.save()
    say(f"{name!r} is the default")


@profile.command()
@profile_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Remove a profile. A token that it holds can still be used: delete it in DHIS2, too."""
    from dhis2kv.cli.profile_file import ProfileFile

    with _said():
        one, file = found(name), ProfileFile()
    if name not in file:
        raise click.UsageError(f"the profile {name!r} is in {one.path}, which is d2w's: remove it there")
    confirm(f"Remove the profile {name!r} from {_short(file.path)}?", yes)
    if "keyring" in one.settings:
        _keyring().delete_password(KEYRING, name)
    file.remove(name)
    file.save()
    say(f"removed the profile {name!r}")


# --- what they stand on -----------------------------------------------------------------------------------------------


@contextmanager
def _said() -> Iterator[None]:
    """What is wrong with a profile, its file or the environment, said as wrong usage."""
    try:
        yield
    except ValueError as error:
        raise Misconfigured(str(error)) from error


def _asked_for() -> Profile:
    """The server and the account that options, environment and answers say; raises ``ValueError`` for what is none."""
    given = current()
    base, inside = wire.base_url(
        given.url or variable("DHIS2_URL") or _answer("URL of the server", "--url, or set DHIS2_URL")
    )
    account = Profile(base, ca_file=None if given.ca_file is None else str(Path(given.ca_file).absolute()))
    if inside:
        return replace(account, username=inside[0], password=inside[1])
    # What signs in at one server is not sent to another one, nor for another account.
    theirs = variable("DHIS2_URL")
    trusted = theirs is None or wire.base_url(theirs)[0] == base
    token = variable("DHIS2_PAT") if trusted and not given.username and not given.password_stdin else None
    if token:
        return replace(account, token=token)
    username = given.username or (variable("DHIS2_USERNAME") if trusted else None)
    if not username:
        option = "--username, or set DHIS2_USERNAME, or DHIS2_PAT"
        username = _answer("Username (none: give a token)", option, empty=True)
    if not username:
        return replace(account, token=_answer("Token", "DHIS2_PAT", hidden=True))
    account = replace(account, username=username)
    if given.password_stdin:
        return replace(account, password=password_from_stdin())
    known = trusted and variable("DHIS2_USERNAME") in (None, username)
    return replace(account, password=(variable("DHIS2_PASSWORD") if known else None) or password_of(account))


def _answer(question: str, option: str, *, hidden: bool = False, empty: bool = False) -> str:
    """What is typed on the terminal; raises ``click.UsageError``, with the option to give, where there is none."""
    if not output.interactive():
        raise click.UsageError(f"{question}? There is no terminal to ask: give {option}")
    answer: str = click.prompt(question, hide_input=hidden, err=True, default="" if empty else None, show_default=False)
    return answer.strip()


def _opened(account: Profile) -> Store:
    from dhis2kv.store import Store

    return Store(account.url, **account.options())


def _tell(store: Store) -> None:
    """Say who the server takes the account for, and what it is; two requests."""
    account, version = store.datastore.account(), store.datastore.version()
    who = account.get("username") or store.datastore.transport.account or account.get("id")
    say(f"signed in to {store.datastore.transport.base} as {who}; it is a DHIS2 {'.'.join(map(str, version))}")


def _with_token(store: Store, account: Profile, days: int) -> Profile:
    """The account with a new token instead of what it signs in by."""
    from dhis2kv.cli import tokens

    token = tokens.make(store, days, lambda key: _opened(Profile(account.url, token=key, ca_file=account.ca_file)))
    limit = f"only for {', '.join(tokens.METHODS)}" if token.limited else "for every method, as this server must"
    end = datetime.datetime.now().astimezone().date() + datetime.timedelta(days=days)
    say(f"the server made a token, {limit}; it ends on {end}")
    return Profile(account.url, token=token.key, ca_file=account.ca_file)


def _kept(name: str, account: Profile, in_keyring: bool) -> dict[str, str]:
    """What the file holds of a profile; the secret may go to the keyring."""
    kind = "password" if account.token is None else "token"
    secret = account.password if account.token is None else account.token
    settings = {"base_url": account.url, "username": account.username, "ca_file": account.ca_file}
    if in_keyring:
        _keyring().set_password(KEYRING, name, secret)
        settings["keyring"] = kind
    else:
        settings[kind] = secret
    return {key: value for key, value in settings.items() if value is not None}


def _keyring() -> Any:
    try:
        import keyring
    except ModuleNotFoundError as error:
        raise Misconfigured("the keyring needs an extra. Install it with:  pip install 'dhis2kv[keyring]'") from error
    return keyring


def _check_keyring(name: str) -> None:
    """Raise ``Misconfigured`` where there is no keyring, or it is locked."""
    keyring = _keyring()
    import keyring.errors as failures

    try:
        keyring.get_password(KEYRING, name)
    except failures.KeyringError as error:
        raise Misconfigured(f"the keyring cannot be used: {str(error).partition(chr(10))[0]}") from error


def _row(one: Found) -> dict[str, Any]:
    """A profile without its secrets, whatever its file holds."""
    settings = one.settings if isinstance(one.settings, dict) else {}
    has_token = "token" in (*settings, settings.get("keyring"))
    return {
        "name": one.name,
        "url": _without_credentials(settings.get("base_url", "")),
        "account": settings.get("username") or ("(token)" if has_token else ""),
        "default": one.is_default,
    }


def _short(path: Path) -> str:
    """A path as people write it, from their home on."""
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)


def _without_credentials(url: Any) -> str:
    scheme, separator, rest = str(url).rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


COMMANDS = (profile,)
