"""Which error trouble becomes."""

import json
import logging
import pickle
import re
import socket
import threading

import pytest
import requests
import responses
import urllib3

from dhis2kv import (
    NotAuthenticated,
    Rejected,
    ServerError,
    Store,
    TimedOut,
    Unreachable,
    wire,
)
from dhis2kv.emulator import Emulator
from dhis2kv.transport import Transport
from tests.conftest import connect

from .listening import Listener, quick, reply

URL = "https://dhis2.example.org"
ENTRY = f"{URL}/api/dataStore/app/k"


class TestTrouble:
    @responses.activate
    @pytest.mark.parametrize(
        ("answer", "kind", "sentence"),
        [
            ({"body": "<title>Log in</title>", "content_type": "text/html"}, NotAuthenticated, "Log in"),
            (
                {"body": '<form><input type="password">', "content_type": "text/html"},
                NotAuthenticated,
                "instead of JSON",
            ),
            ({"body": "<title>Captive portal</title>", "content_type": "text/html"}, ServerError, "Captive portal"),
            ({"body": "hello"}, ServerError, "5 bytes of text/plain"),
            ({"body": '{"a": ', "content_type": "application/json"}, ServerError, "is not JSON"),
            ({"body": b"\xff", "content_type": "application/json"}, ServerError, "UTF-8"),
            ({"status": 302, "headers": {"Location": "/dhis-web-login/"}}, NotAuthenticated, "/dhis-web-login/"),
            ({"status": 301, "headers": {"Location": "https://x.org/dhis"}}, Rejected, "https://x.org/dhis"),
            ({"status": 302, "headers": {"Location": "https://me:s3cret@x.org/"}}, Rejected, "'https://x.org/'"),
            ({"status": 302, "headers": {"Location": "http://[bad"}}, Rejected, "redirects"),
            ({"status": 302}, Rejected, "redirects"),
            (
                {"status": 404, "body": "<title>404</title>", "content_type": "text/html"},
                ServerError,
                "is the URL right",
            ),
            ({"status": 404, "json": {"message": "no"}}, ServerError, "is the URL right"),
            (
                {"status": 404, "json": {"httpStatusCode": 404, "message": "Key 'other' not found in namespace 'app'"}},
                ServerError,
                "about another name",
            ),
            ({"status": 418, "json": {"httpStatusCode": 418, "message": "tea"}}, Rejected, "418: tea"),
            ({"status": 500, "json": {"httpStatusCode": 500, "message": "oops"}}, ServerError, "500: oops"),
        ],
    )
    def test_odd_replies(self, answer, kind, sentence):
        """Each comes to the error that it means, which says what came, and where it led."""
        responses.get(ENTRY, **answer)
        with pytest.raises(kind) as caught:
            Store(URL, retries=0)["app"].get("k", "default")
        assert sentence in str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert caught.value.method == "GET"
        assert caught.value.url == ENTRY
        assert caught.value.status == answer.get("status", 200)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

    @responses.activate
    def test_an_empty_success_of_somebody_else(self):
        """Without a body only a read may succeed, and only as DHIS2 answers it: else the write would be lost."""
        responses.add(responses.GET, ENTRY, body="", content_type="text/html")
        responses.add(responses.PUT, ENTRY, body="", content_type="application/json")
        responses.add(responses.POST, ENTRY, status=204)
        responses.add(responses.DELETE, ENTRY, body="", content_type="text/html")
        responses.add(responses.GET, f"{URL}/api/dataStore/app", body="", content_type="text/html")
        responses.add(responses.GET, f"{URL}/api/dataStore", body="")
        namespace = Store(URL, retries=0)["app"]
        for act in (
            lambda: namespace["k"],
            lambda: namespace.__setitem__("k", 1),
            lambda: namespace.add("k", 1),
            lambda: namespace.__delitem__("k"),
            namespace.copy,
            lambda: list(namespace),
            lambda: list(Store(URL)),
        ):
            with pytest.raises(ServerError, match=r"0 bytes|not JSON"):
                act()

    @responses.activate
    @pytest.mark.parametrize("kind", ["application/json", "application/json;charset=UTF-8", "text/plain"])
    def test_an_entry_without_a_value_has_no_type(self, kind):
        """An empty body with a type is nothing that DHIS2 answers to a read of an entry: pop deletes nothing by it."""
        responses.get(ENTRY, body="", content_type=kind)
        deletion = responses.delete(ENTRY, json={"httpStatusCode": 200, "status": "OK"})
        namespace = Store(URL, retries=0)["app"]
        for act in (lambda: namespace["k"], lambda: namespace.get("k", 1), lambda: namespace.pop("k")):
            with pytest.raises(ServerError, match="0 bytes"):
                act()
        assert not deletion.call_count

    def test_numbers_beyond_python(self):
        """A number that Python would read as infinite, or as none, is an error and no value."""
        for text in ("1" * 400 + ".5", "NaN", "[-Infinity]"):
            with pytest.raises(ValueError, match=r"beyond|not JSON"):
                wire.loads(text)
        assert wire.loads("1" * 400) == int("1" * 400)

    def test_a_redirect_is_not_followed(self):
        """What a redirect points at is never asked."""
        with Listener(reply(b"", "302 Found", "Location: /elsewhere"), reply()) as server:
            with pytest.raises(Rejected):
                Store(server.url)["app"]["k"]
            assert len(server.received) == 1

    def test_a_reply_that_is_too_large(self):
        """A reply over max_bytes is an error that says so, and it is not read to its end."""
        emulator = Emulator()
        connect(emulator)["app"]["k"] = "x" * 1000
        with pytest.raises(ServerError, match="larger than max_bytes=100"):
            connect(emulator, max_bytes=100)["app"]["k"]
        assert connect(emulator, max_bytes=2000)["app"]["k"] == "x" * 1000

    def test_a_double_that_is_too_large(self):
        """So is a reply of a test double, which has nothing to be closed."""

        class Large(requests.adapters.HTTPAdapter):
            def send(self, request, **_):
                answer = requests.Response()
                answer.status_code, answer._content, answer.request = 201, b"12", request
                return answer

        session = requests.Session()
        session.mount("https://", Large())
        with pytest.raises(ServerError, match="larger than max_bytes=1") as caught:
            Store(URL, session=session, max_bytes=1)["app"]["k"] = 1
        assert (caught.value.sent, caught.value.status) == (True, 201)

    def test_a_trickle_meets_the_deadline(self):
        """The whole call has a time limit, however steadily bytes come."""
        now = [0.0]
        with Listener(reply(b" " * 200_000 + b"1")) as server:
            transport = Transport(
                server.url, timeout=(5, 5, 10), clock=lambda: now.__setitem__(0, now[0] + 4) or now[0]
            )
            with pytest.raises(TimedOut, match="within 10 s"):
                transport.call(wire.call("GET", "dataStore", "app", "k"))

    def test_no_answer_in_time(self):
        """A server that says nothing is a TimedOut, not repeated, which leaves open whether it acted."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            store, waits = quick(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=(1, 0.05))
            with pytest.raises(TimeoutError, match=r"did not answer in time$") as caught:
                store["app"]["k"] = 1
        assert isinstance(caught.value, TimedOut)
        assert caught.value.sent
        assert waits == []

    def test_no_connection(self):
        """A refused connection is an Unreachable of which nothing was sent, repeated with growing waits."""
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            store, waits = quick(f"http://127.0.0.1:{closed.getsockname()[1]}")
            with pytest.raises(ConnectionError, match=r"no connection to 127\.0\.0\.1:.*refused") as caught:
                store["app"].add("k", 1)
        assert isinstance(caught.value, Unreachable)
        assert not caught.value.sent
        assert caught.value.method == "POST"
        assert caught.value.url == f"{store.datastore.transport.base}/api/dataStore/app/k"
        assert len(waits) == 3
        assert 0.05 <= waits[0] <= 0.15 <= waits[2] * 0.75

    def test_a_session_that_repeats_by_itself(self):
        """Where a session's own adapter gave up after it had sent, the server may have acted."""
        session = requests.Session()
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=urllib3.Retry(1, allowed_methods=None)))
        with Listener(None, None) as server, pytest.raises(Unreachable, match="broke") as caught:
            quick(server.url, session=session, retries=0)[0]["app"].add("k", 1)
        assert caught.value.sent

    def test_no_name(self):
        """A host that does not exist is Unreachable."""
        with pytest.raises(Unreachable, match=r"no connection to nowhere\.invalid"):
            quick("https://nowhere.invalid", retries=0)[0]["app"]["k"]

    def test_a_conversation_that_tls_refuses(self):
        """What TLS refuses, such as a certificate, is said at once: it gets no better by waiting; nothing was sent."""
        with socket.create_server(("127.0.0.1", 0)) as plain:

            def answer():
                connection, _ = plain.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 400 this is no TLS\r\n\r\n")
                    connection.recv(65536)

            thread = threading.Thread(target=answer)
            thread.start()
            store, waits = quick(f"https://127.0.0.1:{plain.getsockname()[1]}", retries=3)
            with pytest.raises(Unreachable, match="no connection") as caught:
                store["app"]["k"] = 1
            thread.join()
        assert waits == []
        assert not caught.value.sent

    def test_what_is_logged(self, caplog):
        """Each request is logged at level DEBUG, each repeat at INFO, without credentials."""
        emulator = Emulator()
        emulator.fail("status", status=503)
        with caplog.at_level(logging.DEBUG, "dhis2kv"):
            assert connect(emulator)["app"].get("k") is None
        assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO", "DEBUG"]
        assert "status 503; again in" in caplog.text
        assert "district" not in caplog.text

    def test_a_failure_that_is_logged(self, caplog):
        """Why a call without an answer is repeated is logged, too."""
        emulator = Emulator()
        emulator.fail("refuse")
        with caplog.at_level(logging.INFO, "dhis2kv"):
            assert connect(emulator)["app"].get("k") is None
        [message] = caplog.messages
        assert re.search("no connection to dhis2.test: .*; again in", message)

    def test_headers_that_are_logged(self, caplog):
        """Below DEBUG the headers are logged, without those that could sign somebody in; at DEBUG none is."""
        secrets = ["Authorization", "Cookie", "X-Auth", "X-Token", "X-API-KEY", "X-Client-Secret", "X-Password"]
        session = requests.Session()
        session.headers.update(dict.fromkeys(secrets, "s3cret") | {"X-Gateway": "west"})
        with Listener(*[reply(b"1", "200 OK", "X-New-Token: s3cret", "X-Served-By: n1")] * 2) as server:
            namespace = Store(server.url, ("a", "b"), session=session)["app"]
            with caplog.at_level(logging.DEBUG, "dhis2kv"):
                namespace["k"]
            assert "X-Gateway" not in caplog.text
            with caplog.at_level(5, "dhis2kv"):
                namespace["k"]
        assert {*(f"> {name}: ********" for name in secrets), "< X-New-Token: ********"} < {*caplog.messages}
        assert {"> X-Gateway: west", "< X-Served-By: n1"} < {*caplog.messages}
        assert "s3cret" not in caplog.text


def test_recorded_json_is_not_decoded_twice():
    """A stored value that looks like an error of DHIS2 is a value: only the status tells."""
    value = {"httpStatus": "Not Found", "httpStatusCode": 404, "status": "ERROR", "message": "Key 'k' not found"}
    emulator = Emulator()
    namespace = connect(emulator)["app"]
    namespace["k"] = value
    assert namespace["k"] == value
    assert json.loads(namespace._datastore.get_text("app", "k")) == value
    with pytest.raises(KeyError):
        namespace["none"]
