"""How entries differ, for people to read.

It may import the library up to the store. It exists so that comparing knows nothing of where entries come from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import unified_diff

from dhis2kv import wire
from dhis2kv.snapshot.reading import Entry


def diff(left: Mapping[str, Entry], right: Mapping[str, Entry], *, names: tuple[str, str] = ("", "")) -> Iterator[str]:
    """The lines of a unified diff for each entry that is not the same JSON in both; none when all are.

    The mappings say what is compared with what: entries of the same name. Values are written sorted and indented; the
    two ``names`` stand before the entries' own in the heads.
    """
    for place in sorted(left.keys() | right.keys()):
        old, new = left.get(place), right.get(place)
        if old is None or new is None or not wire.same(old.value, new.value):
            heads = (_head(old, names[0]), _head(new, names[1]))
            yield from unified_diff(_lines(old), _lines(new), *heads, lineterm="")


def _head(entry: Entry | None, name: str) -> str:
    return "/dev/null" if entry is None else f"{name} {entry}".strip()


def _lines(entry: Entry | None) -> list[str]:
    if entry is None:
        return []
    return json.dumps(entry.value, ensure_ascii=False, indent=2, sort_keys=True).split("\n")
