"""The entries query: the recorded replies of real servers, and facts of the SQL that the server makes of a query."""

import json
import re
import tracemalloc
from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from dhis2kv.emulator import entries
from dhis2kv.emulator.entries import Query, QueryError
from dhis2kv.emulator.jsonb import to_jsonb
from dhis2kv.emulator.profiles import PROFILES

RECORDINGS = Path(__file__).parents[1] / "recordings"
# Texts of Java and of the database differ from build to build, and are masked wherever recordings are compared.
FOREIGN = re.compile(r"ERROR: |java\.|For input string")


def params(query):
    """The decoded pairs of a query string."""
    pairs = (part.partition("=") for part in query.split("&"))
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def ask(rows, query, version="2.42"):
    """The parsed reply to a query over entries given as JSON texts (None: SQL NULL) by key."""
    return json.loads(raw(rows, query, version))


def raw(rows, query, version="2.42"):
    stored = sorted((key, None if text is None else to_jsonb(text)) for key, text in rows.items())
    return Query.parse(params(query), PROFILES[version]).answer(iter(stored)).decode()


def keys(rows, query, version="2.42"):
    return [entry["key"] for entry in ask(rows, f"fields=&headless=true&{query}", version)]


def refusal(query, version="2.42", rows=()):
    with pytest.raises(QueryError) as caught:
        raw(dict(rows), query, version)
    return caught.value.status, caught.value.message, caught.value.error_code


CONVERSATIONS = [
    (name, version)
    for name in ("global-query-fields", "global-query-filters", "user-query-fields", "user-order-of-keys")
    for version, profile in PROFILES.items()
    if (profile.user_entries_query if name.startswith("user") else profile.entries_query)
]


@pytest.mark.parametrize(("name", "version"), CONVERSATIONS)
def test_recorded_queries_are_answered_as_recorded(name, version):
    """Every recorded query over entries that were written in the same conversation gets the recorded reply."""
    rows, asked = {}, 0
    for exchange in json.loads((RECORDINGS / f"{name}.json").read_text())["exchanges"]:
        request = exchange["request"]
        path, _, query = request["target"].partition("?")
        key = unquote_plus(path.split("/")[-1])
        if request["method"] == "POST":
            rows[key] = request["body"]
        if request["method"] != "GET" or not re.match("fields", query):
            continue
        wanted = next(reply for reply in exchange["replies"] if version in reply["servers"])
        asked += 1
        try:
            status, body = 200, raw(rows if key != "none" else {}, query, version)
        except QueryError as error:
            status, body = error.status, error
        assert status == wanted["status"], query
        if status == 200:
            assert body == wanted["body"], query
            continue
        reply = json.loads(wanted["body"])
        assert body.error_code == reply.get("errorCode"), query
        if not FOREIGN.search(reply["message"]):
            assert body.message == reply["message"], query
    assert asked >= 3


