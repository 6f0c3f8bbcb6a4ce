"""The libraries that stand in for a server in other people's tests: all of them work, in record and in replay."""

import json

import pytest
import requests
import responses
from responses._recorder import Recorder

from dhis2kv import KeyNotFound, ServerError, Store
from dhis2kv.emulator import Emulator

URL = "https://dhis2.example.org"
ENTRY = f"{URL}/api/dataStore/app/k"
JSON = {"Content-Type": "application/json"}
ABSENT = {"httpStatusCode": 404, "status": "ERROR", "message": "Key 'k' not found in namespace 'app'"}
DONE = {"httpStatusCode": 200, "status": "OK", "message": "Key updated: 'k'"}
VALUES = [1, None, "text", {"a": [1, 2]}, [], 12345678]


@pytest.fixture
def same_words(monkeypatch):
    """Reads of many entries carry a random word, by which the server's answer is known: the same for each recording."""
    monkeypatch.setattr("secrets.token_hex", lambda size: "0f" * size)


def conversation(url, **options):
    """What a store reads and writes, and what it is told; by one thread, for vcrpy does not record several."""
    with Store(url, ("admin", "district"), workers=1, **options) as store:
        namespace = store["app"]
        namespace["cfg"] = {"a": 1}
        namespace["n"] = 12345678
        told = [namespace["cfg"], namespace["n"], "cfg" in namespace, "none" in namespace, namespace.copy()]
        del namespace["n"]
        return [*told, namespace.get("n", "default"), list(namespace.keys()), namespace.add("cfg", 2)]


CONVERSATION = [
    {"a": 1}, 12345678, True, False, {"cfg": {"a": 1}, "n": 12345678}, "default", ["cfg"], False,
]  # fmt: skip


@pytest.mark.usefixtures("same_words")
class TestResponses:
    def test_record_and_replay(self, tmp_path):
        """What ``responses`` records is what was read, and what it plays back."""
        emulator = Emulator(version="2.44")
        recorder = Recorder()
        with emulator.serve() as server, recorder:
            assert conversation(server.url) == CONVERSATION
            recorder.dump_to_file(tmp_path / "all.yaml", registered=recorder.get_registry().registered)
        url = server.url
        with responses.RequestsMock(registry=responses.registries.OrderedRegistry) as mocked:
            mocked._add_from_file(tmp_path / "all.yaml")
            assert conversation(url) == CONVERSATION

    @responses.activate
    @pytest.mark.parametrize("failure", [requests.ConnectionError("lost"), requests.exceptions.InvalidHeader("two")])
    def test_a_failure_in_the_middle(self, failure):
        """What fails there may have been sent, and a create is not sent again."""
        responses.post(ENTRY, body=failure)
        with pytest.raises(ConnectionError) as caught:
            Store(URL)["app"].add("k", 1)
        assert caught.value.sent is True
        assert len(responses.calls) == 1


@pytest.mark.usefixtures("same_words")
class TestVcr:
    @pytest.fixture
    def vcr(self):
        return pytest.importorskip("vcr", reason="needs vcrpy")

    @pytest.mark.parametrize("version", ["2.36", "2.44"])
    def test_record_and_replay(self, vcr, tmp_path, version):
        """What a cassette records is what was read, and what it plays back without a server."""
        cassette = str(tmp_path / "cassette.yaml")
        emulator = Emulator(version=version)
        with emulator.serve() as server, vcr.use_cassette(cassette):
            recorded = conversation(server.url)
        assert recorded == CONVERSATION
        with vcr.use_cassette(cassette, record_mode="none", allow_playback_repeats=False) as tape:
            assert conversation(server.url) == CONVERSATION
            assert tape.all_played

    def test_before_and_after(self, vcr, tmp_path):
        """A store that was used before a cassette begins is within it, and goes on after it."""
        emulator = Emulator()
        with emulator.serve() as server, Store(server.url, ("admin", "district")) as store:
            store["app"]["k"] = 1
            with vcr.use_cassette(str(tmp_path / "cassette.yaml")) as tape:
                assert store["app"]["k"] == 1
                assert len(tape) == 1
            assert store["app"]["k"] == 1

    def test_with_a_session_of_ones_own(self, vcr, tmp_path):
        """The same with a session that was passed in."""
        cassette = str(tmp_path / "cassette.yaml")
        emulator = Emulator()
        with emulator.serve() as server, vcr.use_cassette(cassette):
            assert conversation(server.url, session=requests.Session()) == CONVERSATION
        with vcr.use_cassette(cassette, record_mode="none"):
            assert conversation(server.url, session=requests.Session()) == CONVERSATION


