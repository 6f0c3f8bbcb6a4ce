"""The database: entries of both stores and access tokens in SQLite, and the server's object cache before it.

Everything that was answered with success is committed: with ``db=FILE`` a killed process loses none of it. Here since
what was answered and what is kept must not differ.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

GLOBAL = ""  # the owner of dataStore's entries; the per-user store's are owned by a user's name

Name = tuple[str, str, str]  # owner, namespace, key
_T = TypeVar("_T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY, owner TEXT NOT NULL, namespace TEXT NOT NULL, key TEXT NOT NULL, uid TEXT NOT NULL,
    value TEXT, secret TEXT, created REAL NOT NULL, updated REAL NOT NULL, creator TEXT NOT NULL,
    updater TEXT NOT NULL, public TEXT NOT NULL, users TEXT NOT NULL, groups TEXT NOT NULL DEFAULT '{}',
    UNIQUE (owner, namespace, key));
CREATE INDEX IF NOT EXISTS entry_uid ON entry (uid);
CREATE TABLE IF NOT EXISTS token (
    uid TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, expires REAL NOT NULL, methods TEXT);
CREATE TABLE IF NOT EXISTS user_group (uid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, members TEXT NOT NULL);
"""
# Columns that came later than their tables: a file of an earlier version of this package gets them when it is opened.
_ADDED = {"token": {"methods": "TEXT"}, "entry": {"groups": "TEXT NOT NULL DEFAULT '{}'"}}
_COLUMNS = "namespace, key, uid, value, secret, created, updated, creator, updater, public, users, groups, owner"


@dataclass
class Entry:
    """One row. ``value`` is the database's JSON text or None for NULL; ``secret`` the text of an encrypted entry.

    ``public``, ``users`` and ``groups`` (these by uid) are access strings, "" where the access is null. ``text`` is
    what a read answers with, as the object cache has it.
    """

    namespace: str
    key: str
    uid: str
    value: str | None
    secret: str | None
    created: float
    updated: float
    creator: str
    updater: str
    owner: str = GLOBAL
    public: str = "rw------"
    users: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    text: str | None = None


@dataclass(frozen=True)
class Group:
    """A group of users; ``members`` are their uids."""

    uid: str
    name: str
    members: frozenset[str]


class Reader(NamedTuple):
    """Whom an entry has to be shared with to be listed: an account's name, its uid, and its groups' uids."""

    name: str
    uid: str
    groups: frozenset[str]


@dataclass(frozen=True)
class Token:
    """A personal access token; ``expires`` is in seconds since 1970, ``methods`` are those that it signs in for."""

    uid: str
    key: str
    owner: str
    expires: float
    methods: frozenset[str] | None = None


