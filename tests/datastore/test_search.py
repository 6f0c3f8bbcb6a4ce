"""Finding entries: what conditions mean, what is asked of servers, what it costs, and what is never left out."""

import json
import logging
import re
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import responses

from dhis2kv import Forbidden, InvalidKey, Store, Unreachable, where
from dhis2kv.emulator import Emulator
from dhis2kv.wire.conditions import parsed
from dhis2kv.wire.filters import asked, planned
from dhis2kv.wire.matching import matcher, precisely
from tests.conftest import connect, sent

URL = "https://dhis2.example.org"
PEOPLE = {
    "ann": {"name": "Ann", "age": 41, "address": {"city": "Arusha"}, "tags": []},
    "ben": {"name": "Ben", "age": 9, "address": {"city": "Bo"}, "tags": ["x"], "left": None},
    "cid": {"name": "cid", "age": 30.5},
    "dot": {"name": "Dot", "age": "30"},
}


@pytest.fixture
def people():
    emulator = Emulator()
    emulator.load({"app": PEOPLE})
    return emulator, connect(emulator)["app"]


# --- what conditions mean ---------------------------------------------------------------------------------------------

RECORDED = json.loads((Path(__file__).parents[1] / "recordings" / "global-query-filters.json").read_text())["exchanges"]
STORED = {
    exchange["request"]["target"].rsplit("/", 1)[1].replace("%20", " "): precisely(exchange["request"]["body"])
    for exchange in RECORDED
    if exchange["request"]["method"] == "POST"
}


def recorded():
    """Each recorded search that all servers with queries answered alike: filters, junction and the keys found."""
    for exchange in RECORDED:
        query = parse_qsl(exchange["request"]["target"].partition("?")[2], keep_blank_values=True)
        replies = [reply for reply in exchange["replies"] if max(reply["servers"]) >= "2.38"]
        answers = {(reply["status"], reply["body"]) for reply in replies if "2.44" in reply["servers"]}
        if exchange["request"]["method"] == "GET" and next(iter(answers))[0] == 200:
            filters = [one for name, text in query if name == "filter" for one in re.split(r",(?![^\[]*\])", text)]
            keys = [row["key"] for row in json.loads(next(iter(answers))[1])]
            yield pytest.param(filters, dict(query).get("rootJunction"), keys, id=" ".join(filters))


OTHERWISE = {"num:in:[9,5]": ["cat", "cow"]}  # DHIS2's ``in`` finds no numbers; ours does
REFUSED = {"name:eq:[Miao]"}  # a list that is none: DHIS2 finds nothing


@pytest.mark.parametrize(("filters", "junction", "keys"), list(recorded()))
def test_conditions_mean_what_recorded_servers_answered(filters, junction, keys):
    """DHIS2's own words, decided here, find the keys that real servers found for them."""
    if REFUSED & set(filters):
        with pytest.raises(ValueError, match="text in quotes"):
            parsed(filters[0])
        return
    meets = matcher(map(parsed, filters), (junction or "and").lower() == "or")
    expected = OTHERWISE.get(" ".join(filters), keys)
    assert sorted(key for key, value in STORED.items() if meets(key, value)) == expected


def test_the_recorded_searches_are_many():
    """The recordings hold searches with each kind of operator."""
    operators = {one.split(":")[1] for case in recorded() for one in case.values[0] if one.count(":") in (1, 2)}
    assert {"eq", "!eq", "gt", "null", "!null", "empty", "!empty", "in", "!in", "like", "ilike$"} <= operators


def test_a_condition_is_not_true_or_false():
    """``not``, ``and``, ``or``, ``if`` and chained comparisons raise, and say what to write."""
    age = where("age")
    for act in (
        lambda: not (age > 3),
        lambda: (age > 3) and (age < 5),
        lambda: (age > 3) or (age < 5),
        lambda: 3 < age < 5,
        lambda: bool(age),
    ):
        with pytest.raises(TypeError, match="truth value"):
            act()
    for act in (lambda: (age > 3) & (age < 5), lambda: (age > 3) | (age < 5)):
        with pytest.raises(TypeError, match="any=True"):
            act()


