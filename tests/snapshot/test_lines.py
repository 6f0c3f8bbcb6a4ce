"""Lines in common: what is matched is equal, in order, and found in time that grows with the length."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dhis2kv.snapshot.lines import Matcher, pairs

few = st.lists(st.sampled_from("abc"), max_size=30)


def longest(a, b):
    """How many lines a longest common row has, counted the slow way."""
    row = [0] * (len(b) + 1)
    for line in a:
        before = row[:]
        for place, other in enumerate(b):
            row[place + 1] = before[place] + 1 if line == other else max(before[place + 1], row[place])
    return row[-1]


@given(few, few)
def test_matches_are_equal_lines_in_order(a, b):
    """Each pair is of equal lines, and no pair crosses another."""
    found = list(pairs(a, b))
    assert all(a[place] == b[other] for place, other in found)
    assert all(one[0] < after[0] and one[1] < after[1] for one, after in pairwise(found))


@given(few, few)
def test_the_opcodes_make_the_one_of_the_other(a, b):
    """Carrying out the opcodes on the first gives the second."""
    made = []
    for tag, start, end, other_start, other_end in Matcher(a, b).get_opcodes():
        assert tag != "equal" or a[start:end] == b[other_start:other_end]
        made += a[start:end] if tag == "equal" else b[other_start:other_end]
    assert made == b


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(0, 40), st.integers(0, 3))
def test_one_line_more_is_one_line_of_difference(a, place, line):
    """An insertion into lines that are much alike is found as such."""
    b = [*a[:place], line, *a[place:]]
    assert len(list(pairs(a, b))) == len(a)


@given(st.lists(st.integers(), unique=True, max_size=40).flatmap(lambda a: st.tuples(st.just(a), st.permutations(a))))
def test_lines_that_stand_once_are_matched_as_well_as_can_be(both):
    """Where every line stands once on either side the longest common row is found."""
    assert len(list(pairs(*both))) == longest(*both)


class Counting(str):
    """A line that counts how often lines are compared and hashed."""

    work = 0

    def __eq__(self, other):
        Counting.work += 1
        return str.__eq__(self, other)

    def __hash__(self):
        Counting.work += 1
        return str.__hash__(self)


def work(make):
    """How much four times the lines cost, in units of what they cost once."""
    costs = []
    for size in (1000, 4000):
        a, b = ([Counting(line) for line in lines] for lines in make(size))
        Counting.work = 0
        list(pairs(a, b))
        costs.append(Counting.work)
    return costs[1] / costs[0]


def test_the_work_grows_with_the_length():
    """Records of which a tenth differs, two reversed texts, and few lines that come often: no cubes, no squares."""

    def records(size):
        a = [line for number in range(size) for line in ("{", f"id {number}", f"age {number % 7}", "},")]
        b = ["age 99" if place % 40 == 2 else line for place, line in enumerate(a)]
        return a, b

    def often(size):
        return ["xyz"[number * number % 3] for number in range(size)], ["xyz"[number % 3] for number in range(size)]

    def reversed_(size):
        a = [str(number) for number in range(size)]
        return a, a[::-1]

    for make in (records, often, reversed_):
        assert work(make) < 6
