"""A loader for dynaconf: ``Dynaconf(loaders=["dhis2kv.contrib.dynaconf"], DHIS2KV_FOR_DYNACONF="app")``.

``DHIS2KV_FOR_DYNACONF`` is the name of a namespace in the store that the environment describes (see
``Store.from_env``), or any mapping; it can be set per environment, as any setting. Loading costs one request; a
``Namespace`` given as the mapping costs one more, for dynaconf asks whether it is empty. What goes wrong is raised,
also where dynaconf is told to be silent: give a ``Config`` with a fallback where the server may be away.
"""

from __future__ import annotations

from typing import Any

from dhis2kv.config import entries
from dhis2kv.contrib import opened


def load(obj: Any, *_: object, **__: object) -> None:
    """Load all entries into the settings; called by dynaconf, with more than is needed here."""
    source = obj.get("DHIS2KV_FOR_DYNACONF")
    if source is None:
        raise ValueError("set DHIS2KV_FOR_DYNACONF to the name of a namespace, or to a mapping")
    obj.update(entries(opened(source)), loader_identifier="dhis2kv")
