"""What is no JSON becomes what a function makes of it, as in ``json.dumps``; imports how deep a value may be.

Here since a value is looked through before it is sent, and that has to see what is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dhis2kv import errors
from dhis2kv.wire.values import DEPTH


def converted(value: Any, default: Callable[[Any], Any], depth: int = 0) -> Any:
    """A value in whose parts that are no JSON ``default(part)`` stands instead; raises ``InvalidValue`` as it does.

    What it returns may hold such parts again.
    """
    if depth > DEPTH:
        raise errors.InvalidValue(f"the value is nested deeper than {DEPTH} levels, or contains itself")
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        members = {}
        for name, member in value.items():  # no comprehension: it would take a second frame for each level
            members[name] = converted(member, default, depth + 1)
        return members
    if isinstance(value, list | tuple):
        items = []
        for item in value:
            items.append(converted(item, default, depth + 1))  # noqa: PERF401 - for the same reason
        return items
    try:
        instead = default(value)
    except TypeError as error:
        raise errors.InvalidValue(
            f"{type(value).__name__} is not JSON, and default does not take it: {error}"
        ) from error
    return converted(instead, default, depth + 1)
