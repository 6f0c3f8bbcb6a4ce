"""The flat accessor for asyncio programs: the same names and signatures, awaitable; imports the library.

Here since a call that blocks must not hold up an event loop: it runs in a thread, and does what the accessor does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Literal, overload

from dhis2kv.datastore import Datastore, Progress
from dhis2kv.releases import Version
from dhis2kv.store import Store
from dhis2kv.wire import Query
from dhis2kv.wire.conditions import Condition
from dhis2kv.wire.sharing import Metadata, Sharing


class AsyncDatastore:
    """Both data stores of one server, awaitable; ``user=True`` means the account's own ``userDataStore``.

    ::

        datastore = AsyncDatastore(store)
        await datastore.set("app", "cfg", {"theme": "dark"})
        cfg, keys = await asyncio.gather(datastore.get("app", "cfg"), datastore.list_keys("app"))

    Each method is the one of that name of ``Datastore``, which says what it returns, raises and costs. It runs in a
    worker thread of the event loop, so that some calls go on at a time and the others wait for a thread; a
    ``progress`` is called there, and ``keys`` are taken there. Nothing is cached, and the cache of a store does not
    hear of what is written here.

    Cancelling a call (``task.cancel()``, ``asyncio.timeout``) ends the waiting, not the call: one that had no thread
    yet is never sent; one that was under way goes on to its end in its thread, which reads the answer and gives the
    connection back whole. So a write that was under way may still take place, later than what is written next, and
    ``set_many``, ``replace`` and ``delete_many`` go on with all their entries. Nobody hears of its outcome: read back
    what it should have written. ``asyncio.run`` waits at its end for what is still under way.

    ``async with`` closes the connections at its end; the next call opens new ones.

    :param datastore: a ``Datastore``, or the ``Store`` whose one is used (``store`` and ``store.user`` have the same).
    """

    def __init__(self, datastore: Datastore | Store) -> None:
        self._datastore = datastore.datastore if isinstance(datastore, Store) else datastore

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._datastore!r}>"

    async def __aenter__(self) -> AsyncDatastore:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._datastore.transport.close)

    def of(self, username: str) -> AsyncDatastore:
        """The same accessor, whose ``user=True`` is the own store of another account; for superusers. Sends nothing."""
        return AsyncDatastore(self._datastore.of(username))

    # --- what the reference client has --------------------------------------------------------------------------------

    async def list_namespaces(self, *, user: bool = False) -> list[str]:
        """The names of all namespaces, sorted by code point; one request."""
        return await asyncio.to_thread(self._datastore.list_namespaces, user=user)

    async def list_keys(self, namespace: str, *, user: bool = False) -> list[str]:
        """The keys of a namespace, sorted by code point; one request."""
        return await asyncio.to_thread(self._datastore.list_keys, namespace, user=user)

    async def get(self, namespace: str, key: str, *, user: bool = False) -> Any:
        """The value of an entry; one request. Raises ``KeyNotFound`` when it is absent."""
        return await asyncio.to_thread(self._datastore.get, namespace, key, user=user)

    async def get_text(self, namespace: str, key: str, *, user: bool = False) -> str:
        """The JSON text of an entry, as the server spells it just now; one request."""
        return await asyncio.to_thread(self._datastore.get_text, namespace, key, user=user)

    async def exists(self, namespace: str, key: str, *, user: bool = False) -> bool:
        """Whether an entry exists, without moving its value; one request."""
        return await asyncio.to_thread(self._datastore.exists, namespace, key, user=user)

    async def set(
        self,
        namespace: str,
        key: str,
        value: Any,
        *,
        user: bool = False,
        encrypt: bool = False,
        sharing: Sharing | None = None,
    ) -> None:
        """Create or update an entry; one request, two for a new key before 2.38.5, 2.39.3 and 2.40.1."""
        how: dict[str, Any] = {"user": user, "encrypt": encrypt, "sharing": sharing}
        await asyncio.to_thread(self._datastore.set, namespace, key, value, **how)

    async def delete(self, namespace: str, key: str, *, user: bool = False) -> None:
        """Delete an entry; one request. Raises ``KeyNotFound`` when it is absent."""
        await asyncio.to_thread(self._datastore.delete, namespace, key, user=user)

    async def delete_namespace(self, namespace: str, *, user: bool = False) -> None:
        """Delete a namespace with all its entries; one request."""
        await asyncio.to_thread(self._datastore.delete_namespace, namespace, user=user)

    # --- what goes beyond it ------------------------------------------------------------------------------------------

    async def create(
        self,
        namespace: str,
        key: str,
        value: Any,
        *,
        user: bool = False,
        encrypt: bool = False,
        sharing: Sharing | None = None,
    ) -> None:
        """Create an entry, atomically; one request. Raises ``KeyExists`` when there is one, which stays as it is."""
        how: dict[str, Any] = {"user": user, "encrypt": encrypt, "sharing": sharing}
        await asyncio.to_thread(self._datastore.create, namespace, key, value, **how)

    async def patch(self, namespace: str, key: str, path: str, value: Any, *, user: bool = False) -> None:
        """Set the member at a dotted path of a value, atomically; three requests, on servers from 2.41 on."""
        await asyncio.to_thread(self._datastore.patch, namespace, key, path, value, user=user)

    async def roll(
        self,
        namespace: str,
        key: str,
        value: Any,
        keep: int,
        *,
        user: bool = False,
        sharing: Sharing | None = None,
    ) -> None:
        """Append to a list, atomically, and keep its last items; two or three requests, on servers from 2.41 on."""
        await asyncio.to_thread(self._datastore.roll, namespace, key, value, keep, user=user, sharing=sharing)

    # --- who may read it ----------------------------------------------------------------------------------------------

    async def metadata(self, namespace: str, key: str) -> Metadata:
        """What the shared store knows about an entry: its dates, who made it, who may read it; one request, or more."""
        return await asyncio.to_thread(self._datastore.metadata, namespace, key)

    async def sharing(self, namespace: str, key: str) -> Sharing:
        """Who may read and write an entry of the shared store; one request, or more."""
        return await asyncio.to_thread(self._datastore.sharing, namespace, key)

    async def share(
        self,
        namespace: str,
        key: str,
        *,
        public: str | None = None,
        users: Mapping[str, str] | None = None,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        """Change who may read and write an entry: the parts that are given, each as a whole; three requests or more."""
        await asyncio.to_thread(self._datastore.share, namespace, key, public=public, users=users, groups=groups)

    async def share_many(
        self,
        namespace: str,
        keys: Iterable[str],
        *,
        public: str | None = None,
        users: Mapping[str, str] | None = None,
        groups: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Change who may read and write many entries, as ``share`` does, several at a time."""
        how: dict[str, Any] = {"public": public, "users": users, "groups": groups, "progress": progress}
        await asyncio.to_thread(self._datastore.share_many, namespace, keys, **how)

    async def known(self, sharing: Sharing) -> tuple[Sharing, list[str]]:
        """The part of a sharing whose users and groups exist on this server, and of each other one a sentence."""
        return await asyncio.to_thread(self._datastore.known, sharing)

    # --- many entries -------------------------------------------------------------------------------------------------

    @overload
    async def get_all(self, namespace: str, *, user: bool = ..., texts: Literal[True]) -> dict[str, str]: ...
    @overload
    async def get_all(self, namespace: str, *, user: bool = ..., texts: Literal[False] = ...) -> dict[str, Any]: ...

    async def get_all(self, namespace: str, *, user: bool = False, texts: bool = False) -> dict[str, Any]:
        """Every entry of a namespace, ``{key: value}`` sorted by key; one request, seldom more."""
        get_all: Any = self._datastore.get_all  # its overloads take no variable
        return dict(await asyncio.to_thread(get_all, namespace, user=user, texts=texts))

    @overload
    async def get_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = ..., texts: Literal[True]
    ) -> dict[str, str]: ...
    @overload
    async def get_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = ..., texts: Literal[False] = ...
    ) -> dict[str, Any]: ...

    async def get_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = False, texts: bool = False
    ) -> dict[str, Any]:
        """The entries of these keys, absent ones left out; one request per some 3,000 bytes of keys."""
        get_many: Any = self._datastore.get_many  # its overloads take no variable
        return dict(await asyncio.to_thread(get_many, namespace, keys, user=user, texts=texts))

    @overload
    async def find(
        self,
        namespace: str,
        *conditions: Condition | str,
        fields: str | Iterable[str] | None = ...,
        order: str | None = ...,
        limit: int | None = ...,
        any: bool = ...,
        user: bool = ...,
        encrypt: bool = ...,
        explain: Literal[False] = ...,
    ) -> dict[str, Any]: ...
    @overload
    async def find(
        self,
        namespace: str,
        *conditions: Condition | str,
        fields: str | Iterable[str] | None = ...,
        order: str | None = ...,
        limit: int | None = ...,
        any: bool = ...,
        user: bool = ...,
        encrypt: bool = ...,
        explain: Literal[True],
    ) -> str: ...

    async def find(
        self,
        namespace: str,
        *conditions: Condition | str,
        fields: str | Iterable[str] | None = None,
        order: str | None = None,
        limit: int | None = None,
        any: bool = False,
        user: bool = False,
        encrypt: bool = False,
        explain: bool = False,
    ) -> dict[str, Any] | str:
        """The entries that meet all conditions, ``{key: value}`` in the order asked for; one request, seldom more."""
        asked = {"fields": fields, "order": order, "limit": limit, "any": any, "explain": explain}
        find: Any = self._datastore.find  # its overloads take no variable
        found: dict[str, Any] | str
        found = await asyncio.to_thread(find, namespace, *conditions, **asked, user=user, encrypt=encrypt)
        return found

    async def query(self, namespace: str, query: Query, *, user: bool = False) -> list[dict[str, Any]]:
        """What a server with bulk reads answers to a query, as a list of objects; one request."""
        return await asyncio.to_thread(self._datastore.query, namespace, query, user=user)

    async def query_text(self, namespace: str, query: Query, *, user: bool = False) -> str:
        """The JSON text that a server with bulk reads answers to a query; one request."""
        return await asyncio.to_thread(self._datastore.query_text, namespace, query, user=user)

    async def set_many(
        self,
        namespace: str,
        entries: Mapping[str, Any],
        *,
        user: bool = False,
        encrypt: bool = False,
        sharing: Sharing | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Create or update many entries, several at a time; one request each. Raises ``BulkError``."""
        how: dict[str, Any] = {"user": user, "encrypt": encrypt, "sharing": sharing, "progress": progress}
        await asyncio.to_thread(self._datastore.set_many, namespace, entries, **how)

    async def replace(
        self,
        namespace: str,
        entries: Mapping[str, Any],
        *,
        user: bool = False,
        encrypt: bool = False,
        sharing: Sharing | None = None,
    ) -> None:
        """Make a namespace equal to a mapping; one bulk read and one request per difference."""
        how: dict[str, Any] = {"user": user, "encrypt": encrypt, "sharing": sharing}
        await asyncio.to_thread(self._datastore.replace, namespace, entries, **how)

    async def delete_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = False, progress: Progress | None = None
    ) -> None:
        """Delete many entries, several at a time; one request each."""
        await asyncio.to_thread(self._datastore.delete_many, namespace, keys, user=user, progress=progress)

    # --- the server ---------------------------------------------------------------------------------------------------

    async def version(self) -> Version:
        """The server's version, which compares like a tuple of its numbers; one request, the first time."""
        return await asyncio.to_thread(self._datastore.version)

    async def account(self) -> dict[str, Any]:
        """Who is signed in: ``{"id": ..., "username": ...}``, up to 2.37 without ``username``; one request."""
        return await asyncio.to_thread(self._datastore.account)

    async def protections(self) -> list[dict[str, Any]] | None:
        """The protected namespaces of the shared store; one request, and the version's. None before 2.42."""
        return await asyncio.to_thread(self._datastore.protections)
