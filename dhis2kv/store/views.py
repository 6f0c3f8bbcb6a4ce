"""What a view of a store or a namespace looks at; imports nothing of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Snapshot(Mapping[str, Any]):
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
