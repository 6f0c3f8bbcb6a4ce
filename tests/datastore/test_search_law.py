"""Random conditions over random JSON: the server, this process and a plain evaluation agree, on every profile.

The plain evaluation is written here from what DHIS2's operators mean, and shares nothing with the library.
"""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhis2kv import where
from dhis2kv.emulator import PROFILES, Emulator
from tests.conftest import connect

STORES = [
    *((version, False) for version, profile in sorted(PROFILES.items()) if profile.entries_query),
    *((version, True) for version, profile in sorted(PROFILES.items()) if profile.user_entries_query),
]

# Few names and few values, so that conditions meet; among them all that the grammar cannot carry, or takes otherwise.
MEMBERS = ["a", "b", "c", "0", "a_b", "a-b", "a b", "key", "value", "é", "x" * 33]
TEXTS = [
    *("", "a", "A", "ab", "b", "ba", "é", "É", "k", "K", "\u212a", "I", "İ", "ß", "a b", " a", "a ", "5", "-1", "true"),
    *("null", "'", "'a'", '"', "a\\", "\\n", "\n", "a%", "a_", "*", "%", "a:b", "::", "a::b", "a~b", "a@b", "a,b", ","),
    *("[", "[a]", "(a)", "{}", "a]", "😀", "\ud7ff", "\ufffd", "z"),
]
NUMBERS = [
    *(0, 1, 2, 5, -1, -5, 0.5, 0.1, 1.5, -0.5, 2**31 - 2, 2**31 - 1, 2**31, 2**31 + 1, 2**40, 10**14, 10**14 + 1),
    *(10**20, -(2**31), 1e-7, 123456.789, 2147483647.5, 1.0, 3e9),
]

scalars = st.sampled_from([None, True, False]) | st.sampled_from(TEXTS) | st.sampled_from(NUMBERS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(MEMBERS), values, max_size=5)
keys = st.sampled_from(
    ["a", "A", "b", "ab", "a b", "5", "true", "null", "é", "k", "a*", "a_", "'", "a,b", "a~b", "[a]", "z:z"]
)
entries = st.dictionaries(keys, objects | values, max_size=8)

paths = st.lists(st.sampled_from([*MEMBERS, "0", "1", "-1"]), min_size=1, max_size=3).map(".".join) | st.just(".")
COMPARED = ["lt", "le", "gt", "ge"]
LOOKED_FOR = ["contains", "startswith", "endswith"]


def places_in(key, value, path=()):
    """Each (path, what is there) of an entry, the key's path being None."""
    if not path:
        yield None, key
    yield ".".join(path) or ".", value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from places_in(key, member, (*path, str(name)))


@st.composite
def conditions(draw, data):
    """A condition as plain facts: (path, operator, value, negated, ignore_case); path None is the key.

    Mostly about what is there, for others seldom find anything.
    """
    there = [place for entry in data.items() for place in places_in(*entry)]
    path, item = draw(st.sampled_from(there)) if there and draw(st.integers(0, 3)) else (draw(st.none() | paths), None)
    texts, numbers = st.sampled_from(TEXTS), st.sampled_from(NUMBERS)
    operators = {
        str: ["eq", "in", *LOOKED_FOR, *COMPARED],
        int: ["eq", "in", *COMPARED],
        float: ["eq", "in", *COMPARED],
    }
    others = ["eq", "in", *LOOKED_FOR, *COMPARED, "null", "empty"]
    operator = draw(st.sampled_from(operators.get(type(item), others)) | st.sampled_from(others))
    if path is None and operator in ("null", "empty"):
        operator = "eq"
    negated, ignore_case = draw(st.booleans()), operator in LOOKED_FOR and draw(st.booleans())
    if operator in ("null", "empty"):
        return path, operator, None, negated, False
    if operator in LOOKED_FOR:
        if isinstance(item, str) and draw(st.booleans()):
            start, end = sorted(draw(st.tuples(st.integers(0, len(item)), st.integers(0, len(item)))))
            return path, operator, item[start:end] + draw(st.sampled_from(["", *"%_*"])), negated, ignore_case
        return path, operator, draw(texts), negated, ignore_case
    same = st.just(item) if item is not None or operator in ("eq", "in") else numbers
    if path is None:
        one = texts | st.just(item if item is not None else "a")
    elif operator in COMPARED:
        one = (same if isinstance(item, str | int | float) else scalars) | (numbers if type(item) is not str else texts)
        one = one.filter(lambda value: value is not None)
    else:
        one = same | scalars
    if operator == "in":
        return path, operator, draw(st.lists(one, max_size=3)), negated, False
    return path, operator, draw(one), negated, False


