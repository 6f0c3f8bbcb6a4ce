"""Adapters: one small module per framework, which is imported with the module and not before.

Here since frameworks change without us: what one of them takes and does is known in its module and nowhere else. They
may import the library and ``config``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from dhis2kv.store import Store


def opened(source: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """A mapping as it is, or the namespace of this name in ``Store.from_env()``; sends nothing."""
    return _store()[source] if isinstance(source, str) else source


@cache
def _store() -> Store:
    """One store for all adapters, for a sign-in is the dearest of all requests."""
    return Store.from_env()
