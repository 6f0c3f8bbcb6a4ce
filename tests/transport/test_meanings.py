"""Which error each exception of requests and urllib3 is, whether the request had left, and what the error says."""

import socket
import ssl

import pytest
import requests
import urllib3
from urllib3 import exceptions

from dhis2kv import TimedOut, Unreachable
from dhis2kv.transport.exchange import Exchange
from dhis2kv.transport.failures import failure

URL = "https://dhis2.test:8443/dhis/api/dataStore/app/k"
PROXY = "http://me:s3cret@proxy.test:3128"
POOL = urllib3.HTTPSConnectionPool("dhis2.test")
CONNECTION = urllib3.connection.HTTPSConnection("dhis2.test")
REFUSED = exceptions.NewConnectionError(CONNECTION, "refused")
RESET = exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))
LATE = exceptions.ReadTimeoutError(POOL, "/", "late")
LATE_TO_CONNECT = exceptions.ConnectTimeoutError(CONNECTION, "late")


def gave_up(reason):
    return requests.ConnectionError(exceptions.MaxRetryError(POOL, "/", reason))


def tls(text):
    return exceptions.SSLError(ssl.SSLError(1, text))


def told(error, *, watched=False, sent=False, over=False, proxy=None, url=URL):
    """What an exception comes to: the error."""
    exchange = Exchange(0.0 if over else 2.0, clock=lambda: 1.0)
    exchange.watched, exchange.sent = watched, sent
    return failure(error, exchange, 120.0, {"method": "GET", "url": url}, proxy)


@pytest.mark.parametrize(
    ("error", "kind", "sent"),
    [
        (gave_up(REFUSED), Unreachable, False),
        (gave_up(LATE_TO_CONNECT), TimedOut, False),
        (gave_up(LATE), TimedOut, True),
        (gave_up(RESET), Unreachable, True),
        (gave_up(None), Unreachable, False),
        (gave_up(tls("no")), Unreachable, False),
        (gave_up(exceptions.ProxyError("no", LATE_TO_CONNECT)), TimedOut, False),
        (gave_up(exceptions.ProxyError("no", OSError("no"))), Unreachable, False),
        (requests.ConnectTimeout(LATE_TO_CONNECT), TimedOut, False),
        (requests.ConnectTimeout(REFUSED), Unreachable, False),
        (requests.ReadTimeout(LATE), TimedOut, True),
        (requests.Timeout(OSError("late")), TimedOut, True),
        (requests.Timeout(), TimedOut, True),
        (requests.ConnectionError(RESET), Unreachable, True),
        (requests.ConnectionError(), Unreachable, True),
        (requests.ConnectionError("text"), Unreachable, True),
        (requests.exceptions.MissingSchema("no"), Unreachable, False),
        (requests.exceptions.InvalidSchema("no"), Unreachable, False),
        (requests.exceptions.InvalidProxyURL("no"), Unreachable, False),
        (REFUSED, Unreachable, False),
        (RESET, Unreachable, True),
        (TimeoutError(), TimedOut, True),
        (OSError(5, "no"), Unreachable, True),
    ],
)
def test_by_the_exception_alone(error, kind, sent):
    """Where connections do not report, it tells whether the request left; what is not certain counts as sent."""
    found = told(error)
    assert (type(found), found.sent) == (kind, sent)


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("error", [gave_up(REFUSED), gave_up(LATE), requests.exceptions.InvalidURL("no")])
def test_by_what_the_connection_reports(error, sent):
    """Where they do, that counts, whatever the exception."""
    assert told(error, watched=True, sent=sent).sent is sent


def test_time_that_is_over():
    """Whatever broke then, it was too late."""
    found = told(gave_up(RESET), over=True)
    assert (type(found), str(found)) == (TimedOut, "no whole reply from dhis2.test:8443 within 120 s")


NO_HOST = socket.gaierror(-2, "Name or service not known")
TO = "no connection to dhis2.test:8443: "


