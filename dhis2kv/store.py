"""What people hold: ``Store`` maps names to namespaces, ``Namespace`` maps keys to values."""

from __future__ import annotations

import os
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import requests
from requests.auth import HTTPBasicAuth

from dhis2kv import errors, wire
from dhis2kv.cache import Cache, CacheInfo, Place
from dhis2kv.datastore import Datastore, Progress
from dhis2kv.transport import MAX_BYTES, TIMEOUT, Transport

_MISSING: Any = object()


class Store(Mapping[str, "Namespace"]):
    """One of the two data stores of a DHIS2 server, as a mapping of namespaces; ``store.user`` is the other.

    ::

        store = Store("https://dhis2.example.org", auth=("admin", "district"))
        store["app"]["cfg"] = {"theme": "dark"}
        store.user["app"]["cfg"] = 1

    Making one sends nothing, nor does ``store["app"]``: a namespace needs no existence, and one that does not exist
    is empty. ``"app" in store``, ``store.get("app")``, iteration and ``len()`` cost one request each. It has no
    ``clear``, ``pop``, ``popitem``, ``update`` and ``setdefault``: a slip must not delete other people's namespaces.

    Any number of threads may use one store, and it survives a fork. It is a context manager that closes its
    connections. It can be pickled without them, **with its credentials**; one made by ``from_env`` is pickled as "read
    the environment again"; with a ``session`` or an authentication object of its own it refuses.

    :param url: the server; it may end in ``/api``, ``/api/NN`` or a slash, have a context path, and hold credentials.
    :param auth: anything that ``requests`` takes; a pair is name and password.
    :param token: a DHIS2 personal access token.
    :param timeout: seconds: for the whole call; or a pair (to connect, between two bytes); or a triple with the time
        for the whole call, repeats included, as its third. The default is (5, 30, 120).
    :param retries: how often a call is repeated at most where that cannot change its outcome.
    :param verify, cert, proxies: as in ``requests``, whose environment variables count; read once, here.
    :param max_bytes: the largest reply taken, in bytes; ``ServerError`` for a larger one.
    :param session: a ``requests.Session`` whose adapters, headers, proxies and certificates are used.
    :param ttl: seconds for which what was read is not read again; short for ``cache=Cache(ttl)``.
    :param cache: a ``Cache``; nothing is cached without it or ``ttl``.
    :param account: the account's name, for the keys of a cache shared between machines where a token does not tell it.
    :param workers: how many requests ``update``, ``set_many`` and the like have under way at a time.
    :param read_back: read each value back after writing it, for one request more; ``NotStored`` where it is not there.
    :param read_only: refuse every write with ``ReadOnly``, before a request.
    """

    def __init__(
        self,
        url: str,
        auth: Any = None,
        *,
        token: str | None = None,
        timeout: float | tuple[float, float] | tuple[float, float, float] = TIMEOUT,
        retries: int = 3,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        proxies: dict[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
        session: requests.Session | None = None,
        ttl: float | None = None,
        cache: Cache | None = None,
        account: str | None = None,
        workers: int = 4,
        read_back: bool = False,
        read_only: bool = False,
    ) -> None:
        if ttl is not None and cache is not None:
            raise ValueError("give ttl or cache, not both: Cache(ttl=...) takes it")
        http = {
            "token": token,
            "timeout": timeout,
            "retries": retries,
            "verify": None if session is not None and verify is True else verify,  # then the session says
            "cert": cert,
            "proxies": proxies,
            "max_bytes": max_bytes,
            "session": session,
        }
        accessor = {"workers": workers, "read_back": read_back, "read_only": read_only}
        self.datastore = Datastore(Transport(url, auth, **http), **accessor)  # type: ignore[arg-type]  # by name
        self._cache = Cache(ttl) if ttl is not None else cache
        self._account: Any = account
        self._origin: tuple[Any, ...] | None = None
        self._shared = self
        self._user: Store | None = None
        self._is_user = False
        self._recipe: tuple[Callable[..., Store], tuple[Any, ...]] = (
            _made,
            (type(self), url, auth, {**http, **accessor, "cache": self._cache, "account": account, "verify": verify}),
        )
        self._opaque = session is not None or not isinstance(auth, tuple | list | HTTPBasicAuth | None)

    @classmethod
    def from_env(cls, **options: Any) -> Store:
        """A store as the environment says, with the options of ``Store``; sends nothing.

        Reads ``DHIS2_URL``, and ``DHIS2_PAT`` or ``DHIS2_USERNAME`` and ``DHIS2_PASSWORD``; for each, a variable with
        ``_FILE`` at its end may name a file that holds it. An empty variable is as none; a token counts rather than a
        password. Raises ``ValueError`` for what is missing or said twice, ``OSError`` for a file that cannot be read.
        """
        url, token, name, password = map(variable, ("DHIS2_URL", "DHIS2_PAT", "DHIS2_USERNAME", "DHIS2_PASSWORD"))
        if not url:
            raise ValueError("set DHIS2_URL to the server's address, like https://dhis2.example.org")
        if not token and (name is None) != (password is None):
            raise ValueError("set both DHIS2_USERNAME and DHIS2_PASSWORD, or DHIS2_PAT instead")
        auth = (name, password) if name and not token else None
        store = cls(url, auth, token=token, **options)
        store._recipe = (_made_from_env, (cls, options))
        return store

    @property
    def user(self) -> Store:
        """The account's own store (``userDataStore``), over the same connections and cache."""
        if self._is_user:
            return self
        if self._user is None:
            twin = object.__new__(type(self))
            twin.__dict__.update(self.__dict__, _is_user=True, _origin=None)
            self._user = twin
        return self._user

    def namespace(self, name: str, *, encrypt: bool = False) -> Namespace:
        """A namespace; with ``encrypt=True`` all that is written through it is stored encrypted. Sends nothing.

        Raises ``InvalidKey`` for a name that no server can hold.
        """
        return Namespace(self, wire.check_name(name, "namespace"), encrypt=encrypt)

    def __getitem__(self, name: str) -> Namespace:
        return self.namespace(name)

    def __setitem__(self, name: str, entries: Mapping[str, Any]) -> None:
        """Make the namespace equal to a mapping; see ``Namespace.replace``."""
        if isinstance(entries, Namespace) and entries.is_same_place(self[name]):
            return  # what `store["app"] |= {...}` ends with; the update is done
        self[name].replace(entries)

    def __delitem__(self, name: str) -> None:
        """Delete the namespace with all its entries; one request. Raises ``KeyNotFound`` when there is none."""
        namespace = self[name]
        with namespace._writing():
            self.datastore.delete_namespace(name, user=self._is_user)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            raise TypeError(f"a namespace is a str, not {type(name).__name__}")
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def get(self, name: str, default: Any = None) -> Any:
        """The namespace if it exists, else the default; one request."""
        return self[name] if name in self else default  # noqa: SIM401 - this is that method

    def keys(self) -> KeysView[str]:
        """The names, sorted; one request at first use."""
        return KeysView(_Snapshot(self._all))

    def values(self) -> ValuesView[Namespace]:
        """The namespaces; one request at first use."""
        return ValuesView(_Snapshot(self._all))

    def items(self) -> ItemsView[str, Namespace]:
        """Names and namespaces; one request at first use."""
        return ItemsView(_Snapshot(self._all))

    def _all(self) -> dict[str, Namespace]:
        return {name: self[name] for name in self._names()}

    def _names(self) -> list[str]:
        def fetch() -> list[str]:
            return self.datastore.list_namespaces(user=self._is_user)

        return self._cache.listing(self._place(), fetch) if self._cache else fetch()

    __eq__ = object.__eq__  # two stores are never the same mapping by accident
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.datastore.transport.base} {self._kind}>"

    @property
    def _kind(self) -> str:
        return wire.USER if self._is_user else wire.SHARED

    def _place(self, namespace: str | None = None, key: str | None = None) -> Place:
        """Where the cache keeps a record: under server, account and store."""
        if self._origin is None:  # looked up once: it would be a third of a cached read
            self._origin = (self.datastore.transport.base, self._shared._who(), self._kind)
        return Place(self._origin, namespace, key)

    def _who(self) -> Any:
        """The account; where nothing tells it, the server is asked once if machines share the cache."""
        if self._account is None:
            self._account = self.datastore.transport.account
        if self._account is None:
            shared = self._cache is not None and self._cache.backend is not None
            self._account = self.datastore.account()["id"] if shared else object()
        return self._account

    def refresh(self) -> None:
        """Forget what the cache holds of this store, so that the next reads ask the server; sends nothing."""
        if self._cache:
            self._cache.drop(self._place())

    def cache_info(self) -> CacheInfo:
        """Hits, misses, maxsize and currsize of the cache, the sizes in bytes; zeros where there is none."""
        return self._cache.info() if self._cache else CacheInfo(0, 0, 0, 0)

    def close(self) -> None:
        """Close the connections; the store can be used again, and then opens new ones."""
        self.datastore.transport.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._opaque:
            raise TypeError("a store with a session or an authentication object of its own cannot be pickled")
        return _restored, (self._is_user, *self._recipe)


