"""The form of an export as a file: entries as JSON, one a line, and back.

It may import the library up to the store. It exists so that the form is written and read in one place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import IO, Any

from dhis2kv import wire
from dhis2kv.snapshot.reading import Entry

FORM = 1
STORES = (wire.SHARED, wire.USER)


def dump(file: IO[str], stores: Mapping[str, Iterable[Entry]]) -> None:
    """Write an export of ``{"dataStore": entries, "userDataStore": entries}``, entry by entry as they come.

    The entries of a namespace must follow one another, as ``read`` gives them. Holds the names of encrypted entries,
    and nothing else.
    """
    encrypted: dict[str, dict[str, list[str]]] = {kind: {} for kind in stores}

    def namespaces(kind: str) -> Iterator[_Member]:
        for namespace, entries in groupby(stores[kind], lambda entry: entry.namespace):
            yield namespace, members(kind, entries)

    def members(kind: str, entries: Iterable[Entry]) -> Iterator[_Member]:
        for entry in entries:
            if entry.encrypted:
                encrypted[kind].setdefault(entry.namespace, []).append(entry.key)
            yield entry.key, _text(entry.value)

    def marks() -> Iterator[_Member]:
        for kind, found in encrypted.items():
            yield kind, ((namespace, _text(keys)) for namespace, keys in found.items())

    whole: list[_Member] = [("dhis2kv", _text(FORM)), *((kind, namespaces(kind)) for kind in stores)]
    _write(file, iter([*whole, ("encrypted", marks())]))
    file.write("\n")


_Member = tuple[str, "str | Iterator[_Member]"]


def _write(file: IO[str], value: str | Iterator[_Member], margin: str = "") -> None:
    """Write a JSON text, or an object member by member, a line each."""
    if isinstance(value, str):
        file.write(value)
        return
    before = "{"
    for name, member in value:
        file.write(f"{before}\n{margin}  {_text(name)}: ")
        _write(file, member, margin + "  ")
        before = ","
    file.write("{}" if before == "{" else f"\n{margin}}}")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def load(file: IO[str]) -> dict[str, list[Entry]]:
    """The entries of an export, as ``{"dataStore": [...], "userDataStore": [...]}``; reads the whole file.

    Raises ``ValueError`` for a file that is no export; names and values are checked by ``plan``.
    """
    found = wire.loads(file.read())
    if not isinstance(found, dict) or found.get("dhis2kv") != FORM:
        raise ValueError(f'it is no export that can be read here: a JSON object with "dhis2kv": {FORM}')
    marks = _objects(found, "encrypted")
    return {kind: list(_loaded(_objects(found, kind), _objects(marks, kind), kind)) for kind in STORES}


def _loaded(namespaces: dict[str, Any], marks: dict[str, Any], kind: str) -> Iterator[Entry]:
    for namespace in namespaces:
        encrypted = marks.get(namespace, [])
        if not isinstance(encrypted, list):
            raise ValueError(f"the encrypted entries of {kind} {namespace!r} are no list of keys")
        marked = set(encrypted)
        for key, value in _objects(namespaces, namespace).items():
            yield Entry(namespace, key, value, key in marked)


def _objects(parent: dict[str, Any], name: str) -> dict[str, Any]:
    member = parent.get(name, {})
    if not isinstance(member, dict):
        raise ValueError(f"it is no export: {name!r} is no JSON object")
    return member
