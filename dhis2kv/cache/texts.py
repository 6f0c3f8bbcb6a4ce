"""The texts that a cache keeps, and the values in them; imports the errors and the protocol.

Here since a text is read once with care, when it comes, and from then on as fast as can be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dhis2kv import errors, wire
from dhis2kv.cache.records import Place

# A third of what json.loads costs for a short text; typeshed does not know it.
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def value_of(text: str) -> Any:
    """The value of a text that was read before, new each time."""
    try:
        return _scan(text, 0)[0]
    except RecursionError:
        return wire.loads(text)


def values_of(texts: Mapping[str, str]) -> dict[str, Any]:
    """The values of these texts, new each time; raises ``ValueError`` where one cannot be read."""
    try:
        return dict(zip(texts, json.loads(f"[{','.join(texts.values())}]"), strict=True))  # faster than one by one
    except RecursionError:
        return {key: wire.loads(text) for key, text in texts.items()}


def read_text(text: str, place: Place) -> Any:
    """The value of a text that has just come; ``ServerError`` where it cannot be read."""
    try:
        return wire.loads(text)
    except ValueError as error:
        what = f"{place.namespace}/{place.key}"
        raise errors.ServerError(f"the value of {what} cannot be read: {error}", sent=True) from error


def read_texts(texts: Mapping[str, str], place: Place) -> dict[str, Any]:
    """The values of texts that have just come; ``ServerError`` where one cannot be read."""
    try:
        return values_of(texts)
    except ValueError:
        return {key: read_text(text, place._replace(key=key)) for key, text in texts.items()}
