"""What is found once for all requests of a store is what requests finds for each."""

import http.client
import io
import time

import pytest
import requests
import responses
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar, get_cookie_header

from dhis2kv import Store
from dhis2kv.transport.adapter import Adapter, Headers
from dhis2kv.transport.sessions import Cookies

from .listening import Listener, done, reply

BASE = "http://dhis2.example.org/dhis"


class Raw:
    """As much of a response as cookies are taken from."""

    def __init__(self, *cookies):
        lines = "".join(f"Set-Cookie: {cookie}\r\n" for cookie in cookies)
        self._original_response = self
        self.msg = http.client.parse_headers(io.BytesIO(f"{lines}\r\n".encode()))


def request(path):
    return requests.Request("GET", BASE + path).prepare()


paths = st.sampled_from(["", "; Path=/", "; Path=/dhis", "; Path=/dhis/api/dataStore", "; Path=/elsewhere"])
ends = st.sampled_from(["", "; Max-Age=0", "; Max-Age=3600", "; Expires=Thu, 01 Jan 1970 00:00:00 GMT"])
flags = st.sampled_from(["", "; Secure", "; HttpOnly", "; Domain=example.org", "; Domain=other.org"])
cookies = st.builds("{}={}{}{}{}".format, st.sampled_from("ab"), st.integers(0, 9), paths, ends, flags)
targets = st.sampled_from(["/api/dataStore/app/k", "/api/dataStore", "/api/me", "/api/userDataStore/x/y.%6Ason/"])


@given(st.lists(st.tuples(st.lists(cookies, max_size=2), targets, st.booleans())))
def test_cookies_are_those_of_requests(steps):
    """Whatever a server sets, what is sent of it is what an ordinary jar sends."""
    ours, theirs = Cookies(), RequestsCookieJar()
    for brought, target, forgotten in steps:
        for jar in (ours, theirs):
            extract_cookies_to_jar(jar, request(target), Raw(*brought))
            if forgotten:
                jar.clear()
        for asked in (target, "/api/dataStore/app/k"):
            assert ours.header(request(asked), "/dhis/api/") == get_cookie_header(theirs, request(asked))


def test_a_cookie_for_a_part_of_the_paths():
    """It goes where its path says, whatever was asked before, and so does one for all of them."""
    jar = Cookies()
    extract_cookies_to_jar(jar, request("/api/dataStore/k"), Raw("a=1; Path=/dhis/api/dataStore", "b=2; Path=/"))
    for target in ("/api/dataStore/k", "/api/me", "/api/dataStore/k", "/api/me"):
        sent = jar.header(request(target), "/dhis/api/")
        assert sent == ("a=1; b=2" if "dataStore" in target else "b=2")


@pytest.mark.parametrize("others", [[], ["b=2; Path=/"]])
def test_a_cookie_that_ends(monkeypatch, others):
    """It is sent until its time is over, and not longer; one that has no end stays."""
    jar, now = Cookies(), time.time()
    extract_cookies_to_jar(jar, request("/api/me"), Raw("a=1; Path=/; Max-Age=60", *others))
    assert jar.header(request("/api/me"), "/dhis/api/") == ("a=1; b=2" if others else "a=1")
    monkeypatch.setattr("time.time", lambda: now + 61)
    assert jar.header(request("/api/me"), "/dhis/api/") == ("b=2" if others else None)


def test_cookies_of_two_stores():
    """Each store has a jar of its own, and one that a server renews is sent from then on."""
    first, second = (reply(b"1", "200 OK", f"Set-Cookie: JSESSIONID={name}; Path=/") for name in "xy")
    with Listener(first, reply(), second, done(), reply()) as server:
        one, two = (Store(server.url, ("a", "b"))["app"] for _ in range(2))
        one["k"]
        one["k"]
        one["k"]
        one["k"] = 1
        one["k"]
        assert [headers.get("Cookie") for _, headers, _ in server.received] == [
            None,
            "JSESSIONID=x",
            "JSESSIONID=x",
            "JSESSIONID=y",
            "JSESSIONID=y",
        ]
        assert two._datastore.transport._session.cookies.get_dict() == {}


