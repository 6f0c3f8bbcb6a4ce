"""Which server, which account, which of the two stores: the options that every command takes, and what they open.

Here since every command means its server by the same options, and what signs in one account must not go to another
server.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from dhis2kv import errors, wire
from dhis2kv.cli import output
from dhis2kv.cli.failures import Misconfigured

if TYPE_CHECKING:
    from dhis2kv.profiles import Profile
    from dhis2kv.store import Store

Command = Callable[..., Any]

_COMPLETION_SECONDS = 2.0


@dataclass
class Connection:
    """What the options say about the server and the account; what they leave open, a profile says."""

    profile: str | None = None
    url: str | None = None
    username: str | None = None
    password_stdin: bool = False
    ca_file: str | None = None
    user: bool = False
    of: str | None = None
    shared: Store = field(init=False)  # once open() has made it

    def open(self, *, ask: bool = True, **options: Any) -> Store:
        """The store that is meant, with the options of ``Store``; sends nothing.

        Raises ``click.ClickException`` where no server is named, or a password is missing and cannot be asked for.
        """
        from dhis2kv.store import Store

        try:
            account = self._account()
            if account.lacks_password and ask:
                account = replace(account, password=password_of(account))
            self.shared = Store(account.url, **account.options(), **options)
            if self.of is not None:
                return self.shared.of(self.of)
        except ValueError as error:
            raise Misconfigured(str(error)) from error
        return self.shared.user if self.user else self.shared

    def _account(self) -> Profile:
        from dhis2kv import profiles

        account = profiles.Profile(self.url) if self.url and not self.profile else profiles.find(self.profile)
        if self.url or self.username:
            # What signs in one account is not sent for another one, nor to another server.
            account = profiles.Profile(self.url or account.url, self.username, ca_file=account.ca_file)
        if self.ca_file:
            account = replace(account, ca_file=self.ca_file)
        if not self.password_stdin:
            return account
        if account.username is None:
            raise click.UsageError("whose password? --password-stdin needs --username, or a profile with one")
        return replace(account, password=password_from_stdin(), token=None)


def password_from_stdin() -> str:
    """The password, one line, from standard input; blanks at its ends belong to it."""
    return sys.stdin.readline().rstrip("\r\n")


def password_of(account: Profile) -> str:
    """The password of an account, asked for on the terminal; raises ``click.UsageError`` where there is none."""
    if not output.interactive():
        raise click.UsageError(
            f"no password for {account.username!r}, and no terminal to ask for it: give --password-stdin,"
            " or set DHIS2_PASSWORD"
        )
    answer: str = click.prompt(
        f"Password of {account.username} at {account.url.rpartition('@')[2]}", hide_input=True, err=True
    )
    return answer


def current() -> Connection:
    """The connection that the options of the running command describe."""
    return click.get_current_context().ensure_object(Connection)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and parameter.name:
        setattr(context.ensure_object(Connection), parameter.name, value)


def complete_profile(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete a word by the names of the profiles; by none where their files cannot be used."""
    from dhis2kv import profiles

    try:
        return [CompletionItem(found.name) for found in profiles.every() if found.name.startswith(begun)]
    except (ValueError, OSError):
        return []


def _whose(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and not value.strip():
        raise click.BadParameter("whose store? The name is empty")  # a server would take it for one's own
    _remember(context, parameter, value)


def _tell_more(_: click.Context, __: click.Parameter, count: int) -> None:
    if count:
        output.show_log(count)


_option = functools.partial(click.option, expose_value=False, is_eager=True, callback=_remember)
_PROFILE = _option(
    "--profile",
    metavar="NAME",
    shell_complete=complete_profile,
    help="A server and account by name; or set DHIS2_PROFILE.",
)
_USER = _option("--user", is_flag=True, help="The account's own store instead of the shared one.")
_OF = _option("--of", metavar="NAME", callback=_whose, help="Another account's own store, for superusers.")
_ACCOUNT = (
    _option("--url", metavar="URL", help="The server, without a profile's account."),
    _option("--username", metavar="NAME", help="The account, whose password is asked for."),
    _option("--password-stdin", is_flag=True, help="Read the password, one line, from standard input."),
    _option("--ca-file", metavar="FILE", help="The certificates that the server's must come from, as PEM."),
    click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_tell_more,
        help="Say on standard error what is asked, -vv with headers.",
    ),
)


def account_options(function: Command) -> Command:
    """The options that say a server and an account by themselves, without a profile."""
    for option in reversed(_ACCOUNT):
        function = option(function)
    return function


def connection_options(function: Command) -> Command:
    """The options that say which server, account and store; they may stand before and after the command's name."""
    return _PROFILE(account_options(_USER(_OF(function))))


def with_store(function: Command) -> Command:
    """Give a command these options, and as its first argument the store that they mean."""

    @connection_options
    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        with current().open() as store:
            return function(store, *args, **kwargs)

    return command


def kind_of(store: Store) -> str:
    """Which of the two stores this is, as DHIS2 names it."""
    return wire.USER if store is store.user else wire.SHARED


# --- a second store ---------------------------------------------------------------------------------------------------

to_profile_option = click.option("--to-profile", metavar="NAME", help="The second is on another server.")
to_store_option = click.option(
    "--to-user/--to-shared", default=None, help="The second is in the account's own store, or in the shared one."
)


def second(profile: str | None, user: bool | None) -> Store:
    """The second store that the options say; it is as the first in what they leave open."""
    wanted = current().user if user is None else user
    if profile:
        return Connection(profile, user=wanted).open()
    return current().shared.user if wanted else current().shared


# --- completion -------------------------------------------------------------------------------------------------------


def _namespaces(store: Store, _: click.Context) -> Iterable[str]:
    return store


def _keys(store: Store, context: click.Context) -> Iterable[str]:
    return store[context.params["namespace"]]


def _completing(names: Callable[[Store, click.Context], Iterable[str]]) -> Callable[..., list[CompletionItem]]:
    """Complete a word by names from the server; by none where they cannot be had in a moment."""

    def complete(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            connection = context.ensure_object(Connection)
            with connection.open(ask=False, timeout=_COMPLETION_SECONDS, retries=0) as store:
                return [CompletionItem(name) for name in names(store, context) if name.startswith(begun)]
        except (errors.Dhis2kvError, click.ClickException, OSError):
            return []  # whoever presses the tab key wants no sentence there

    return complete


profile_argument = click.argument("name", shell_complete=complete_profile)
complete_namespace = _completing(_namespaces)
namespace_argument = click.argument("namespace", shell_complete=complete_namespace)
complete_key = _completing(_keys)
key_argument = click.argument("key", shell_complete=complete_key)