class Namespace(MutableMapping[str, Any]):
    """The entries of one namespace, as a mapping of keys to JSON values; keys come sorted by code point.

    Made by ``store["app"]``. Each expression costs what it says: ``ns[k]``, ``ns[k] = v``, ``del ns[k]``, ``k in ns``,
    ``len(ns)`` and iteration one request each; ``copy()``, ``items()`` and ``values()`` one for all entries together.
    ``dict(ns)`` and ``{**ns}`` cost one per key, which is Python's doing: write ``ns.copy()``.

    Values are fresh with each read: changing what was handed out changes nothing on the server; see ``edit``. Views
    are snapshots, fetched at first use. ``KeyNotFound`` is a ``KeyError`` and means that the server said so: an outage
    never looks like an absent key.
    """

    def __init__(self, store: Store, name: str, *, encrypt: bool = False) -> None:
        self._store, self._name, self._encrypt = store, name, encrypt
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
        return KeysView(_Snapshot(lambda: dict.fromkeys(self._keys())))

    def values(self) -> ValuesView[Any]:
        """The values, in the order of their keys; a snapshot, one bulk read at first use."""
        return ValuesView(_Snapshot(self.copy))

    def items(self) -> ItemsView[str, Any]:
        """Keys and values; a snapshot, one bulk read at first use."""
        return ItemsView(_Snapshot(self.copy))

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
            self._datastore.set(self._name, key, value, encrypt=encrypt or self._encrypt, user=self._is_user)

    def add(self, key: str, value: Any) -> bool:
        """Create an entry, atomically; one request. False when there is one, which stays as it is."""
        with self._writing(key):
            try:
                self._datastore.create(self._name, key, value, encrypt=self._encrypt, user=self._is_user)
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
                self._name, _dict(entries), encrypt=self._encrypt, progress=progress, user=self._is_user
            )

    def replace(self, entries: Mapping[str, Any]) -> None:
        """Make the namespace equal to a mapping; one bulk read, then one request per difference.

        Writes come before deletes, several at a time. Raises ``BulkError`` as ``set_many`` does.
        """
        with self._writing():
            self._datastore.replace(self._name, _dict(entries), encrypt=self._encrypt, user=self._is_user)

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
            self._datastore.roll(self._name, key, value, keep, user=self._is_user)

    def _check_plain(self, what: str) -> None:
        if self._encrypt:
            raise errors.Rejected(f"{what} would store its part unencrypted; nothing was sent. Use edit instead")

    def _writing(self, key: str | None = None) -> AbstractContextManager[None]:
        """Around a write: what the cache holds of it is dropped at the end, also when the write failed."""
        return self._cache.writing(self._store._place(self._name, key)) if self._cache else nullcontext()

    def __reduce__(self) -> tuple[Any, ...]:
        return _namespace, (self._store, self._name, self._encrypt)


