"""A JSON text read part by part: what an export is read with, for it may be larger than memory.

It may import the library up to the store. Here since Python's ``json`` reads a text whole or not at all, and takes the
last of several members of one name in silence. Here each name stands once, and every error has its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecodeError
from typing import IO, Any

from dhis2kv.wire import exact

_CHUNK = 1 << 16  # characters
_BLANKS = " \t\n\r"
_SPACE = re.compile(f"[{_BLANKS}]*")


class Scanner:
    """Reads a JSON text from a file: a sign, a value, or the members of an object one after the other."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._text, self._at, self._ended = "", 0, False
        self._start = 0  # of the value that was read last
        self._line, self._column = 1, 1  # of the text's first character

    def sign(self) -> str:
        """The next character that is no blank; "" at the end."""
        while True:
            sign = self._text[self._at : self._at + 1]
            if sign in _BLANKS:
                space = _SPACE.match(self._text, self._at)
                self._at = space.end() if space else self._at
                sign = self._text[self._at : self._at + 1]
            if sign or not self._more():
                return sign

    def take(self, sign: str) -> None:
        """Pass this character; raises ``ValueError`` where another one comes."""
        if self.sign() != sign:
            raise self.error(f"expected {sign!r}" if self.sign() else f"expected {sign!r}, and it ends")
        self._at += 1

    def value(self) -> Any:
        """The JSON value that comes next; a member name stands once in each object."""
        self.sign()
        while True:
            try:
                value, end = exact.strict_decoder.raw_decode(self._text, self._at)
            except RecursionError:
                raise self.error("it is nested too deeply for this Python") from None
            except exact.Twice as error:
                raise self._placed(error.placed(self._text[self._at :])) from None
            except JSONDecodeError as error:
                if self._more():
                    continue
                raise self.error(error.msg, error.pos) from None
            except ValueError as error:
                raise self.error(str(error)) from None
            if end == len(self._text) and self._more():
                continue  # a number may go on
            self._start, self._at = self._at, end
            return value

    def members(self) -> Iterator[str]:
        """The names of the object that comes next. Whoever takes a name reads its value before the next one."""
        if self.sign() != "{":
            raise self.error("expected an object")
        self._at += 1
        seen: set[str] = set()
        while self.sign() != "}":
            if seen:
                self.take(",")
            if self.sign() != '"':
                raise self.error("expected a name in quotation marks")
            name = self.value()
            if name in seen:
                raise self.error(f"the name {name!r} stands twice in one object", self._start)
            seen.add(name)
            self.take(":")
            yield name
        self._at += 1

    @property
    def place(self) -> str:
        """Where what comes next stands, for people."""
        self.sign()
        return self._place(self._at)

    def error(self, sentence: str, at: int | None = None) -> ValueError:
        """An error at this place, or at what comes next."""
        return ValueError(f"{self.place if at is None else self._place(at)}: {sentence}")

    def _placed(self, error: ValueError) -> ValueError:
        if not isinstance(error, JSONDecodeError):
            return self.error(str(error))
        return self.error(error.msg, self._at + error.pos)

    def _place(self, at: int) -> str:
        lines = self._text.count("\n", 0, at)
        column = at - self._text.rfind("\n", 0, at) if lines else self._column + at
        return f"line {self._line + lines} column {column}"

    def _more(self) -> bool:
        """Read on, and forget what is passed; as much again as there is, so that a large value is not read often."""
        if self._ended:
            return False
        more = self._file.read(max(_CHUNK, len(self._text) - self._at))
        if not more:
            self._ended = True
            return False
        if lines := self._text.count("\n", 0, self._at):
            self._line += lines
            self._column = self._at - self._text.rfind("\n", 0, self._at)
        else:
            self._column += self._at
        self._text, self._at = self._text[self._at :] + more, 0
        return True
