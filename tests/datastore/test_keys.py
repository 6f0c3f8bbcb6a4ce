"""The key ``keys`` and the namespace ``protections``, whose own addresses mean something else on newer servers."""

import json
import re

import pytest
import responses

from dhis2kv import KeyNotFound, Query, Rejected, ServerError, Store
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent

URL = "https://dhis2.example.org"
APP = f"{URL}/api/dataStore/app"


def test_the_value_of_keys_in_protections(version, emulator, store):
    """The one value without an address, protections/keys from 2.42 on, is an error that says so."""
    store["protections"]["keys"] = 1
    assert list(store["protections"]) == ["keys"]
    assert "keys" in store["protections"]
    if version >= "2.42":
        with pytest.raises(ValueError, match="no address"):
            store["protections"]["keys"]
    else:
        assert store["protections"]["keys"] == 1
    assert store.user["protections"].get("keys") is None


def test_a_null_under_keys(version, emulator, either):
    """A stored null reads as None under the key keys, too, though bulk answers show encrypted values so."""
    namespace = either["app"]
    namespace["keys"] = None
    assert namespace["keys"] is None
    del namespace["keys"]
    emulator.put("app", "keys", "secret", user="admin" if either is either.user else None, encrypted=True)
    with_queries = version >= ("2.40" if either is either.user else "2.38")
    if with_queries:
        with pytest.raises(ValueError, match="no address"):
            namespace["keys"]
    else:
        assert namespace["keys"] == "secret"


def is_query(request):
    """Whether a request is a query of entries, for ``responses``."""
    return "fields=" in request.url, "no query"


def with_a_proxy(emulator, spoil):
    """A namespace behind a proxy that may spoil requests and replies: ``spoil(request)`` answers, or changes it."""
    session = emulator.session()
    adapter = session.get_adapter("http://dhis2.test")
    inner = adapter.send

    def send(request, **options):
        instead = spoil(request)
        return inner(request, **options) if instead is None else inner(instead, **options)

    adapter.send = send
    return Store("http://dhis2.test", ("admin", "district"), session=session, retries=0)


