"""Signing in: credentials of every kind, and sessions that the server keeps or forgets."""

import base64

import pytest
import requests
import responses
import urllib3

from dhis2kv import (
    NotAuthenticated,
    Rejected,
    Store,
    Unreachable,
)
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent

from .listening import Listener, reply

URL = "https://dhis2.example.org"
ENTRY = f"{URL}/api/dataStore/app/k"


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
    @pytest.mark.parametrize(
        ("header", "said"),
        [("Cookie", "does not accept these"), ("Authorization", "does not accept these"), ("X-Key", "no credentials")],
    )
    def test_what_counts_as_credentials(self, header, said):
        """Who signs by a cookie or an Authorization of their own, and is refused, has given credentials."""

        def sign(request):
            request.headers[header] = "JSESSIONID=a"
            return request

        responses.get(ENTRY, status=401)
        with pytest.raises(NotAuthenticated, match=said):
            Store(URL, sign)["app"]["k"]

    @responses.activate
    @pytest.mark.parametrize(
        "failure",
        [requests.ConnectionError("away"), urllib3.exceptions.ProtocolError("away"), ZeroDivisionError("away")],
    )
    def test_what_cannot_sign(self, failure):
        """Trouble on the way to a token is an error of this library, with the URL; a mistake is left as it is."""

        def sign(_):
            raise failure

        with pytest.raises((Unreachable, ZeroDivisionError), match="away") as caught:
            Store(URL, sign, retries=0)["app"]["k"]
        assert (caught.type is Unreachable) is not isinstance(failure, ZeroDivisionError)
        assert getattr(caught.value, "url", ENTRY) == ENTRY

    @responses.activate
    @pytest.mark.parametrize(
        ("auth", "sent"),
        [
            (("m\u00e9", "p:w"), "m\u00e9:p:w"),
            (["me", ""], "me:"),
            (requests.auth.HTTPBasicAuth("m\u00e9", b"p:w"), "m\u00e9:p:w"),
            (requests.auth.HTTPProxyAuth("me", "pw"), None),
        ],
    )
    def test_names_and_passwords(self, auth, sent):
        """They are written in UTF-8, whatever they are given in; what only looks like such a pair signs by itself."""
        responses.get(ENTRY, json=1)
        assert Store(URL, auth)["app"]["k"] == 1
        header = responses.calls[0].request.headers.get("Authorization", "")
        assert base64.b64decode(header.removeprefix("Basic ")).decode() == (sent or "")

    @pytest.mark.parametrize("auth", [("me",), ("me", "pw", "x"), ("me", 1), (b"me", b"pw"), "me:pw", 5])
    def test_what_cannot_sign_is_refused(self, auth):
        """When the store is made, rather than in each call."""
        with pytest.raises(TypeError, match="auth is a pair"):
            Store(URL, auth)

    @pytest.mark.parametrize("token", ["", "two words", "d2p_\u00e9", "d2p_x\n", "\x7f"])
    def test_what_is_no_token(self, token):
        """It would break the header that it stands in."""
        with pytest.raises(ValueError, match="one word of ASCII"):
            Store(URL, token=token)

    @pytest.mark.parametrize("auth", [("a:b", "pw"), requests.auth.HTTPBasicAuth("a:b", "pw")])
    def test_a_name_with_a_colon(self, auth):
        """Half of it would be taken for the password."""
        with pytest.raises(ValueError, match="cannot hold a colon"):
            Store(URL, auth)

    @responses.activate
    def test_who_signs_first(self, monkeypatch, tmp_path):
        """What is given comes before what a session has, and that before a netrc entry, which a session may forbid."""
        (tmp_path / "netrc").write_text("machine dhis2.example.org login netrc password pw\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        session = requests.Session()
        assert Store(URL, session=session).datastore.transport.account == "netrc"
        session.trust_env = False
        assert Store(URL, session=session).datastore.transport.account is None
        session.auth = ("session", "pw")
        assert Store(URL, session=session).datastore.transport.account == "session"
        assert Store(URL, ("given", "pw"), session=session).datastore.transport.account == "given"
        assert Store(URL, token="d2p_x", session=session).datastore.transport.account is None

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

    def test_a_server_that_refuses_each_session(self):
        """A cookie that comes with a refusal is no reason to ask for ever."""
        first = reply(b"1", "200 OK", "Set-Cookie: JSESSIONID=old; Path=/")
        refusal = reply(b"", "401 ", "Set-Cookie: JSESSIONID=new; Path=/")
        with Listener(first, *[refusal] * 9) as server:
            namespace = Store(server.url, ("a", "b"))["app"]
            assert namespace["k"] == 1
            with pytest.raises(NotAuthenticated):
                namespace["k"]
            assert len(server.received) == 3

    def test_a_reply_that_names_the_login_page(self):
        """Only a redirect leads there: any other reply with such a header is one, and is not asked for again."""
        first = reply(b"1", "200 OK", "Set-Cookie: JSESSIONID=a; Path=/")
        with Listener(first, reply(b"2", "200 OK", "Location: /dhis-web-login/"), reply(b"3")) as server:
            namespace = Store(server.url, ("a", "b"))["app"]
            assert [namespace["k"], namespace["k"]] == [1, 2]

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
