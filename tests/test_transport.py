"""The conversation with a server: what leaves the socket, what is repeated, and which error trouble becomes."""

import base64
import contextlib
import json
import logging
import os
import pickle
import socket
import threading

import pytest
import requests
import responses
import urllib3

from dhis2kv import (
    Dhis2kvError,
    NotAuthenticated,
    Rejected,
    ServerError,
    Store,
    TimedOut,
    Unaddressable,
    Unreachable,
    __version__,
    wire,
)
from dhis2kv.emulator import Emulator
from dhis2kv.transport import Transport

from .conftest import connect, sent

URL = "https://dhis2.example.org"
ENTRY = f"{URL}/api/dataStore/app/k"


class Listener:
    """A socket that records what arrives, and answers each request with the next of some given bytes."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.received = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open = self._socket
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        while self._answers:
            with contextlib.suppress(OSError):
                self._open, _ = self._socket.accept()
                self.connections += 1
                with self._open as connection:
                    while self._answers and self._request(connection):
                        answer = self._answers.pop(0)
                        if answer is None:
                            break
                        connection.sendall(answer)

    def _request(self, connection):
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(65536)
            if not chunk:
                return False
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        while len(body) < int(headers.get("Content-Length", 0)):
            body += connection.recv(65536)
        self.received.append((lines[0], headers, body))
        return True

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._answers.clear()
        for each in (self._open, self._socket):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)


def reply(body=b"1", status="200 OK", *headers, kind="application/json"):
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def quick(url, auth=("admin", "district"), **options):
    """A store that does not wait between repeats; what it would have waited is in the list."""
    store = Store(url, auth, **options)
    waits = []
    store.datastore.transport.sleep = waits.append
    return store, waits


class TestWhatLeavesTheSocket:
    def test_a_request_of_each_kind(self):
        """The path keeps its escapes to the last byte, and every request has the headers that DHIS2 needs."""
        answers = [reply(), reply(b"{}"), reply(), reply(b"{}"), reply(b'["k"]')]
        with Listener(*answers) as server:
            namespace = Store(f"{server.url}/dhis/api/42/", ("admin", "p\u00e4ss"))["a b+c/".rstrip("/")]
            namespace["v1.1"]
            namespace["é.é"] = {"ü": 1e22}
            "x" in namespace  # noqa: B015 - what it sends is the point
            del namespace["trail."]
            list(namespace.keys())
        lines = [line for line, _, _ in server.received]
        assert lines == [
            "GET /dhis/api/dataStore/a%20b%2Bc/v1.%31/ HTTP/1.1",
            "PUT /dhis/api/dataStore/a%20b%2Bc/%C3%A9.%C3%A9/ HTTP/1.1",
            "HEAD /dhis/api/dataStore/a%20b%2Bc/x HTTP/1.1",
            "DELETE /dhis/api/dataStore/a%20b%2Bc/trail./ HTTP/1.1",
            "GET /dhis/api/dataStore/a%20b%2Bc HTTP/1.1",
        ]
        for _, headers, _ in server.received:
            assert headers["Accept"] == "application/json"
            assert headers["User-Agent"] == f"dhis2kv/{__version__}"
            assert headers["X-Requested-With"] == "XMLHttpRequest"
            assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == "admin:päss".encode()
        _, headers, body = server.received[1]
        assert headers["Content-Type"] == "application/json"
        assert body.decode() == '{"ü":10000000000000000000000.0}'

    def test_through_a_proxy(self):
        """A proxy for http is given the whole address, with its escapes."""
        with Listener(reply()) as proxy:
            store = Store("http://dhis2.example.org/dhis", ("a", "b"), proxies={"http": proxy.url})
            assert store["my.ns"]["v1.1"] == 1
        assert proxy.received[0][0] == "GET http://dhis2.example.org/dhis/api/dataStore/my.ns/v1.%31/ HTTP/1.1"

    def test_the_proxy_of_the_environment(self, monkeypatch):
        """The environment's proxy is used, as in requests, and looked up once, when the store is made."""
        with Listener(reply(), reply()) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            store = Store("http://dhis2.example.org", ("a", "b"))
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
            assert store["app"]["k"] == store["app"]["k"] == 1
        assert len(proxy.received) == 2

    def test_a_delete_that_something_bent_is_not_sent(self):
        """An authentication object that rewrites the URL cannot turn a DELETE into one of the namespace."""

        def bend(request):
            request.url = request.url.removesuffix("k")
            return request

        with Listener() as server, pytest.raises(Unaddressable, match="refused to send"):
            del Store(server.url, bend)["app"]["k"]
        assert server.received == []