READS = {
    "[]": lambda ns: ns["keys"],
    "get": lambda ns: ns.get("keys", "default"),
    "pop": lambda ns: ns.pop("keys"),
    "pop with a default": lambda ns: ns.pop("keys", "default"),
    "get_many": lambda ns: ns.get_many(["keys"]),
    "setdefault": lambda ns: ns.setdefault("keys", 1),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("status", [404, 400, 200, 500])
@responses.activate
def test_a_page_instead_of_the_query(read, status):
    """A proxy's page in answer to the query is an error: the listing is never the value, and nothing is deleted."""
    page = {"body": "<html><title>Not here</title></html>", "content_type": "text/html", "status": status}
    responses.get(APP, match=[is_query], **page)
    responses.get(APP, json=["a", "keys"], match=[responses.matchers.query_string_matcher("")])
    responses.get(f"{APP}/keys", json=["a", "keys"])
    with pytest.raises((ServerError, Rejected)):
        read(Store(URL, retries=0)["app"])
    assert {call.request.method for call in responses.calls} == {"GET"}


def test_a_proxy_that_drops_query_strings(version, emulator, either):
    """Then a query is answered by the listing, which is not taken for the sign of a server whose key is an entry."""
    either["app"].update({"a": 1, "keys": ["what", "is", "stored"]})

    def drop(request):
        request.url = request.url.partition("?")[0]

    proxied = with_a_proxy(emulator, drop)
    namespace = (proxied.user if either is either.user else proxied)["app"]
    if version >= ("2.40" if either is either.user else "2.39"):
        for read in (READS["[]"], READS["get"], READS["pop"], READS["setdefault"]):
            with pytest.raises(ServerError, match="query string"):
                read(namespace)
    else:
        assert namespace.pop("keys") == ["what", "is", "stored"]
        assert "keys" not in namespace
    assert namespace["a"] == 1


@pytest.mark.parametrize("value", [["a", "keys"], [], None, {"a": 1}, "keys"])
def test_every_value_under_keys(emulator, either, value):
    """Whatever is stored there is read, also what looks like a listing; an absent one is absent."""
    namespace = either["app"]
    with pytest.raises(KeyNotFound) as caught:
        namespace["keys"]
    assert (caught.value.args, caught.value.namespace) == (("keys",), "app")
    namespace["a"] = 1
    assert namespace.get("keys", "absent") == "absent"
    namespace["keys"] = value
    assert namespace["keys"] == value
    assert namespace.get_many(["keys", "a"]) == {"keys": value, "a": 1}
    assert namespace.copy() == {"a": 1, "keys": value}
    assert json.loads(either.datastore.get_text("app", "keys", user=either is either.user)) == value
    assert namespace.pop("keys") == value
    assert namespace.pop("keys", "absent") == "absent"
    assert list(namespace) == ["a"]


def test_what_the_address_of_keys_is_costs_one_request(version, emulator, either):
    """Where a server has no queries it is asked once, and harmlessly, whether that address is the entry's."""
    namespace = either["app"]
    namespace.update({"a": 1, "keys": 2})
    sent(emulator)
    assert [namespace["keys"], namespace["keys"]] == [2, 2]
    queries = version >= ("2.40" if either is either.user else "2.38")
    assert len(sent(emulator)) == (2 if queries else 2 * 2 + 1)


@responses.activate
@pytest.mark.parametrize(
    "odd",
    [
        {"status": 404, "body": "<html>nothing here</html>", "content_type": "text/html"},
        {"status": 404, "json": {"httpStatusCode": 404, "message": "Namespace not found: 'other'"}},
        {"status": 200, "json": ["a"]},
    ],
)
def test_an_answer_that_does_not_tell_the_address_of_keys(odd):
    """It is an error, and is not remembered."""
    responses.get(APP, json=["keys"])
    responses.get(f"{APP}/keys", json=["keys"])
    asked = responses.get(re.compile(f"{URL}/api/dataStore/x[0-9a-f]+/keys"), **odd)
    namespace = Store(URL, retries=0)["app"]
    for _ in range(2):
        with pytest.raises(ServerError):
            namespace["keys"]
    assert asked.call_count == 2


@pytest.mark.parametrize("version", ["2.38", "2.39", "2.41", "2.42", "2.44"])
def test_a_hidden_namespace(version):
    """To an account without authority there is no key ``keys`` in a hidden namespace, as there is no other."""
    emulator = Emulator(version=version)
    emulator.add_user("alice", "pw")
    connect(emulator)["METADATASTORE"].update({"keys": 1, "k": 1})
    namespace = connect(emulator, auth=("alice", "pw"))["METADATASTORE"]
    assert namespace.get("k", "absent") == namespace.get("keys", "absent") == "absent"


@responses.activate
@pytest.mark.parametrize("release", ["2.38.4", "2.39.0", "2.39.4.1", "2.40.0"])
def test_the_keys_of_protections_where_slash_keys_is_an_entry(release):
    """``/protections/keys`` is the value of an entry up to 2.39.4.1: there the namespace's own address is asked."""
    responses.get(f"{URL}/api/system/info", json={"version": release})
    responses.get(f"{URL}/api/dataStore/protections", json=["b", "keys", "a"])
    responses.get(f"{URL}/api/dataStore/protections/keys", json=["not", "keys"])
    store = Store(URL)
    assert store.datastore.list_keys("protections") == ["a", "b", "keys"]
    assert set(store["protections"]) == {"a", "b", "keys"}


def test_no_query_of_protections(version, store):
    """From 2.42 on a query of ``protections`` is answered by another route: that is never taken for entries."""
    store["protections"]["a"] = 1
    if version >= "2.42":
        with pytest.raises(ValueError, match="no address"):
            store.datastore.query("protections", Query())
    elif version >= "2.38":
        assert store.datastore.query("protections", Query()) == [{"key": "a", "value": 1}]
    assert store["protections"].copy() == {"a": 1}
