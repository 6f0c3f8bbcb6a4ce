"""Filters: what of conditions a server is asked, in its own words, and what is decided here."""

import pytest

from dhis2kv import where
from dhis2kv.wire.conditions import parsed
from dhis2kv.wire.filters import Asked, Plan, asked, fields_of, planned
from dhis2kv.wire.query import URL_FULL

N, T = where("n"), where("t")
NOTHING = ((), False)


def exactly(*filters):
    return filters, True


def roughly(*filters):
    return filters, False


@pytest.mark.parametrize(
    ("condition", "filters"),
    [
        (N.is_null(), exactly("n:null")),
        (~N.is_null(), exactly("n:!null")),
        (N.is_empty(), exactly("n:empty")),
        (~N.is_empty(), exactly("n:!empty")),
        (where().is_null(), exactly(".:null")),
        (where("a.b-c.d_e.0") == 1, exactly("a.b-c.d_e.0:eq:1")),
        (where("x" * 32) == 1, exactly(f"{'x' * 32}:eq:1")),
        (where("x" * 33) == 1, NOTHING),
        (where("a.b.c.d.e.f") == 1, exactly("a.b.c.d.e.f:eq:1")),
        (where("a.b.c.d.e.f.g") == 1, NOTHING),
        (where("a b") == 1, NOTHING),
        (where("é") == 1, NOTHING),
        (where("a.é").is_null(), NOTHING),
        (N == [1], NOTHING),
        (N == {}, NOTHING),
        (N == True, exactly("n:eq:true")),  # noqa: E712 - that is how it is written
        (N != False, exactly("n:!eq:false")),  # noqa: E712 - as above
        (N < True, exactly("n:lt:true")),
    ],
    ids=str,
)
def test_what_is_there(condition, filters):
    """Nulls, emptiness and booleans are asked for as they are, at each path that the grammar has."""
    assert asked(condition) == Asked(*filters)


@pytest.mark.parametrize(
    ("number", "equal", "less", "more"),
    [
        (0, exactly("n:eq:0"), exactly("n:lt:0"), exactly("n:ge:0")),
        (1.0, exactly("n:eq:1"), exactly("n:lt:1"), exactly("n:ge:1")),
        (100, exactly("n:eq:100"), exactly("n:lt:100"), exactly("n:ge:100")),
        (0.5, exactly("n:eq:0.5"), exactly("n:lt:0.5"), exactly("n:ge:0.5")),
        (-1, roughly("n:lt:0"), roughly("n:lt:0"), NOTHING),
        (-0.5, roughly("n:lt:0"), roughly("n:lt:0"), NOTHING),
        (2**31 - 1, exactly("n:eq:2147483647"), exactly("n:lt:2147483647"), exactly("n:ge:2147483647")),
        (
            2**31,
            roughly("n:gt:2147483647.5", "n:lt:2147483648.5"),
            roughly("n:lt:2147483648.5"),
            roughly("n:gt:2147483647.5"),
        ),
        (2147483647.5, exactly("n:eq:2147483647.5"), exactly("n:lt:2147483647.5"), exactly("n:ge:2147483647.5")),
        (
            10**14 - 1,
            roughly("n:gt:99999999999998.5", "n:lt:99999999999999.5"),
            roughly("n:lt:99999999999999.5"),
            roughly("n:gt:99999999999998.5"),
        ),
        (10**14, roughly("n:gt:99999999999999.5"), NOTHING, roughly("n:gt:99999999999999.5")),
        (10**20, roughly("n:gt:99999999999999.5"), NOTHING, roughly("n:gt:99999999999999.5")),
        (
            0.1,
            roughly("n:gt:0.09999999999999", "n:lt:0.10000000000001"),
            roughly("n:lt:0.10000000000001"),
            roughly("n:gt:0.09999999999999"),
        ),
        (
            123456.789,
            roughly("n:gt:123456.78899999", "n:lt:123456.78900001"),
            roughly("n:lt:123456.78900001"),
            roughly("n:gt:123456.78899999"),
        ),
        (
            2**-21,  # fifteen digits
            exactly("n:eq:0.000000476837158203125"),
            exactly("n:lt:0.000000476837158203125"),
            exactly("n:ge:0.000000476837158203125"),
        ),
        (
            2**-22,  # sixteen
            roughly("n:gt:0.0000002384185791015525", "n:lt:0.0000002384185791015725"),
            roughly("n:lt:0.0000002384185791015725"),
            roughly("n:gt:0.0000002384185791015525"),
        ),
    ],
    ids=str,
)
def test_numbers(number, equal, less, more):
    """What the grammar, or a database, takes otherwise is asked for by what surrounds it, and never for less."""
    assert asked(number == N) == Asked(*equal)
    assert asked(number > N) == Asked(*less)
    assert asked(number <= N) == Asked(*more)