CONDITIONS = {
    "a": '{"n": 1}',
    "b": '{"n": "one"}',
    "c": '{"n": []}',
    "d": '{"n": {"m": "deep"}}',
    "e": '{"n": null}',
    "f": '{"n": 2147483647}',
    "g": '{"n": "-7"}',
    "h": r'{"n": "50% off_a\\b"}',
    "i": '{"n": "[x]"}',
    "j": '{"n": "ÉCRU"}',
    "k": None,
    "l": '{"n": ""}',
    "m": '{"n": 10.5}',
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        # The look of the value decides the type, and only values of that type match.
        ("filter=n:eq:1.0", "a"),
        ("filter=n:!eq:1", "fm"),
        ("filter=n:eq:'-7'", "g"),
        ("filter=n:eq:-7", "g"),
        ("filter=n:lt:-6", "l"),
        ("filter=n:lt:z", "bghil"),
        # Lists become strings to compare with, to the database less than any list but an empty one.
        ("filter=n:eq:[x]", ""),
        ("filter=n:lt:[x]", "c"),
        ("filter=n:gt:{x}", "d"),
        # Whole numbers become Java ints, which stop at their largest.
        ("filter=n:eq:3000000000", "f"),
        ("filter=n:eq:10.50", "m"),
        # null compares the name of the type.
        ("filter=n:eq:null", "e"),
        ("filter=n:ne:null", "abcdfghijlm"),
        ("filter=n:gt:null", "abdfghijlm"),
        ("filter=n:null", "e"),
        # Patterns: * and % for any text, _ for any character, a backslash before what is meant as it is.
        ("filter=n:like:*off*", "h"),
        ("filter=n:like:o__e", ""),
        ("filter=n:$like:o_e", "b"),
        (r"filter=n:like:0\%25", "h"),
        (r"filter=n:like:f\%25", ""),
        (r"filter=n:like:a\\b", "h"),
        (r"filter=n:like:a\b", ""),
        ("filter=n:like$:ne", "b"),
        ("filter=n:!like:n", "ghijl"),
        # The database lowers ASCII letters only, the server all of them.
        ("filter=n:ieq:ÉCRU", ""),
        ("filter=n:ilike:CRU", "j"),
        ("filter=n:in:[one,-7,]", "bg"),
        ("filter=n:!in:[one]", "ghijl"),
        ("filter=n:in:[,]", ""),
        ("filter=n:!in:[,]", ""),
        ("filter=n:in:[]", "l"),
        ("filter=n:empty", "cl"),
        ("filter=n:!empty", "bdghij"),
        ("filter=n.m:eq:deep", "d"),
        ("filter=_:in:[a,b]", "ab"),
        ("filter=_:!in:[a,b]", "cdefghijklm"),
        ("filter=_:ge:k", "klm"),
        ("filter=_:ieq:K", "k"),
        ("filter=.:!null", "abcdefghijlm"),
        # Two filters, in one parameter or in two.
        ("filter=n:gt:0,_:lt:f", "a"),
        ("filter=n:gt:0&filter=_:lt:f", "a"),
        ("filter=n:eq:1&filter=n:eq:one&rootJunction=OR", "ab"),
        # The server forgets the parentheses of "empty": only its part next to the "and" is under it.
        ("filter=n:empty,_:eq:zzz", "cl"),
        ("filter=_:eq:zzz,n:empty", "c"),
    ],
)
def test_filters_mean_what_their_sql_means(query, found):
    """What PostgreSQL 15 selects with the SQL that the server makes of these filters."""
    assert "".join(keys(CONDITIONS, query)) == found


FAILING = ["n:like:5", "n:ilike:true", "n:!like:[x]", "_:eq:12", "_:like:12", "_:lt:true", "n:in:5", "n:in:null"]


@pytest.mark.parametrize("filter_", [*FAILING, "_:eq:null", "n:eq:'", "n:like$:x\\"])
def test_sql_that_fails_is_400_whatever_is_stored(filter_):
    """Patterns for numbers, numbers for text, and so on: the server answers 400 with the database's or Java's words."""
    status, message, code = refusal(f"fields=&filter={filter_}", rows={"a": '{"n": "x"}'})
    assert (status, code) == (400, None)
    assert message.startswith("Unknown error when running the query: ")


@pytest.mark.parametrize(("version", "said"), [("2.39", "class java.lang.Double"), ("2.40", "null"), ("2.44", "Param")])
def test_mistyped_values_are_told_in_each_versions_words(version, said):
    """The recorded texts for a number compared with keys."""
    message = refusal("fields=&filter=_:eq:123", version)[1]
    assert message.startswith(f"Unknown error when running the query: {said}")