class TestSignIn:
    @responses.activate
    def test_a_token(self):
        """A token is sent as DHIS2 wants it, and no netrc entry or URL replaces it."""
        responses.get(ENTRY, json=1)
        assert Store(URL, token="d2p_abc")["app"]["k"] == 1
        assert responses.calls[0].request.headers["Authorization"] == "ApiToken d2p_abc"

    @responses.activate
    def test_netrc(self, monkeypatch, tmp_path):
        """Without credentials a netrc entry counts, as in requests; with a token it does not."""
        (tmp_path / "netrc").write_text("machine dhis2.example.org login me password pw\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        responses.get(ENTRY, json=1)
        Store(URL)["app"]["k"]
        Store(URL, token="d2p_abc")["app"]["k"]
        basic, token = (call.request.headers["Authorization"] for call in responses.calls)
        assert base64.b64decode(basic.removeprefix("Basic ")) == b"me:pw"
        assert token == "ApiToken d2p_abc"

    @responses.activate
    def test_any_authentication_of_requests(self):
        """An AuthBase, HTTPBasicAuth or a callable sign requests as in requests."""
        responses.get(ENTRY, json=1)

        def sign(request):
            request.headers["X-Signed"] = "yes"
            return request

        Store(URL, sign)["app"]["k"]
        Store(URL, requests.auth.HTTPBasicAuth("ü", "p"))["app"]["k"]
        assert responses.calls[0].request.headers["X-Signed"] == "yes"
        assert base64.b64decode(responses.calls[1].request.headers["Authorization"][6:]) == "ü:p".encode()

    @responses.activate
    def test_digest(self):
        """Digest works: it answers a 401 by itself, through the hook that requests gives it."""
        challenge = {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}
        responses.get(ENTRY, status=401, headers=challenge)
        responses.get(ENTRY, json=7)
        assert Store(URL, requests.auth.HTTPDigestAuth("me", "pw"))["app"]["k"] == 7
        assert responses.calls[1].request.headers["Authorization"].startswith("Digest username")

    @responses.activate
    def test_a_session_of_ones_own(self):
        """Headers and authentication of a session that was passed in are used, its cookies are not."""
        session = requests.Session()
        session.headers["X-Gateway"] = "key"
        session.headers["Accept"] = "text/html"
        session.auth = ("me", "pw")
        session.cookies.set("JSESSIONID", "of-somebody-else")
        responses.get(ENTRY, json=1)
        Store(URL, session=session)["app"]["k"]
        headers = responses.calls[0].request.headers
        assert headers["X-Gateway"] == "key"
        assert headers["Accept"] == "application/json"
        assert headers["Authorization"].startswith("Basic ")
        assert "Cookie" not in headers

    @responses.activate
    def test_settings_of_a_session(self, monkeypatch):
        """Its certificates count, a header of None is left out, and bytes are text."""
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
        session = requests.Session()
        session.verify = False
        session.headers.update({"Accept-Encoding": None, "X-Key": b"bytes"})
        session.auth = requests.auth.HTTPBasicAuth(b"me", b"pw")
        responses.get(ENTRY, json=1)
        Store(URL, session=session)["app"]["k"]
        call = responses.calls[0].request
        assert base64.b64decode(call.headers["Authorization"][6:]) == b"me:pw"
        assert "Accept-Encoding" not in call.headers
        assert call.headers["X-Key"] == "bytes"
        assert call.req_kwargs["verify"] is False
        Store(URL, session=session, verify=__file__)["app"]["k"]
        assert responses.calls[1].request.req_kwargs["verify"] == __file__


class TestSessions:
    def test_the_cookie_is_kept(self):
        """One sign-in serves all calls, also below a context path, and each store has a jar of its own."""
        emulator = Emulator(context_path="/dhis")
        stores = [Store("http://dhis2.test/dhis", ("admin", "district"), session=emulator.session()) for _ in range(2)]
        for store in stores:
            store["app"]["k"] = 1
            store["app"]["k"]
        cookies = [record.headers.get("cookie", record.headers.get("Cookie")) for record in emulator.log]
        assert cookies[0] is None
        assert cookies[2] is None
        assert cookies[1].startswith("JSESSIONID=")
        assert cookies[3].startswith("JSESSIONID=")
        assert cookies[1] != cookies[3]

    @pytest.mark.parametrize("version", ["2.36", "2.38", "2.42", "2.44"])
    def test_a_session_that_the_server_forgot(self, version):
        """With Basic a forgotten session costs nothing."""
        emulator = Emulator(version=version)
        store = connect(emulator)
        store["app"]["k"] = 1
        emulator._server.accounts.sessions.clear()
        sent(emulator)
        assert store["app"]["k"] == 1
        assert len(sent(emulator)) == 1

    def test_a_stale_cookie_is_dropped_once(self):
        """Where the cookie alone speaks and has gone stale, it is dropped and the call repeated, once."""
        emulator = Emulator()
        store = connect(emulator, auth=None)
        store.datastore.transport._session.cookies.set("JSESSIONID", "stale", domain="dhis2.test", path="/")
        with pytest.raises(NotAuthenticated):
            store["app"]["k"]
        assert [record.headers.get("cookie", record.headers.get("Cookie")) for record in emulator.log] == [
            "JSESSIONID=stale",
            None,
        ]

    @pytest.mark.parametrize(("location", "asked"), [("/dhis-web-login/", 3), ("/elsewhere", 2)])
    def test_an_old_session_that_leads_to_the_login_page(self, location, asked):
        """A redirect to the login page, though there is a cookie, is a session gone stale; another redirect is not."""
        first = reply(b"1", "200 OK", "Set-Cookie: JSESSIONID=old; Path=/")
        with Listener(first, reply(b"", "302 Found", f"Location: {location}"), reply(b"2")) as server:
            namespace = Store(server.url, ("a", "b"))["app"]
            assert namespace["k"] == 1
            if asked == 3:
                assert namespace["k"] == 2
            else:
                with pytest.raises(Rejected):
                    namespace["k"]
            cookies = [headers.get("Cookie") for _, headers, _ in server.received]
        assert cookies == [None, "JSESSIONID=old", None][:asked]

    def test_a_wrong_password_is_asked_once(self):
        """A 401 without a cookie is final: repeating it may lock the account."""
        emulator = Emulator()
        with pytest.raises(NotAuthenticated, match="credentials"):
            connect(emulator, auth=("admin", "wrong"))["app"]["k"]
        assert len(sent(emulator)) == 1


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
            with pytest.raises(TimeoutError, match="did not answer in time") as caught:
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
        """Each request is logged at level DEBUG, each repeat at WARNING, without credentials."""
        emulator = Emulator()
        emulator.fail("status", status=503)
        with caplog.at_level(logging.DEBUG, "dhis2kv"):
            assert connect(emulator)["app"].get("k") is None
        assert [record.levelname for record in caplog.records] == ["DEBUG", "WARNING", "DEBUG"]
        assert "district" not in caplog.text


REPEATED = [("status", {"status": status}) for status in (429, 502, 503, 504)] + [
    ("refuse", {}),
    ("drop_before", {}),
    ("drop_after", {}),
    ("cut", {}),
]


class TestRepeats:
    @pytest.mark.parametrize(("fault", "how"), REPEATED)
    @pytest.mark.parametrize("version", ["2.36", "2.42"])
    def test_what_may_be_repeated_is(self, version, fault, how):
        """GET, HEAD, PUT and DELETE survive each kind of passing trouble, and come to the right result."""
        emulator = Emulator(version=version)
        namespace = connect(emulator)["app"]
        namespace["k"] = 1
        for act, right in (
            (lambda: namespace["k"], 1),
            (lambda: "k" in namespace, True),
            (lambda: namespace.__setitem__("k", 2), None),
            (lambda: namespace.__delitem__("k"), None),
        ):
            trouble = emulator.fail(fault, **how)
            sent(emulator)
            assert act() == right
            methods = [method for method, _ in sent(emulator)]
            assert methods == methods[:1] * (1 if (methods[0], fault) == ("HEAD", "cut") else 2)
            assert trouble.times == 0
        assert "k" not in namespace

    def test_a_delete_whose_answer_was_lost(self):
        """The repeated DELETE meets 404, which is a success; one that met 404 at once is not."""
        emulator = Emulator()
        namespace = connect(emulator)["app"]
        namespace["k"] = 1
        emulator.fail("drop_after", method="DELETE")
        del namespace["k"]
        emulator.fail("refuse", method="DELETE")
        with pytest.raises(KeyError):
            del namespace["k"]

    @pytest.mark.parametrize(("fault", "how"), [*REPEATED[:4], ("drop_before", {}), ("drop_after", {}), ("cut", {})])
    def test_a_create_is_not_repeated(self, fault, how):
        """A POST is not sent again once it was sent: the error leaves open whether it was done."""
        emulator = Emulator()
        namespace = connect(emulator)["app"]
        emulator.fail(fault, method="POST", **how)
        with pytest.raises(Dhis2kvError):
            namespace.add("k", 1)
        assert len(sent(emulator)) == 1

    @pytest.mark.parametrize("duplicate", [False, True])
    def test_a_put_that_lost_a_race(self, duplicate):
        """A PUT that meets 409, in either of its texts, is sent once more, without a wait."""
        emulator = Emulator()
        namespace = connect(emulator)["app"]
        emulator.fail("put_race", duplicate=duplicate)
        namespace["k"] = 1
        assert [method for method, _ in sent(emulator)] == ["PUT", "PUT"]
        assert namespace["k"] == 1
        emulator.fail("put_race", times=2)
        with pytest.raises(Rejected):
            namespace["k"] = 2

    @pytest.mark.parametrize("done", [False, True])
    def test_a_delete_that_lost_a_race(self, done):
        """A DELETE that meets 500 is sent once more; 404 is then a success."""
        emulator = Emulator()
        namespace = connect(emulator)["app"]
        namespace["k"] = 1
        emulator.fail("delete_race", done=done)
        del namespace["k"]
        assert "k" not in namespace

    @pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("3600", 30.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)])
    def test_retry_after(self, asked, waited):
        """Retry-After is honoured, in seconds or as a date, up to half a minute."""
        emulator = Emulator()
        store = connect(emulator)
        waits = []
        store.datastore.transport.sleep = waits.append
        emulator.fail("status", status=429, retry_after=asked)
        assert store["app"].get("k") is None
        assert waits == [waited]

    @pytest.mark.parametrize("text", ["soon", "Fri, 31 Dec 99999 23:59:59 GMT", "9" * 5000])
    def test_an_unreadable_retry_after(self, text):
        """What cannot be read is as if it were not there."""
        emulator = Emulator()
        emulator.fail("status", status=503, retry_after=text)
        assert connect(emulator)["app"].get("k") is None

    def test_no_wait_beyond_the_deadline(self):
        """A wait that would end after the call's time limit is not begun."""
        emulator = Emulator()
        store = connect(emulator, timeout=5)
        waits = []
        store.datastore.transport.sleep = waits.append
        emulator.fail("status", status=503, retry_after="20", times=9)
        with pytest.raises(ServerError):
            store["app"]["k"]
        assert waits == []

    def test_repeats_are_bounded(self):
        """After as many repeats as retries says, the error is raised; none with retries=0."""
        for retries in (0, 2):
            emulator = Emulator()
            emulator.fail("status", times=99)
            with pytest.raises(ServerError):
                connect(emulator, retries=retries)["app"]["k"]
            assert len(sent(emulator)) == retries + 1