def test_the_other_order_of_numbers():
    """Less or equal, and more, are spelled and bounded like the others; opposites are their opposites."""
    assert asked(N <= 1) == asked(~(N > 1)) == Asked(("n:le:1",), exact=True)
    assert asked(N > 1) == asked(~(N <= 1)) == Asked(("n:gt:1",), exact=True)
    assert asked(~(N < 1)) == Asked(("n:ge:1",), exact=True)
    assert asked(~(N >= 1)) == Asked(("n:lt:1",), exact=True)
    assert asked(N != 1) == Asked(("n:!eq:1",), exact=True)
    assert asked(N <= -1) == asked(~(N > -1)) == Asked(("n:lt:0",))
    assert asked(N > -1) == asked(N != -1) == asked(N != 0.1) == Asked()
    assert asked(N <= 0.1) == Asked(("n:lt:0.10000000000001",))
    assert asked(N > 0.1) == Asked(("n:gt:0.09999999999999",))


@pytest.mark.parametrize(
    ("condition", "filters"),
    [
        (T == "a b'c", exactly("t:eq:'a b'c'")),
        (T != "a", exactly("t:!eq:'a'")),
        (T == 'a"b\\c', exactly("t:eq:'a\"b\\c'")),
        (where() == 'a"b', NOTHING),
        (where() == "a\\b", NOTHING),
        (where() == "ab", exactly(".:eq:'ab'")),
        (where.key == "5", exactly("_:eq:'5'")),
        *((text == T, NOTHING) for text in ("a::b", "~", "@", "a,b", "[", "]", "(", ")", "\n", "\x7f", "\ud800")),
        (T == "a:b", exactly("t:eq:'a:b'")),
        (T < "a", NOTHING),
        (parsed("t:ieq:'ab'"), exactly("t:ieq:'ab'")),
        (parsed("t:ieq:'é'"), NOTHING),
        (parsed("t:ieq:'aK'"), NOTHING),
        (parsed("t:ieq:'aI'"), NOTHING),
        (parsed("t:ieq:'a,b'"), NOTHING),
        (~parsed("t:ieq:'ab'"), NOTHING),
    ],
    ids=ascii,
)
def test_texts(condition, filters):
    """A text is asked for where the grammar carries it, and in any case where every database means the same."""
    assert asked(condition) == Asked(*filters)


@pytest.mark.parametrize(
    ("condition", "filters"),
    [
        (T.contains("ab"), exactly("t:like:'ab'")),
        (T.startswith("ab"), exactly("t:$like:'ab'")),
        (T.endswith("ab"), exactly("t:like$:'ab'")),
        (T.contains("ab", ignore_case=True), exactly("t:ilike:'ab'")),
        (T.startswith("ab", ignore_case=True), exactly("t:$ilike:'ab'")),
        (T.endswith("ab", ignore_case=True), exactly("t:ilike$:'ab'")),
        (~T.contains("ab"), exactly("t:!like:'ab'")),
        (T.contains("é"), exactly("t:like:'é'")),
        (T.contains("éx", ignore_case=True), roughly("t:ilike:'%x'")),
        (T.contains("ki"), exactly("t:like:'ki'")),
        (T.contains("aki", ignore_case=True), roughly("t:ilike:'aki'")),
        (T.contains("aIx", ignore_case=True), roughly("t:ilike:'aIx'")),
        (T.contains("50%_*x"), roughly("t:like:'50%x'")),
        (~T.contains("50%"), NOTHING),
        (T.contains("%"), NOTHING),
        (T.contains(""), NOTHING),
        (T.contains("XX"), exactly("t:like:'XX'")),
        (T.contains("a:b,c'd"), roughly("t:like:'a%b%c%d'")),
        (where().contains("ab"), roughly(".:like:'ab'")),
        (~where().contains("ab"), NOTHING),
        (where.key.startswith("ab"), exactly("_:$like:'ab'")),
        (parsed("t:like:'x*%*y_z'"), exactly("t:like:'x%y_z'")),
        (parsed("t:like:'x:y'"), roughly("t:like:'x%y'")),
        (parsed("t:like:'_%'"), NOTHING),
        (parsed("t:!ilike:'ab'"), exactly("t:!ilike:'ab'")),
    ],
    ids=str,
)
def test_texts_in_texts(condition, filters):
    """What is special in the grammar or in patterns is asked for as anything, so that more comes, never less."""
    assert asked(condition) == Asked(*filters)