@pytest.mark.parametrize(
    "act",
    [
        lambda ns: ns.find(where("age")),
        lambda ns: ns.find(where("age") is None),
        lambda ns: ns.find(("age", "gt", 3)),
        lambda ns: where("age") > None,
        lambda ns: where("age") > [1],
        lambda ns: where("age") > float("nan"),
        lambda ns: where("age") < 10**5000,
        lambda ns: where("age") == 10**5000,
        lambda ns: where("age").in_([1, -(10**5000)]),
        lambda ns: where("age") == [{"deep": 10**5000}],
        lambda ns: where("age") == {1},
        lambda ns: where("age") == float("inf"),
        lambda ns: where("age").in_("abc"),
        lambda ns: where("age").contains(3),
        lambda ns: where(3),
        lambda ns: where.key == 3,
        lambda ns: where.key.in_([3]),
        lambda ns: where.key > 3,
    ],
)
def test_what_is_no_condition(people, act):
    """What could never be meant is a TypeError, before anything is sent."""
    emulator, namespace = people
    with pytest.raises(TypeError):
        act(namespace)
    assert sent(emulator) == []


@pytest.mark.parametrize(
    "act",
    [
        lambda ns: where("a..b"),
        lambda ns: where(""),
        lambda ns: where.key.is_null(),
        lambda ns: where.key == None,  # noqa: E711
        lambda ns: where.key.is_empty(),
        lambda ns: ns.find("age"),
        lambda ns: ns.find("age:gt"),
        lambda ns: ns.find("age:bad:3"),
        lambda ns: ns.find("age:null:3"),
        lambda ns: ns.find("age:gt:null"),
        lambda ns: ns.find("_:null"),
        lambda ns: ns.find("cute:eq:true,num:gt:5"),
        lambda ns: ns.find("name:like:a\\b"),
        lambda ns: ns.find(fields=[]),
        lambda ns: ns.find(fields="_"),
        lambda ns: ns.find(fields="a,,b"),
        lambda ns: ns.find(order="age:down"),
        lambda ns: ns.find(limit=-1),
        lambda ns: ns.find(limit=True),
        lambda ns: ns.find(limit=1.5),
    ],
)
def test_what_says_nothing(people, act):
    """Words that mean nothing are a ValueError, before anything is sent."""
    emulator, namespace = people
    with pytest.raises(ValueError, match=r"\w"):
        act(namespace)
    assert sent(emulator) == []


def test_an_order_that_is_no_text(people):
    """A list of paths to sort by is a TypeError, before anything is sent."""
    emulator, namespace = people
    with pytest.raises(TypeError, match="order is a text"):
        namespace.find(order=["age", "name"])
    assert sent(emulator) == []


def test_dhis2s_own_words(people):
    """They are as in DHIS2: quotes make a text, wildcards hold, case is ignored where DHIS2 ignores it."""
    _, namespace = people
    assert list(namespace.find("age:eq:'30'")) == ["dot"]
    assert list(namespace.find("age:ge:30")) == ["ann", "cid"]
    assert list(namespace.find("name:like:*n")) == ["ann", "ben"]
    assert list(namespace.find("name:like:_nn")) == ["ann"]
    assert list(namespace.find("name:startswith:C")) == ["cid"]
    assert list(namespace.find("name:$like:C")) == []
    assert list(namespace.find("name:ieq:ANN")) == ["ann"]
    assert list(namespace.find("age:in:[9,30]")) == ["ben", "dot"]
    assert list(namespace.find("left:eq:null")) == ["ben"]
    assert list(namespace.find("age:gt:-5")) == ["ann", "ben", "cid"]
    assert list(namespace.find("name:eq:'a,b'")) == []
    assert namespace.find("age:gt:30", where("name") != "cid") == {"ann": PEOPLE["ann"]}


def test_texts_are_literal(emulator):
    """What is a wildcard to a database is a character here."""
    emulator.load({"app": {"a": "100%", "b": "100 x", "c": "a_b", "d": "axb", "e": "a\\b", "f": "ÉTAT", "g": "a*"}})
    namespace = connect(emulator)["app"]
    assert list(namespace.find(where().contains("0%"))) == ["a"]
    assert list(namespace.find(where().contains("a_"))) == ["c"]
    assert list(namespace.find(where().endswith("\\b"))) == ["e"]
    assert list(namespace.find(where().contains("*"))) == ["g"]
    assert list(namespace.find(where().startswith("état", ignore_case=True))) == ["f"]
    assert list(namespace.find(where().startswith("état"))) == []


def test_conditions_can_be_read():
    """A condition says what it is."""
    assert str(~(where("age") > 30)) == "not age > 30"
    assert str(where.key.contains("é", ignore_case=True)) == '_ contains "é" in any case'
    assert str(where().is_null()) == ". null"
    assert repr(where("a[0].b")) == "where('a.0.b')"


