"""Tokens that are limited to some methods."""

import json

import pytest
import responses

from dhis2kv import NotAuthenticated, Store, wire
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent

URL = "https://dhis2.example.org"
ENTRY = f"{URL}/api/dataStore/app/k"


def limited(emulator, *methods):
    """A store that signs in with a token for these methods."""
    body = {"expire": 4102444800000, "attributes": [{"type": "MethodAllowedList", "allowedMethods": list(methods)}]}
    call = wire.Call("POST", "/api/apiToken", body=json.dumps(body))
    reply = wire.checked(connect(emulator).datastore.transport.call(call))
    return connect(emulator, auth=None, token=reply.json()["response"]["key"])


@pytest.mark.parametrize("release", ["2.40.8", "2.40", "2.42.5", "2.44"])
def test_in_with_a_token_that_may_only_get(release):
    """HEAD is refused to it: a GET tells, and is asked at once from then on."""
    emulator = Emulator(version=release)
    connect(emulator)["app"]["k"] = 1
    namespace = limited(emulator, "GET")["app"]
    sent(emulator)
    assert "k" in namespace
    assert [method for method, _ in sent(emulator)][-1] == "GET"
    assert "none" not in namespace
    assert "k" in namespace
    assert [method for method, _ in sent(emulator)] == ["GET", "GET"]


def test_in_with_a_token_that_may_more():
    """With a token that allows it, HEAD it is."""
    emulator = Emulator(version="2.44")
    connect(emulator)["app"]["k"] = 1
    namespace = limited(emulator, "GET", "HEAD")["app"]
    sent(emulator)
    assert "k" in namespace
    assert [method for method, _ in sent(emulator)] == ["HEAD"]


@responses.activate
@pytest.mark.parametrize(
    ("credentials", "asked"),
    [
        ({"auth": ("admin", "wrong")}, ["HEAD"]),
        ({"auth": lambda request: request}, ["HEAD"]),
        ({"token": "d2p_dead"}, ["HEAD", "GET"]),
    ],
)
def test_wrong_credentials(credentials, asked):
    """A wrong password is sent once, for it may lock the account; a dead token, which cannot, once with each method."""
    responses.head(ENTRY, status=401)
    responses.get(ENTRY, status=401)
    namespace = Store(URL, **credentials)["app"]
    with pytest.raises(NotAuthenticated):
        "k" in namespace  # noqa: B015 - what it sends is the point
    assert [call.request.method for call in responses.calls] == asked
