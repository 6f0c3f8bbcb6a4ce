"""Which of our errors an exception of ``requests`` or urllib3 is; imports the errors.

Here since no exception of theirs crosses the library's surface, and every error says whether the request was sent.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from dhis2kv import errors
from dhis2kv.transport.exchange import Exchange

# What requests says before it has begun.
_NOT_BEGUN = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidProxyURL,
)


def failure(
    error: Exception, exchange: Exchange, total: float, facts: dict[str, Any], proxy: str | None = None
) -> errors.Dhis2kvError:
    """The error that an exception of requests or urllib3 means, and whether the request had been sent by then."""
    cause: Any = error
    while isinstance(cause, requests.RequestException) and cause.args and isinstance(cause.args[0], Exception):
        cause = cause.args[0]
    # Adapters of somebody else's tell by the exception alone; one in doubt counts as sent.
    unsent = exchange.watched or isinstance(error, _NOT_BEGUN) or _never_connected(cause)
    sent = exchange.sent or not unsent
    if isinstance(cause, urllib3.exceptions.MaxRetryError):
        cause = cause.reason or cause
    facts = {**facts, "sent": sent}
    host = urlsplit(facts["url"]).netloc
    if exchange.over:
        return errors.TimedOut(f"no whole reply from {host} within {total:g} s", **facts)
    at_proxy = getattr(cause, "original_error", None)  # where a proxy was waited for
    refused = isinstance(cause, urllib3.exceptions.NewConnectionError)
    if _is_late(cause) or _is_late(at_proxy) or (_is_late(error) and not refused):
        by = f", by the proxy {_shown(proxy)}" if proxy else ""
        what = "answer" if sent else "accept a connection"
        return errors.TimedOut(f"{host} did not {what} in time{by}", **facts)
    if not sent:
        return errors.Unreachable(_no_connection(cause, facts["url"], proxy), **facts)
    return errors.Unreachable(f"the connection to {host} broke: {_reason(cause)}{_hint(cause, facts['url'])}", **facts)


def _is_late(cause: object) -> bool:
    """Whether an exception is a time-out; that of a refused connection, for history's sake, says so of itself, too."""
    timeouts = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    return isinstance(cause, timeouts) and not isinstance(cause, urllib3.exceptions.NewConnectionError)


def _never_connected(cause: Any) -> bool:
    """Whether an exception of urllib3 means that there was no connection to send on."""
    gave_up = isinstance(cause, urllib3.exceptions.MaxRetryError)
    if gave_up:
        cause = cause.reason or cause
    # An adapter that repeats by itself may give up after it has sent.
    had_sent = isinstance(cause, urllib3.exceptions.ReadTimeoutError | urllib3.exceptions.ProtocolError)
    return not had_sent and (gave_up or isinstance(cause, urllib3.exceptions.ConnectTimeoutError))


def _no_connection(cause: Any, url: str, proxy: str | None) -> str:
    """Why there is no connection, in the words of those who set it up, and what to set."""
    parts, reason = urlsplit(url), _reason(cause)
    if isinstance(cause, requests.exceptions.InvalidProxyURL):
        return f"the proxy {_shown(proxy)} is not a URL like http://proxy.example.org:3128"
    if isinstance(cause, urllib3.exceptions.ProxyError):
        reason = _reason(cause.original_error)
        if "Tunnel" in reason:
            return f"no connection to {parts.netloc}: the proxy {_shown(proxy)} leads to none ({reason})"
        return (
            f"no connection to the proxy {_shown(proxy)}, by which {parts.netloc} is asked: {reason}."
            " NO_PROXY names hosts that are asked directly"
        )
    if "CERTIFICATE_VERIFY_FAILED" in reason or "doesn't match" in reason:  # the latter by urllib3 before 2.0
        reason = _certificate(reason)
    elif re.search("WRONG_VERSION|RECORD_LAYER|HTTP_REQUEST", reason):
        reason = f"it does not speak https there; perhaps its address is http://{parts.netloc}"
    elif any(isinstance(each, socket.gaierror) for each in _behind(cause)):
        reason = f"a host of the name {parts.hostname!r} cannot be found; is the address right? ({reason})"
    return f"no connection to {parts.netloc}: {reason}{_hint(cause, url)}"


def _shown(proxy: str | None) -> str:
    """The address of a proxy, without the credentials in it."""
    return re.sub("//[^/@]*@", "//", proxy or "").rpartition("@")[2]


def _certificate(reason: str) -> str:
    """What is wrong with a certificate, and what to set where it is one of the user's own."""
    said = re.sub(r".*verify failed: |\s*\(_ssl\.c.*", "", reason)
    if re.search("mismatch|doesn't match|expired|not yet valid", said):
        return f"the server's certificate is not valid: {said}"
    more = "" if find_spec("truststore") else "; dhis2kv[truststore] takes those of the operating system"
    return (
        f"the server's certificate is of nobody who is trusted ({said}). Name a file with the certificate of who issued"
        f" it: SSL_CERT_FILE, ca_file in a profile, --ca-file or Store(..., verify=FILE){more}"
    )


def _hint(cause: Any, url: str) -> str:
    """What a connection that breaks before any reply may mean."""
    closed = any(isinstance(each, ConnectionError) or "\\x15\\x03" in repr(each) for each in _behind(cause))
    refused = any(isinstance(each, ConnectionRefusedError) for each in _behind(cause))
    if url.startswith("http://") and closed and not refused:
        return "; if it speaks https there, its address begins with https://"
    return ""


def _behind(cause: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it came of, which urllib3 tells now as its cause and now as an argument."""
    while cause is not None:
        yield cause
        inner = next((each for each in cause.args if isinstance(each, BaseException)), None)
        cause = inner or cause.__cause__ or cause.__context__


def _reason(cause: BaseException) -> str:
    """What went wrong, without the addresses of objects that urllib3 prints."""
    if len(cause.args) == 2 and cause.args[0] == "Connection aborted.":
        cause = cause.args[1]
        return getattr(cause, "strerror", None) or str(cause)
    text = re.sub(r"<[^>]*>:?\s*|HTTPS?Connection\([^)]*\): ", "", str(cause)).strip()
    return text or type(cause).__name__
