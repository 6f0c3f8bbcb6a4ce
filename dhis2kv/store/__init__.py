"""What people hold: ``Store`` maps names to namespaces, and ``Namespace`` keys to values (``namespace``).

Here since what each expression with a mapping means, and what it may cost, is decided in one place. No HTTP here: it
stands on the accessor and the cache, and may import all of the library below, and ``models``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, TypeVar, overload

import requests
from requests.auth import HTTPBasicAuth

from dhis2kv import profiles, wire
from dhis2kv.cache import Cache, CacheInfo, Place
from dhis2kv.datastore import Datastore, Sharing, no_sharing
from dhis2kv.environment import variable
from dhis2kv.models import Models
from dhis2kv.releases import Version
from dhis2kv.store.namespace import Namespace
from dhis2kv.store.prompt import offered
from dhis2kv.store.views import Keys, Snapshot
from dhis2kv.transport import MAX_BYTES, TIMEOUT, Transport

__all__ = ["Namespace", "Store"]

M = TypeVar("M")
D = TypeVar("D")

#: What ``requests`` takes to sign a request: a pair of name and password, or what changes the request.
Auth = (
    tuple[str, str] | tuple[bytes, bytes] | list[str] | Callable[[requests.PreparedRequest], requests.PreparedRequest]
)

log = logging.getLogger("dhis2kv")


class Store(Mapping[str, "Namespace[Any]"]):
    """One of the two data stores of a DHIS2 server, as a mapping of namespaces; ``store.user`` is the other.

    ::

        store = Store("https://dhis2.example.org", auth=("admin", "district"))
        store["app"]["cfg"] = {"theme": "dark"}
        store.user["app"]["cfg"] = 1

    Making one sends nothing, nor does ``store["app"]``: a namespace needs no existence, and one that does not exist
    is empty. ``"app" in store``, ``store.get("app")``, iteration and ``len()`` cost one request each. A name that no
    address leads to, which can come into the database past DHIS2, is left out of them with a warning in the log, and
    ``store.datastore.list_namespaces()`` shows it. It has no
    ``clear``, ``pop``, ``popitem``, ``update`` and ``setdefault``: a slip must not delete other people's namespaces.

    Any number of threads may use one store, and it survives a fork. It is a context manager that closes its
    connections. It can be pickled without them, **with its credentials**; one made by ``from_env`` or
    ``from_profile`` is pickled as "read that again"; with a ``session`` or an authentication object of its own it
    refuses.

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
    :param default: called with what is no JSON in a value to be stored, as by ``json.dumps``: it returns what is stored
        in its place, or raises ``TypeError``.
    """

    def __init__(
        self,
        url: str,
        auth: Auth | None = None,
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
        default: Callable[[Any], Any] | None = None,
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
        accessor = {"workers": workers, "read_back": read_back, "read_only": read_only, "default": default}
        self.datastore = Datastore(Transport(url, auth, **http), **accessor)  # type: ignore[arg-type]  # by name
        self._cache = Cache(ttl) if ttl is not None else cache
        self._account: Any = account
        self._origin: tuple[Any, ...] | None = None
        self._shared = self
        self._user: Self | None = None
        self._is_user = False
        self._whose: str | None = None
        self._recipe: tuple[Callable[..., Store], tuple[Any, ...]] = (
            _made,
            (type(self), url, auth, {**http, **accessor, "cache": self._cache, "account": account, "verify": verify}),
        )
        self._opaque = session is not None or not isinstance(auth, tuple | list | HTTPBasicAuth | None)

    @classmethod
    def from_env(cls, **options: Any) -> Self:
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
        auth = (name, password) if name and password and not token else None
        store = cls(url, auth, token=token, **options)
        store._recipe = (_made_from_env, (cls, options))
        return store

    @classmethod
    def from_profile(cls, name: str | None = None, **options: Any) -> Self:
        """A store on the server and as the account of a profile, with the options of ``Store``; sends nothing.

        Without a name: the profile that ``DHIS2_PROFILE`` names; else what ``from_env`` reads, where ``DHIS2_URL`` is
        set; else the default profile. Profiles are made with ``dhis2kv profile add``; where their file is and what
        stands in it, ``help("dhis2kv.profiles")`` says. Raises ``ValueError`` when there is no such profile, when its
        file cannot be used, and for a name without a password.
        """
        profile = profiles.find(name)
        store = cls(profile.url, **{**profile.options(), **options})
        store._recipe = (_made_from_profile, (cls, name, options))
        return store

    @property
    def user(self) -> Self:
        """The account's own store (``userDataStore``), over the same connections and cache."""
        if self._is_user:
            return self
        if self._user is None:
            twin = object.__new__(type(self))
            twin.__dict__.update(self.__dict__, _is_user=True, _origin=None)
            self._user = twin
        return self._user

    def of(self, username: str) -> Self:
        """The own store (``userDataStore``) of another account, over the same connections, for superusers.

        Sends nothing; its first call costs two requests more. Raises ``Rejected`` then where the server is older than
        2.38.1, which would answer with one's own data, where the account is no superuser, and where there is no account
        of that name. A cache keeps what it holds of it apart.
        """
        twin = object.__new__(type(self))
        accessor = self._shared.datastore.of(username)
        twin.__dict__.update(
            self._shared.__dict__, datastore=accessor, _is_user=True, _origin=None, _user=None, _whose=username
        )
        return twin

    @property
    def version(self) -> Version:
        """The server's version, which compares like a tuple of numbers; one request, the first time."""
        return self.datastore.version()

    @overload
    def namespace(
        self, name: str, *, encrypt: bool = ..., sharing: Sharing | None = ..., model: type[M], models: None = ...
    ) -> Namespace[M]: ...
    @overload
    def namespace(
        self,
        name: str,
        *,
        encrypt: bool = ...,
        sharing: Sharing | None = ...,
        model: tuple[Callable[[Any], M], Callable[[M], Any]],
        models: None = ...,
    ) -> Namespace[M]: ...
    @overload
    def namespace(
        self,
        name: str,
        *,
        encrypt: bool = ...,
        sharing: Sharing | None = ...,
        model: Any = ...,
        models: Mapping[str, Any] | None = ...,
    ) -> Namespace[Any]: ...

    def namespace(
        self,
        name: str,
        *,
        encrypt: bool = False,
        sharing: Sharing | None = None,
        model: Any = None,
        models: Mapping[str, Any] | None = None,
    ) -> Namespace[Any]:
        """A namespace; sends nothing. Raises ``InvalidKey`` for a name that no server can hold.

        With ``encrypt=True`` all that is written through it is stored encrypted. What is created through it gets the
        ``sharing``, before its value is there, as ``Datastore.set`` says; what is there already keeps its own.
        ``store.user`` has no sharing, and raises ``Rejected``.

        :param model: what its values are: anything that pydantic's ``TypeAdapter`` takes (the extra ``models``), or a
            pair of functions, ``load`` from a JSON value and ``dump`` to one.
        :param models: the same for some of its keys, as in ``{"cfg": Settings, "log": list[Run]}``; without ``model``
            the values of the others are JSON.
        """
        if sharing is not None and self._is_user:
            raise no_sharing()
        found = None if model is None and models is None else Models(name, model, models)
        return Namespace(self, wire.check_name(name, "namespace"), encrypt=encrypt, sharing=sharing, models=found)

    def protections(self) -> list[dict[str, Any]] | None:
        """The protected namespaces, as the server tells them; None before 2.42. See ``Datastore.protections``."""
        if self._is_user:
            raise no_sharing()
        return self.datastore.protections()

    def __getitem__(self, name: str) -> Namespace[Any]:
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

    @overload
    def get(self, name: str) -> Namespace[Any] | None: ...
    @overload
    def get(self, name: str, default: Namespace[Any] | D) -> Namespace[Any] | D: ...

    def get(self, name: str, default: Any = None) -> Any:
        """The namespace if it exists, else the default; one request."""
        return self[name] if name in self else default  # noqa: SIM401 - this is that method

    def keys(self) -> KeysView[str]:
        """The names, sorted; one request at first use."""
        return Keys(Snapshot(self._all))

    def values(self) -> ValuesView[Namespace[Any]]:
        """The namespaces; one request at first use."""
        return ValuesView(Snapshot(self._all))

    def items(self) -> ItemsView[str, Namespace[Any]]:
        """Names and namespaces; one request at first use."""
        return ItemsView(Snapshot(self._all))

    def _all(self) -> dict[str, Namespace[Any]]:
        return {name: self[name] for name in self._names()}

    def _names(self) -> list[str]:
        def fetch() -> list[str]:
            return self.datastore.list_namespaces(user=self._is_user)

        names = self._cache.listing(self._place(), fetch) if self._cache else fetch()
        impossible = [name for name in names if not wire.can_be_held(name)]
        if impossible:
            log.warning("left out namespaces of %s that no address leads to: %r", self._kind, impossible)
        return [name for name in names if name not in impossible] if impossible else names

    __eq__ = object.__eq__  # two stores are never the same mapping by accident
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        account = self.datastore.transport.account
        return (
            f"<{type(self).__name__} {self.datastore.transport.base} {self._kind}{f' as {account}' if account else ''}>"
        )

    @property
    def _kind(self) -> str:
        return (wire.USER if self._is_user else wire.SHARED) if self._whose is None else f"{wire.USER} of {self._whose}"

    def _place(self, namespace: str | None = None, key: str | None = None) -> Place:
        """Where the cache keeps a record: under server, account and store."""
        if self._origin is None:  # looked up once: it would be a third of a cached read
            self._origin = (self.datastore.transport.base, self._shared._who(), self._kind)
        return tuple.__new__(Place, (self._origin, namespace, key))  # as Place(...) does, for a tenth of a cached read

    def _who(self) -> Any:
        """The account; where nothing tells it, the server is asked once if machines share the cache."""
        if self._account is None:
            self._account = self.datastore.transport.account
        if self._account is None:
            shared = self._cache is not None and self._cache.backend is not None
            self._account = self.datastore.account()["id"] if shared else object()
        return self._account

    def _ipython_key_completions_(self) -> list[str]:
        """The namespaces, for the tab key at IPython's prompt and in notebooks; none if they take long."""
        return offered(self._names)

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._opaque:
            raise TypeError("a store with a session or an authentication object of its own cannot be pickled")
        return _restored, (self._is_user, self._whose, *self._recipe)


def _made(cls: type[Store], url: str, auth: Any, options: dict[str, Any]) -> Store:
    return cls(url, auth, **options)


def _made_from_env(cls: type[Store], options: dict[str, Any]) -> Store:
    return cls.from_env(**options)


def _made_from_profile(cls: type[Store], name: str | None, options: dict[str, Any]) -> Store:
    return cls.from_profile(name, **options)


def _restored(is_user: bool, whose: str | None, make: Callable[..., Store], arguments: tuple[Any, ...]) -> Store:
    store = make(*arguments)
    if whose is not None:
        return store.of(whose)
    return store.user if is_user else store
