"""How entries differ, for people to read.

It may import the library up to the store. Here since comparing need not know where entries come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from dhis2kv import wire
from dhis2kv.snapshot.lines import Matcher
from dhis2kv.snapshot.reading import Entry
from dhis2kv.wire import exact

_AROUND = 3  # lines shown around a change


class Difference(NamedTuple):
    """An entry that is not the same on both sides, or on one of them None."""

    old: Entry | None
    new: Entry | None

    @property
    def sign(self) -> str:
        """``+``, ``~`` or ``-``, as in ``Change``."""
        return "+" if self.old is None else "-" if self.new is None else "~"

    def __str__(self) -> str:
        return str(self.old if self.new is None else self.new)

    def lines(self, names: tuple[str, str] = ("", "")) -> Iterator[str]:
        """The lines of a unified diff of sorted, indented JSON; ``names`` stand before the entries' own in the head."""
        yield f"--- {_head(self.old, names[0])}"
        yield f"+++ {_head(self.new, names[1])}"
        matcher = self._matcher()
        for group in matcher.get_grouped_opcodes(_AROUND):
            first, last = group[0], group[-1]
            yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
            for tag, start, end, other_start, other_end in group:
                if tag == "equal":
                    yield from (f" {line}" for line in matcher.a[start:end])
                else:
                    yield from (f"-{line}" for line in matcher.a[start:end])
                    yield from (f"+{line}" for line in matcher.b[other_start:other_end])

    def counts(self) -> tuple[int, int]:
        """How many of those lines are added and removed."""
        matcher = self._matcher()
        common = sum(block.size for block in matcher.get_matching_blocks())
        return len(matcher.b) - common, len(matcher.a) - common

    def _matcher(self) -> Matcher:
        old, new = self.old, self.new
        shared = old is not None and new is not None and _are_shared_otherwise(old, new)
        encrypted = old is not None and new is not None and _are_encrypted_otherwise(old, new)
        return Matcher(_lines(old, shared, encrypted), _lines(new, shared, encrypted))


def differences(left: Mapping[str, Entry], right: Mapping[str, Entry]) -> Iterator[Difference]:
    """The entries of two mappings that are not the same JSON in both, in every digit, in the order of their names.

    So are those that are encrypted on one side alone, or shared otherwise, as far as both sides tell.
    The mappings say what is compared with what: entries of the same name.
    """
    for place in sorted(left.keys() | right.keys()):
        old, new = left.get(place), right.get(place)
        if old is None or new is None or not _are_same(old, new):
            yield Difference(old, new)


def _are_same(old: Entry, new: Entry) -> bool:
    is_other = _are_shared_otherwise(old, new) or _are_encrypted_otherwise(old, new)
    return not is_other and wire.same(old.value, new.value)


def _are_shared_otherwise(old: Entry, new: Entry) -> bool:
    """Whether two entries are shared in different ways, as far as both are known."""
    return old.sharing is not None and new.sharing is not None and old.sharing != new.sharing


def _are_encrypted_otherwise(old: Entry, new: Entry) -> bool:
    """Whether one of two entries is encrypted and the other is not, as far as both are known."""
    return None not in (old.encrypted, new.encrypted) and old.encrypted != new.encrypted


def diff(left: Mapping[str, Entry], right: Mapping[str, Entry], *, names: tuple[str, str] = ("", "")) -> Iterator[str]:
    """The lines of a unified diff for each of the ``differences``; none when all is the same."""
    for difference in differences(left, right):
        yield from difference.lines(names)


def _head(entry: Entry | None, name: str) -> str:
    return "/dev/null" if entry is None else f"{name} {entry}".strip()


def _range(start: int, end: int) -> str:
    """Lines as the head of a hunk counts them: from one, and by the line before where there are none."""
    count = end - start
    if count == 1:
        return str(start + 1)
    return f"{start + 1 if count else start},{count}"


def _lines(entry: Entry | None, with_sharing: bool, with_encryption: bool) -> Sequence[str]:
    """The lines that are compared; before the value what else differs: who may read it, encryption."""
    if entry is None:
        return []
    lines = exact.printed(entry.value, indent=2).split("\n")
    if with_sharing and entry.sharing is not None:
        parts = (entry.sharing.public, dict(entry.sharing.users), dict(entry.sharing.groups))
        names = ("public", "users", "groups")
        shared = [f"sharing {name}: {exact.printed(part)}" for name, part in zip(names, parts, strict=True)]
        lines = [*shared, *lines]
    if with_encryption:
        lines = [f"encrypted: {exact.printed(entry.encrypted)}", *lines]
    return lines
