"""A backend for django-constance: ``CONSTANCE_BACKEND = "dhis2kv.contrib.constance.MappingBackend"``.

``CONSTANCE_DHIS2KV`` in the settings is the name of a namespace in the store that the environment describes (see
``Store.from_env``), or any mutable mapping. django-constance asks its backend at each look at a setting: give a
namespace of a ``Store`` with a ``ttl``, and most looks cost no request.

Here since django-constance writes, too, and its settings are of types that JSON has not.
"""
# mypy: disable-error-code="import-untyped, import-not-found, misc"
# django-constance has no types, so that its classes are Any.

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from asgiref.sync import sync_to_async
from constance import codecs, config, signals
from constance.backends import Backend
from django.conf import settings

from dhis2kv.config import entries
from dhis2kv.contrib import opened


class MappingBackend(Backend):
    """Settings in a namespace: plain JSON where JSON can say it, else (dates, decimals...) in constance's own form."""

    def __init__(self) -> None:
        self._entries: Any = opened(settings.CONSTANCE_DHIS2KV)

    def get(self, key: str) -> Any:
        """A value, or None; one request. ``ValueError`` names an entry in a form that django-constance has not."""
        return _decoded(key, self._entries.get(key))

    def mget(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those keys that are there; one request."""
        return {key: _decoded(key, value) for key, value in entries(self._entries, keys).items()}

    def set(self, key: str, value: Any) -> None:
        """Store a value and send constance's signal, which tells the old one; two requests."""
        before = self.get(key)
        self._entries[key] = _encoded(value)
        signals.config_updated.send(sender=config, key=key, old_value=before, new_value=value)

    async def aget(self, key: str) -> Any:
        """As ``get``."""
        return await sync_to_async(self.get)(key)

    async def amget(self, keys: Iterable[str]) -> dict[str, Any]:
        """As ``mget``."""
        return await sync_to_async(self.mget)(keys)

    async def aset(self, key: str, value: Any) -> None:
        """As ``set``."""
        await sync_to_async(self.set)(key, value)


def _encoded(value: Any) -> Any:
    form = json.loads(codecs.dumps(value))
    return form["__value__"] if form["__type__"] == codecs.DEFAULT_DISCRIMINATOR else form


def _decoded(key: str, value: Any) -> Any:
    """What a stored value means: JSON, or one of the types that django-constance knows; nothing is ever unpickled."""
    try:
        return codecs.loads(json.dumps(value))
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:  # what its types raise
        raise ValueError(
            f"django-constance cannot read what the entry {key!r} holds ({error}); store it anew"
        ) from error
