"""What is put into an emulator without a request: names and values checked, so that tests meet no impossible server.

Here since it goes past the handlers, which would refuse what cannot be stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .call import Server
from .jsonb import DatabaseRefusal, TooDeep, to_jsonb
from .store import is_too_secret

_NAME_LIMIT = 255
# What no server takes in a name, however it is encoded: Tomcat or Spring's firewall refuse it in any path. Lone
# surrogates are no UTF-8.
_REFUSED = re.compile(r"[/\\%;\x00\r\n\u2028\u2029\ud800-\udfff]")


def texts_of(data: Mapping[str, Mapping[str, Any]], *, texts: bool) -> Iterator[tuple[str, str, str]]:
    """Namespace, key and JSON text of each entry of ``{namespace: {key: value}}``; ``ValueError`` says what is wrong.

    :param texts: the values are JSON texts already
    """
    for namespace, entries in _items(data, "what is loaded"):
        _check_name(namespace, "namespace")
        for key, value in _items(entries, f"what is loaded into {namespace!r}"):
            _check_name(key, "key")
            yield namespace, key, value if texts else _text(namespace, key, value)


def stored(namespace: str, key: str, text: str, *, encrypted: bool) -> tuple[str | None, str | None]:
    """The database's text of a value, or the text that is encrypted; ``ValueError`` where it would be refused."""
    if encrypted:
        if is_too_secret(text):
            raise ValueError(f"{namespace}/{key} cannot be encrypted: that needs at most 159 bytes of JSON.")
        return None, text
    try:
        return to_jsonb(text), None
    except (DatabaseRefusal, TooDeep) as error:
        raise ValueError(f"{namespace}/{key} cannot be stored: {error}") from error


def shared(server: Server, parts: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, str]]:
    """Sharing as it is stored: public access, and that of users and groups by their uids."""
    users = {name: account.uid for name, account in server.accounts.users.items()}
    groups = {group.name: group.uid for group in server.storage.groups()}
    return (
        _access(parts.get("public", "rw")),
        {users[name]: _access(access) for name, access in parts.get("users", {}).items() if name in users},
        {groups[name]: _access(access) for name, access in parts.get("groups", {}).items() if name in groups},
    )


def _access(access: object) -> str:
    if access not in ("rw", "r-", "-w", "--"):
        raise ValueError(f"{access!r} is no access: rw, r-, -w and -- are.")
    return f"{access}------"


def _items(data: object, what: str) -> Iterator[tuple[Any, Any]]:
    if not isinstance(data, Mapping):
        raise ValueError(f"The form is {{namespace: {{key: value}}}}, and {what} is {data!r:.80}.")
    yield from data.items()


def _check_name(name: object, kind: str) -> None:
    if not isinstance(name, str):
        raise ValueError(f"A {kind} is a str, and {name!r:.80} is none.")
    if len(name) > _NAME_LIMIT:
        raise ValueError(f"{name[:20]!r}... can be no {kind} on any server: it has more than {_NAME_LIMIT} characters.")
    if refused := _REFUSED.search(name):
        raise ValueError(f"{name!r} can be no {kind} on any server: they refuse {refused[0]!r} in names.")
    if name in (".", ".."):
        raise ValueError(f"{name!r} can be no {kind} on any server: paths are shortened by it.")


def _text(namespace: str, key: str, value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"The value of {namespace}/{key} is no JSON: {error}") from error
