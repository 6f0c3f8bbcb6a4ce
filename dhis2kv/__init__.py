"""The DHIS2 data store as a dict: ``store["app"]["cfg"] = {...}``.

Here since the names that programs import stay, wherever in the library the things themselves move. It imports the
library, ``config`` and ``aio``, each name at its first use, so that importing the package costs nothing: its pytest
plugin is imported by every run of pytest where it is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dhis2kv.aio import AsyncDatastore as AsyncDatastore
    from dhis2kv.cache import Cache as Cache
    from dhis2kv.config import Config as Config
    from dhis2kv.datastore import Datastore as Datastore
    from dhis2kv.errors import BulkError as BulkError
    from dhis2kv.errors import Changed as Changed
    from dhis2kv.errors import Dhis2kvError as Dhis2kvError
    from dhis2kv.errors import Forbidden as Forbidden
    from dhis2kv.errors import InvalidKey as InvalidKey
    from dhis2kv.errors import InvalidValue as InvalidValue
    from dhis2kv.errors import KeyExists as KeyExists
    from dhis2kv.errors import KeyNotFound as KeyNotFound
    from dhis2kv.errors import NotAuthenticated as NotAuthenticated
    from dhis2kv.errors import NotStored as NotStored
    from dhis2kv.errors import ReadOnly as ReadOnly
    from dhis2kv.errors import Rejected as Rejected
    from dhis2kv.errors import ServerError as ServerError
    from dhis2kv.errors import TimedOut as TimedOut
    from dhis2kv.errors import Unaddressable as Unaddressable
    from dhis2kv.errors import Unfit as Unfit
    from dhis2kv.errors import Unreachable as Unreachable
    from dhis2kv.errors import Unreadable as Unreadable
    from dhis2kv.store import Namespace as Namespace
    from dhis2kv.store import Store as Store
    from dhis2kv.wire.conditions import where as where
    from dhis2kv.wire.query import Query as Query
    from dhis2kv.wire.sharing import Metadata as Metadata
    from dhis2kv.wire.sharing import Sharing as Sharing

_HOME = {
    "AsyncDatastore": "aio",
    "Cache": "cache",
    "Config": "config",
    "Datastore": "datastore",
    "Metadata": "wire.sharing",
    "Namespace": "store",
    "Query": "wire.query",
    "Sharing": "wire.sharing",
    "Store": "store",
    "where": "wire.conditions",
} | dict.fromkeys(
    (
        "BulkError",
        "Changed",
        "Dhis2kvError",
        "Forbidden",
        "InvalidKey",
        "InvalidValue",
        "KeyExists",
        "KeyNotFound",
        "NotAuthenticated",
        "NotStored",
        "ReadOnly",
        "Rejected",
        "ServerError",
        "TimedOut",
        "Unaddressable",
        "Unfit",
        "Unreachable",
        "Unreadable",
    ),
    "errors",
)

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
