"""The flat accessor: every operation on the two data stores, one method each."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Literal, overload
from urllib.parse import quote, urlencode

from dhis2kv import errors, wire
from dhis2kv.wire.query import URL_FULL, Query
from dhis2kv.transport import Transport

log = logging.getLogger("dhis2kv")

Names = tuple[str, ...]
Progress = Callable[[int, int], None]

# What a filter can name: other characters separate, group or stand for others in its grammar.
_FILTERABLE = re.compile(r"[\w.-]+( [\w.-]+)*")
_PATH = re.compile(r"(?!null(\.|$))[\w-]+(\.(?!null(\.|$))[\w-]+)*", re.I)


class _Unreadable(Exception):
    """A bulk answer that says nothing certain; ``keys`` where it was a listing of keys instead."""

    def __init__(self, keys: list[str] | None = None) -> None:
        super().__init__(keys)
        self.keys = keys


class Datastore:
    """Both data stores of one server, as one account; ``user=True`` means the account's own ``userDataStore``.

    Names are checked before anything is sent: ``InvalidKey`` (a ``KeyError`` and a ``ValueError``) for those no server
    can hold. Besides what each method says, any may raise ``NotAuthenticated``, ``Forbidden``, ``Rejected``,
    ``ServerError``, ``Unreachable`` and ``TimedOut``, and ``Unaddressable`` for names like ``config.json`` where a
    proxy rewrites them (found out by one more request, once, before the first such name). Any number of threads may
    use one accessor. Nothing is cached here.

    :param transport: the conversation with the server.
    :param workers: how many requests the methods for many keys have under way at a time. Four write three times as
        fast as one to a live 2.42, and sixteen no faster than four.
    :param read_back: read each value back after writing it, for one request more; raises ``NotStored``.
    :param read_only: refuse every write with ``ReadOnly``, before a request.
    """

    def __init__(
        self, transport: Transport, *, workers: int = 4, read_back: bool = False, read_only: bool = False
    ) -> None:
        if workers < 1:
            raise ValueError("workers is at least 1")
        self.transport, self.workers, self.read_back, self.read_only = transport, workers, read_back, read_only
        self._version: tuple[int, int] | None = None
        self._survives_proxies: bool | None = None

    # --- what the reference client has --------------------------------------------------------------------------------

    def list_namespaces(self, *, user: bool = False) -> list[str]:
        """The names of all namespaces, sorted by code point; one request."""
        return sorted(self._call("GET", _store(user)).names())

    def list_keys(self, namespace: str, *, user: bool = False) -> list[str]:
        """The keys of a namespace, sorted by code point; one request.

        Raises ``KeyNotFound`` when there is no such namespace.
        """
        names = (_store(user), wire.check_name(namespace, "namespace"))
        if names == (wire.SHARED, "protections") and self.version() >= (2, 39):
            # From 2.42 on that address means something else. Before 2.39 this one would be the entry "keys".
            reply = wire.checked(self.transport.call(wire.call_below("GET", *names, below="keys")))
        else:
            reply = self._call("GET", *names)
        return sorted(reply.names())

    def get(self, namespace: str, key: str, *, user: bool = False) -> Any:
        """The value of an entry; one request. Raises ``KeyNotFound`` when it is absent."""
        return self._entry(_names(user, namespace, key))[0]

    def get_text(self, namespace: str, key: str, *, user: bool = False) -> str:
        """The JSON text of an entry, as the server spells it just now; one request.

        The same value has several spellings, on one server within seconds: never compare texts. Raises ``KeyNotFound``
        when it is absent.
        """
        return self._entry(_names(user, namespace, key))[1]

    def exists(self, namespace: str, key: str, *, user: bool = False) -> bool:
        """Whether an entry exists, without moving its value; one request. False for a name that no server can hold."""
        try:
            names = _names(user, namespace, key)
            if key == "keys":
                return key in self.list_keys(namespace, user=user)
            self._reachable(names)
            reply = self.transport.call(wire.call("HEAD", *names))
            if reply.status in (200, 404) and reply.media_type != "application/json":
                self._call("GET", *names)  # without a body a page of somebody else's looks alike: a GET tells
            else:
                wire.checked(reply)
        except (errors.KeyNotFound, errors.InvalidKey):
            return False
        return True

    def set(self, namespace: str, key: str, value: Any, *, user: bool = False, encrypt: bool = False) -> None:
        """Create or update an entry; one request, two for a new key on servers up to 2.37.

        With ``encrypt=True`` the entry is created encrypted, for one request; an existing one is deleted first, for
        three, because from 2.41 on a server keeps the old value of an encrypted entry and lays the new one open. That
        is not atomic: readers may find nothing meanwhile, and when the second half fails, the error says what the state
        is. Without ``encrypt`` nothing warns that an entry is encrypted, but ``read_back``.

        Raises ``InvalidValue`` for what JSON or the server cannot keep, ``NotStored`` when reading back says so, and
        ``Changed`` when somebody else stored a value between the two halves.
        """
        names = _new_names(user, namespace, key)
        text = wire.dumps(value)
        self._write(names, text, encrypt)

    def delete(self, namespace: str, key: str, *, user: bool = False) -> None:
        """Delete an entry; one request. Raises ``KeyNotFound`` when it is absent."""
        self.check_writable()
        self._call("DELETE", *_names(user, namespace, key))

    def delete_namespace(self, namespace: str, *, user: bool = False) -> None:
        """Delete a namespace with all its entries; one request.

        Raises ``KeyNotFound`` when there is none; in the user store, servers up to 2.39 do not tell.
        """
        self.check_writable()
        self._call("DELETE", _store(user), wire.check_name(namespace, "namespace"))

    # --- one entry ----------------------------------------------------------------------------------------------------

    def create(self, namespace: str, key: str, value: Any, *, user: bool = False, encrypt: bool = False) -> None:
        """Create an entry, atomically; one request. Raises ``KeyExists`` when there is one, which stays as it is."""
        names = _new_names(user, namespace, key)
        text = wire.dumps(value)
        self.check_writable()
        self._create(names, text, encrypt)
        self._read_back(names, text)

    def patch(self, namespace: str, key: str, path: str, value: Any, *, user: bool = False) -> None:
        """Set the member at a dotted path (``"a.b"``, ``"list.0"``) of a value, atomically; three requests.

        Needs a server of 2.41 or later: older ones would store the fragment as the whole value, so the version is
        asked for first, once. The entry is read before, for the server creates an absent one from the fragment, and
        read again after, for a path that does not exist changes nothing there, without a word. Raises ``NotStored``
        for that, ``KeyNotFound``, and ``InvalidValue`` for a path that is not names and numbers between dots.
        """
        names = _new_names(user, namespace, key)
        text = wire.dumps(value)
        if not _PATH.fullmatch(path):
            raise errors.InvalidValue(f"{path!r} is not a path: write names and numbers, with dots between them")
        self.check_writable()
        self._needs_2_41("patch")
        what = _shown(names)
        if not _found(self._entry(names)[0], path)[0]:
            raise errors.NotStored(f"there is no {path!r} in {what}, and a server changes only what is there")
        reply = self._call("PUT", *names, query=urlencode({"path": path}), body=text)
        if reply.status == 201:
            raise errors.NotStored(
                f"{what} was deleted meanwhile, and the server made a new entry of the fragment: write the whole value",
                sent=True,
            )
        there, now = _found(self._written(names), path)
        if not there or not wire.same(now, wire.loads(text)):
            raise errors.NotStored(
                f"the server accepted {path!r} of {what} and holds something else there: the entry is encrypted, or"
                " somebody else wrote meanwhile",
                sent=True,
            )

    def roll(self, namespace: str, key: str, value: Any, keep: int, *, user: bool = False) -> None:
        """Append to a list, atomically, and keep its last ``keep`` items; two requests, three for an absent key.

        Needs a server of 2.41 or later, as ``patch`` does. The server drops one item at most, so that a list that is
        longer than ``keep`` already stays as long as it is. An absent key is first created as an empty list, for the
        server would store the bare value; anything but a list is refused after a look with ``InvalidValue``, for the
        server would replace it. Never repeated once it was sent: an error whose ``sent`` is true says what is not
        known. Raises ``NotStored`` where the list was deleted meanwhile, or when reading back says so.
        """
        names = _new_names(user, namespace, key)
        text = wire.dumps(value)
        if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1:
            raise errors.InvalidValue(f"keep is a whole number of at least 1, not {keep!r}")
        self.check_writable()
        self._needs_2_41("roll")
        what = _shown(names)
        try:
            now, created = self._entry(names)[0], False
        except errors.KeyNotFound:
            now, created = self._empty_list(names)
        if not isinstance(now, list):
            raise errors.InvalidValue(f"{what} holds no list: the server would replace it by one")
        try:
            reply = self._call("PUT", *names, query=urlencode({"roll": keep}), body=text, once=True)
        except errors.Dhis2kvError as error:
            if error.sent:
                state = f"whether it was appended to {what} is not known: read the list before trying again"
                raise _told(error, state) from error
            if created:
                raise _told(error, f"{what} was created as an empty list, and nothing was appended") from error
            raise
        if reply.status == 201:
            raise errors.NotStored(
                f"the server found no list {what} to append to: its namespace is protected, or the list was deleted"
                " meanwhile, and the entry holds the bare value now",
                sent=True,
            )
        if self.read_back and not any(wire.same(item, wire.loads(text)) for item in _items(self._written(names))):
            raise errors.NotStored(
                f"the server accepted an item for {what} and does not hold it: the entry is encrypted (then the item"
                " lies open now), or others have appended or written since",
                sent=True,
            )

    def metadata(self, namespace: str, key: str) -> dict[str, Any]:
        """What the shared store knows about an entry: ``created``, ``lastUpdated``, ``sharing``...; one request.

        The user store keeps no such thing. From 2.41 on ``lastUpdated`` does not move when a value is updated.
        """
        names = _names(False, namespace, key)
        metadata = wire.checked(self.transport.call(wire.call_below("GET", *names, below="metaData"))).json()
        return dict(metadata)

    # --- many entries -------------------------------------------------------------------------------------------------

    @overload
    def get_all(self, namespace: str, *, user: bool = ..., texts: Literal[True]) -> dict[str, str]: ...
    @overload
    def get_all(self, namespace: str, *, user: bool = ..., texts: Literal[False] = ...) -> dict[str, Any]: ...

    def get_all(self, namespace: str, *, user: bool = False, texts: bool = False) -> dict[str, Any]:
        """Every entry of a namespace, ``{key: value}`` sorted by key; {} when there is no such namespace.

        One request, and one more when there are nulls among the values, and one for each entry that bulk reads hide
        (encrypted ones). The answer comes from one statement of the server's database, so that it is consistent, but
        for those hidden. Where a server has no bulk read (dataStore before 2.38, userDataStore before 2.40), or cannot
        give a certain one, it is the listing and a request per key, several at a time. ``texts`` gives JSON texts.
        """
        names = (_store(user), wire.check_name(namespace, "namespace"))
        try:
            found = self._query(names, Query(), texts)
        except _Unreadable as unreadable:
            try:
                keys = unreadable.keys if unreadable.keys is not None else self.list_keys(namespace, user=user)
            except errors.KeyNotFound:
                keys = []
            found = self._get_singly(names, keys, texts)
        return dict(sorted(found.items()))

    @overload
    def get_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = ..., texts: Literal[True]
    ) -> dict[str, str]: ...
    @overload
    def get_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = ..., texts: Literal[False] = ...
    ) -> dict[str, Any]: ...

    def get_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = False, texts: bool = False
    ) -> dict[str, Any]:
        """The entries of these keys, ``{key: value}`` in their order; absent ones are left out.

        One request per some 3,000 bytes of keys, and more as ``get_all`` says; keys that a filter cannot name (with
        spaces, commas, brackets and the like) cost one each. ``texts`` gives JSON texts.
        """
        names = (_store(user), wire.check_name(namespace, "namespace"))
        if isinstance(keys, str):
            raise TypeError("keys is several keys, not one text, which would be taken for its characters")
        wanted = list(dict.fromkeys(keys))
        held = [key for key in wanted if _holdable(key)]
        if len(held) == 1:
            singly, chunks = held, []
        else:
            singly = [key for key in held if not _FILTERABLE.fullmatch(key)]
            chunks = _url_fulls(key for key in held if _FILTERABLE.fullmatch(key))
        found: dict[str, Any] = {}
        for chunk in chunks:
            try:
                part = self._query(names, Query(filters=(f"_:in:[{','.join(chunk)}]",)), texts)
                if not part.keys() <= set(chunk):
                    raise _Unreadable
                found |= part
            except _Unreadable:
                singly += chunk
        found |= self._get_singly(names, singly, texts)
        return {key: found[key] for key in wanted if key in found}

    def query(self, namespace: str, query: Query, *, user: bool = False) -> list[dict[str, Any]]:
        """What a server with bulk reads answers to a query, as a list of objects; one request.

        Raises ``ServerError`` where the answer cannot be parsed: one key with a quotation mark is enough for that.
        """
        names = (_store(user), wire.check_name(namespace, "namespace"))
        answer = self._call("GET", *names, query=query.text).json()
        return list(answer)

    def set_many(
        self,
        namespace: str,
        entries: Mapping[str, Any],
        *,
        user: bool = False,
        encrypt: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Create or update many entries, several at a time; one request each.

        Everything is checked before the first is sent. ``progress(done, total)`` is called after each, in the calling
        thread. Raises ``BulkError``, which names what was done, what failed and why, and what was not tried.
        """
        texts = {_new_names(user, namespace, key): wire.dumps(value) for key, value in entries.items()}
        self.check_writable()
        self._each([(list(texts), lambda names: self._write(names, texts[names], encrypt))], progress)

    def replace(self, namespace: str, entries: Mapping[str, Any], *, user: bool = False, encrypt: bool = False) -> None:
        """Make a namespace equal to a mapping: read it, write what differs, then delete what is too much.

        Costs what ``get_all`` does, and one request per difference, several at a time. Everything is checked before
        the first is sent. Raises ``BulkError`` as ``set_many`` does; nothing is deleted before all writes are done.
        """
        texts = {_new_names(user, namespace, key): wire.dumps(value) for key, value in entries.items()}
        self.check_writable()
        now = self.get_all(namespace, user=user)
        changed = [
            names
            for names, text in texts.items()
            if names[2] not in now or not wire.same(now[names[2]], wire.loads(text))
        ]
        surplus = [_names(user, namespace, key) for key in now if key not in entries]
        self._each([(changed, lambda names: self._write(names, texts[names], encrypt)), (surplus, self._discard)], None)

    def delete_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = False, progress: Progress | None = None
    ) -> None:
        """Delete many entries, several at a time; one request each. A key that is absent already counts as done.

        ``progress`` and ``BulkError`` are as in ``set_many``.
        """
        if isinstance(keys, str):
            raise TypeError("delete_many takes several keys, and would take a str for its letters: give it a list")
        everything = [_names(user, namespace, key) for key in dict.fromkeys(keys)]
        self.check_writable()
        self._each([(everything, self._discard)], progress)

    # --- the server ---------------------------------------------------------------------------------------------------

    def version(self) -> tuple[int, int]:
        """The server's version, like ``(2, 42)``; one request, the first time."""
        if self._version is None:
            reply = wire.checked(self.transport.call(wire.Call("GET", "/api/system/info", query="fields=version")))
            info = reply.json()
            found = re.match(r"(\d+)\.(\d+)", str(info.get("version")) if isinstance(info, dict) else "")
            if not found:
                raise reply.error(errors.ServerError, "the server does not tell its version")
            self._version = int(found[1]), int(found[2])
        return self._version

    def account(self) -> dict[str, Any]:
        """Who is signed in: ``{"id": ..., "username": ...}``, up to 2.37 without ``username``; one request."""
        me = wire.checked(self.transport.call(wire.Call("GET", "/api/me", query="fields=id,username"))).json()
        return dict(me)

    # --- beneath ------------------------------------------------------------------------------------------------------

    def _call(
        self, method: str, *names: str, query: str = "", body: str | None = None, once: bool = False
    ) -> wire.Reply:
        self._reachable(names)
        return wire.checked(self.transport.call(wire.call(method, *names, query=query, body=body, once=once)))

    def _reachable(self, names: Names) -> None:
        """Make sure that a name with a registered extension arrives whole; raises ``Unaddressable``.

        A proxy may undo the percent-encoding that protects it, and 2.44 then takes ``config.json`` for ``config``.
        The text of a 404 tells what the server understood: the check asks once for a key that cannot exist, in a
        namespace that cannot exist, so that it is harmless and no protection hides the text.
        """
        if len(names) == 1 or not wire.cut_by_proxies(names[-1]):
            return
        if self._survives_proxies is None:
            unknown = f"x{secrets.token_hex(8)}"
            reply = self.transport.call(wire.call("GET", wire.SHARED, unknown, f"{unknown}.json"))
            whole = wire.understood(reply, f"{unknown}.json")
            if whole is None:
                wire.checked(reply)
                raise reply.error(errors.ServerError, "the server does not say how it understands dotted names")
            self._survives_proxies = whole
        if not self._survives_proxies:
            raise errors.Unaddressable(
                f"{names[-1]!r} cannot be reached: a proxy before the server rewrites its address into that of"
                f" {names[-1].partition('.')[0]!r}. Have the proxy pass paths unchanged (nginx: proxy_pass without a"
                " path; Apache: nocanon), or use another name"
            )

    def check_writable(self) -> None:
        """Raise ``ReadOnly`` where nothing may be written; sends nothing."""
        if self.read_only:
            raise errors.ReadOnly("this store was opened with read_only=True; nothing was sent")

    def _needs_2_41(self, what: str) -> None:
        if self.version() < (2, 41):
            major, minor = self.version()
            raise errors.Rejected(
                f"{what} needs DHIS2 2.41 or later, and this server is {major}.{minor}, which would store the fragment"
                " as the whole value; nothing was sent. Read, change and write the whole value instead"
            )

    def _write(self, names: Names, text: str, encrypt: bool) -> None:
        self.check_writable()
        if encrypt:
            self._replace_encrypted(names, text)
        else:
            self._put(names, text)
        self._read_back(names, text)

    def _put(self, names: Names, text: str) -> None:
        """Create or update; up to 2.37 a PUT does not create, so that a POST follows and, if need be, a PUT again."""
        unsure = False
        for last in (False, True):
            try:
                self._call("PUT", *names, body=text)
                return
            except errors.KeyNotFound:
                pass
            except errors.Dhis2kvError as error:
                error.sent = error.sent or unsure
                raise
            try:
                self._create(names, text, False)
                return
            except (errors.KeyExists, errors.Unreachable) as error:
                if last:
                    raise
                unsure = error.sent  # somebody was faster, or the connection was dead: a PUT settles either

    def _create(self, names: Names, text: str, encrypt: bool) -> None:
        try:
            self._call("POST", *names, query="encrypt=true" if encrypt else "", body=text)
        except errors.ServerError as error:
            # Up to 2.39 whoever loses a race to create is told this, without a reason.
            if (
                error.status == 500
                and "could not execute statement" in error.message
                and self.exists(*names[1:], user=names[0] == wire.USER)
            ):
                raise errors.KeyExists(f"there is already an entry {_shown(names)!r}", status=500) from error
            raise

    def _replace_encrypted(self, names: Names, text: str) -> None:
        """Create encrypted; where there is an entry, delete it and create it anew."""
        try:
            self._create(names, text, True)
            return
        except errors.KeyExists:
            pass
        try:
            self._discard(names)
        except errors.Dhis2kvError as error:
            if not error.sent:
                raise
            state = f"the old value of {_shown(names)} may be deleted, and the new one is not stored: set it again"
            raise _told(error, state) from error
        try:
            self._create_anew(names, text)
        except errors.Changed:
            raise
        except errors.Dhis2kvError as error:
            new = "whether the new one is stored is not known" if error.sent else "the new one is not stored"
            raise _told(error, f"the old value of {_shown(names)} is deleted, and {new}: set it again") from error

    def _create_anew(self, names: Names, text: str) -> None:
        """Store an encrypted value whose predecessor is deleted: tried twice, for it is nowhere but here."""
        unsure = False
        for last in (False, True):
            try:
                self._create(names, text, True)
                return
            except errors.KeyExists as error:
                if unsure and wire.same(self._written(names), wire.loads(text)):
                    return  # the first try did it
                raise errors.Changed(
                    f"the old value of {_shown(names)} is deleted, and somebody else stored one since: theirs stays",
                    sent=True,
                ) from error
            except errors.Dhis2kvError as error:
                unsure = error.sent = error.sent or unsure
                if last:
                    raise

    def _empty_list(self, names: Names) -> tuple[Any, bool]:
        """Create an entry for ``roll``, unless somebody is faster: the value that is there then, and if it is new."""
        try:
            self._create(names, "[]", False)
        except errors.KeyExists:
            return self._entry(names)[0], False
        except errors.Dhis2kvError as error:
            if not error.sent:
                raise
            state = f"whether {_shown(names)} was created as an empty list is not known, and nothing was appended"
            raise _told(error, state) from error
        return [], True

    def _read_back(self, names: Names, text: str) -> None:
        if self.read_back and not wire.same(self._written(names), wire.loads(text)):
            raise errors.NotStored(
                f"the server accepted {_shown(names)} and holds another value: the entry is encrypted (then the new"
                " value lies open now: set it again with encrypt=True), or somebody else wrote meanwhile",
                sent=True,
            )

    def _written(self, names: Names) -> Any:
        """The value that the server holds after a write that it has accepted."""
        try:
            return self._entry(names)[0]
        except errors.KeyNotFound as error:
            raise errors.NotStored(
                f"the server accepted {_shown(names)} and does not hold it: its namespace is protected, or somebody"
                " else deleted it since",
                sent=True,
            ) from error
        except errors.Dhis2kvError as error:
            raise _told(error, f"what {_shown(names)} holds after the write could not be read back") from error

    def _query(self, names: Names, query: Query, texts: bool) -> dict[str, Any]:
        """The entries that a query finds, whole; raises ``_Unreadable`` where the answer is not certain."""
        if names == (wire.SHARED, "protections"):
            raise _Unreadable  # from 2.42 on this address is another route
        self._reachable(names)
        reply = self.transport.call(wire.call("GET", *names, query=query.text))
        try:
            text = wire.checked(reply).text
        except errors.KeyNotFound:
            return {}  # from a server without queries, about a namespace that does not exist
        except errors.Rejected as error:
            raise _Unreadable from error  # a hidden namespace; the listing says what there is
        del reply  # a large answer is not held twice
        found: dict[str, Any] = {}
        nulls = []
        try:
            for key, value, start, end in wire.entries(text):
                found[key] = text[start:end] if texts else value
                if value is None:
                    nulls.append(key)
        except ValueError as error:
            raise _Unreadable(_listing(text)) from error
        hidden = [key for key in self._not_stored_nulls(names, query, nulls) if _holdable(key)]
        for key in hidden:
            del found[key]
        return found | self._get_singly(names, hidden, texts)

    def _not_stored_nulls(self, names: Names, query: Query, nulls: list[str]) -> list[str]:
        """Which of these keys may hold more than null: a bulk read shows encrypted entries so, too."""
        if len(nulls) < 2:
            return nulls
        only_nulls = Query(fields="", filters=(*query.filters, ".:null"))
        try:
            listed = {entry["key"] for entry in self._call("GET", *names, query=only_nulls.text).json()}
        except (errors.ServerError, KeyError, TypeError):
            return nulls  # not certain: each of them is read singly
        return [key for key in nulls if key not in listed]

    def _get_singly(self, names: Names, keys: list[str], texts: bool) -> dict[str, Any]:
        """These entries, read one by one, several at a time; those that are gone are left out.

        So are those of names that have no address of their own, with a warning in the log: up to 2.43 other clients
        can make an entry whose key is empty, and its address is that of the listing.
        """
        found: dict[str, Any] = {}
        unreadable = [key for key in keys if not _holdable(key)]
        if unreadable:
            log.warning("left out entries of %s that no address leads to: %r", "/".join(names), unreadable)
            keys = [key for key in keys if key not in unreadable]

        def read(entry: Names) -> None:
            try:
                value, text = self._entry(entry)
            except errors.KeyNotFound:
                return
            found[entry[-1]] = text if texts else value

        try:
            self._each([([(*names, key) for key in keys], read)], None)
        except errors.BulkError as error:
            raise next(iter(error.failed.values())) from None
        return found

    def _entry(self, names: Names) -> tuple[Any, str]:
        """The value of an entry and its text; an entry without a value, which an empty PUT makes, reads as null."""
        if names[-1] == "keys":
            return self._entry_keys(names)
        reply = self._call("GET", *names)
        return (reply.json(), reply.text) if reply.body else (None, "null")

    def _entry_keys(self, names: Names) -> tuple[Any, str]:
        """The key ``keys``, whose own address means the listing from 2.39 on (user store: 2.40): found by a query."""
        if names == (wire.SHARED, "protections", "keys") and self.version() >= (2, 42):
            raise errors.Unaddressable("servers from 2.42 on have no address for the value of protections/keys")
        self._reachable(names[:2])
        reply = self.transport.call(wire.call("GET", *names[:2], query=Query(filters=("_:eq:keys",)).text))
        if reply.status == 404 or _listing(reply.text) is not None:  # a server without queries, where it is as others
            reply = self._call("GET", *names)
            return (reply.json(), reply.text) if reply.body else (None, "null")
        text = wire.checked(reply).text
        try:
            entries = {key: (value, text[start:end]) for key, value, start, end in wire.entries(text)}
        except ValueError as error:
            raise reply.error(errors.ServerError, f"the server's answer cannot be read: {error}") from error
        if "keys" not in entries:
            raise reply.error(errors.KeyNotFound, "", "keys", namespace=names[1])
        if entries["keys"][0] is None:
            stored = Query(fields="", filters=("_:eq:keys", ".:null")).text
            if not self._call("GET", *names[:2], query=stored).json():
                raise errors.Unaddressable(f"servers have no address for an encrypted value of {names[1]}/keys")
        return entries["keys"]

    def _discard(self, names: Names) -> None:
        try:
            self._call("DELETE", *names)
        except errors.KeyNotFound:
            return

    def _each(self, phases: list[tuple[list[Names], Callable[[Names], None]]], progress: Progress | None) -> None:
        """Do something for many entries, phase by phase, several at a time, until one fails; raises ``BulkError``."""
        for entry in (entry for entries, _ in phases for entry in entries):
            self._reachable(entry)  # before the first is sent
        total = sum(len(entries) for entries, _ in phases)
        done: list[str] = []
        failed: dict[str, errors.Dhis2kvError] = {}
        untried: list[str] = []
        for entries, act in phases:
            todo = iter(entries)
            running: dict[Future[None], Names] = {}
            with ThreadPoolExecutor(self.workers) as pool:
                while True:
                    while not failed and len(running) < self.workers and (names := next(todo, None)):
                        running[pool.submit(act, names)] = names
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        key = running.pop(future)[-1]
                        try:
                            future.result()
                        except errors.Dhis2kvError as error:
                            failed[key] = error
                        else:
                            done.append(key)
                            if progress:
                                progress(len(done), total)
            untried += [names[-1] for names in todo]
        if failed:
            key, first = next(iter(failed.items()))
            raise errors.BulkError(
                f"{len(done)} of {total} done, {len(failed)} failed ({key!r}: {first}), {len(untried)} not tried",
                done=done,
                failed=failed,
                untried=untried,
                sent=bool(done) or any(error.sent for error in failed.values()),
            ) from first