# --- what is asked of servers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "filters"),
    [
        (where("age") > 30, ["age:gt:30"]),
        (~(where("age") > 30), ["age:le:30"]),
        (where("age") == 9.0, ["age:eq:9"]),
        (where("n") == "30", ["n:eq:'30'"]),
        (where("n") != "x'y", ["n:!eq:'x'y'"]),
        (where("a.b") == True, ["a.b:eq:true"]),  # noqa: E712
        (where("n") == None, ["n:null"]),  # noqa: E711
        (where("n").in_(["a", "b"]), ["n:in:[a,b]"]),
        (~where("n").in_(["a", "b"]), ["n:!in:[a,b]"]),
        (where("n").in_([7]), ["n:eq:7"]),
        (where("n").contains("a"), ["n:like:'a'"]),
        (~where("n").endswith("A", ignore_case=True), ["n:!ilike$:'A'"]),
        (where.key == "null", ["_:eq:'null'"]),
        (where.key.startswith("a"), ["_:$like:'a'"]),
    ],
)
def test_what_a_server_answers_rightly(condition, filters):
    """Such a condition is asked for as it is, and nothing of it is decided here."""
    plan = planned([condition], any=False)
    assert (list(plan.filters), plan.here) == (filters, ())


@pytest.mark.parametrize(
    ("condition", "filters"),
    [
        (where("n").contains("50%, or so"), ["n:like:'50% or so'"]),
        (where("n").contains("50%"), ["n:like:'50%'"]),
        (where("n").startswith("état", ignore_case=True), ["n:$ilike:'%tat'"]),
        (where("n") < -3, ["n:lt:0"]),
        (where("n") > 1_700_000_000_000, ["n:gt:1699999999999.5"]),
        (where("n").in_([3, 1, 2**40]), ["n:gt:0.5", "n:lt:1099511627776.5"]),
        (where().contains("a"), [".:like:'a'"]),
    ],
)
def test_what_a_server_narrows(condition, filters):
    """Such a condition is asked for by what surrounds it, and decided here."""
    if condition.operator == "in":
        answer = asked(condition)
        assert list(answer.filters) == ["n:ge:1", "n:lt:1099511627776.5"]
        assert not answer.exact
        return
    plan = planned([condition], any=False)
    assert (list(plan.filters), plan.here) == (filters, (condition,))


@pytest.mark.parametrize(
    "condition",
    [
        where("n") > "a",  # each database has an order of its own
        where("n") == [1],
        where("n") == "a~b",
        where("n") == "a,b",
        where("n") == "a::b",
        where("n") > -3,
        ~where("n").contains("%"),
        where("a b") == 1,
        where("x" * 33) == 1,
        where("a.b.c.d.e.f.g") == 1,
        where() == 'a"b',
        where("n").contains("%"),
        where("n").in_([1, [2]]),
        where("n").in_([]),
    ],
)
def test_what_no_server_is_asked(condition):
    """Such a condition is decided here, after a bulk read."""
    plan = planned([condition], any=False)
    assert (plan.filters, plan.here) == ((), (condition,))


def test_empty_is_not_joined():
    """Servers join ``empty`` with other filters as if those did not count, so that it is asked for alone."""
    empty, name = where("tags").is_empty(), where("name") == "Ann"
    assert planned([empty], any=False).filters == ("tags:empty",)
    assert planned([empty, name], any=False).filters == ("name:eq:'Ann'",)
    assert planned([empty, name], any=False).here == (empty,)
    assert planned([empty, name], any=True).filters == ("tags:empty", "name:eq:'Ann'")


def test_any_of_conditions_needs_all_of_them():
    """Where one of several alternatives cannot be asked for, none is."""
    plan = planned([where("n") == 1, where("n") > "a"], any=True)
    assert plan.filters == ()
    assert len(plan.here) == 2


def test_more_than_fits_into_a_url_is_decided_here(people):
    """A list that no URL holds is no fault of the caller."""
    emulator, namespace = people
    many = [f"name{number:05}" for number in range(3000)]
    assert list(namespace.find(where("name").in_([*many, "Ann"]))) == ["ann"]
    assert list(namespace.find(where("age").in_([*range(1000, 9000), 9]))) == ["ben"]
    assert list(namespace.find(where("age").in_([*range(1000, 9000), 9]), where("age") < 10)) == ["ben"]
    assert all(len(target) < 8000 for _, target in sent(emulator))