def caused(cause=None, context=None):
    """An exception that came of another, by either way of telling it."""
    error = exceptions.HTTPError("no")
    error.__cause__, error.__context__ = cause, context
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (gave_up(REFUSED), TO + "refused"),
        (gave_up(tls("[SSL: WRONG_VERSION_NUMBER]")), "it does not speak https there; perhaps its address is http://"),
        (gave_up(tls("[SSL: RECORD_LAYER_FAILURE]")), "it does not speak https there"),
        (gave_up(tls("[SSL: HTTP_REQUEST]")), "it does not speak https there"),
        (requests.exceptions.SSLError(tls("[SSL: HTTP_REQUEST]")), "it does not speak https there"),
        (gave_up(tls("[SSL: UNSUPPORTED_PROTOCOL]")), "UNSUPPORTED_PROTOCOL"),
        (
            gave_up(
                tls("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1)")
            ),
            TO + "the server's certificate is not valid: certificate has expired",
        ),
        (gave_up(exceptions.SSLError("hostname 'a' doesn't match 'b'")), "certificate is not valid: hostname 'a'"),
        (gave_up(caused(NO_HOST)), "a host of the name 'dhis2.test' cannot be found"),
        (gave_up(caused(context=NO_HOST)), "a host of the name 'dhis2.test' cannot be found"),
        (gave_up(exceptions.HTTPError("no", NO_HOST)), "a host of the name 'dhis2.test' cannot be found"),
    ],
)
def test_why_there_is_no_connection(error, sentence):
    """The reason in the words of those who found it, or what it means; and each means one thing."""
    found = str(told(error, watched=True))
    assert sentence in found
    assert found.startswith(TO)
    assert ("speak https" in found) is ("speak https" in sentence)
    assert ("cannot be found" in found) is ("cannot be found" in sentence)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (requests.ConnectionError(RESET), "Connection reset by peer"),
        (requests.ConnectionError(exceptions.ProtocolError("Connection aborted.", OSError("gone"))), "gone"),
        (requests.ConnectionError(exceptions.ProtocolError("Connection aborted.")), "Connection aborted."),
        (requests.ConnectionError(exceptions.ProtocolError("Response ended", 3)), "('Response ended', 3)"),
        (OSError(5, "Input/output error"), "[Errno 5] Input/output error"),
        (OSError("<urllib3.Connection object at 0x7f>: gone"), "gone"),
        (requests.ConnectionError(), "ConnectionError"),
    ],
)
def test_why_a_connection_broke(error, reason):
    """The reason, without what is only for those who write programs."""
    found = str(told(error, watched=True, sent=True))
    assert found == f"the connection to dhis2.test:8443 broke: {reason}"


@pytest.mark.parametrize(
    ("url", "error", "hint"),
    [
        (URL.replace("https", "http"), RESET, True),
        (URL, RESET, False),
        (URL.replace("https", "http"), OSError("no"), False),
        (URL.replace("https", "http"), exceptions.ProtocolError("no", ConnectionRefusedError(111, "no")), False),
    ],
)
def test_a_server_that_may_speak_https(url, error, hint):
    """Only what hangs up on http, and does not refuse it, may want https."""
    assert ("begins with https://" in str(told(error, watched=True, sent=True, url=url))) is hint


PROXY_FAILED = gave_up(exceptions.ProxyError("Unable to connect to proxy", OSError("refused")))


@pytest.mark.parametrize(
    ("error", "proxy", "sentence"),
    [
        (
            PROXY_FAILED,
            PROXY,
            "no connection to the proxy http://proxy.test:3128, by which dhis2.test:8443 is asked: refused",
        ),
        (PROXY_FAILED, None, "is asked: refused"),
        (gave_up(LATE_TO_CONNECT), PROXY, "did not accept a connection in time, by the proxy http://proxy.test:3128"),
        (gave_up(LATE_TO_CONNECT), None, "dhis2.test:8443 did not accept a connection in time"),
        (requests.exceptions.InvalidProxyURL("no"), "me:s3cret@proxy.test", "the proxy proxy.test is not a URL"),
    ],
)
def test_what_is_said_of_a_proxy(error, proxy, sentence):
    """It is named, where there is one, without its password."""
    found = str(told(error, watched=True, proxy=proxy))
    assert sentence in found
    assert "s3cret" not in found
    assert ("by the proxy" in found) is ("by the proxy" in sentence)