@pytest.mark.parametrize(
    ("fields", "entry"),
    [
        ("a.b", '"a":{"b":1}'),
        ("a[b,c]", '"a":{"b":1,"c":[{"d": 2}]}'),
        ("a(b),e", '"a":{"b":1},"e":null'),
        ("a[c[0[d]]]", '"a":{"c":{"0":{"d":2}}}'),
        ("a.c.0.d,a.b", '"a":{"c":{"0":{"d":2}},"b":1}'),
        ("a.b~hoist(x)", '"x":1'),
        ("a[b~hoist(x.y),f~hoist()]", '"x":{"y":1},"":null'),
        # After "a.b[c]" the list goes on within "a".
        ("a.c[0],b", '"a":{"c":{"0":{"d": 2}},"b":1}'),
        (".,", '"value":{"a": {"b": 1, "c": [{"d": 2}]}, "g": "\\u0001é"}'),
        ("g", '"g":"\\u0001é"'),
        # What follows is no JSON: nesting is decided by the neighbours' names level by level.
        ("a.b,g.b", '"a":{"b":1},"g":null}'),
        ("a,a.b", '"a":{"b": 1, "c": [{"d": 2}]},{"b":1}'),
        ("g,g", '"g":"\\u0001é","\\u0001é"'),
    ],
)
def test_fields_are_printed_as_the_server_prints_them(fields, entry):
    """Requested members in their order, nested by dots or brackets; null where there is none."""
    rows = {"k": r'{"a":{"b":1,"c":[{"d":2}]},"g":"\u0001\u00e9"}'}
    assert raw(rows, f"fields={fields}&headless=true") == f'[{{"key":"k",{entry}}}]'


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ("a-b", (409, "Illegal fields expression, expected `,`, `[` or `]` at position 1 but found `-`", "E7651")),
        ("a~x", (409, "Illegal fields expression, expected `,`, `[` or `]` at position 0 but found `a`", "E7651")),
        ("é", (409, "Not a valid path: `é`", "E7650")),
        ("a[.]", (409, "Not a valid path: `a..`", "E7650")),
        ("~hoist(a)", (409, "Not a valid path: `~hoist(a)`", "E7650")),
        ("a.b.c.d.e.f.g", (409, "Not a valid path: `a.b.c.d.e.f.g`", "E7650")),
        ("a,b~x", (500, "begin 2, end 0, length 5", None)),
    ],
)
def test_bad_fields_are_refused(fields, refused):
    """Letters, digits and dots only, six levels at most; an alias without an end breaks the server's parser."""
    assert refusal(f"fields={fields}") == refused


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("order=a:b:c", 400, "Not a valid order expression: a:b:c"),
        ("order=", 409, "Not a valid path: ``"),
        ("order=a b", 409, "Not a valid path: `a b`"),
        ("filter=,a:eq:1", 409, "Illegal filter expression ``: expected expression of pattern: "
                                "<property>:<operator>[:<value>]"),
        ("filter=a:eq:%20", 409, "Illegal filter `a:eq: `: the operator `eq` requires a value"),
        ("page=", 400, "Value '' is not valid for parameter page. It should be of type int"),
        ("page=2147483648", 400, "Value '2147483648' is not valid for parameter page. It should be of type int"),
        ("headless=maybe", 400, "Value 'maybe' is not valid for parameter headless. It should be of type boolean"),
        ("includeAll=2", 400, "Value '2' is not valid for parameter includeAll. It should be of type boolean"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(query, status, message):
    """The words in which the server refuses a parameter that it cannot read."""
    assert refusal(f"fields=&{query}")[:2] == (status, message)


ORDERED = {"a": '{"n": 10}', "b": '{"n": 9.5}', "c": '{"n": [1]}', "d": '{"n": null}', "e": "5", "f": None,
           "g": '{"n": "x"}'}  # fmt: skip


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("_:asc", "abcdefg"),
        ("_:ndesc", "gfedcba"),
        ("n", "dgbacef"),
        ("n:desc", "cabgdef"),
        ("n~DESC", "cabgdef"),
        (".:desc", "dcbagef"),
        ("n:nasc&filter=n:gt:0", "ba"),
        ("n:ndesc&filter=n:gt:0", "ab"),
    ],
)
def test_order_is_the_databases_with_what_is_missing_last(order, found):
    """By type and value where a member is asked, by text for the whole value; SQL NULL comes last in any direction."""
    assert "".join(keys(ORDERED, f"order={order}")) == found