class Storage:
    """Entries and tokens. Not thread-safe: the emulator calls it under its own lock."""

    def __init__(self, db: str) -> None:
        self._groups: list[Group] | None = None
        _make_private(db)
        self._db = sqlite3.connect(db, check_same_thread=False, isolation_level=None)
        # An emulator of a test is dropped rather than closed, and Python warns of connections that nobody closed.
        weakref.finalize(self, self._db.close)
        # A write-ahead log survives the death of the process without a disk flush per request.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        for table, columns in _ADDED.items():
            known = {row[1] for row in self._db.execute(f"PRAGMA table_info({table})")}
            for name in columns.keys() - known:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def clear(self) -> None:
        """Forget every entry and token."""
        self._db.execute("DELETE FROM entry")
        self._db.execute("DELETE FROM token")

    def begin(self) -> None:
        """Start a transaction, for many writes at once."""
        self._db.execute("BEGIN")

    def commit(self) -> None:
        """End the transaction."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction."""
        self._db.execute("ROLLBACK")

    # Reading

    def namespaces(self, owner: str) -> list[str]:
        """The namespaces of an owner, in no order that means anything."""
        sql = "SELECT namespace FROM entry WHERE owner = ? GROUP BY namespace ORDER BY MIN(id)"
        return [row[0] for row in self._db.execute(sql, (owner,))]

    def has_namespace(self, owner: str, namespace: str) -> bool:
        """Whether a namespace has any entry."""
        sql = "SELECT 1 FROM entry WHERE owner = ? AND namespace = ? LIMIT 1"
        return self._db.execute(sql, (owner, namespace)).fetchone() is not None

    def get(self, owner: str, namespace: str, key: str) -> Entry | None:
        """One entry."""
        sql = f"SELECT {_COLUMNS} FROM entry WHERE owner = ? AND namespace = ? AND key = ?"  # noqa: S608 - constants
        row = self._db.execute(sql, (owner, namespace, key)).fetchone()
        return _entry(row) if row else None

    def of_all_accounts(self, namespace: str, key: str) -> list[Entry]:
        """The entries of that name in every account's own store."""
        sql = f"SELECT {_COLUMNS} FROM entry WHERE namespace = ? AND key = ? AND owner != ?"  # noqa: S608 - constants
        return [_entry(row) for row in self._db.execute(sql, (namespace, key, GLOBAL))]

    def by_uid(self, uid: str) -> Entry | None:
        """The entry of dataStore with this uid."""
        sql = f"SELECT {_COLUMNS} FROM entry WHERE uid = ? AND owner = ''"  # noqa: S608 - constants
        row = self._db.execute(sql, (uid,)).fetchone()
        return _entry(row) if row else None

    def entries(self, owner: str, namespace: str) -> Iterator[Entry]:
        """The entries of a namespace, in no order that means anything."""
        sql = f"SELECT {_COLUMNS} FROM entry WHERE owner = ? AND namespace = ? ORDER BY id"  # noqa: S608 - constants
        return (_entry(row) for row in self._db.execute(sql, (owner, namespace)))

    def keys(self, owner: str, namespace: str, reader: Reader | None, since: float | None = None) -> Iterator[str]:
        """The keys of a namespace that an account may read (no reader: all of them)."""
        where, values = _readable(owner, namespace, reader)
        if since is not None:
            where, values = f"{where} AND updated >= ?", (*values, since)
        rows = self._db.execute(f"SELECT key FROM entry WHERE {where} ORDER BY id", values)  # noqa: S608 - constants
        return (row[0] for row in rows)

    def rows(self, owner: str, namespace: str, reader: Reader | None) -> Iterator[tuple[str, str | None]]:
        """Keys and values of a namespace in order of key, one by one; what is encrypted has no value here."""
        where, values = _readable(owner, namespace, reader)
        return self._db.execute(f"SELECT key, value FROM entry WHERE {where} ORDER BY key", values)  # noqa: S608

    # Writing

    def add(self, entry: Entry) -> None:
        """Insert a new entry."""
        sql = f"INSERT INTO entry ({_COLUMNS}) VALUES ({', '.join('?' * 13)})"  # noqa: S608 - constants
        self._db.execute(sql, _values(entry))

    def update(self, entry: Entry) -> None:
        """Write an entry back."""
        assignments = ", ".join(f"{name} = ?" for name in _COLUMNS.split(", "))
        sql = f"UPDATE entry SET {assignments} WHERE owner = ? AND namespace = ? AND key = ?"  # noqa: S608 - constants
        self._db.execute(sql, (*_values(entry), entry.owner, entry.namespace, entry.key))

    def delete(self, owner: str, namespace: str, key: str) -> None:
        """Delete one entry."""
        sql = "DELETE FROM entry WHERE owner = ? AND namespace = ? AND key = ?"
        self._db.execute(sql, (owner, namespace, key))

    def delete_namespace(self, owner: str, namespace: str) -> None:
        """Delete all entries of a namespace."""
        self._db.execute("DELETE FROM entry WHERE owner = ? AND namespace = ?", (owner, namespace))

    # Groups of users

    def groups(self) -> list[Group]:
        """All groups, by name."""
        if self._groups is None:  # asked for with every request, and hardly ever changed
            rows = self._db.execute("SELECT uid, name, members FROM user_group ORDER BY name")
            self._groups = [Group(uid, name, frozenset(members.split())) for uid, name, members in rows]
        return self._groups

    def groups_of(self, member: str) -> frozenset[str]:
        """The uids of the groups that an account is in."""
        return frozenset(group.uid for group in self.groups() if member in group.members)

    def set_group(self, group: Group) -> None:
        """Store a group, in the place of one of the same uid."""
        self._groups = None
        values = (group.uid, group.name, " ".join(sorted(group.members)))
        self._db.execute("INSERT OR REPLACE INTO user_group VALUES (?, ?, ?)", values)

    def delete_group(self, uid: str) -> None:
        """Delete a group; no entry is shared with it any longer."""
        self._groups = None
        self._db.execute("DELETE FROM user_group WHERE uid = ?", (uid,))
        path = f"$.{uid}"
        sql = "UPDATE entry SET groups = json_remove(groups, ?) WHERE json_extract(groups, ?) IS NOT NULL"
        self._db.execute(sql, (path, path))

    # Tokens

    def add_token(self, token: Token) -> None:
        """Store a new token."""
        methods = None if token.methods is None else " ".join(sorted(token.methods))
        values = (token.uid, token.key, token.owner, token.expires, methods)
        self._db.execute("INSERT INTO token VALUES (?, ?, ?, ?, ?)", values)

    def token(self, key: str) -> Token | None:
        """The token with this key."""
        row = self._db.execute("SELECT uid, key, owner, expires, methods FROM token WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        uid, key, owner, expires, methods = row
        return Token(uid, key, owner, expires, None if methods is None else frozenset(methods.split()))

    def has_token(self, owner: str) -> bool:
        """Whether an account has any token."""
        return self._db.execute("SELECT 1 FROM token WHERE owner = ? LIMIT 1", (owner,)).fetchone() is not None


def _make_private(db: str) -> None:
    """Make a file that is not there for its owner alone; what SQLite lays beside it has its permissions."""
    if db != ":memory:":
        with contextlib.suppress(OSError):  # there already; else SQLite says what is wrong
            os.close(os.open(db, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _readable(owner: str, namespace: str, reader: Reader | None) -> tuple[str, tuple[str | float, ...]]:
    """The SQL of what a reader is shown. A public access of null counts as open here, and as closed for one entry."""
    where, values = "owner = ? AND namespace = ?", (owner, namespace)
    if reader is None:
        return where, values
    shared = ["public = ''", "public GLOB 'r*'", "creator = ?", "json_extract(users, '$.' || ?) GLOB 'r*'"]
    shared += ["json_extract(groups, '$.' || ?) GLOB 'r*'"] * len(reader.groups)
    return f"{where} AND ({' OR '.join(shared)})", (*values, reader.name, reader.uid, *reader.groups)


def _entry(row: tuple[Any, ...]) -> Entry:
    namespace, key, uid, value, secret, created, updated, creator, updater, public, users, groups, owner = row
    shared = [json.loads(accesses) if accesses != "{}" else {} for accesses in (users, groups)]
    return Entry(namespace, key, uid, value, secret, created, updated, creator, updater, owner, public, *shared)


def _values(entry: Entry) -> tuple[object, ...]:
    return (
        entry.namespace,
        entry.key,
        entry.uid,
        entry.value,
        entry.secret,
        entry.created,
        entry.updated,
        entry.creator,
        entry.updater,
        entry.public,
        json.dumps(entry.users) if entry.users else "{}",
        json.dumps(entry.groups) if entry.groups else "{}",
        entry.owner,
    )


class TextCache:
    """Which text of a value a read gets: the one that was sent, or the database's spelling of it.

    A live server keeps objects as they were written and, apart from them, the results of queries. The first look at an
    entry after any write to its table asks the database and finds its spelling; later ones find the query's result and
    take the object, whose text is the one that was sent. Writing by SQL empties both.
    """

    _LIMIT = 1000

    def __init__(self) -> None:
        self._objects: OrderedDict[Name, str] = OrderedDict()
        self._queries: OrderedDict[Name, int] = OrderedDict()
        self._writes = 0

    def look(self, entry: Entry) -> str | None:
        """The text that this look at an entry finds."""
        if entry.secret is not None or entry.value is None:
            return entry.secret
        name = (entry.owner, entry.namespace, entry.key)
        if self._queries.get(name) == self._writes:
            return self._objects.get(name, entry.value)
        _keep(self._queries, name, self._writes, self._LIMIT)
        return entry.value

    def wrote(self, owner: str, namespace: str, key: str, text: str | None) -> None:
        """An entry was written through the session, with this text; None leaves the text as it was."""
        self._writes += 1
        if text is not None:
            _keep(self._objects, (owner, namespace, key), text, self._LIMIT)

    def gone(self, owner: str, namespace: str, key: str) -> None:
        """An entry was deleted."""
        self._writes += 1
        self._objects.pop((owner, namespace, key), None)

    def clear(self) -> None:
        """Rows were changed by SQL."""
        self._writes += 1
        self._objects.clear()


def _keep(kept: OrderedDict[Name, _T], name: Name, value: _T, limit: int) -> None:
    kept[name] = value
    kept.move_to_end(name)
    if len(kept) > limit:
        kept.popitem(last=False)
