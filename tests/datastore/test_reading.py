"""Bulk reads: nothing is missing without a word, whatever the server or the keys."""

import tracemalloc

import pytest
import responses

from dhis2kv import Forbidden, InvalidKey, Query, ServerError, Store
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent

URL = "https://dhis2.example.org"
BULK = f"{URL}/api/dataStore/app"


def is_query(request):
    """Whether a request is a query of entries, for ``responses``."""
    return "fields=" in request.url, "no query"


@pytest.mark.parametrize("version", ["2.38", "2.40", "2.44"])
def test_more_than_a_page(version):
    """A namespace of more entries than the server's largest page comes whole."""
    emulator = Emulator(version=version)
    data = {f"k{number:04}": number for number in range(1500)}
    emulator.load({"app": data})
    namespace = connect(emulator)["app"]
    assert namespace.copy() == data
    assert len(namespace) == 1500
    wanted = list(data)[::7]
    assert namespace.get_many(wanted) == {key: data[key] for key in wanted}
    assert len(sent(emulator)) == 3


def test_no_version_is_asked_for(emulator, either):
    """What a server can do is found out from its answers."""
    either["app"].update({"a": 1, "keys": None})
    either["app"].copy()
    either["app"].get_many(["a", "b"])
    either["none"].copy()
    assert either["app"]["keys"] is None
    assert not any("system" in target for _, target in sent(emulator))


def test_memory():
    """A large namespace is read with the answer and its values in memory, and no copy of either."""
    emulator = Emulator()
    emulator.load({"app": {f"key{number:05}": {"text": "x" * 100, "n": number} for number in range(20_000)}})
    namespace = connect(emulator)["app"]
    size = len(
        emulator.session().get(f"{URL}/api/dataStore/app?fields=.&paging=false", auth=("admin", "district")).content
    )
    namespace.copy()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    values = namespace.copy()
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(values) == 20_000
    assert peak - before < (now - before) + 2.2 * size  # the answer as bytes and as text, beside the values


@pytest.mark.parametrize("version", ["2.38", "2.39", "2.42", "2.44"])
def test_a_hidden_namespace(version):
    """To an account without authority a hidden namespace looks empty, in bulk as singly."""
    emulator = Emulator(version=version)
    emulator.add_user("alice", "pw")
    connect(emulator)["METADATASTORE"]["k"] = 1
    namespace = connect(emulator, auth=("alice", "pw"))["METADATASTORE"]
    assert namespace.copy() == {}
    assert namespace.get_many(["k", "l"]) == {}
    assert list(namespace) == []
    assert "k" not in namespace


@pytest.mark.parametrize("version", ["2.42", "2.44"])
def test_a_restricted_namespace(version):
    """A namespace that the account may not read is Forbidden, in bulk as singly, though the server answers 400."""
    emulator = Emulator(version=version)
    emulator.add_user("alice", "pw")
    namespace = connect(emulator, auth=("alice", "pw"))["sms-config"]
    for act in (
        lambda: namespace["k"],
        namespace.copy,
        lambda: list(namespace),
        lambda: namespace.get_many(["a", "b"]),
    ):
        with pytest.raises(Forbidden):
            act()


def test_keys_of_every_kind(either):
    """get_many finds keys that a filter cannot name, and in any order, once each."""
    keys = ["a b", "a,b", "[x]", "(x)", "x:y", "~", "@", "'", "keys", "123", "null", "é", "a-b", "v1.1", "*", "plain"]
    data = {key: [key] for key in keys}
    either["app"].update(data)
    found = either["app"].get_many([*reversed(keys), "absent", "plain"])
    assert found == data
    assert list(found) == list(reversed(keys))


@responses.activate
@pytest.mark.parametrize(
    "answer",
    [
        '[{"key":"a","value":1},{"key":"a","value":2}]',
        '[{"key":"a"b","value":1}]',
        '[{"key":"a","x":0,"value":1}]',
        '[{"key":"a","value":1}',
        '{"pager":{},"entries":[]}',
        "",
    ],
)
def test_an_answer_that_cannot_be_trusted(answer):
    """Then the keys are listed and the values read one by one."""
    responses.get(
        BULK,
        body=answer,
        content_type="application/json",
        match=[is_query],
    )
    responses.get(BULK, json=["b", "a", "gone"], match=[responses.matchers.query_string_matcher("")])
    responses.get(f"{BULK}/a", json=1)
    responses.get(f"{BULK}/b", json=[2])
    responses.get(
        f"{BULK}/gone", status=404, json={"httpStatusCode": 404, "message": "Key 'gone' not found in namespace 'app'"}
    )
    assert Store(URL)["app"].copy() == {"a": 1, "b": [2]}


