"""The errors of dhis2kv: one class per meaning, picklable, and safe to print.

::

    Dhis2kvError
    ├── InvalidKey      (KeyError, ValueError)    a name no server can hold, or would take for another; nothing was sent
    ├── InvalidValue    (TypeError, ValueError)   a value that would not come back the same; nothing was sent
    ├── Unaddressable   (ValueError)              a name that cannot be reached over this route; nothing was sent
    ├── ReadOnly        (TypeError)               the store was opened read-only; nothing was sent
    ├── Unreadable      (ValueError)              a stored value that Python cannot hold; its text can be had
    ├── Unfit           (ValueError)              a stored value, or one to be stored, that does not fit its model
    ├── KeyNotFound     (KeyError)                certain absence: the server said so, about this very name
    ├── NotAuthenticated                          who are you? (401, the login page, a malformed token)
    ├── Forbidden       (PermissionError)         not for you (403, a protected namespace)
    ├── KeyExists                                 a create met an entry
    ├── Rejected                                  the server refuses the request (other 4xx, redirects)
    ├── ServerError                               5xx, 429, a reply that is not JSON or too large
    ├── Unreachable     (ConnectionError)         no connection, or it broke
    ├── TimedOut        (TimeoutError)            no answer in time
    ├── NotStored                                 the server said yes, and reading back says no
    ├── Changed                                   somebody else wrote meanwhile
    └── BulkError                                 some of several writes failed

Here since what an error means to whoever catches it is one matter, wherever it is raised. Imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "BulkError",
    "Changed",
    "Dhis2kvError",
    "Forbidden",
    "InvalidKey",
    "InvalidValue",
    "KeyExists",
    "KeyNotFound",
    "NotAuthenticated",
    "NotStored",
    "ReadOnly",
    "Rejected",
    "ServerError",
    "TimedOut",
    "Unaddressable",
    "Unfit",
    "Unreachable",
    "Unreadable",
]


class Dhis2kvError(Exception):
    """Anything that goes wrong in dhis2kv; its ``str()`` is a sentence that is safe to print.

    ``status`` is the HTTP status or None, ``method`` and ``url`` say what was asked (the URL without credentials),
    ``message`` is the server's own text ("" when there was none), ``sent`` whether the server may have acted on the
    request: False means that nothing has changed there.
    """

    status: int | None = None
    method: str | None = None
    url: str | None = None
    message: str = ""
    sent: bool = False

    def __init__(self, *args: Any, **facts: Any) -> None:
        super().__init__(*args)
        self.__dict__.update(facts)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__


class InvalidKey(Dhis2kvError, KeyError, ValueError):
    """A name that no server can hold, or that it would take for another one; nothing was sent.

    It is a ``KeyError`` where one reads (such a key is certainly absent) and a ``ValueError`` where one writes.
    """


class InvalidValue(Dhis2kvError, TypeError, ValueError):
    """A value that is not JSON, or that would not come back the same; nothing was sent."""


class Unaddressable(Dhis2kvError, ValueError):
    """A name that may well exist, but that a proxy on the way to this server rewrites into another one."""


class ReadOnly(Dhis2kvError, TypeError):
    """A write on a store that was opened with ``read_only=True``; nothing was sent."""


class Unreadable(Dhis2kvError, ValueError):
    """A stored value that is JSON and that Python cannot hold: far too deep, or a number beyond all bounds.

    Servers store such values. ``get_text`` gives the text; writing or deleting the entry works as ever.
    """


class Unfit(Dhis2kvError, ValueError):
    """Values that do not fit the model of their namespace; where they were to be written, nothing was sent.

    ``key`` is the first of them. ``details`` has for each key what does not fit, as dicts with ``loc``, the path, and
    ``msg``, as in pydantic; ``reports`` pydantic's own report, which shows values.
    """

    key: str = ""
    namespace: str = ""
    details: Mapping[str, Sequence[Mapping[str, Any]]] = {}
    reports: Mapping[str, str] = {}


class KeyNotFound(Dhis2kvError, KeyError):
    """The server said that this key (or this namespace) does not exist; ``args`` is ``(key,)``."""

    namespace: str | None = None

    def __str__(self) -> str:
        if self.namespace is None:
            return f"there is no namespace {self.args[0]!r}"
        return f"there is no {self.args[0]!r} in namespace {self.namespace!r}"


class NotAuthenticated(Dhis2kvError):
    """The server does not know who is asking: 401, its login page, a redirect to it, or a malformed token."""


class Forbidden(Dhis2kvError, PermissionError):
    """The account may not do this: 403, or a protected namespace.

    The sentence leaves out the server's own text, for in 2.38 that text holds the stored value.
    """


class KeyExists(Dhis2kvError):
    """A create met an entry that is there already."""


class Rejected(Dhis2kvError):
    """The server refuses the request as it stands: another 4xx, or a redirect to somewhere else."""


class ServerError(Dhis2kvError):
    """The server is in trouble: 5xx, 429, a reply that is not what it should be, or one that is too large."""


class Unreachable(Dhis2kvError, ConnectionError):
    """No connection to the server, or one that broke before the answer was whole."""


class TimedOut(Dhis2kvError, TimeoutError):
    """No answer in time."""


class NotStored(Dhis2kvError):
    """The server accepted a write, and reading back shows that it did not take place."""


class Changed(Dhis2kvError):
    """Somebody else wrote the entry meanwhile; nothing was overwritten."""


class BulkError(Dhis2kvError):
    """Some of several writes failed; says what was done, what failed and why, and what was not tried.

    ``done`` and ``untried`` are lists of keys, ``failed`` maps each key that failed to its error. An error in
    ``failed`` whose ``sent`` is true leaves it open whether that entry was written.
    """

    done: Sequence[str] = ()
    failed: Mapping[str, Dhis2kvError] = {}
    untried: Sequence[str] = ()
