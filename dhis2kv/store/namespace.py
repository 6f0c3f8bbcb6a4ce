"""``Namespace``: the entries of one namespace as a mapping; imports what reads, the accessor and the protocol.

Here since it is what people hold most of the time: each expression of Python's mappings gets its meaning, and its cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

from dhis2kv import errors, wire
from dhis2kv.datastore import Metadata, Progress, Sharing, no_sharing
from dhis2kv.store.entries import Entries, V, as_dict
from dhis2kv.store.watching import Watch

if TYPE_CHECKING:
    from dhis2kv.store import Store

D = TypeVar("D")

_MISSING: Any = object()
_GONE: Any = object()


class Namespace(Entries[V], MutableMapping[str, V]):
    """The entries of one namespace, as a mapping of keys to JSON values; keys come sorted by code point.

    Made by ``store["app"]``. Each expression costs what it says: ``ns[k]``, ``ns[k] = v``, ``del ns[k]``, ``k in ns``,
    ``len(ns)`` and iteration one request each; ``copy()``, ``items()`` and ``values()`` one for all entries together.
    ``dict(ns)`` and ``{**ns}`` cost one per key, which is Python's doing: write ``ns.copy()``. ``copy.copy(ns)`` is a
    second handle on the same namespace, and sends nothing.

    Values are fresh with each read: changing what was handed out changes nothing on the server; see ``edit``. Views
    are snapshots, fetched at first use. ``KeyNotFound`` is a ``KeyError`` and means that the server said so: an outage
    never looks like an absent key.

    ``store.namespace(name, model=Settings)`` is a ``Namespace[Settings]``: what it gives are instances, and what it
    takes, too. Stored values that do not fit are ``Unfit``.
    """

    def watch(self, *, every: float = 30.0, keys: Iterable[str] | None = None) -> Watch[V]:
        """What changes from now on, in the whole namespace or in these keys: ``for change in ns.watch(): ...``.

        Each ``change`` has a ``.kind`` (``"added"``, ``"changed"``, ``"removed"``), ``.key``, ``.old`` and ``.new``.
        Looks every so many seconds, for one bulk read, past the cache, and compares values, for a server does not
        change an entry's date when it is updated; what is there for less than that long may be missed. It goes on until
        its ``close()`` is called, or something else than an outage is raised; outages are told in the log.
        """
        wanted = None if keys is None else list(keys)

        def look() -> dict[str, Any]:
            if wanted is None:
                return self._datastore.get_all(self._name, user=self._is_user)
            return self._datastore.get_many(self._name, wanted, user=self._is_user)

        return Watch(f"{self._store._kind}/{self._name}", look, self._loaded, every)

    # --- writing ------------------------------------------------------------------------------------------------------

    def __setitem__(self, key: str, value: V) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        with self._writing(key):
            self._datastore.delete(self._name, key, user=self._is_user)

    def set(self, key: str, value: V, *, encrypt: bool = False) -> None:
        """Create or update an entry, encrypted on request; see ``Datastore.set``."""
        self._set(key, self._dumped({key: value})[key], encrypt=encrypt)

    def _set(self, key: str, value: Any, *, encrypt: bool = False) -> None:
        with self._writing(key):
            self._datastore.set(
                self._name,
                key,
                value,
                encrypt=encrypt or self._encrypt,
                sharing=self._sharing,
                user=self._is_user,
            )

    def add(self, key: str, value: V) -> bool:
        """Create an entry, atomically; one request. False when there is one, which stays as it is."""
        stored = self._dumped({key: value})[key]
        with self._writing(key):
            try:
                self._datastore.create(
                    self._name, key, stored, encrypt=self._encrypt, sharing=self._sharing, user=self._is_user
                )
            except errors.KeyExists:
                return False
        return True

    def setdefault(self, key: str, default: V = None) -> V:  # type: ignore[assignment]  # as dict's
        """The value of an entry, which is created from the default when absent; one request, or two.

        Never overwrites a racing writer: then that one's value is returned, for a third request.
        """
        self._datastore.check_writable()
        self._dumped({key: default})  # what does not fit is refused whether it is needed or not
        for _ in range(2):
            try:
                return self._loaded(key, self._datastore.get(self._name, key, user=self._is_user))
            except errors.KeyNotFound:
                if self.add(key, default):
                    return default
        return self._loaded(key, self._datastore.get(self._name, key, user=self._is_user))

    @overload
    def pop(self, key: str) -> V: ...
    @overload
    def pop(self, key: str, default: V) -> V: ...
    @overload
    def pop(self, key: str, default: D) -> V | D: ...

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Remove an entry and return its value, or the default when it is absent; two requests.

        Who writes between the two is not heard: the value returned is the one that was read.
        """
        self._datastore.check_writable()
        try:
            value = self._loaded(key, self._datastore.get(self._name, key, user=self._is_user))
            del self[key]
        except (errors.KeyNotFound, errors.InvalidKey):
            if default is _MISSING:
                raise
            return default
        return value

    def popitem(self) -> tuple[str, V]:
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
        self.set_many(dict(as_dict(other) if isinstance(other, Mapping) else other, **entries))

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc, override]  # as dict's: takes pairs too
        self.update(other)
        return self

    def set_many(self, entries: Mapping[str, V], *, progress: Progress | None = None) -> None:
        """Create or update many entries, several at a time; one request each.

        All are checked before the first is sent. ``progress(done, total)`` is called after each. Raises ``BulkError``,
        which names what was done, what failed and why, and what was not tried.
        """
        stored = self._dumped(entries)
        with self._writing():
            self._datastore.set_many(
                self._name,
                stored,
                encrypt=self._encrypt,
                sharing=self._sharing,
                progress=progress,
                user=self._is_user,
            )

    def replace(self, entries: Mapping[str, V]) -> None:
        """Make the namespace equal to a mapping; one bulk read, then one request per difference.

        Writes come before deletes, several at a time. Raises ``BulkError`` as ``set_many`` does.
        """
        stored = self._dumped(entries)
        with self._writing():
            self._datastore.replace(
                self._name, stored, encrypt=self._encrypt, sharing=self._sharing, user=self._is_user
            )

    def delete_many(self, keys: Iterable[str]) -> None:
        """Delete many entries, several at a time; one request each. Those that are absent already count as done."""
        with self._writing():
            self._datastore.delete_many(self._name, keys, user=self._is_user)

    @contextmanager
    def edit(self, key: str, *, force: bool = False) -> Iterator[V]:
        """Change a stored dict, list or model in place: ``with ns.edit("cfg") as cfg: cfg["theme"] = "dark"``.

        Reads the value and hands it out; at the end it is written back if it changed, and not at all when the block
        raises. One request when nothing changed, else three: before writing it is read again, and ``Changed`` is
        raised if somebody else wrote meanwhile (``force=True`` skips that). That check and the write are two requests:
        a writer between them is overwritten, for the server has no conditional write.

        Of a model what does not fit is refused, and what is stored beside the members that it knows is written back.
        """
        self._datastore.check_writable()
        text = self._datastore.get_text(self._name, key, user=self._is_user)
        try:
            value, before = wire.loads(text), wire.loads(text)
        except errors.Unreadable as error:
            raise errors.Unreadable(f"the value of {self._name}/{key} is too much for Python: {error}") from error
        if self._models is None:
            if not isinstance(value, dict | list):
                raise errors.InvalidValue(f"{key!r} holds no dict or list that could be changed in place: assign to it")
            yield cast(V, value)
            after = value
        else:
            instance = self._models.load(key, value)
            known = self._models.dump(key, instance)
            yield instance
            after = self._models.edited(key, before, known, self._models.dump(key, instance))
        if wire.same(before, after):
            return
        self._datastore.dumps(after)  # what cannot be stored is refused before the server is asked
        if not force:
            try:
                now = self._datastore.get(self._name, key, user=self._is_user)
            except errors.KeyNotFound as error:
                raise errors.Changed(f"somebody else deleted {key!r} meanwhile; nothing was written") from error
            if not wire.same(now, before):
                raise errors.Changed(f"somebody else wrote {key!r} meanwhile; nothing was overwritten")
        self._set(key, after)

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
        if self._models is not None:
            raise errors.Rejected(
                f"{what} would store a part that no model has seen; nothing was sent. Use edit instead"
            )

    def _writing(self, key: str | None = None) -> AbstractContextManager[None]:
        """Around a write: what the cache holds of it is dropped at the end, also when the write failed."""
        return self._cache.writing(self._store._place(self._name, key)) if self._cache else nullcontext()

    def __reduce__(self) -> tuple[Any, ...]:
        given = (None, None) if self._models is None else self._models.given
        return _namespace, (self._store, self._name, self._encrypt, self._sharing, *given)


def _namespace(
    store: Store, name: str, encrypt: bool, sharing: Sharing | None, model: Any, models: Any
) -> Namespace[Any]:
    return store.namespace(name, encrypt=encrypt, sharing=sharing, model=model, models=models)
