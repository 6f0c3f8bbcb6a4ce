"""What a transport is made with: credentials, times and sizes, and what of them reaches an adapter."""

import itertools
import re

import pytest
import requests

from dhis2kv import Store, TimedOut, wire
from dhis2kv.transport import Transport

from .listening import Listener, reply

URL = "http://dhis2.test"
SIGNED_URL = "http://me:pw@dhis2.test"
READ = wire.call("GET", "dataStore", "app", "k")


class Noting(requests.adapters.HTTPAdapter):
    """Notes with which limits it is asked, and answers; each request takes so many seconds of the clock."""

    def __init__(self, takes=0.0, status=200):
        super().__init__()
        self.now, self.takes, self.status, self.limits = 0.0, takes, status, []

    def send(self, request, *, timeout, **_):
        self.limits.append(timeout)
        self.now += self.takes
        answer = requests.Response()
        answer.status_code, answer.request, answer._content = self.status, request, b"1"
        answer.headers["Content-Type"] = "application/json"
        return answer

    def transport(self, **options):
        session = requests.Session()
        session.mount("http://", self)
        return Transport(URL, session=session, clock=lambda: self.now, **options)


# --- credentials ------------------------------------------------------------------------------------------------------

CREDENTIALS = [("url", SIGNED_URL), ("auth", ("me", "pw")), ("token", "d2p_x")]


@pytest.mark.parametrize("given", [*itertools.combinations(CREDENTIALS, 2), CREDENTIALS])
def test_credentials_are_given_once(given):
    """Of two kinds of credentials none is guessed."""
    with pytest.raises(ValueError, match="give one of auth, token, and credentials in the URL"):
        Transport(**{"url": URL} | dict(given))


def sign(request):
    return request


@pytest.mark.parametrize(
    ("url", "options", "account", "by_token"),
    [
        (URL, {"auth": ("me", "pw")}, "me", False),
        (URL, {"auth": ["me", "pw"]}, "me", False),
        (SIGNED_URL, {}, "me", False),
        (URL, {"token": "d2p_x"}, None, True),
        (URL, {"auth": sign}, None, False),
        (URL, {}, None, False),
    ],
)
def test_who_is_signed_in(monkeypatch, tmp_path, url, options, account, by_token):
    """The account is told where the credentials tell it, also those in the URL, and whether a token signs."""
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    transport = Transport(url, **options)
    assert (transport.account, transport.by_token) == (account, by_token)


@pytest.mark.parametrize(("header", "by_token"), [("ApiToken d2p_x", True), ("Bearer x", False)])
def test_a_token_in_the_headers_of_a_session(header, by_token):
    """A session that was passed in may bring the token."""
    session = requests.Session()
    session.headers["Authorization"] = header
    assert Transport(URL, session=session).by_token is by_token


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "connect", "read", "total"),
    [
        ({}, 5, 30, 120),
        ({"timeout": 7}, 7, 7, 7),
        ({"timeout": 0.5}, 0.5, 0.5, 0.5),
        ({"timeout": (1, 2)}, 1, 2, 120),
        ({"timeout": (100, 50)}, 100, 50, 150),
        ({"timeout": (1, 2, 3)}, 1, 2, 3),
        ({"timeout": (9, 8, 3)}, 3, 3, 3),
        ({"timeout": 1e6}, 1e6, 1e6, 1e6),
    ],
)
def test_times(options, connect, read, total):
    """A number is for the whole call; a pair leaves two minutes for it, or the sum; no wait is longer than that."""
    adapter = Noting(takes=1e7)
    transport = adapter.transport(**options)
    with pytest.raises(TimedOut, match=re.escape(f"within {total:g} s")):
        transport.call(READ)
    assert adapter.limits == [(connect, read)]


@pytest.mark.parametrize(
    "timeout", [0, -1, 1e6 + 0.5, float("nan"), "5", None, (5,), (), (1, 2, 3, 4), (0, 1), (1, 0), (1, 2, 0), (1, "2")]
)
def test_what_is_no_time(timeout):
    """It is refused when the transport is made."""
    with pytest.raises(ValueError, match="timeout is a number of seconds above 0"):
        Transport(URL, timeout=timeout)


def test_what_is_left_bounds_each_try():
    """A repeated call may connect and wait as long as the whole call has time."""
    adapter = Noting(takes=4.0, status=503)
    transport = adapter.transport(timeout=(3, 9, 10), sleep=lambda _: None)
    with pytest.raises(TimedOut):
        transport.call(READ)
    assert adapter.limits == [(3, 9), (3, 6), (2, 2)]


def test_a_sleep_that_is_too_long():
    """A try that begins when the time is over may take a moment, and no more."""
    adapter = Noting(status=503)
    transport = adapter.transport(timeout=10, retries=1, sleep=lambda _: setattr(adapter, "now", 11.0))
    with pytest.raises(TimedOut):
        transport.call(READ)
    assert all(0 < limit < 0.1 for limit in adapter.limits[1])


# --- repeats and sizes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"retries": -1}, {"max_bytes": 0}, {"retries": -1, "max_bytes": 0}])
def test_what_is_no_number_of_repeats_or_bytes(options):
    """It is refused when the transport is made."""
    with pytest.raises(ValueError, match="retries cannot be negative, and max_bytes is at least 1"):
        Transport(URL, **options)


def test_the_smallest_size():
    """One byte is a size, and no repeats are a number of them."""
    assert Noting().transport(retries=0, max_bytes=1).call(READ).body == b"1"


# --- closing ----------------------------------------------------------------------------------------------------------


def test_closing():
    """A store that was closed has let its connection go, and opens another one."""
    with Listener(reply(), reply()) as server:
        store = Store(server.url, ("a", "b"))
        store["app"]["k"]
        store.close()
        store["app"]["k"]
        assert server.connections == 2
