"""Which lines two texts have in common, in time that grows with their length.

It may import nothing of ours. Here since Python's ``difflib`` takes minutes for a megabyte of JSON, whose lines are
much alike. The way is that of "patience": lines that each text has once are matched first, and what lies between them
is compared in the same way; where there are none, a search for the shortest edit is tried up to a limit, and beyond it
lines are matched by how often they came before. The result is right always, and the shortest where texts differ little.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from difflib import Match, SequenceMatcher

_DEEPEST = 50  # how often what lies between matches is searched for lines that are unique there
_LONGEST_EDIT = 40  # lines added and removed between two matches that a shortest edit is searched for

Pair = tuple[int, int]
Lines = Sequence[Hashable]


class Matcher(SequenceMatcher[str]):
    """A ``SequenceMatcher`` of lines, for its opcodes in groups, that matches as this module does."""

    def __init__(self, a: Sequence[str], b: Sequence[str]) -> None:
        super().__init__(None, [], [])
        self.a, self.b = a, b

    def get_matching_blocks(self) -> list[Match]:
        blocks: list[Match] = []
        for place, other in pairs(self.a, self.b):
            if blocks and (place, other) == (blocks[-1].a + blocks[-1].size, blocks[-1].b + blocks[-1].size):
                blocks[-1] = blocks[-1]._replace(size=blocks[-1].size + 1)
            else:
                blocks.append(Match(place, other, 1))
        return [*blocks, Match(len(self.a), len(self.b), 0)]


def pairs(a: Lines, b: Lines) -> Iterator[Pair]:
    """Where equal lines stand in both, in order: each line is matched once at most, and none across another."""
    return iter(sorted(_pairs(a, b)))


def _pairs(a: Lines, b: Lines) -> Iterator[Pair]:
    todo = [(0, len(a), 0, len(b), 0)]
    while todo:
        a_start, a_end, b_start, b_end, depth = todo.pop()
        while a_start < a_end and b_start < b_end and a[a_start] == b[b_start]:
            yield a_start, b_start
            a_start, b_start = a_start + 1, b_start + 1
        while a_start < a_end and b_start < b_end and a[a_end - 1] == b[b_end - 1]:
            a_end, b_end = a_end - 1, b_end - 1
            yield a_end, b_end
        if a_start == a_end or b_start == b_end:
            continue
        left, right = range(a_start, a_end), range(b_start, b_end)
        anchors = _in_order(_unique(a, b, left, right)) if depth < _DEEPEST else []
        if not anchors:
            found = _shortest_edit(a, b, left, right)
            yield from found if found is not None else _in_order(_by_count(a, b, left, right))
            continue
        yield from anchors
        before = (a_start - 1, b_start - 1)
        for place in [*anchors, (a_end, b_end)]:
            todo.append((before[0] + 1, place[0], before[1] + 1, place[1], depth + 1))
            before = place


def _unique(a: Lines, b: Lines, left: range, right: range) -> Iterator[Pair]:
    """Lines that stand once in either part, in the order of the first."""
    often = Counter(a[place] for place in left)
    others = Counter(b[place] for place in right)
    where = {b[place]: place for place in right if others[b[place]] == 1 and often[b[place]] == 1}
    return ((place, where[a[place]]) for place in left if a[place] in where)


def _by_count(a: Lines, b: Lines, left: range, right: range) -> Iterator[Pair]:
    """The first of a line with the first of the same line in the other part, the second with the second."""
    where = {name: place for place, name in _counted(b, right)}
    return ((place, where[name]) for place, name in _counted(a, left) if name in where)


def _counted(lines: Lines, part: range) -> Iterator[tuple[int, tuple[Hashable, int]]]:
    seen: Counter[Hashable] = Counter()
    for place in part:
        yield place, (lines[place], seen[lines[place]])
        seen[lines[place]] += 1


def _in_order(found: Iterable[Pair]) -> list[Pair]:
    """The longest part of pairs, which come in the order of the first text, that is in that of the second, too."""
    ends: list[int] = []  # the lowest place in the second text at which a row of each length ends
    last: list[int] = []  # the pair that it ends with
    everything = list(found)
    before: list[int] = []
    for number, (_, place) in enumerate(everything):
        length = bisect_left(ends, place)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [place]
        last[length : length + 1] = [number]
    row: list[Pair] = []
    number = last[-1] if last else -1
    while number >= 0:
        row.append(everything[number])
        number = before[number]
    return row[::-1]


def _shortest_edit(a: Lines, b: Lines, left: range, right: range) -> list[Pair] | None:
    """The pairs that a shortest edit leaves, after Myers; None where that is longer than the limit."""
    furthest = {1: 0}  # on each diagonal, how far the first text is passed
    steps: list[dict[int, int]] = []
    for edits in range(min(_LONGEST_EDIT, len(left) + len(right)) + 1):
        steps.append(dict(furthest))
        for diagonal in range(-edits, edits + 1, 2):
            x = furthest[diagonal + 1] if _is_down(furthest, diagonal, edits) else furthest[diagonal - 1] + 1
            y = x - diagonal
            while x < len(left) and y < len(right) and a[left[x]] == b[right[y]]:
                x, y = x + 1, y + 1
            furthest[diagonal] = x
            if x >= len(left) and y >= len(right):
                return _walked_back(steps, left, right)
    return None


def _is_down(furthest: dict[int, int], diagonal: int, edits: int) -> bool:
    """Whether the way to a diagonal that gets furthest comes from the one above it."""
    return diagonal == -edits or (diagonal != edits and furthest.get(diagonal - 1, -1) < furthest.get(diagonal + 1, -1))


def _walked_back(steps: list[dict[int, int]], left: range, right: range) -> list[Pair]:
    """The lines in common on the way that these steps have found."""
    x, y = len(left), len(right)
    found: list[Pair] = []
    for edits, furthest in reversed(list(enumerate(steps))):
        before = x - y + (1 if _is_down(furthest, x - y, edits) else -1)
        start_x = furthest[before]
        start_y = start_x - before
        while x > start_x and y > start_y:
            x, y = x - 1, y - 1
            found.append((left[x], right[y]))
        x, y = start_x, start_y
    return found
