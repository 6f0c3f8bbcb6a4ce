"""The texts that a cache keeps, and the values in them; imports the errors and the protocol.

Here since a text is read once with care, when it comes, and from then on as fast as can be.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dhis2kv import errors, wire
from dhis2kv.cache.records import Place

_log = logging.getLogger("dhis2kv")


def value_of(text: str, place: Place) -> Any:
    """The value of a text that was read before, new each time; ``Unreadable`` where Python cannot hold it."""
    try:
        return wire.scan(text, 0)[0]
    except (ValueError, RecursionError):
        return read_text(text, place)


def values_of(texts: Mapping[str, str]) -> dict[str, Any]:
    """The values of texts that were read before, new each time, without those that Python cannot hold."""
    return wire.Batch(list(texts), list(texts.values())).read()[0]


def read_text(text: str, place: Place) -> Any:
    """The value of a text that has just come; ``Unreadable`` where it is too much for Python."""
    what = f"{place.namespace}/{place.key}"
    try:
        return wire.loads(text)
    except errors.Unreadable as error:
        raise errors.Unreadable(f"the value of {what} is too much for Python: {error}", status=200) from error
    except ValueError as error:
        raise errors.ServerError(f"the value of {what} cannot be read: {error}", sent=True) from error


def read_texts(texts: Mapping[str, str], place: Place) -> dict[str, Any]:
    """The values of texts that have just come; ``ServerError`` for what is no JSON.

    What Python cannot hold is left out, with a warning in the log.
    """
    try:
        values, unreadable = wire.Batch(list(texts), list(texts.values())).read()
    except ValueError:
        values, unreadable = {}, {}
        for key, text in texts.items():
            try:
                values[key] = read_text(text, place._replace(key=key))
            except errors.Unreadable as error:
                unreadable[key] = error
    if unreadable:
        why = "; ".join(f"{key!r}: {error}" for key, error in unreadable.items())
        _log.warning("left out entries of %s that cannot be read: %s", place.namespace, why)
    return values