class _Snapshot(Mapping[str, Any]):
    """A mapping that is loaded at first use, once: what a view looks at."""

    def __init__(self, load: Callable[[], dict[str, Any]]) -> None:
        self._load = load
        self._data: dict[str, Any] | None = None

    def _loaded(self) -> dict[str, Any]:
        if self._data is None:
            self._data = self._load()
        return self._data

    def __getitem__(self, key: str) -> Any:
        return self._loaded()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded())

    def __len__(self) -> int:
        return len(self._loaded())

    def __repr__(self) -> str:
        return repr(self._data) if self._data is not None else "<not fetched yet>"


_GONE: Any = object()


def _dict(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping as a dict: a namespace in one request instead of one per key."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"a mapping of keys to values is needed, not {type(mapping).__name__}")
    return mapping.copy() if isinstance(mapping, Namespace) else dict(mapping)


def variable(name: str) -> str | None:
    """What an environment variable says, or the file that ``NAME_FILE`` names; None for nothing, or an empty text."""
    value, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value and path:
        raise ValueError(f"set {name} or {name}_FILE, not both")
    if path:
        try:
            value = Path(path).read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"the file that {name}_FILE names is not UTF-8 text") from error
    return value or None


def _made(cls: type[Store], url: str, auth: Any, options: dict[str, Any]) -> Store:
    return cls(url, auth, **options)


def _made_from_env(cls: type[Store], options: dict[str, Any]) -> Store:
    return cls.from_env(**options)


def _restored(is_user: bool, make: Callable[..., Store], arguments: tuple[Any, ...]) -> Store:
    store = make(*arguments)
    return store.user if is_user else store


def _namespace(store: Store, name: str, encrypt: bool) -> Namespace:
    return store.namespace(name, encrypt=encrypt)
