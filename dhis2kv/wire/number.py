"""A JSON number that keeps its text; imports nothing of the library.

Here since servers keep numbers that no float holds: ``exact`` reads them, and ``values`` sends them as they came.
"""

from __future__ import annotations

from decimal import Decimal
from math import isfinite


class Number:
    """A JSON number as its text; equal to every number of the same value, exactly."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def __float__(self) -> float:
        return float(self.text)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Number):
            return canonical(self.text) == canonical(other.text)
        if isinstance(other, bool) or not isinstance(other, int | float):
            return NotImplemented
        if isinstance(other, int):
            # By Decimal: repr() writes no integer of more than 4,300 digits.
            return canonical(self.text) == canonical(str(Decimal(other)))
        return isfinite(other) and canonical(self.text) == canonical(repr(other))

    __hash__ = None  # type: ignore[assignment]  # it equals floats, whose hashes say less


def canonical(text: str) -> str:
    """The one spelling of a number."""
    _, digits, exponent = Decimal(text).as_tuple()
    figures = "".join(map(str, digits)).lstrip("0")
    shorter = figures.rstrip("0")
    power = int(exponent) + len(figures) - len(shorter)
    if not shorter:
        return "0"
    sign = "-" if text[0] == "-" else ""
    return f"{sign}{shorter}{'0' * power}" if 0 <= power < 200_000 else f"{sign}{shorter}e{power}"