def test_explain(people):
    """It says what is asked and what is decided here, and sends nothing."""
    emulator, namespace = people
    said = namespace.find(where("age") > 30, where("name") > "B", fields="name", explain=True)
    assert said == 'asks the server for age:gt:30, of each name; decides here: name > "B"'
    assert namespace.find(where("name") > "B", explain=True) == 'reads all entries; decides here: name > "B"'
    assert namespace.find(explain=True) == "reads all entries"
    assert sent(emulator) == []


def test_the_log_says_it(people, caplog):
    """The log has what explain says."""
    caplog.set_level(logging.DEBUG, "dhis2kv")
    people[1].find(where("age") > 30)
    assert "find in dataStore/app: asks the server for age:gt:30" in caplog.text


# --- the result -------------------------------------------------------------------------------------------------------


def test_fields(people):
    """Picked fields are nested as they are, and what an entry lacks is left out; a stored null is kept."""
    _, namespace = people
    assert namespace.find(fields=["name", "address.city"])["ann"] == {"name": "Ann", "address": {"city": "Arusha"}}
    assert namespace.find(fields="address.city,left") == {
        "ann": {"address": {"city": "Arusha"}},
        "ben": {"address": {"city": "Bo"}, "left": None},
        "cid": {},
        "dot": {},
    }
    assert namespace.find(where("age") == 9, fields="address,address.city,tags.0") == {
        "ben": {"address": {"city": "Bo"}, "tags": {"0": "x"}}
    }
    assert list(namespace.find(where("age") == 9, fields="name,age")["ben"]) == ["name", "age"]
    assert list(namespace.find(where("age") == 9, fields="age,name")["ben"]) == ["age", "name"]
    assert list(namespace.find(where("age") == 9, fields=" age, name ")["ben"]) == ["age", "name"]


def test_order_and_limit(people):
    """Numbers before texts, numbers by size, texts by code point, ties by key, absent ones last."""
    _, namespace = people
    assert list(namespace.find(order="age")) == ["ben", "cid", "ann", "dot"]
    assert list(namespace.find(order="age:desc")) == ["dot", "ann", "cid", "ben"]
    assert list(namespace.find(order="name")) == ["ann", "ben", "dot", "cid"]
    assert list(namespace.find(order="address.city:desc", limit=3)) == ["ben", "ann", "cid"]
    assert list(namespace.find(order="_:desc", limit=1)) == ["dot"]
    assert namespace.find(limit=0) == {}


def test_exact_numbers(emulator):
    """Numbers are their digits, more of them than a float has."""
    emulator.load({"app": {"a": 2**70, "b": 2**70 + 1}})
    namespace = connect(emulator)["app"]
    assert list(namespace.find(where() == 2**70)) == ["a"]
    assert list(namespace.find(where() > 2**70)) == ["b"]


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_costs(emulator, either, version):
    """One request where a server has queries, one more for a field that some entry lacks; else the bulk rows."""
    either["app"].update(PEOPLE)
    queries = version >= ("2.40" if either is either.user else "2.38")
    for find, requests in (
        (lambda ns: ns.find(where("age") > 30), 1),
        (lambda ns: ns.find(where("name") > "B"), 1),
        (lambda ns: ns.find(where("age") > 30, fields="name"), 1),
        (lambda ns: ns.find(fields="name,left"), 2),
        (lambda ns: ns.find(fields="left"), 3),
        (lambda ns: ns.find(where("age").in_([9, 41]), order="age", limit=1), 1),
    ):
        sent(emulator)
        find(either["app"])
        assert len(sent(emulator)) == (requests if queries else len(PEOPLE) + 1)
    assert either["none"].find(where("a") == 1) == {}
    assert either["none"].find(where("a") == 1, fields="b") == {}


@pytest.mark.parametrize("fields", [None, "n"])
def test_only_the_answer_is_moved(fields):
    """Of 5,000 entries a selective search moves those that are found, and no others."""
    emulator = Emulator()
    emulator.load({"app": {f"key{number:04}": {"n": number, "text": "x" * 200} for number in range(5000)}})
    session = emulator.session()
    moved = []
    session.hooks["response"].append(lambda response, *_, **__: moved.append(int(response.headers["content-length"])))
    namespace = Store(URL, ("admin", "district"), session=session)["app"]
    assert list(namespace.find(where("n").in_([7, 4711]), fields=fields)) == ["key0007", "key4711"]
    assert list(namespace.find(where("n") >= 4990, "n:lt:4992", fields=fields)) == ["key4990", "key4991"]
    assert 0 < sum(moved) < 3000
    assert len(moved) == 2