@pytest.mark.skipif(
    not hasattr(HTTPAdapter, "get_connection_with_tls_context"),
    reason="requests before 2.32 asks for its pools otherwise",
)
def test_one_pool_for_each_server_and_its_certificates(monkeypatch):
    """The pool is found again for the same server and certificates, only for those, and until it is closed."""
    adapter, looked = Adapter(), []
    ordinary = HTTPAdapter.get_connection_with_tls_context
    monkeypatch.setattr(
        HTTPAdapter,
        "get_connection_with_tls_context",
        lambda self, request, *args, **kwargs: looked.append(request.url) or ordinary(self, request, *args, **kwargs),
    )
    pools = [
        adapter.get_connection_with_tls_context(requests.Request("GET", url).prepare(), verify, cert=cert)
        for url, verify, cert in [
            ("https://a.org/x", True, None),
            ("https://a.org/y?z", True, None),
            ("https://a.org/x", False, None),
            ("https://a.org/x", True, ("c", "k")),
            ("https://a.org:444/x", True, None),
            ("http://a.org/x", True, None),
        ]
    ]
    assert pools[0] is pools[1]
    assert len({id(pool) for pool in pools}) == 5
    assert [pool.host for pool in pools] == ["a.org"] * 6
    assert len(looked) == 5
    asked, proxies = requests.Request("GET", "http://a.org/x").prepare(), {"http": "http://proxy:1"}
    for _ in range(2):
        assert adapter.get_connection_with_tls_context(asked, True, proxies=proxies).proxy.host == "proxy"
        assert adapter.get_connection_with_tls_context(asked, True) is pools[5]
    adapter.disconnect()
    again = adapter.get_connection_with_tls_context(requests.Request("GET", "https://a.org/x").prepare(), True)
    assert again is not pools[0]


@example("http://a.org", {})
@example("https://a.org:1/dhis/api/x.%6Ason/", {})
@example("http://a.org//x", {})
@example("http://a.org/x?y#z", {})
@example("http://a/b/c", {})
@given(
    st.text("abc/?#%.6A:@", max_size=20).map("http://a.org/{}".format),
    st.sampled_from([{}, {"http": "http://proxy:1"}, {"https": "http://proxy:1"}]),
)
def test_the_request_line(url, proxies):
    """What stands in it is what requests puts there, of a URL that is left as it is."""
    asked = requests.PreparedRequest()
    asked.url = url
    ordinary = requests.adapters.HTTPAdapter()
    ours, theirs = Adapter().request_url(asked, proxies), ordinary.request_url(asked, proxies)
    assert ours in (theirs, theirs + "?")  # a question mark with nothing behind it is no matter


@pytest.mark.parametrize("headers", [{"Content-Type": "text/html; charset=Latin-1"}, {"X": "1"}, {"Set-Cookie": "a=b"}])
def test_responses_are_those_of_requests(headers):
    """What hooks and authentication look at in a response is what requests puts there."""
    brought = [headers["Set-Cookie"]] if "Set-Cookie" in headers else []
    raw = urllib3.HTTPResponse(b"text", headers, 418, reason="Teapot", original_response=Raw(*brought))
    asked = requests.Request("GET", "http://a.org/x").prepare()
    adapter, ordinary = Adapter(), HTTPAdapter()
    ours, theirs = adapter.build_response(asked, raw), ordinary.build_response(asked, raw)
    assert (ours.connection, theirs.connection) == (adapter, ordinary)
    ours.connection = theirs.connection
    assert ours.cookies.get_dict() == theirs.cookies.get_dict() == dict(cookie.split("=") for cookie in brought)
    ours.cookies = theirs.cookies
    assert vars(ours) == vars(theirs)


def test_headers_have_plain_copies():
    """A copy is a dict with what was set last, and of its own."""
    headers = Headers({"A": "1"})
    first = headers.copy()
    first["B"] = "2"
    headers["a"] = "3"
    assert (type(first), headers.copy(), headers["A"]) == (dict, {"a": "3"}, "3")
    del headers["A"]
    assert headers.copy() == {}


@responses.activate
def test_a_hook_cannot_change_the_next_request():
    """What a hook of a session that was passed in does to a request is done to that one."""
    session = requests.Session()
    session.hooks["response"].append(lambda answer, **_: answer.request.headers.update({"X-Once": "1"}))
    responses.get(f"{BASE}/api/dataStore/app/k", json=1)
    namespace = Store(BASE, ("a", "b"), session=session)["app"]
    sent = []
    for _ in range(2):
        namespace["k"]
        sent.append(responses.calls[-1].request)
    assert sent[0].headers is not sent[1].headers
