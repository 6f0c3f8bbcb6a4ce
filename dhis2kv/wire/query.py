"""The entries query of a namespace, as a value object; imports nothing of ours.

Here since DHIS2 has a small language of its own for it: fields, filters, order and paging.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

#: Bytes of percent-encoded keys in one URL; servers refuse a request line and headers of more than 8,192 bytes.
URL_FULL = 3000


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask of a namespace: which fields of which entries, in which order.

    ``fields`` and ``filters`` are in DHIS2's own grammar: ``.`` is the whole value and ``_`` the key. The answer is a
    bare list. Without ``page_size`` (1 to 1,000) the server gives everything in one answer, made by one statement, so
    that it is a consistent snapshot. ``include_all`` keeps entries in which every field asked for is missing; without
    it encrypted entries are left out without a word.
    """

    fields: str = "."
    filters: tuple[str, ...] = ()
    order: str = ""
    junction: str = "AND"
    include_all: bool = True
    page: int = 1
    page_size: int | None = None

    def __post_init__(self) -> None:
        if self.page < 1 or (self.page_size is not None and not 1 <= self.page_size <= 1000):
            raise ValueError("page is at least 1, and page_size from 1 to 1000: servers clamp it there in silence")

    @property
    def text(self) -> str:
        """The query string, percent-encoded."""
        pairs = [("fields", self.fields), ("headless", "true")]
        if self.include_all:
            pairs.append(("includeAll", "true"))
        if self.page_size is None:
            pairs.append(("paging", "false"))
        else:
            pairs += [("page", str(self.page)), ("pageSize", str(self.page_size))]
        if self.order:
            pairs.append(("order", self.order))
        if self.junction != "AND":
            pairs.append(("rootJunction", self.junction))
        return urlencode(pairs + [("filter", one) for one in self.filters])