def test_more_than_a_page(emulator, version):
    """What is found comes whole, however much it is, in the asked order."""
    data = {f"k{number:04}": {"n": number} for number in range(1203)}
    emulator.load({"app": data})
    if version >= "2.38":
        namespace = connect(emulator)["app"]
        assert namespace.find(where("n") >= 0, order="n:desc") == data
        assert len(namespace.find(where("n") >= 1, fields="n")) == 1202
        assert list(namespace.find(order="n:desc", limit=2)) == ["k1202", "k1201"]


# --- what is never left out without a word ----------------------------------------------------------------------------


def test_encrypted_entries(emulator, either, caplog):
    """They are found by their keys; by their values where everything is read; else a warning says they are not."""
    owner = "admin" if either is either.user else None
    emulator.load({"app": {"a": {"n": 1}, "z": None}}, user=owner)
    emulator.put("app", "s", {"n": 1, "m": 2}, user=owner, encrypted=True)
    whole = {"a": {"n": 1}, "s": {"n": 1, "m": 2}, "z": None}
    namespace = either["app"]
    assert namespace.find() == whole
    assert namespace.find(fields="n,q") == {"a": {"n": 1}, "s": {"n": 1}, "z": {}}
    assert namespace.find(where.key == "s") == {"s": whole["s"]}
    assert namespace.find(where.key == "s", fields="m") == {"s": {"m": 2}}
    assert caplog.text == ""
    assert either.namespace("app", encrypt=True).find(where("n") == 1) == {"a": whole["a"], "s": whole["s"]}
    found = namespace.find(where("n") == 1)
    namespace.find(where("n") == 1, fields="n")
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "s" in found or ["encrypted" in warning.getMessage() for warning in warnings] == [True]


def test_a_key_that_breaks_answers():
    """Where a key makes the server's answer unreadable, entries are read singly, and conditions decided here."""
    emulator = Emulator()
    emulator.load({"app": {"a": {"n": 1}, 'b"': {"n": 1}, "c": {"n": 2}}})
    namespace = connect(emulator)["app"]
    assert namespace.find(where("n") == 1) == {"a": {"n": 1}, 'b"': {"n": 1}}
    assert namespace.find(where("n") == 1, fields="n") == {"a": {"n": 1}, 'b"': {"n": 1}}


@responses.activate
@pytest.mark.parametrize(
    "answer",
    [
        '[{"key":"a","n":1},{"key":"a","n":1}]',
        '[{"key":"a","m":1}]',
        '[{"key":"a","n":1,"m":1}]',
        '[{"n":1}]',
        "[1]",
        "{}",
        "7",
    ],
)
def test_an_answer_that_cannot_be_trusted(answer):
    """An answer in fields that is not what was asked for is not taken: all entries are read instead."""
    query = "fields=n&headless=true&includeAll=true&paging=false"
    bulk = f"{URL}/api/dataStore/app"
    json_type = {"content_type": "application/json"}
    responses.get(bulk, body=answer, match=[responses.matchers.query_string_matcher(query)], **json_type)
    responses.get(bulk, body='[{"key":"a","value":{"n":3}}]', **json_type)
    assert Store(URL)["app"].find(fields="n") == {"a": {"n": 3}}


def test_protected_namespaces():
    """What may not be read is Forbidden, and not nothing; the namespace protections is read as others are."""
    emulator = Emulator(version="2.42")
    emulator.add_user("alice", "pw")
    with pytest.raises(Forbidden):
        connect(emulator, auth=("alice", "pw"))["sms-config"].find(where("a") == 1)
    emulator.load({"protections": {"a": {"n": 1}, "b": {"n": 2}}})
    assert connect(emulator)["protections"].find(where("n") == 2, fields="n") == {"b": {"n": 2}}


def test_trouble_is_raised():
    """An outage is not an empty answer, and a name that cannot be is refused before anything is sent."""
    emulator = Emulator()
    store = connect(emulator, retries=0)
    with pytest.raises(InvalidKey):
        store.datastore.find("a/b", where("n") == 1)
    emulator.down = True
    for fields in (None, "n"):
        with pytest.raises(Unreachable):
            store["app"].find(where("n") == 1, fields=fields)


def test_a_search_asks_the_server_whatever_the_cache_holds():
    """A namespace with a cache finds what is stored now."""
    emulator = Emulator()
    namespace = connect(emulator, ttl=60)["app"]
    namespace["a"] = {"n": 1}
    assert namespace.copy() == {"a": {"n": 1}}
    emulator.put("app", "a", {"n": 2})
    assert namespace.find(where("n") == 2) == {"a": {"n": 2}}