@pytest.mark.parametrize(("value", "said"), [
    ("null", 'invalid input syntax for type double precision: "null"'),
    ('"7"', 'invalid input syntax for type double precision: ""7""'),
    ("1e400", f'"1{"0" * 400}" is out of range for type double precision'),
])  # fmt: skip
def test_numeric_order_fails_on_what_is_no_number(value, said):
    """PostgreSQL's cast to double precision fails, and the query with it."""
    status, message, _ = refusal("fields=&order=n:nasc", rows={"a": f'{{"n": {value}}}'})
    assert (status, message) == (400, f"Unknown error when running the query: ERROR: {said}")


def test_nulls_are_told_apart_as_far_as_the_server_does():
    """A stored null is a value, SQL NULL is none and shows with includeAll only; without fields every key shows."""
    rows = {"null": "null", "none": None, "one": "1"}
    assert raw(rows, "fields=.&headless=true") == '[{"key":"null","value":null},{"key":"one","value":1}]'
    assert [entry["key"] for entry in ask(rows, "fields=.&headless=true&includeAll=true")] == ["none", "null", "one"]
    assert keys(rows, "") == ["none", "null", "one"]
    assert keys(rows, "filter=.:null") == ["null"]


def test_keys_and_names_are_printed_unescaped():
    """A quote in a key ends the string in the answer, as recorded from every version; other characters stay too."""
    assert raw({'a"b': "2", "t\tt": "3"}, "fields=.&headless=true") == (
        '[{"key":"a"b","value":2},{"key":"t\tt","value":3}]'
    )


def test_pages_are_clamped_and_only_as_far_as_needed_read():
    """A page is 1000 entries at most and one at least, and no row behind the page is read."""
    rows = ((f"k{number:05}", "1") for number in range(10_000))
    reply = Query.parse(params("fields=&pageSize=5000&page=2"), PROFILES["2.42"]).answer(rows)
    parsed = json.loads(reply)
    assert parsed["pager"] == {"page": 2, "pageSize": 1000}
    assert [parsed["entries"][0]["key"], parsed["entries"][-1]["key"]] == ["k01000", "k01999"]
    assert next(rows)[0] == "k02000"


def test_paging_can_be_off():
    """Without paging all entries come, with a pager that says 50 all the same."""
    reply = ask({f"k{number:05}": "1" for number in range(1200)}, "fields=&paging=false")
    assert reply["pager"] == {"page": 1, "pageSize": 50}
    assert len(reply["entries"]) == 1200


def test_what_stands_before_a_page_is_not_printed(monkeypatch):
    """Of the entries before the page and after it none is printed, with a filter neither, and the page is the same."""
    printed = []
    printer = entries._printer

    def noting(fields):
        print_entry = printer(fields)
        return lambda row: printed.append(row.key) or print_entry(row)

    monkeypatch.setattr(entries, "_printer", noting)
    rows = {f"k{number:03}": str(number) for number in range(100)}
    assert keys(rows, "filter=.:gt:9&page=3&pageSize=2") == ["k014", "k015"]
    assert printed == ["k014", "k015"]


def test_a_large_answer_is_built_in_one_piece():
    """While an answer of many entries is built, hardly more memory is in use than the answer takes."""
    rows = ((f"key{number:06}", f'{{"a": "{"x" * 100}"}}') for number in range(20_000))
    query = Query.parse(params("fields=.,a&paging=false&filter=a:like:x"), PROFILES["2.42"])
    tracemalloc.start()
    body = query.answer(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(body) > 4_000_000
    assert peak < 1.5 * len(body)
