"""The texts that a cache keeps, and the values in them; imports the errors and the protocol.

Here since a text is read once with care, when it comes, and from then on as fast as can be.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from dhis2kv import errors, wire
from dhis2kv.cache.records import Place

_log = logging.getLogger("dhis2kv")
# Of texts that are not Careful it gives what ``wire.loads`` does, and takes a third less where there are fractions.
_decoder = json.JSONDecoder()
_scan = _decoder.scan_once  # type: ignore[attr-defined]  # typeshed does not know it


def value_of(text: str, place: Place) -> Any:
    """The value of a text in a record, new each time; ``Unreadable`` where Python cannot hold it."""
    if type(text) is str:
        try:
            return _scan(text, 0)[0]
        except (ValueError, RecursionError, StopIteration):  # Python has other bounds here and now; a space
            pass
    try:
        return wire.loads(text)
    except errors.Unreadable as error:
        what = f"{place.namespace}/{place.key}"
        raise errors.Unreadable(f"the value of {what} is too much for Python: {error}", status=200) from error


def values_of(texts: Mapping[str, str]) -> dict[str, Any]:
    """The values of texts in records, new each time, without those that Python cannot hold."""
    if all(type(text) is str for text in texts.values()):
        try:
            return dict(zip(texts, _decoder.decode(f"[{','.join(texts.values())}]"), strict=True))
        except (ValueError, RecursionError):
            pass
    return wire.Batch(list(texts), list(texts.values())).read()[0]


def read_texts(texts: Mapping[str, str], place: Place) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of texts that have just come, and the texts for records; ``ServerError`` for what is no JSON.

    What Python cannot hold is left out of the values, with a warning in the log.
    """
    try:
        return dict(zip(texts, wire.loads_all(list(texts.values())), strict=True)), dict(texts)
    except ValueError:
        pass
    values: dict[str, Any] = {}
    kept: dict[str, str] = {}
    unreadable = []
    for key, text in texts.items():
        try:
            values[key], kept[key] = wire.read(text)
        except errors.Unreadable as error:
            kept[key] = wire.Careful(text)
            unreadable.append(f"{key!r}: {error}")
        except ValueError as error:
            what = f"{place.namespace}/{key}"
            raise errors.ServerError(f"the value of {what} cannot be read: {error}", status=200) from error
    if unreadable:
        _log.warning("left out entries of %s that cannot be read: %s", place.namespace, "; ".join(unreadable))
    return values, kept
