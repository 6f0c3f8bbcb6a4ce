"""``Namespace``: the entries of one namespace as a mapping; imports the accessor, the cache and the protocol.

Here since it is what people hold most of the time: each expression of Python's mappings gets its meaning, and its cost.
"""

from __future__ import annotations

from collections.abc import (
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, overload

from dhis2kv import errors, wire
from dhis2kv.datastore import Metadata, Progress, Sharing, no_sharing
from dhis2kv.store.views import Items, Snapshot, Values
from dhis2kv.wire.conditions import Condition

if TYPE_CHECKING:
    from dhis2kv.store import Store

_MISSING: Any = object()
_GONE: Any = object()


class Namespace(MutableMapping[str, Any]):
    """The entries of one namespace, as a mapping of keys to JSON values; keys come sorted by code point.

    Made by ``store["app"]``. Each expression costs what it says: ``ns[k]``, ``ns[k] = v``, ``del ns[k]``, ``k in ns``,
    ``len(ns)`` and iteration one request each; ``copy()``, ``items()`` and ``values()`` one for all entries together.
    ``dict(ns)`` and ``{**ns}`` cost one per key, which is Python's doing: write ``ns.copy()``.

    Values are fresh with each read: changing what was handed out changes nothing on the server; see ``edit``. Views
    are snapshots, fetched at first use. ``KeyNotFound`` is a ``KeyError`` and means that the server said so: an outage
    never looks like an absent key.
    """

    def __init__(self, store: Store, name: str, *, encrypt: bool = False, sharing: Sharing | None = None) -> None:
        self._store, self._name, self._encrypt, self._sharing = store, name, encrypt, sharing
        self._datastore, self._cache, self._is_user = store.datastore, store._cache, store._is_user

    @property
    def name(self) -> str:
        """The namespace's name."""
        return self._name

    def is_same_place(self, other: Namespace) -> bool:
        """Whether both are the same namespace of the same store; sends nothing."""
        return self._store is other._store and self._name == other._name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r} of {self._store!r}>"

    # --- reading ------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        if self._cache is None:
            return self._datastore.get(self._name, key, user=self._is_user)
        return self._cache.value(
            self._store._place(self._name, key), lambda: self._datastore.get_text(self._name, key, user=self._is_user)
        )

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            raise TypeError(f"a key is a str, not {type(key).__name__}")

        def fetch() -> bool:
            return self._datastore.exists(self._name, key, user=self._is_user)

        return self._cache.exists(self._store._place(self._name, key), fetch) if self._cache else fetch()

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def keys(self) -> KeysView[str]:
        """The keys, sorted; a snapshot, one request at first use."""
        return KeysView(Snapshot(lambda: dict.fromkeys(self._keys())))

    def values(self) -> ValuesView[Any]:
        """The values, in the order of their keys; a snapshot, one bulk read at first use."""
        return Values(Snapshot(self.copy))

    def items(self) -> ItemsView[str, Any]:
        """Keys and values; a snapshot, one bulk read at first use."""
        return Items(Snapshot(self.copy))

    def copy(self) -> dict[str, Any]:
        """All entries as a dict; one request, and more as ``Datastore.get_all`` says.

        It comes from one statement of the server's database, so that it is consistent. {} where there is no namespace.
        """
        if self._cache is None:
            return self._datastore.get_all(self._name, user=self._is_user)
        return self._cache.entries(
            self._store._place(self._name), lambda: self._datastore.get_all(self._name, texts=True, user=self._is_user)
        )

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The entries of these keys, in their order; absent ones are left out. One request per URL-full of keys."""
        if self._cache is None:
            return self._datastore.get_many(self._name, keys, user=self._is_user)
        return self._cache.many(
            self._store._place(self._name),
            keys,
            lambda missing: self._datastore.get_many(self._name, missing, user=self._is_user, texts=True),
        )

    @overload
    def find(
        self,
        *conditions: Condition | str,
        fields: str | Iterable[str] | None = ...,
        order: str | None = ...,
        limit: int | None = ...,
        any: bool = ...,
        explain: Literal[False] = ...,
    ) -> dict[str, Any]: ...
    @overload
    def find(
        self,
        *conditions: Condition | str,
        fields: str | Iterable[str] | None = ...,
        order: str | None = ...,
        limit: int | None = ...,
        any: bool = ...,
        explain: Literal[True],
    ) -> str: ...

    def find(
        self,
        *conditions: Condition | str,
        fields: str | Iterable[str] | None = None,
        order: str | None = None,
        limit: int | None = None,
        any: bool = False,
        explain: bool = False,
    ) -> dict[str, Any] | str:
        """The entries that meet all conditions: ``ns.find(where("age") > 30, order="age:desc", limit=10)``.

        See ``Datastore.find`` for what conditions mean and cost. It asks the server each time, whatever the cache
        holds. In a namespace with ``encrypt=True`` all entries are read, for no server looks into encrypted ones.
        """
        find: Any = self._datastore.find  # its overloads take no variable
        options = {"fields": fields, "order": order, "limit": limit, "any": any, "explain": explain}
        found: dict[str, Any] | str
        found = find(self._name, *conditions, **options, user=self._is_user, encrypt=self._encrypt)
        return found

    def refresh(self, key: str | None = None) -> None:
        """Forget what the cache holds of a key, or of the whole namespace; sends nothing."""
        if self._cache:
            self._cache.drop(self._store._place(self._name, key))

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same JSON values; one bulk read each."""
        if self is other:
            return True
        if not isinstance(other, Mapping):
            return NotImplemented
        return wire.same(self.copy(), _dict(other))

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return self.copy() | _dict(other) if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return _dict(other) | self.copy() if isinstance(other, Mapping) else NotImplemented

    def _keys(self) -> list[str]:
        def fetch() -> list[str]:
            try:
                return self._datastore.list_keys(self._name, user=self._is_user)
            except errors.KeyNotFound:
                return []

        return self._cache.listing(self._store._place(self._name), fetch) if self._cache else fetch()

    # --- writing ------------------------------------------------------------------------------------------------------

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        with self._writing(key):
            self._datastore.delete(self._name, key, user=self._is_user)

    def set(self, key: str, value: Any, *, encrypt: bool = False) -> None:
        """Create or update an entry, encrypted on request; see ``Datastore.set``."""
        with self._writing(key):
            self._datastore.set(
                self._name,
                key,
                value,
                encrypt=encrypt or self._encrypt,
                sharing=self._sharing,
                user=self._is_user,
            )

    def add(self, key: str, value: Any) -> bool:
        """Create an entry, atomically; one request. False when there is one, which stays as it is."""
        with self._writing(key):
            try:
                self._datastore.create(
                    self._name, key, value, encrypt=self._encrypt, sharing=self._sharing, user=self._is_user
                )
            except errors.KeyExists:
                return False
        return True

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of an entry, which is created from the default when absent; one request, or two.

        Never overwrites a racing writer: then that one's value is returned, for a third request.
        """
        self._datastore.check_writable()
        for _ in range(2):
            try:
                return self._datastore.get(self._name, key, user=self._is_user)
            except errors.KeyNotFound:
                if self.add(key, default):
                    return default
        return self._datastore.get(self._name, key, user=self._is_user)

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Remove an entry and return its value, or the default when it is absent; two requests.

        Who writes between the two is not heard: the value returned is the one that was read.
        """
        self._datastore.check_writable()
        try:
            value = self._datastore.get(self._name, key, user=self._is_user)
            del self[key]
        except (errors.KeyNotFound, errors.InvalidKey):
            if default is _MISSING:
                raise
            return default
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove the first entry and return its key and value; three requests. ``KeyError`` when there is none."""
        self._datastore.check_writable()
        try:
            keys = self._datastore.list_keys(self._name, user=self._is_user)
        except errors.KeyNotFound:
            keys = []
        for key in keys:
            value = self.pop(key, _GONE)
            if value is not _GONE:
                return key, value
        raise KeyError(f"popitem(): namespace {self._name!r} is empty")

    def clear(self) -> None:
        """Delete the namespace with all its entries, if it exists; one request."""
        with self._writing():
            try:
                self._datastore.delete_namespace(self._name, user=self._is_user)
            except errors.KeyNotFound:
                return

    def update(self, other: Any = (), /, **entries: Any) -> None:
        """Write entries as ``dict.update`` does, several at a time, one request each; see ``set_many``."""
        self.set_many(dict(_dict(other) if isinstance(other, Mapping) else other, **entries))

    def __ior__(self, other: Any) -> Namespace:  # type: ignore[misc]  # as dict's: takes pairs too
        self.update(other)
        return self

    def set_many(self, entries: Mapping[str, Any], *, progress: Progress | None = None) -> None:
        """Create or update many entries, several at a time; one request each.

        All are checked before the first is sent. ``progress(done, total)`` is called after each. Raises ``BulkError``,
        which names what was done, what failed and why, and what was not tried.
        """
        with self._writing():
            self._datastore.set_many(
                self._name,
                _dict(entries),
                encrypt=self._encrypt,
                sharing=self._sharing,
                progress=progress,
                user=self._is_user,
            )

    def replace(self, entries: Mapping[str, Any]) -> None:
        """Make the namespace equal to a mapping; one bulk read, then one request per difference.

        Writes come before deletes, several at a time. Raises ``BulkError`` as ``set_many`` does.
        """
        with self._writing():
            self._datastore.replace(
                self._name, _dict(entries), encrypt=self._encrypt, sharing=self._sharing, user=self._is_user
            )

    def delete_many(self, keys: Iterable[str]) -> None:
        """Delete many entries, several at a time; one request each. Those that are absent already count as done."""
        with self._writing():
            self._datastore.delete_many(self._name, keys, user=self._is_user)

    @contextmanager
    def edit(self, key: str, *, force: bool = False) -> Iterator[Any]:
        """Change a stored dict or list in place: ``with ns.edit("cfg") as cfg: cfg["theme"] = "dark"``.

        Reads the value and hands it out; at the end it is written back if it changed, and not at all when the block
        raises. One request when nothing changed, else three: before writing it is read again, and ``Changed`` is
        raised if somebody else wrote meanwhile (``force=True`` skips that). That check and the write are two requests:
        a writer between them is overwritten, for the server has no conditional write.
        """
        self._datastore.check_writable()
        text = self._datastore.get_text(self._name, key, user=self._is_user)
        value, before = wire.loads(text), wire.loads(text)
        if not isinstance(value, dict | list):
            raise errors.InvalidValue(f"{key!r} holds no dict or list that could be changed in place: assign to it")
        yield value
        if wire.same(before, value):
            return
        wire.dumps(value)  # what cannot be stored is refused before the server is asked
        if not force:
            try:
                now = self._datastore.get(self._name, key, user=self._is_user)
            except errors.KeyNotFound as error:
                raise errors.Changed(f"somebody else deleted {key!r} meanwhile; nothing was written") from error
            if not wire.same(now, before):
                raise errors.Changed(f"somebody else wrote {key!r} meanwhile; nothing was overwritten")
        self[key] = value

    def patch(self, key: str, path: str, value: Any) -> None:
        """Set one member of a stored value, atomically, by a dotted path; see ``Datastore.patch``.

        Raises ``Rejected`` in a namespace with ``encrypt=True``: the server would lay the member open.
        """
        self._check_plain("patch")
        with self._writing(key):
            self._datastore.patch(self._name, key, path, value, user=self._is_user)

    def roll(self, key: str, value: Any, keep: int) -> None:
        """Append to a stored list, atomically, and keep its last ``keep`` items; see ``Datastore.roll``.

        Raises ``Rejected`` in a namespace with ``encrypt=True``: the server would lay the item open.
        """
        self._check_plain("roll")
        with self._writing(key):
            self._datastore.roll(self._name, key, value, keep, sharing=self._sharing, user=self._is_user)

    # --- who may read it ----------------------------------------------------------------------------------------------

    def metadata(self, key: str) -> Metadata:
        """What the server knows about an entry: its dates, who made it, who may read it; see ``Datastore.metadata``."""
        self._check_shared()
        return self._datastore.metadata(self._name, key)

    def sharing(self, key: str) -> Sharing:
        """Who may read and write an entry; one request, and more as ``Datastore.metadata`` says."""
        self._check_shared()
        return self._datastore.sharing(self._name, key)

    def share(
        self,
        key: str,
        *,
        public: str | None = None,
        users: Mapping[str, str] | None = None,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        """Change who may read and write an entry: the parts that are given, each as a whole; see ``Datastore.share``.

        ``public`` is ``"rw"``, ``"r"`` or ``""``; ``users`` maps usernames, and ``groups`` names of groups, to such
        accesses. Three requests, and one for each user or group that is named.
        """
        self._check_shared()
        with self._writing(key):
            self._datastore.share(self._name, key, public=public, users=users, groups=groups)

    def share_many(
        self,
        keys: Iterable[str],
        *,
        public: str | None = None,
        users: Mapping[str, str] | None = None,
        groups: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Change who may read and write many entries, several at a time; raises ``BulkError`` as ``set_many`` does."""
        self._check_shared()
        with self._writing():
            self._datastore.share_many(self._name, keys, public=public, users=users, groups=groups, progress=progress)

    def _check_shared(self) -> None:
        if self._is_user:
            raise no_sharing()

    def _check_plain(self, what: str) -> None:
        if self._encrypt:
            raise errors.Rejected(f"{what} would store its part unencrypted; nothing was sent. Use edit instead")

    def _writing(self, key: str | None = None) -> AbstractContextManager[None]:
        """Around a write: what the cache holds of it is dropped at the end, also when the write failed."""
        return self._cache.writing(self._store._place(self._name, key)) if self._cache else nullcontext()

    def __reduce__(self) -> tuple[Any, ...]:
        return _namespace, (self._store, self._name, self._encrypt, self._sharing)


def _dict(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping as a dict: a namespace in one request instead of one per key."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"a mapping of keys to values is needed, not {type(mapping).__name__}")
    return mapping.copy() if isinstance(mapping, Namespace) else dict(mapping)


def _namespace(store: Store, name: str, encrypt: bool, sharing: Sharing | None) -> Namespace:
    return store.namespace(name, encrypt=encrypt, sharing=sharing)
