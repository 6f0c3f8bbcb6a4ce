"""OAuth2: what signs is given as auth, and gets new tokens by itself; sessions that sign by themselves are refused."""

import json
import threading
from urllib.parse import parse_qs

import pytest
import requests
import responses

from dhis2kv import Store, Unreachable

from .listening import Listener, done, quick, reply

URL = "https://dhis2.example.org"
ENTRY = f"{URL}/api/dataStore/app/k"


def token(name, seconds=3600):
    """A token end point's answer."""
    answer = {"access_token": name, "token_type": "Bearer", "expires_in": seconds, "refresh_token": f"again-{name}"}
    return reply(json.dumps(answer).encode())


class TestAuthlib:
    @pytest.fixture
    def client(self):
        """Makes what the README makes, with an access token that has ended."""
        library = pytest.importorskip("authlib.integrations.requests_client", reason="needs authlib")

        def make(end_point, kept=lambda *_, **__: None):
            return library.OAuth2Session(
                "dhis2kv",
                "s3cret",
                token_endpoint=end_point,
                token={"access_token": "old", "token_type": "Bearer", "refresh_token": "again-old", "expires_at": 1},
                update_token=kept,
            )

        return make

    def test_a_token_that_has_ended(self, client):
        """A new one is fetched before the first request, with the refresh token, and used until it ends."""
        kept = []
        with Listener(token("new")) as end_point, Listener(reply(b"1"), done(), reply(b"2")) as server:
            auth = client(end_point.url, lambda token, **_: kept.append(token["access_token"])).token_auth
            namespace = Store(server.url, auth)["app"]
            assert namespace["k"] == 1
            namespace["k"] = 2
            assert namespace["k"] == 2
        asked = parse_qs(end_point.received[0][2].decode())
        assert (asked["grant_type"], asked["refresh_token"]) == (["refresh_token"], ["again-old"])
        assert [headers["Authorization"] for _, headers, _ in server.received] == ["Bearer new"] * 3
        assert len(end_point.received) == 1
        assert kept == ["new"]

    def test_one_that_ends_in_between(self, client):
        """The next one is fetched with what came with the last."""
        with Listener(token("second", 1), token("third")) as end_point, Listener(reply(), reply()) as server:
            namespace = Store(server.url, client(end_point.url).token_auth)["app"]
            assert [namespace["k"], namespace["k"]] == [1, 1]
        assert [parse_qs(body.decode())["refresh_token"] for _, _, body in end_point.received] == [
            ["again-old"],
            ["again-second"],
        ]
        assert [headers["Authorization"] for _, headers, _ in server.received] == ["Bearer second", "Bearer third"]

    def test_several_threads(self, client):
        """Of threads that find it ended together one fetches a new one: a refresh token is often good for once."""
        with Listener(token("new")) as end_point, responses.RequestsMock() as mocked:
            mocked.add_passthru(end_point.url)
            mocked.get(ENTRY, json=1)
            namespace = Store(URL, client(end_point.url).token_auth)["app"]
            threads = [threading.Thread(target=lambda: namespace["k"]) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert [call.request.headers["Authorization"] for call in mocked.calls if ENTRY in call.request.url] == [
                "Bearer new"
            ] * 8
        assert len(end_point.received) == 1

    def test_no_token_end_point(self, client):
        """Where none can be fetched, nothing was sent to the server, and the error is ours."""
        with Listener() as server, Listener(None, None) as end_point:
            namespace = quick(server.url, client(end_point.url).token_auth, retries=1)[0]["app"]
            with pytest.raises(Unreachable, match="what signs requests could not") as caught:
                namespace["k"] = 1
            assert caught.value.sent is False
            assert server.received == []


class Signing(requests.Session):
    """A session that signs by itself, in one of the ways that there are."""

    def request(self, *args, **kwargs):
        return super().request(*args, headers={"Authorization": "Bearer x"}, **kwargs)


class Sending(requests.Session):
    def send(self, request, **kwargs):
        request.headers["Authorization"] = "Bearer x"
        return super().send(request, **kwargs)


class Preparing(requests.Session):
    def prepare_request(self, request):
        return super().prepare_request(request)


class Grandchild(Signing):
    pass


def patched():
    session = requests.Session()
    session.request = lambda *args, **kwargs: None
    return session


OF_LIBRARIES = {
    "requests_oauthlib": lambda library: library.OAuth2Session("me", token={"access_token": "x"}),
    "authlib.integrations.requests_client": lambda library: library.OAuth2Session("me", token={"access_token": "x"}),
    "requests_cache": lambda library: library.CachedSession(backend="memory"),
}


@pytest.mark.parametrize("make", [Signing, Sending, Preparing, Grandchild, patched])
def test_a_session_that_signs_by_itself(make):
    """It is refused, with what to do instead, before anything is sent."""
    with pytest.raises(TypeError, match=r"of its own, which is not used: give what signs requests as auth="):
        Store(URL, session=make())


@pytest.mark.parametrize("library", OF_LIBRARIES)
def test_sessions_of_libraries(library):
    """So are those of the libraries that have some."""
    module = pytest.importorskip(library, reason=f"needs {library}")
    with OF_LIBRARIES[library](module) as session, pytest.raises(TypeError, match="as auth="):
        Store(URL, session=session)


@responses.activate
def test_other_sessions_are_welcome():
    """A session of a class of its own that sends as requests does is used."""

    class Named(requests.Session):
        """It has only settings."""

        def __init__(self):
            super().__init__()
            self.headers["X-Gateway"] = "key"

    responses.get(ENTRY, json=1)
    assert Store(URL, session=Named())["app"]["k"] == 1
    assert responses.calls[0].request.headers["X-Gateway"] == "key"
