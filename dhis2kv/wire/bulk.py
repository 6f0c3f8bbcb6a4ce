"""Bulk answers, entry by entry; imports only the values.

Here since such an answer is not quite JSON: servers print keys in it unescaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dhis2kv.wire.values import decoder, loads

_OPEN = re.compile(r"\s*\[")
_END = re.compile(r"\s*\]\s*$")
_ENTRY = re.compile(r'\s*\{\s*"key"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*"value"\s*:\s*')
_CLOSE = re.compile(r"\s*\}\s*(,|\]\s*$)")


def entries(text: str) -> Iterator[tuple[str, Any, int, int]]:
    """Each entry of a bulk answer: its key, its value, and where the value's text begins and ends.

    The server prints keys unescaped, so an answer may say anything where a key holds a quotation mark. Raises
    ``ValueError`` where it is not exactly a list of objects with a key, not seen before, and a value. One entry is
    parsed at a time, so that nothing is held but the text and what the caller keeps.
    """
    opened = _OPEN.match(text)
    if not opened:
        raise ValueError("not a list")
    seen: set[str] = set()
    place, more = opened.end(), not _END.match(text, opened.end())
    while more:
        entry = _ENTRY.match(text, place)
        if not entry:
            raise ValueError(f"no entry at character {place}")
        key = entry[1] if "\\" not in entry[1] else loads(f'"{entry[1]}"')
        try:
            value, end = decoder.raw_decode(text, entry.end())
        except RecursionError:
            raise ValueError(f"a value too deep for this Python at character {place}") from None
        closed = _CLOSE.match(text, end)
        if not closed or key in seen:
            raise ValueError(f"an ambiguous entry at character {place}")
        seen.add(key)
        yield key, value, entry.end(), end
        place, more = closed.end(), closed[1] == ","
