"""What of a namespace reads: the half that is a ``Mapping``; imports the accessor, the models and the protocol.

Here since what is read goes one way, whoever asks: through the cache, and through the model.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any, Literal, overload

from dhis2kv import errors, wire
from dhis2kv.datastore import Sharing
from dhis2kv.models import Models
from dhis2kv.store.prompt import offered
from dhis2kv.store.views import Items, Keys, Snapshot, Values
from dhis2kv.wire.conditions import Condition

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # which Python itself has from 3.13 on; type checkers bring it along

    from dhis2kv.store import Store

    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar

    V = TypeVar("V")


class Entries(Mapping[str, V]):
    """What of a ``Namespace`` reads."""

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        encrypt: bool = False,
        sharing: Sharing | None = None,
        models: Models | None = None,
    ) -> None:
        self._store, self._name, self._encrypt, self._sharing, self._models = store, name, encrypt, sharing, models
        self._datastore, self._cache, self._is_user = store.datastore, store._cache, store._is_user

    @property
    def name(self) -> str:
        """The namespace's name."""
        return self._name

    def is_same_place(self, other: Entries[Any]) -> bool:
        """Whether both are the same namespace of the same store; sends nothing."""
        return self._store is other._store and self._name == other._name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r} of {self._store!r}>"

    # --- reading ------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> V:
        if self._cache is None:
            return self._loaded(key, self._datastore.get(self._name, key, user=self._is_user))
        value = self._cache.value(
            self._store._place(self._name, key),
            lambda: self._datastore._get_with_text(self._name, key, user=self._is_user),
        )
        return self._loaded(key, value)

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

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys())

    def keys(self) -> KeysView[str]:
        """The keys, sorted; a snapshot, one request at first use."""
        return Keys(Snapshot(lambda: dict.fromkeys(self._keys())))

    def values(self) -> ValuesView[V]:
        """The values, in the order of their keys; a snapshot, one bulk read at first use."""
        return Values(Snapshot(self.copy))

    def items(self) -> ItemsView[str, V]:
        """Keys and values; a snapshot, one bulk read at first use."""
        return Items(Snapshot(self.copy))

    def copy(self) -> dict[str, V]:
        """All entries as a dict; one request, and more as ``Datastore.get_all`` says.

        It comes from one statement of the server's database, so that it is consistent. {} where there is no namespace.
        An entry whose value Python cannot hold is left out, with a warning in the log.
        (``copy.copy(ns)`` is something else: a second handle on the same namespace, which sends nothing.)
        """
        return self._all_loaded(self._json())

    def _json(self) -> dict[str, Any]:
        """All entries as JSON values, without their models."""
        if self._cache is None:
            return self._datastore.get_all(self._name, user=self._is_user)
        return self._cache.entries(
            self._store._place(self._name), lambda: self._datastore.get_all(self._name, texts=True, user=self._is_user)
        )

    def get_many(self, keys: Iterable[str]) -> dict[str, V]:
        """The entries of these keys, in their order; absent ones are left out. One request per URL-full of keys."""
        if self._cache is None:
            return self._all_loaded(self._datastore.get_many(self._name, keys, user=self._is_user))
        values = self._cache.many(
            self._store._place(self._name),
            keys,
            lambda missing: self._datastore.get_many(self._name, missing, user=self._is_user, texts=True),
        )
        return self._all_loaded(values)

    @overload
    def find(
        self,
        *conditions: Condition | str,
        fields: None = ...,
        order: str | None = ...,
        limit: int | None = ...,
        any: bool = ...,
        explain: Literal[False] = ...,
    ) -> dict[str, V]: ...
    @overload
    def find(
        self,
        *conditions: Condition | str,
        fields: str | Iterable[str],
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
        Conditions are about the stored JSON, and picked fields come as JSON, also where the namespace has models.
        """
        find: Any = self._datastore.find  # its overloads take no variable
        options = {"fields": fields, "order": order, "limit": limit, "any": any, "explain": explain}
        found: dict[str, Any] | str
        found = find(self._name, *conditions, **options, user=self._is_user, encrypt=self._encrypt)
        return self._all_loaded(found) if isinstance(found, dict) and fields is None else found

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
        try:
            return wire.same(self._json(), self._dumped(other))
        except errors.Unfit:
            return False

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return self.copy() | as_dict(other) if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return as_dict(other) | self.copy() if isinstance(other, Mapping) else NotImplemented

    def _keys(self) -> list[str]:
        def fetch() -> list[str]:
            try:
                return self._datastore.list_keys(self._name, user=self._is_user)
            except errors.KeyNotFound:
                return []

        return self._cache.listing(self._store._place(self._name), fetch) if self._cache else fetch()

    def _ipython_key_completions_(self) -> list[str]:
        """The keys, for the tab key at IPython's prompt and in notebooks; none where they do not come in a moment."""
        return offered(self._keys)

    # --- models -------------------------------------------------------------------------------------------------------

    def _loaded(self, key: str, value: Any) -> V:
        loaded: V = value if self._models is None else self._models.load(key, value)
        return loaded

    def _all_loaded(self, values: dict[str, Any]) -> dict[str, V]:
        return values if self._models is None else self._models.load_all(values)

    def _dumped(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values to be stored, or compared, as JSON; raises ``Unfit`` for those that do not fit their models."""
        if isinstance(values, Entries):
            return values._json()
        return as_dict(values) if self._models is None else self._models.dump_all(as_dict(values))


def as_dict(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping as a dict: a namespace in one request instead of one per key."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"a mapping of keys to values is needed, not {type(mapping).__name__}")
    return mapping.copy() if isinstance(mapping, Entries) else dict(mapping)
