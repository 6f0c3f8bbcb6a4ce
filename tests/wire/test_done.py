"""A write is done when DHIS2 says so in its own words; an answer in anybody else's leaves it open."""

import json
from pathlib import Path

import pytest
import responses

from dhis2kv import BulkError, Dhis2kvError, Store, wire

URL = "https://dhis2.example.org"
OWN = {"httpStatus": "OK", "httpStatusCode": 200, "status": "OK", "message": "Key updated: 'k'"}
WRITES = {
    "PUT": lambda store: store["app"].__setitem__("k", 1),
    "POST": lambda store: store["app"].add("k", 1),
    "DELETE": lambda store: store["app"].__delitem__("k"),
    "DELETE of a namespace": lambda store: store.__delitem__("app"),
    "PUT of many": lambda store: store["app"].update(k=1, l=1),
    "roll": lambda store: store["app"].roll("k", 1, 2),
    "patch": lambda store: store["app"].patch("k", "x", 2),
    "POST encrypted": lambda store: store.namespace("app", encrypt=True).__setitem__("k", 1),
}
NOT_OWN = {
    "words": b"upstream said: ok",
    "nothing": b"",
    "an object": b"{}",
    "a list": b"[]",
    "a text": b'"OK"',
    "a word of JSON": b"true",
    "a number": b"200",
    "no status of its own": json.dumps({"httpStatusCode": 200}).encode(),
    "no HTTP status": json.dumps({"status": "OK"}).encode(),
    "another HTTP status": json.dumps({**OWN, "httpStatusCode": 409}).encode(),
    "an HTTP status as text": json.dumps({**OWN, "httpStatusCode": "200"}).encode(),
    "an error": json.dumps({**OWN, "status": "ERROR"}).encode(),
    "a list of it": json.dumps([OWN]).encode(),
    "its beginning": json.dumps(OWN).encode()[:-1],
    "it and more": json.dumps(OWN).encode() + b"}",
    "not UTF-8": json.dumps(OWN).encode()[:-2] + b'\xff"}',
    "nested too deep": b"[" * 20_000 + b"]" * 20_000,
}


def add(mocked, method, **answer):
    for address in ("/k", ""):
        mocked.add(method, f"{URL}/api/dataStore/app{address}", **answer)
    mocked.add(method, f"{URL}/api/dataStore/app/l", **answer)


@pytest.mark.parametrize("act", WRITES)
@pytest.mark.parametrize("body", NOT_OWN)
@pytest.mark.parametrize("status", [200, 201])
def test_somebody_elses_words(act, body, status):
    """A success whose body is not DHIS2's is an error that says that it is not known whether it was done."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        for method in ("PUT", "POST", "DELETE"):
            add(mocked, method, status=status, body=NOT_OWN[body], content_type="application/json")
        mocked.get(f"{URL}/api/system/info", json={"version": "2.42.6"})
        mocked.get(f"{URL}/api/dataStore/app/k", json={"x": 1} if act == "patch" else [1])
        mocked.head(f"{URL}/api/dataStore/app/k", content_type="application/json")
        mocked.get(f"{URL}/api/dataStore/app", json=["k"])
        with pytest.raises(Dhis2kvError) as caught:
            WRITES[act](Store(URL, retries=0))
    failures = caught.value.failed.values() if isinstance(caught.value, BulkError) else [caught.value]
    for failure in failures:
        assert failure.sent
        assert "not known" in str(failure)


def recorded():
    """Each success of a write in the recordings: method, target and answer."""
    written = ("/api/dataStore/", "/api/userDataStore/", "/api/sharing", "/api/apiToken")
    for path in sorted((Path(__file__).parents[1] / "recordings").glob("*.json")):
        for exchange in json.loads(path.read_text()).get("exchanges", []):
            method, target = exchange["request"]["method"], exchange["request"]["target"]
            if method in ("PUT", "POST", "DELETE") and target.startswith(written):
                yield from ((method, target, one) for one in exchange["replies"] if 200 <= one["status"] < 300)


def test_dhis2s_words():
    """Whatever any server answered to a write that it did, is understood as done."""
    answers = list(recorded())
    assert {method for method, _, _ in answers} == {"PUT", "POST", "DELETE"}
    for method, target, answer in answers:
        headers, body = {"content-type": answer["type"]}, answer["body"].encode()
        reply = wire.Reply(wire.Call(method, target), f"{URL}{target}", answer["status"], headers, body)
        assert wire.checked(reply) is reply, (method, target, answer)