class TestRequestsMock:
    @pytest.fixture
    def mocked(self):
        library = pytest.importorskip("requests_mock", reason="needs requests-mock")
        with library.Mocker() as mocked:
            yield mocked

    @pytest.mark.parametrize("value", VALUES)
    def test_replay(self, mocked, value):
        """Values, absences and writes are what it is told to say."""
        mocked.get(ENTRY, text=json.dumps(value), headers=JSON)
        mocked.put(ENTRY, json=DONE, headers=JSON)
        namespace = Store(URL)["app"]
        assert namespace["k"] == value
        namespace["k"] = value
        assert json.loads(mocked.last_request.body) == value
        mocked.get(ENTRY, json=ABSENT, status_code=404, headers=JSON)
        with pytest.raises(KeyNotFound):
            namespace["k"]

    def test_without_a_content_type(self, mocked):
        """Where it says no Content-Type, the error says what is missing."""
        mocked.get(ENTRY, json={"a": 1})
        mocked.put(ENTRY, json=DONE)
        namespace = Store(URL)["app"]
        with pytest.raises(ServerError, match="where DHIS2 says application/json: so must a test double"):
            namespace["k"]
        with pytest.raises(ServerError, match=r"no Content-Type.*not known") as caught:
            namespace["k"] = 1
        assert caught.value.sent

    def test_an_adapter_of_it(self):
        """Its adapter in a session that was passed in works as well."""
        library = pytest.importorskip("requests_mock", reason="needs requests-mock")
        adapter, session = library.Adapter(), requests.Session()
        session.mount("https://", adapter)
        adapter.register_uri("GET", ENTRY, json=5, headers=JSON)
        assert Store(URL, session=session)["app"]["k"] == 5

    def test_record(self, mocked):
        """What it lets through reaches the server."""
        mocked.register_uri("GET", f"{URL}/api/dataStore/app/other", json=1, headers=JSON)
        emulator = Emulator()
        with emulator.serve() as server:
            mocked.register_uri("PUT", f"{server.url}/api/dataStore/app/k", real_http=True)
            mocked.register_uri("GET", f"{server.url}/api/dataStore/app/k", real_http=True)
            namespace = Store(server.url, ("admin", "district"))["app"]
            namespace["k"] = 12345678
            assert namespace["k"] == 12345678


class TestHttmock:
    @pytest.fixture
    def httmock(self):
        return pytest.importorskip("httmock", reason="needs httmock")

    @pytest.mark.parametrize("value", VALUES)
    def test_replay(self, httmock, value):
        """Values, absences and writes are what it is told to say."""
        answers = {
            "GET": httmock.response(200, json.dumps(value), JSON),
            "PUT": httmock.response(200, DONE, JSON),
            "DELETE": httmock.response(404, ABSENT, JSON),
        }
        with httmock.HTTMock(lambda url, request: answers[request.method]):
            namespace = Store(URL)["app"]
            assert namespace["k"] == value
            namespace["k"] = value
            with pytest.raises(KeyNotFound):
                del namespace["k"]

    def test_in_words(self, httmock):
        """An answer that is just a text has no Content-Type, which the error says."""
        with httmock.HTTMock(lambda url, request: "1"), pytest.raises(ServerError, match="no Content-Type"):
            Store(URL)["app"]["k"]

    def test_what_it_lets_through(self, httmock):
        """What no handler takes reaches the server."""
        emulator = Emulator()
        with emulator.serve() as server, httmock.HTTMock(lambda url, request: None):
            assert conversation(server.url) == CONVERSATION