def _store(user: bool) -> str:
    return wire.USER if user else wire.SHARED


def _names(user: bool, namespace: str, key: str) -> Names:
    return _store(user), wire.check_name(namespace, "namespace"), wire.check_name(key)


def _new_names(user: bool, namespace: str, key: str) -> Names:
    return _store(user), wire.check_name(namespace, "namespace"), wire.check_new_key(key)


def _holdable(key: str) -> bool:
    try:
        wire.check_name(key)
    except errors.InvalidKey:
        return False
    return True


def _listing(text: str) -> list[str] | None:
    """The names in a listing of keys, which servers without queries answer; None for anything else."""
    try:
        names = wire.loads(text)
    except ValueError:
        return None
    return names if isinstance(names, list) and names and all(isinstance(name, str) for name in names) else None


def _found(value: Any, path: str) -> tuple[bool, Any]:
    """Whether a value has a member at a dotted path, and that member."""
    for name in path.split("."):
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and re.fullmatch("-?[0-9]+", name) and -len(value) <= int(name) < len(value):
            value = value[int(name)]
        else:
            return False, None
    return True, value


def _url_fulls(keys: Iterable[str]) -> list[list[str]]:
    """The keys in parts that fit into one URL each."""
    parts: list[list[str]] = []
    room = 0
    for key in keys:
        size = len(quote(key)) + 3  # the comma is percent-encoded
        if size > room:
            parts.append([])
            room = URL_FULL
        parts[-1].append(key)
        room -= size
    return parts


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(names: Names) -> str:
    """An entry, as sentences call it."""
    return "/".join(names[1:])


def _told(error: errors.Dhis2kvError, state: str) -> errors.Dhis2kvError:
    """The same error about something that was sent, whose sentence says what the state is now."""
    return type(error)(f"{error}; {state}", **{**error.__dict__, "sent": True})
