"""What the tools of the MCP server answer: shapes that a client is shown, and how values fit into the room there is.

Knows neither the protocol nor the store; imports the errors and wire. Here since an agent has room for little, and has
to be told what was cut and how it gets the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import takewhile
from typing import Any, NotRequired, TypedDict

from dhis2kv import errors, wire

MAX_BYTES = 50_000  # of JSON; some 15,000 tokens
DEPTH = 100  # levels; JSON parsers at both ends give up at 200, and the protocol's own envelope takes some of them


class Namespaces(TypedDict):
    """The namespaces that exist; with a ``note``, not all of them."""

    namespaces: list[str]
    note: NotRequired[str]


class Keys(TypedDict):
    """One page of a namespace's keys; ``total`` counts all that match, and a ``note`` says where a cut page goes on."""

    namespace: str
    keys: list[str]
    total: int
    offset: int
    note: NotRequired[str]


class Entry(TypedDict):
    """One entry; with a ``note``, ``value`` is not the stored value itself but a text, and the note says which.

    ``sharing`` is who may do what, where that was asked for: ``public`` everybody, ``users`` and ``groups`` by name;
    "rw" is reading and changing, "r-" reading, "--" nothing. ``owner`` may do both, and so may superusers.
    """

    namespace: str
    key: str
    value: Any
    note: NotRequired[str]
    sharing: NotRequired[dict[str, Any]]


class Entries(TypedDict):
    """Several entries; ``absent`` are keys without one, ``notes`` are as in a single entry, by key.

    With a ``note`` some of the keys are neither among the values nor among the absent.
    """

    namespace: str
    values: dict[str, Any]
    absent: list[str]
    notes: dict[str, str]
    note: NotRequired[str]


class Everything(TypedDict):
    """The entries of a namespace, from an ``offset`` on; ``total`` counts all that match.

    ``notes`` are as in a single entry, by key; with a ``note`` there are more, and it says where to go on.
    """

    namespace: str
    values: dict[str, Any]
    total: int
    offset: int
    notes: dict[str, str]
    note: NotRequired[str]


class Found(TypedDict):
    """The entries that were found, in the order asked for; ``total`` counts all that match.

    ``notes`` are as in a single entry, by key; with a ``note`` more were found than there was room for.
    """

    namespace: str
    values: dict[str, Any]
    total: int
    notes: dict[str, str]
    note: NotRequired[str]


class Change(TypedDict):
    """The value of before and the one of now.

    ``notes`` say of either what is not whole, and of ``new`` what may not have been meant.
    """

    old: Any
    new: Any
    notes: dict[str, str]


class Written(Change):
    """What a write has changed; ``old`` is null where ``created`` says that there was no entry.

    ``notes`` say of ``old`` and ``new`` what is not whole, and of ``new`` what may not have been meant.
    """

    namespace: str
    key: str
    created: bool


class Patched(Change):
    """What a patch has changed: the member at ``path``; ``notes`` are as with a write."""

    namespace: str
    key: str
    path: str


class Deleted(TypedDict):
    """The entry that is deleted."""

    namespace: str
    key: str
    deleted: bool


class Answer:
    """Names and values of one answer, as far as there is room for them; ``notes`` say which values are not whole."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.notes: dict[str, str] = {}

    def note(self, name: str, text: str) -> None:
        """Note something more about a value."""
        self.notes[name] = f"{self.notes[name]}; {text}" if name in self.notes else text

    def fits(self, name: str) -> bool:
        """Whether there is room for a name, which is taken then."""
        size = len(json.dumps(name, ensure_ascii=False).encode()) + 2  # with what stands between it and the next
        if size > self._room:
            return False
        self._room -= size
        return True

    def names(self, names: list[str]) -> list[str]:
        """The first of the names, as many as there is room for, but one if there is any."""
        return list(takewhile(self.fits, names)) or names[:1]

    def entries(self, found: Mapping[str, str | None]) -> dict[str, Any]:
        """The first of the entries, given as JSON texts, as many as there is room for; the last of them may be cut."""
        return {key: self.shown(key, found[key]) for key in takewhile(self.fits, found)}

    def shown(self, name: str, text: str | None) -> Any:
        """The value of a JSON text; or that text, cut to the room there is, with a note. None: it has no text here."""
        if text is None:
            self.note(name, "it is too deep, or holds a number too large, to be shown; datastore_get reads its text")
            return None
        whole = text.encode()
        cut = whole[: self._room]
        self._room -= len(cut)
        if len(cut) < len(whole):
            self.note(
                name,
                f"cut: the value has {len(whole)} bytes of JSON, and this is the text of the first {len(cut)}."
                " Never write it back",
            )
            return cut.decode(errors="ignore")
        try:
            value = wire.loads(text)
            if levels(value) <= DEPTH:
                json.dumps(value)  # what Python does not print does not get to the client
                return value
            why = f"the value is nested deeper than {DEPTH} levels"
        except (errors.Unreadable, ValueError):
            why = "the value holds a number that is too large for most clients"
        self.note(name, f"{why}; this is its JSON text")
        return text


ABSENT: Any = object()

_KINDS = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}


def parsed(text: Any) -> Any:
    """What a text parses as, where it is JSON; anything else as it is."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return text


def meant(old: Any, new: Any) -> str | None:
    """What a text may have been meant to be, in words; None where nothing speaks against the text.

    Many clients send the JSON text of a value where they mean the value. That it was an object or a list is likely,
    but where such a text was there before; that it was a number, true or null only where one was there.
    """
    value = parsed(new)
    if not isinstance(new, str) or isinstance(value, str):
        return None
    likely = not isinstance(old, str) or not isinstance(parsed(old), dict | list)
    if not (likely if isinstance(value, dict | list) else _kind(value) == _kind(old)):
        return None
    return _kind(value)


def _kind(value: Any) -> str | None:
    return "null" if value is None else _KINDS.get(type(value))


def text_of(value: Any) -> str | None:
    """The JSON text of a value that was stored; None for one that Python cannot print."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        return None


def levels(value: Any) -> int:
    """How deep a value is nested."""
    count, level = 0, [value]
    while level := [
        member
        for item in level
        if isinstance(item, dict | list)
        for member in (item.values() if isinstance(item, dict) else item)
    ]:
        count += 1
    return count
