"""Bulk answers, and what is certain about them; imports the query and how values are read.

Here since such an answer is not quite JSON: servers print the keys in it unescaped, so that a key such as
``x","value":1},{"key":"y`` forges entries. So a query asks for a member under a name made up for it, the mark. It
follows each key in the answer and nothing else, for no key that is stored can hold it: between ``{"key":"`` and the
mark stands the key as it is, whatever it holds. (That a whole value may be given a name, ``.~hoist(name)``, is what
DHIS2's own tests say; that a member which no value has is null was seen.)
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from dhis2kv import errors
from dhis2kv.wire import deep
from dhis2kv.wire.query import Query
from dhis2kv.wire.values import loads, loads_all

_WINDOW = 1 << 20  # characters that are taken apart at a time: neither memory nor Python's lock is taken for long
_BEGIN, _END = '[{"key":"', "}]"
ROW = '{"key":null'  # how the text of a row begins


class Batch(NamedTuple):
    """Some entries of an answer: their keys, and for each the JSON text of its value, or of its row.

    A row is what a query for chosen fields shows of an entry; its text begins as ``ROW``, for its key stands here.
    """

    keys: list[str]
    texts: list[str]

    def read(self) -> tuple[dict[str, Any], dict[str, errors.Dhis2kvError]]:
        """The values of the texts by their keys, and for each that Python cannot hold why.

        Raises ``ValueError`` for what is no JSON.
        """
        try:
            return dict(zip(self.keys, loads_all(self.texts), strict=True)), {}
        except ValueError:
            pass
        values: dict[str, Any] = {}
        unreadable: dict[str, errors.Dhis2kvError] = {}
        for key, text in zip(self.keys, self.texts, strict=True):
            try:
                values[key] = loads(text)
            except errors.Unreadable as error:
                unreadable[key] = error
        return values, unreadable


def _check(text: str) -> None:
    """Raise ``ValueError`` for a text that is no JSON."""
    with contextlib.suppress(errors.Unreadable):
        loads(text)


@dataclass(frozen=True, slots=True)
class Marked:
    """A query as it is sent for its answer to be certain, and the mark in that answer."""

    query: Query
    mark: str
    whole: bool  # it asks for values, and not for rows

    @classmethod
    def of(cls, query: Query) -> Marked:
        """The query with a mark of its own."""
        mark = "m" + secrets.token_hex(8)
        if query.fields == ".":
            return cls(replace(query, fields=f".~hoist({mark})"), mark, True)
        # A member that no value has: null in every entry, and without effect on which entries come.
        fields = f"{mark},{query.fields}" if query.fields else mark
        return cls(replace(query, fields=fields, include_all=query.include_all or not query.fields), mark, False)

    def batches(self, text: str) -> Iterator[Batch]:
        """The entries of an answer, some at a time; raises ``ValueError`` where it is not, to its end, such an answer.

        What was given before that is as uncertain as the rest.
        """
        if text[-1:].isspace() or text[:1].isspace():
            text = text.strip()
        if text == "[]":
            return
        mark = f'","{self.mark}":' + ("" if self.whole else "null")
        begin, stop = len(_BEGIN), len(text) - len(_END)
        at = text.find(mark, begin, stop)
        if at < 0 or not text.startswith(_BEGIN) or not text.endswith(_END):
            raise ValueError("not a list of marked entries")
        key = text[begin:at]
        while at >= 0:
            at += len(mark)
            # The last mark in the window, or the first one after it; there may be none any more.
            cut = text.rfind(mark, at, min(at + _WINDOW, stop))
            cut = cut if cut >= 0 else text.find(mark, at, stop)
            if cut >= 0:
                texts, keys = self._apart(text[at:cut], mark)
                yield Batch([key, *keys[:-1]], texts)
                key = keys[-1]
            else:
                last = self._text(text[at:stop])
                _check(last)  # of an answer that broke off in it the rest looks like one
                yield Batch([key], [last])
            at = cut

    def _apart(self, part: str, mark: str) -> tuple[list[str], list[str]]:
        """The texts in a part of an answer that begins after a mark and ends before one, and the key after each."""
        between = '},{"key":"'
        if part.count(between) == part.count(mark) + 1:
            # One before each key, so that no key or value holds one, and all can be cut at once.
            pieces = part.replace(mark, between).split(between)
            return [self._text(piece) for piece in pieces[::2]] if not self.whole else pieces[::2], pieces[1::2]
        texts, keys = [], []
        for piece in part.split(mark):
            text = piece if self.whole else ROW + piece
            end = deep.end(text)
            following = text[end:]
            start = between if self.whole else between[1:]
            if not following.startswith(start):
                raise ValueError("an entry does not end where its value does")
            texts.append(text[:end])
            keys.append(following[len(start) :])
        return texts, keys

    def _text(self, piece: str) -> str:
        return piece if self.whole else f"{ROW}{piece}}}"


# Possessive, or a match would take a hundred bytes for each character of a text.
_OPEN = re.compile(r"\s*+\[")
_CLOSED = re.compile(r"\s*+\]\s*+$")
_ENTRY = re.compile(r'\s*+\{\s*+"key"\s*+:\s*+("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*+,\s*+"value"\s*+:\s*+', re.S)
_CLOSE = re.compile(r"\s*+\}\s*+(,|\]\s*+$)")


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Each entry of a bulk answer without marks: its key, and the JSON text of its value.

    Such an answer may say anything where a key holds a quotation mark: the listing tells whether one does. Raises
    ``ValueError`` where it is not exactly a list of objects with a key, not seen before, and a value.
    """
    opened = _OPEN.match(text)
    if not opened:
        raise ValueError("not a list")
    seen: set[str] = set()
    at, more = opened.end(), not _CLOSED.match(text, opened.end())
    while more:
        entry = _ENTRY.match(text, at)
        if not entry:
            raise ValueError(f"no entry at character {at}")
        key = entry[1][1:-1] if "\\" not in entry[1] else loads(entry[1])
        end = deep.end(text, entry.end())
        value = text[entry.end() : end]
        _check(value)
        closed = _CLOSE.match(text, end)
        if not closed or key in seen:
            raise ValueError(f"an ambiguous entry at character {at}")
        seen.add(key)
        yield key, value
        at, more = closed.end(), closed[1] == ","
