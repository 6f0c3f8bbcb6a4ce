"""Serving until told to stop: what ``dhis2kv serve`` and ``python -m dhis2kv.emulator`` do.

Here since a process has to say where it is, to end well on a signal, and to refuse a seed that is none; an emulator in
a test has not.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sqlite3
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .emulator import Emulator
from .page import is_loopback_address

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8080
DEFAULT_SUPERUSER = "admin:district"

_NO_EXPORT = (
    "The seed is no export that can be read here. It must have the form that the command export writes:"
    ' {"dhis2kv": 1, "dataStore": {"NAMESPACE": {"KEY": VALUE}}, "userDataStore": {...}}; either store may be missing.'
)


def serve_forever(
    *,
    port: int = DEFAULT_PORT,
    host: str | None = None,
    db: str | None = None,
    seed: str | Mapping[str, Any] | None = None,
    version: str = "2.42",
    superuser: str = DEFAULT_SUPERUSER,
    users: Iterable[str] = (),
    groups: Iterable[str] = (),
) -> None:
    """Serve an emulator until SIGINT or SIGTERM; its URL is the first line on stdout, printed when it answers.

    The second line says who is the superuser, with what password.

    :param port: 0 takes a free one
    :param host: the loopback unless given; another address is warned about on stderr
    :param db: the file to keep data in; without it they are gone at the end
    :param seed: a JSON file whose entries are stored where they are absent, see :func:`load_seed`; or what such a file
        holds, with JSON texts in the place of values
    :param version: as :class:`Emulator` takes it: "2.42", or a release, "2.42.5"
    :param superuser: NAME:PASSWORD of the account with all authorities
    :param users: NAME:PASSWORD of ordinary accounts
    :param groups: NAME:MEMBER,MEMBER of groups of these accounts
    :raises ValueError: where one of these cannot be used; the sentence says which
    """
    with _first_signal() as wait_for_it:
        emulator = _prepared(version, db, superuser, users, groups)
        if seed is not None:
            read = _read_json(seed) if isinstance(seed, str) else seed
            load_seed(emulator, read, superuser=_credentials(superuser)[0], texts=read is seed)
        if host not in (None, LOOPBACK, "localhost", "::1"):
            print(
                f"Warning: {host} can be reached from other machines, and this is no protected server.", file=sys.stderr
            )
        try:
            served = emulator.serve(host or LOOPBACK, port, page=is_loopback_address(host or LOOPBACK))
        except OSError as error:
            reason = f"Cannot listen on {host or LOOPBACK}, port {port}: {error.strerror}."
            raise ValueError(f"{reason} Choose another port; 0 takes a free one.") from error
        with served:
            name, password = _credentials(superuser)
            print(served.url, f"The superuser is {name}, with the password {password}", sep="\n", flush=True)
            wait_for_it()
        emulator.close()


@contextmanager
def _first_signal() -> Iterator[Callable[[], object]]:
    """Wait, with what is given, for the first SIGINT or SIGTERM since the beginning; both end nothing by themselves.

    A handler written in Python is run by the main thread when it gets to it, and one that has just begun to wait for
    a lock, or an event, never does. The byte that the interpreter itself writes at a signal wakes whoever reads it.
    """
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: None)
            yield lambda: reading.recv(1)
        finally:
            signal.set_wakeup_fd(before)


def _prepared(version: str, db: str | None, superuser: str, users: Iterable[str], groups: Iterable[str]) -> Emulator:
    name, password = _credentials(superuser)
    ordinary = [_credentials(user) for user in users]
    try:
        emulator = Emulator(version, db=db or ":memory:")
    except sqlite3.Error as error:
        raise ValueError(f"{db} cannot be used as a database: {error}. Name a new file.") from error
    emulator.log = deque(maxlen=0)  # nobody reads it, and it would grow for as long as the server runs
    emulator.remove_user("admin")
    emulator.add_user(name, password, superuser=True)
    for user, secret in ordinary:
        emulator.add_user(user, secret)
    for group in groups:
        emulator.add_group(*_group(group))
    return emulator


def _read_json(file: str) -> Any:
    try:
        return json.loads(Path(file).read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except OSError as error:
        raise ValueError(f"The seed {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ValueError(f"The seed {file} is no JSON: {error}.") from error


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names stand once each: the last of two would win in silence."""
    found: dict[str, Any] = {}
    for name, value in members:
        if name in found:
            raise ValueError(f"the name {name!r} stands twice in one object")
        found[name] = value
    return found


