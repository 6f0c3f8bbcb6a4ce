"""What is no JSON becomes what a function makes of it, as in ``json.dumps``; imports how deep a value may be.

Here since a value is looked through before it is sent, and that has to see what is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dhis2kv import errors
from dhis2kv.wire.number import Number
from dhis2kv.wire.values import DEPTH


def converted(value: Any, default: Callable[[Any], Any]) -> Any:
    """A value in whose parts that are no JSON ``default(part)`` stands instead; raises ``InvalidValue`` as it does.

    What it returns may hold such parts again.
    """
    whole = [value]
    todo: list[tuple[Any, int]] = [(whole, 0)]  # containers whose members are looked at, and how many are around them
    while todo:
        inside, depth = todo.pop()
        for place, member in inside.items() if isinstance(inside, dict) else enumerate(inside):
            part = _as_json(member, default)
            if isinstance(part, dict | list | tuple):
                if depth == DEPTH:
                    raise errors.InvalidValue(f"the value is nested deeper than {DEPTH} levels, or contains itself")
                part = dict(part) if isinstance(part, dict) else list(part)  # the value itself is left as it is
                todo.append((part, depth + 1))
            inside[place] = part
    return whole[0]


def _as_json(part: Any, default: Callable[[Any], Any]) -> Any:
    """The part itself, or what ``default`` makes of it, until that is JSON."""
    for _ in range(DEPTH):
        if part is None or isinstance(part, str | int | float | dict | list | tuple | Number):
            return part
        try:
            part = default(part)
        except TypeError as error:
            raise errors.InvalidValue(
                f"{type(part).__name__} is not JSON, and default does not take it: {error}"
            ) from error
    raise errors.InvalidValue(f"default makes {type(part).__name__} of it again and again, which is not JSON")