@pytest.mark.parametrize(
    ("condition", "filters"),
    [
        (T.in_(["a", "b c"]), exactly("t:in:[a,b c]")),
        (~T.in_(["a", "b"]), exactly("t:!in:[a,b]")),
        (T.in_(["a,b", "c"]), NOTHING),
        (T.in_([" a", "c"]), NOTHING),
        (T.in_(["a ", "c"]), NOTHING),
        (T.in_(["'a'", "c"]), NOTHING),
        (T.in_(["", "c"]), NOTHING),
        (T.in_(["a,b"]), NOTHING),
        (T.in_([" a"]), exactly("t:eq:' a'")),
        (T.in_([]), NOTHING),
        (N.in_([1]), exactly("n:eq:1")),
        (N.in_([[1]]), NOTHING),
        (N.in_([3, 1, 2]), roughly("n:ge:1", "n:le:3")),
        (N.in_([-3, 1]), roughly("n:le:1")),
        (N.in_([1, True]), NOTHING),
        (N.in_([1, "a"]), NOTHING),
        (N.in_([True, False]), NOTHING),
        (~N.in_([1, 2]), exactly("n:!eq:1", "n:!eq:2")),
        (~N.in_([1, -2]), roughly("n:!eq:1")),
        (~N.in_([-1, -2]), NOTHING),
        (~N.in_([1, "a"]), NOTHING),
    ],
    ids=str,
)
def test_one_of_several(condition, filters):
    """The grammar has lists of texts; numbers are asked for by the least and the most of them, or one by one."""
    assert asked(condition) == Asked(*filters)


def all_of(*conditions):
    return planned(conditions, any=False)


def any_of(*conditions):
    return planned(conditions, any=True)


def long(length):
    """A condition of which the request takes so many characters."""
    return where.key.startswith("x" * (length - len("&filter=_%3A%24like%3A%27%27")))


def test_all_of_several():
    """Each is asked for as far as it can be, and decided here where that is not exact."""
    assert all_of() == Plan((), "AND", (), visible=False)
    assert all_of(N == 1, T == "a") == Plan(("n:eq:1", "t:eq:'a'"), "AND", (), visible=True)
    rough, none = N == 0.1, T == [1]
    assert all_of(rough, none) == Plan(asked(rough).filters, "AND", (rough, none), visible=True)
    assert all_of(none) == Plan((), "AND", (none,), visible=False)
    key, other = where.key.startswith("a"), where.key.endswith("b")
    assert all_of(key, other, none).visible is False
    assert all_of(N == 1, key).visible is True
    assert all_of(key, N == 1).visible is True


def test_emptiness_goes_alone():
    """Servers join ``empty`` with other filters wrongly: beside another one it is decided here."""
    empty = T.is_empty()
    assert all_of(empty) == Plan(("t:empty",), "AND", (), visible=True)
    assert all_of(empty, N == [1]) == Plan(("t:empty",), "AND", (N == [1],), visible=True)
    assert all_of(empty, N == 1) == Plan(("n:eq:1",), "AND", (empty,), visible=True)
    assert all_of(N == 1, empty) == Plan(("n:eq:1",), "AND", (empty,), visible=True)
    assert all_of(empty, long(URL_FULL + 1)).filters == ("t:empty",)