class TestConnections:
    def test_they_are_kept(self):
        """Calls in a row use one connection."""
        with Listener(*[reply()] * 5) as server:
            store = Store(server.url)
            assert [store["app"]["k"] for _ in range(5)] == [1] * 5

    @pytest.mark.parametrize("limits", [{"requests_each": 3}, {"idle_seconds": 0.02}])
    @pytest.mark.parametrize("version", ["2.36", "2.44"])
    def test_a_server_that_closes_them_costs_no_error(self, version, limits):
        """Connections closed after some requests or some idle time are opened again."""
        emulator = Emulator(version=version)
        with emulator.serve(**limits) as server, Store(server.url, ("admin", "district")) as store:
            namespace = store["app"]
            for number in range(12):
                namespace[f"k{number}"] = number
                assert namespace.add(f"k{number}", 0) is False
            assert len(namespace) == 12

    def test_a_set_whose_post_met_a_dead_connection(self):
        """On a server where a PUT does not create, a lost POST is settled by a PUT."""
        for fault in ("drop_before", "drop_after"):
            emulator = Emulator(version="2.36")
            namespace = connect(emulator)["app"]
            emulator.fail(fault, method="POST")
            namespace["k"] = 1
            assert namespace["k"] == 1

    def test_an_idle_connection_is_not_trusted_with_a_create(self):
        """After ten idle seconds a POST opens a new connection, for the server may be closing the old one."""
        now = [0.0]
        with Listener(*[reply()] * 4) as server:
            transport = Transport(server.url, clock=lambda: now[0])
            for method, later, connections in (("GET", 0, 1), ("GET", 11, 1), ("POST", 10, 1), ("POST", 10.5, 2)):
                now[0] += later
                transport.call(wire.call(method, "dataStore", "app", "k", body="1" if method == "POST" else None))
                assert server.connections == connections

    def test_after_a_fork(self):
        """Parent and child go on with connections of their own."""
        emulator = Emulator()
        with emulator.serve() as server, Store(server.url, ("admin", "district")) as store:
            store["app"]["k"] = 1
            child = os.fork()
            if child == 0:
                ok = False
                with contextlib.suppress(BaseException):
                    ok = store["app"]["k"] == 1
                    store["app"]["child"] = 2
                os._exit(0 if ok else 1)
            assert [store["app"]["k"] for _ in range(20)] == [1] * 20
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert store["app"]["child"] == 2


class Adapter(requests.adapters.HTTPAdapter):
    """An adapter of somebody's own, with an attribute that pickling and copying lose."""

    def __init__(self):
        self.options = {"blocksize": 4096}
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        return super().init_poolmanager(*args, **kwargs, **self.options)


def test_a_fork_with_an_adapter_of_ones_own():
    """The child shares no connection with its parent, whatever the session's adapters."""
    session = requests.Session()
    session.mount("http://", Adapter())
    emulator = Emulator()
    with emulator.serve() as server:
        store = Store(server.url, ("admin", "district"), session=session)
        store["app"].update({"parent": 1, "child": 2})
        child = os.fork()
        if child == 0:
            ok = False
            with contextlib.suppress(BaseException):
                ok = all(store["app"]["child"] == 2 for _ in range(50))
            os._exit(0 if ok else 1)
        assert [store["app"]["parent"] for _ in range(50)] == [1] * 50
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


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
