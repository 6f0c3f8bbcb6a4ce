"""Views of a store or a namespace, and what they look at; imports how values are compared.

Here since a view is sized, searched and gone through as often as one likes, and should cost what one look costs.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from dhis2kv import wire


class Snapshot(Mapping[str, Any]):
    """A mapping that is loaded at first use, once: what a view looks at."""

    def __init__(self, load: Callable[[], dict[str, Any]]) -> None:
        self._load = load
        self._data: dict[str, Any] | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether it was used."""
        return self._data is not None

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
        try:
            return repr(self._data) if self._data is not None else "<not fetched yet: its first use asks the server>"
        except RecursionError:
            return "<too deep to be shown>"
        except ValueError:  # Python prints no number of more than 4,300 digits
            return "<a number too long to be shown>"


class Keys(KeysView[str]):
    """Keys or names, shown as what they are."""

    def __init__(self, entries: Snapshot) -> None:
        super().__init__(entries)
        self._entries = entries

    def __repr__(self) -> str:
        return f"KeysView({list(self) if self._entries.is_loaded else self._entries!r})"


class Items(ItemsView[str, Any]):
    """Keys and values of a namespace, compared as JSON: ``("k", 1)`` is not in it where ``True`` is stored."""

    def __init__(self, entries: Snapshot) -> None:
        super().__init__(entries)
        self._entries = entries

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        key, value = item
        return key in self._entries and wire.same(self._entries[key], value)


class Values(ValuesView[Any]):
    """The values of a namespace, compared as JSON."""

    def __contains__(self, value: object) -> bool:
        return any(wire.same(stored, value) for stored in self)
