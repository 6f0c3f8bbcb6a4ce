"""Which of our errors an exception of ``requests`` or urllib3 is; imports the errors.

Here since no exception of theirs crosses the library's surface, and every error says whether the request was sent.
"""

from __future__ import annotations

import re
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


def failure(error: Exception, exchange: Exchange, total: float, facts: dict[str, Any]) -> errors.Dhis2kvError:
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
    timeouts = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    refused = isinstance(cause, urllib3.exceptions.NewConnectionError)  # which is, for history's sake, a time-out too
    if exchange.over:
        return errors.TimedOut(f"no whole reply from {host} within {total:g} s", **facts)
    if not refused and (isinstance(error, timeouts) or isinstance(cause, timeouts)):
        return errors.TimedOut(f"{host} did not {'answer' if sent else 'accept a connection'} in time", **facts)
    if not sent:
        return errors.Unreachable(f"no connection to {host}: {_reason(cause)}", **facts)
    return errors.Unreachable(f"the connection to {host} broke: {_reason(cause)}", **facts)


def _never_connected(cause: Any) -> bool:
    """Whether an exception of urllib3 means that there was no connection to send on."""
    gave_up = isinstance(cause, urllib3.exceptions.MaxRetryError)
    if gave_up:
        cause = cause.reason or cause
    if isinstance(cause, urllib3.exceptions.ReadTimeoutError | urllib3.exceptions.ProtocolError):
        return False  # an adapter that repeats by itself gave up after it had sent
    return gave_up or isinstance(cause, urllib3.exceptions.ConnectTimeoutError)


def _reason(cause: BaseException) -> str:
    """What went wrong, without the addresses of objects that urllib3 prints."""
    return re.sub(r"<[^>]*>:?\s*", "", str(cause)).strip() or type(cause).__name__