def load_seed(emulator: Emulator, seed: Any, *, superuser: str, texts: bool = False) -> None:
    """Store the entries of an export that are absent: dataStore's, and userDataStore's for the superuser.

    The form is ``{"dhis2kv": 1, "dataStore": {namespace: {key: value}}, "userDataStore": {...}, "encrypted":
    {"dataStore": {namespace: [key]}, "userDataStore": {...}}, "sharing": {"dataStore": {namespace: {key: {"public":
    "r-", "users": {name: "rw"}, "groups": {name: "rw"}}}}}}``; all but ``"dhis2kv"`` may be missing. Users and groups
    that there are not are left out of the sharing, and named on stderr; where it is ``false``, not known, it is open.
    Raises ``ValueError`` for another form: what is meant to be encrypted must not be stored in plain. ``texts`` says
    that values are JSON texts.
    """
    owners = {"dataStore": None, "userDataStore": superuser}
    if _object(seed).get("dhis2kv") != 1 or not seed.keys() <= {"dhis2kv", "encrypted", "sharing", *owners}:
        raise ValueError(_NO_EXPORT)
    encrypted = _object(seed.get("encrypted", {}))
    if not encrypted.keys() <= owners.keys():
        raise ValueError(_NO_EXPORT)
    held = {store: {ns: _object(entries) for ns, entries in _object(seed.get(store, {})).items()} for store in owners}
    secret = {store: {ns: set(keys) for ns, keys in _object(marks).items()} for store, marks in encrypted.items()}
    for store, marks in secret.items():
        for namespace, keys in marks.items():
            if unknown := keys - held[store].get(namespace, {}).keys():
                raise ValueError(f"The seed has no entry {namespace}/{min(unknown)} in {store} to be encrypted.")
    sharing = _sharing(emulator, seed.get("sharing"), held["dataStore"])
    for store, user in owners.items():
        for namespace, entries in held[store].items():
            marked = secret.get(store, {}).get(namespace, set())
            for wanted in (False, True):
                chosen = {key: value for key, value in entries.items() if (key in marked) is wanted}
                emulator.load(
                    {namespace: chosen},
                    user=user,
                    encrypted=wanted,
                    replace=False,
                    texts=texts,
                    sharing=None if user else sharing,
                )


def _sharing(emulator: Emulator, given: Any, held: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sharing that a seed tells; says who is in it and is not here."""
    if given is None or given is False:
        return {}
    if not _object(given).keys() <= {"dataStore"}:
        raise ValueError(_NO_EXPORT)
    found = {ns: _object(entries) for ns, entries in _object(given.get("dataStore", {})).items()}
    server = emulator._server
    known = {"users": set(server.accounts.users), "groups": {group.name for group in server.storage.groups()}}
    missing: set[str] = set()
    for namespace, entries in found.items():
        if unknown := entries.keys() - held.get(namespace, {}).keys():
            raise ValueError(f"The seed has no entry {namespace}/{min(unknown)} in dataStore to be shared.")
        for parts in entries.values():
            if not _object(parts).keys() <= {"public", *known}:
                raise ValueError(_NO_EXPORT)
            for kind, names in known.items():
                missing |= {f"{kind[:-1]} {name!r}" for name in _object(parts.get(kind, {})).keys() - names}
    for who in sorted(missing):
        print(f"left out of the sharing: there is no {who}", file=sys.stderr)
    return found


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(_NO_EXPORT)
    return value


def _credentials(text: str) -> tuple[str, str]:
    name, colon, password = text.partition(":")
    if not (name and colon and password):
        raise ValueError(f"An account is given as NAME:PASSWORD, and {name!r} is not.")
    return name, password


def _group(text: str) -> tuple[str, list[str]]:
    """The name of a group, which may have colons in it, and its members, whose names have none."""
    name, colon, members = text.rpartition(":")
    if not (name and colon):
        raise ValueError(f"A group is given as NAME:MEMBER,MEMBER, and {text!r} is not.")
    return name, [member for member in members.split(",") if member]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m dhis2kv.emulator``."""
    about = "Serve an emulated DHIS2 data store."
    parser = argparse.ArgumentParser(prog="python -m dhis2kv.emulator", description=about)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 picks a free one")
    parser.add_argument("--host", help="an address to listen on; the loopback by default")
    parser.add_argument("--db", metavar="FILE", help="keep the data in this file")
    parser.add_argument("--seed", metavar="FILE", help="store the entries of this export that are absent")
    parser.add_argument("--version", default="2.42", help="the DHIS2 to be: 2.36 to 2.44, or a release, as in 2.42.5")
    parser.add_argument("--superuser", metavar="NAME:PASSWORD", default=DEFAULT_SUPERUSER)
    parser.add_argument("--user", metavar="NAME:PASSWORD", action="append", default=[], dest="users")
    parser.add_argument("--group", metavar="NAME:MEMBER,MEMBER", action="append", default=[], dest="groups")
    try:
        serve_forever(**vars(parser.parse_args(arguments)))
    except ValueError as error:
        parser.exit(2, f"{error}\n")