@responses.activate
@pytest.mark.parametrize("fields", ["", "name", "name,a.b"])
@pytest.mark.parametrize("answer", ['[{"key":"a"}]', '[{"key":"a","name":1}]', '[{"key":"a","value":1}]', "{}", "[1]"])
def test_rows_without_the_member_that_was_asked_for(fields, answer):
    """A query whose answer does not repeat its mark raises an error; it is never taken for rows."""
    responses.get(BULK, body=answer, content_type="application/json")
    with pytest.raises(ServerError, match="answer to a query cannot be read"):
        Store(URL).datastore.query("app", Query(fields=fields))


@responses.activate
def test_an_answer_with_entries_that_were_not_asked_for():
    """get_many takes only what was asked for: a forged answer makes it read singly."""
    responses.get(BULK, json=[{"key": "a", "value": 1}, {"key": "other", "value": 2}])
    responses.get(f"{BULK}/a", json=3)
    responses.get(f"{BULK}/b", json=4)
    assert Store(URL)["app"].get_many(["a", "b"]) == {"a": 3, "b": 4}


@responses.activate
def test_trouble_in_a_single_read_is_raised():
    """An error that is no absence is raised as it is, not wrapped, and nothing is given."""
    responses.get(BULK, json=["a", "b"])
    responses.get(f"{BULK}/a", json=1)
    responses.get(f"{BULK}/b", status=500)
    with pytest.raises(ServerError, match="500"):
        Store(URL, retries=0)["app"].copy()


@responses.activate
def test_trouble_in_a_bulk_read_is_raised():
    """A 5xx to a bulk read is raised: it is no reason to send a hundred requests more."""
    responses.get(BULK, status=502)
    with pytest.raises(ServerError, match="502"):
        Store(URL, retries=0)["app"].copy()
    assert len(responses.calls) == 1


@responses.activate
def test_nulls_that_cannot_be_told_apart():
    """Where the query for nulls is refused, each null is read singly."""
    nulls = {"body": '[{"key":"a","value":null},{"key":"b","value":null}]', "content_type": "application/json"}
    responses.get(BULK, match=[is_query], **nulls)
    responses.get(BULK, body="[{", content_type="application/json", match=[is_query])
    responses.get(BULK, json=["a", "b"])
    responses.get(f"{BULK}/a", body="null", content_type="application/json")
    responses.get(f"{BULK}/b", json="hidden")
    assert Store(URL)["app"].copy() == {"a": None, "b": "hidden"}


def test_names_are_checked(emulator, either):
    """A namespace that no server can hold is refused, before anything is sent."""
    for act in (
        either.datastore.get_all,
        either.datastore.list_keys,
        lambda name: either.datastore.get_many(name, ["a"]),
    ):
        with pytest.raises(InvalidKey):
            act("a/b")
    assert sent(emulator) == []


@pytest.mark.parametrize("version", ["2.37", "2.40", "2.42"])
def test_a_key_without_an_address(version, caplog):
    """An empty key, which other clients can make, is never asked for: its address is that of the listing."""
    emulator = Emulator(version=version)
    emulator.load({"app": {"": None, "a": 1, "b": None}})
    namespace = connect(emulator)["app"]
    expected = {"a": 1, "b": None} if version == "2.37" else {"": None, "a": 1, "b": None}
    assert namespace.copy() == expected
    assert ("left out" in caplog.text) is (version == "2.37")
    assert namespace.get_many(["", "a", "b"]) == {"a": 1, "b": None}
    assert not any(target.endswith("/app/") for _, target in sent(emulator))


def test_one_text_is_not_several_keys(store):
    """get_many of a text would take it for its characters."""
    for namespace in (store["app"], connect(Emulator(), ttl=1)["app"]):
        with pytest.raises(TypeError, match="several keys"):
            namespace.get_many("keys")


def test_names_with_spaces_are_asked_for_together(emulator, either, version):
    """A filter takes names with spaces in them, as live servers showed."""
    either["app"].update({"a b": 1, "c d e": 2, "f": 3})
    sent(emulator)
    assert either["app"].get_many(["a b", "c d e", "f"]) == {"a b": 1, "c d e": 2, "f": 3}
    if version >= ("2.40" if either is either.user else "2.38"):
        assert len(sent(emulator)) == 1
