"""A source for pydantic-settings: settings of a model from a namespace.

Here since a model has names and aliases for its fields, and one request should bring all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import AliasChoices, AliasPath
from pydantic_settings import BaseSettings, InitSettingsSource

from dhis2kv.config import AWAY, entries

log = logging.getLogger("dhis2kv")


class MappingSettingsSource(InitSettingsSource):
    """The settings in a namespace, or in any other mapping; return one from ``settings_customise_sources``.

    Each instance of the model costs one request, for the entries that are named like its fields, or like their aliases
    where they have some. What is absent is left to the other sources, as everything is when the mapping is empty.

    :param key: the one key that holds all settings, as an object; without it each setting has a key of its own.
    :param required: whether to fail when the server is away; with False a warning is logged and the other sources
        count alone. What the server refuses is raised in any case.
    """

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        source: Mapping[str, Any],
        *,
        key: str | None = None,
        required: bool = True,
    ) -> None:
        names = list(dict.fromkeys(_names(settings_cls)))
        try:
            found: Any = entries(source, names) if key is None else source.get(key, {})
        except AWAY as error:
            if required:
                raise
            log.warning("%s goes without its settings from the server: %s", settings_cls.__name__, error)
            found = {}
        if not isinstance(found, Mapping):
            raise ValueError(f"{key!r} holds {type(found).__name__}, not an object with the settings in it")
        super().__init__(settings_cls, {name: found[name] for name in names if name in found})


def _names(model: type[BaseSettings]) -> Iterator[str]:
    """The names under which the model takes its fields."""
    by_name = model.model_config.get("validate_by_name") or model.model_config.get("populate_by_name")
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        if alias is None or by_name:
            yield name
        for choice in alias.choices if isinstance(alias, AliasChoices) else [alias]:
            if isinstance(choice, AliasPath):
                yield str(choice.path[0])
            elif choice is not None:
                yield choice