@st.composite
def searches(draw, most):
    """Entries, and up to so many conditions about them."""
    data = draw(entries)
    return data, draw(st.lists(conditions(data), max_size=most))


def asked(condition):
    """The condition as the library has it."""
    path, operator, value, negated, ignore_case = condition
    place = where.key if path is None else where(path)
    made = {
        "eq": lambda: place == value,
        "lt": lambda: place < value,
        "le": lambda: place <= value,
        "gt": lambda: place > value,
        "ge": lambda: place >= value,
        "in": lambda: place.in_(value),
        "null": place.is_null,
        "empty": place.is_empty,
        "contains": lambda: place.contains(value, ignore_case=ignore_case),
        "startswith": lambda: place.startswith(value, ignore_case=ignore_case),
        "endswith": lambda: place.endswith(value, ignore_case=ignore_case),
    }[operator]()
    return ~made if negated else made


# --- the plain evaluation ---------------------------------------------------------------------------------------------


def type_of(value):
    return {bool: "bool", int: "number", float: "number", str: "text", type(None): "null"}.get(type(value), type(value))


def equal(a, b):
    if type_of(a) != type_of(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[name], b[name]) for name in a)
    return a == b


def find(path, key, value):
    """What is at the path, in a list; an empty one where nothing is."""
    if path is None:
        return [key]
    if path == ".":
        return [value]
    for name in path.split("."):
        try:
            value = value[int(name)] if isinstance(value, list) else value[name] if isinstance(value, dict) else {}[0]
        except (LookupError, ValueError):
            return []
    return [value]


def small(text):
    """The text in small letters; those that become another alphabet's, or several, stay."""
    return "".join(one if one in "\u212aİ" else one.lower() for one in text)


def holds(condition, key, value):
    path, operator, wanted, negated, ignore_case = condition
    there = find(path, key, value)
    if not there:
        return False
    [item] = there
    if operator == "null":
        return (item is None) != negated
    if operator == "empty":
        return type(item) in (str, list, dict) and (not item) != negated
    if operator == "in":
        if not wanted:
            return negated
        types = [type_of(one) for one in wanted]
        return type_of(item) in types and any(equal(item, one) for one in wanted) != negated
    if operator == "eq" and wanted is None:
        return (item is None) != negated
    if type_of(item) != type_of(wanted):
        return False
    if operator == "eq":
        return equal(item, wanted) != negated
    if operator in COMPARED:
        less, same = item < wanted, item == wanted
        return {"lt": less, "le": less or same, "gt": not less and not same, "ge": not less}[operator] != negated
    if ignore_case:
        item, wanted = small(item), small(wanted)
    return {"contains": wanted in item, "startswith": item[: len(wanted)] == wanted, "endswith": item.endswith(wanted)}[
        operator
    ] != negated


def plain(data, asked_for, any_of):
    tell = any if any_of else all
    return {
        key: value
        for key, value in data.items()
        if not asked_for or tell(holds(condition, key, value) for condition in asked_for)
    }