def test_any_of_several():
    """The server is asked for all of them, or for none, which would be less than what matches."""
    key = where.key == "k"
    assert any_of(N == 1, T == "a") == Plan(("n:eq:1", "t:eq:'a'"), "OR", (), visible=True)
    assert any_of(N == 1, key) == Plan(("n:eq:1", "_:eq:'k'"), "OR", (), visible=False)
    assert any_of(N == 1) == Plan(("n:eq:1",), "AND", (), visible=True)
    assert any_of(N == 1, T == [1]) == Plan((), "AND", (N == 1, T == [1]), visible=False)
    assert any_of(N == 1, N == -1) == Plan(("n:eq:1", "n:lt:0"), "OR", (N == 1, N == -1), visible=True)
    assert any_of(N == 0.1) == Plan(("n:gt:0.09999999999999",), "AND", (N == 0.1,), visible=True)
    none = ~N.in_([1, 2])
    assert any_of(none, T == "a") == Plan(("n:!eq:1", "t:eq:'a'"), "OR", (none, T == "a"), visible=True)


def test_one_of_numbers_alone():
    """Which DHIS2's ``in`` does not find, becomes any of several; beside another condition it is asked for roughly."""
    several, negative = N.in_([1, 2]), N.in_([1, -2])
    for plan in (all_of, any_of):
        assert plan(several) == Plan(("n:eq:1", "n:eq:2"), "OR", (), visible=True)
        assert plan(negative) == Plan(("n:eq:1", "n:lt:0"), "OR", (negative,), visible=True)
        assert plan(N.in_([1])) == Plan(("n:eq:1",), "AND", (), visible=True)
    mixed = N.in_([1, "a", True])
    assert all_of(mixed) == Plan(("n:eq:1", "n:eq:'a'", "n:eq:true"), "OR", (), visible=True)
    assert all_of(N.in_([1, [2]])) == Plan((), "AND", (N.in_([1, [2]]),), visible=False)
    assert all_of(several, T == "a") == Plan(("n:ge:1", "n:le:2", "t:eq:'a'"), "AND", (several,), visible=True)
    assert all_of(~several) == Plan(("n:!eq:1", "n:!eq:2"), "AND", (), visible=True)
    assert all_of(T.in_(["a", "b"])) == Plan(("t:in:[a,b]",), "AND", (), visible=True)


def test_what_fits_into_a_request():
    """What servers take of a request is not exceeded: what does not fit is decided here."""
    fits, none = long(URL_FULL), long(URL_FULL + 1)
    for plan in (all_of, any_of):
        assert plan(fits) == Plan(asked(fits).filters, "AND", (), visible=False)
        assert plan(none) == Plan((), "AND", (none,), visible=False)
    half, rest, more = long(URL_FULL // 2), long(URL_FULL - URL_FULL // 2), long(URL_FULL - URL_FULL // 2 + 1)
    assert all_of(half, rest).here == any_of(half, rest).here == ()
    assert all_of(half, more) == Plan(asked(half).filters, "AND", (more,), visible=False)
    assert any_of(half, more) == Plan((), "AND", (half, more), visible=False)
    numbers = N.in_(range(1000))
    assert all_of(numbers) == Plan(("n:ge:0", "n:le:999"), "AND", (numbers,), visible=True)


@pytest.mark.parametrize(
    ("paths", "fields"),
    [
        ([("b",), ("a", "c"), ("a", "b")], "a.b,a.c,b"),
        ([("a1", "2")], "a1.2"),
        ([("a", "key")], "a.key"),
        ([("a" * 32, *"bcdef")], f"{'a' * 32}.b.c.d.e.f"),
        ([("a" * 33,)], None),
        ([tuple("abcdefg")], None),
        ([("key",)], None),
        ([("key", "a")], None),
        ([("a_b",)], None),
        ([("a",), ("a-b",)], None),
        ([("é",)], None),
        ([], None),
        ([()], None),
    ],
    ids=str,
)
def test_which_fields_can_be_picked(paths, fields):
    """Those that the grammar has names for, but for the entry's key; what has a parent in common side by side."""
    assert fields_of(paths) == fields