def typed(value):
    """A value in which true is not 1, and 1 is 1.0."""
    if isinstance(value, dict):
        return {name: typed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return (type_of(value), value)


@pytest.fixture(scope="module", params=STORES, ids=lambda one: f"{one[0]}{'-user' if one[1] else ''}")
def places(request):
    """A way to fill a namespace, and the namespace as it is searched by the server, and in this process."""
    version, user = request.param
    emulator = Emulator(version=version)
    store = connect(emulator)
    store = store.user if user else store

    def fill(data):
        emulator.reset()
        emulator.load({"app": data}, user="admin" if user else None)

    return fill, store["app"], store.namespace("app", encrypt=True)


@given(search=searches(3), any_of=st.booleans())
@settings(max_examples=40)
def test_conditions(places, search, any_of):
    """The same entries are found by the server, in this process, and by the plain evaluation."""
    fill, there, here = places
    data, facts = search
    fill(data)
    expected = typed(plain(data, facts, any_of))
    made = [asked(condition) for condition in facts]
    assert typed(there.find(*made, any=any_of)) == expected
    assert typed(here.find(*made, any=any_of)) == expected


# --- order, limit and fields ------------------------------------------------------------------------------------------


def rank(item):
    return ["number", "text", "bool", list, dict].index(type_of(item))


def plainly_ordered(found, path, descending):
    """The keys in order: by insertion, one by one, each before the first that it must precede."""
    result = []
    for key in sorted(found):
        place = len(result)
        for number, other in enumerate(result):
            if precedes(find(path, key, found[key]), find(path, other, found[other]), descending):
                place = number
                break
        result.insert(place, key)
    return result


def precedes(one, other, descending):
    one, other = [item for item in one if item is not None], [item for item in other if item is not None]
    if not one or not other:
        return bool(one) and not other
    a, b = one[0], other[0]
    if descending:
        a, b = b, a
    if rank(a) != rank(b):
        return rank(a) < rank(b)
    return rank(a) < 3 and a < b


def plainly_picked(value, fields):
    result = {}
    for path in fields:
        for part in find(path, "", value):
            inner = result
            *above, last = path.split(".")
            for name in above:
                inner = inner.setdefault(name, {})
            inner[last] = part
    return result


@st.composite
def arranged(draw):
    """Entries, some conditions, and which parts of them in which order: parts that are there, mostly."""
    data, facts = draw(searches(2))
    there = {path for entry in data.items() for path, _ in places_in(*entry) if path not in (None, ".")}
    parts = st.lists(st.sampled_from([*MEMBERS, "1"]), min_size=1, max_size=2).map(".".join)
    parts = st.sampled_from(sorted(there)) | st.sampled_from(sorted(there)) | parts if there else parts
    chosen = draw(st.lists(parts, min_size=1, max_size=3, unique=True))
    fields = [path for path in chosen if not any(path.startswith(f"{other}.") for other in chosen)]
    return (
        data,
        facts,
        draw(st.none() | parts | st.just(".")),
        draw(st.booleans()),
        draw(st.sampled_from([None, fields])),
    )


@given(search=arranged(), limit=st.none() | st.integers(0, 4))
@settings(max_examples=30)
def test_order_limit_and_fields(places, search, limit):
    """Order, limit and picked fields are the same, whoever finds the entries."""
    fill, there, here = places
    data, facts, order, descending, fields = search
    fill(data)
    found = plain(data, facts, False)
    chosen = plainly_ordered(found, order, descending)[:limit]
    expected = [(key, typed(plainly_picked(found[key], fields) if fields else found[key])) for key in chosen]
    made = [asked(condition) for condition in facts]
    spelled = f"{order or '_'}:{'desc' if descending else 'asc'}"
    for namespace in (there, here):
        result = namespace.find(*made, order=spelled, fields=fields, limit=limit)
        assert [(key, typed(value)) for key, value in result.items()] == expected


OWN = {"eq": "eq", "lt": "lt", "le": "lte", "gt": "gt", "ge": "gte"}


@given(data=entries, path=paths, number=st.sampled_from(NUMBERS), operator=st.sampled_from(sorted(OWN)))
@settings(max_examples=10)
def test_conditions_in_dhis2s_own_words(places, data, path, number, operator):
    """A comparison with a number means the same in DHIS2's own words."""
    fill, there, here = places
    fill(data)
    digits = format(Decimal(repr(number)), "f")
    expected = typed(plain(data, [(path, operator, number, False, False)], False))
    for namespace in (there, here):
        assert typed(namespace.find(f"{path}:{OWN[operator]}:{digits}")) == expected
