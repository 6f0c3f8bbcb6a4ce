"""Personal access tokens, made on the server for a profile; imports the accessor.

Here since a token that can be used everywhere is made in two ways, and one that cannot be used must not be left behind.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple

from dhis2kv import errors, wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from dhis2kv.store import Store

# What the calls of this library are, HEAD for ``in``; no PATCH.
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")

_DAY = 24 * 60 * 60


class Token(NamedTuple):
    """A token as its server tells it, this once; ``limited`` says that it can do no more than ``METHODS``."""

    uid: str
    key: str
    limited: bool


def make(store: Store, days: int, opened: Callable[[str], Store]) -> Token:
    """A new token of the account that is signed in, which has been tried; ``opened`` gives a store that uses it.

    Servers before 2.40.9, 2.41.6, 2.42.2 and 2.43.0 cannot make one that is limited in its methods and may send HEAD,
    and some refuse one at sign-in: then it is made without that limit. A token that cannot be used is deleted again.
    Costs four requests; raises ``Rejected`` where the server takes no tokens, as 2.36 and 2.37.
    """
    refusal: errors.Dhis2kvError | None = None
    for limited in (True, False):
        try:
            uid, key = _create(store, days, limited)
        except (errors.Rejected, errors.ServerError) as error:
            if error.status not in (400, 404, 409, 500):
                raise  # the server is away, or busy: whether there is a token now, nobody knows
            refusal = error
            continue
        try:
            with opened(key) as tried:
                tried.datastore.list_namespaces()
                tried.datastore.exists(f"x{secrets.token_hex(8)}", "x")  # the HEAD of a key that cannot be there
        except (errors.NotAuthenticated, errors.Rejected, errors.ServerError) as error:
            refusal = error
            _delete(store, uid, error)
            continue
        return Token(uid, key, limited)
    raise errors.Rejected(
        f"the server gives no token that can be used ({refusal}); servers before 2.38 take none."
        " Leave --token-from-server out, and the password is kept"
    ) from refusal


def _create(store: Store, days: int, limited: bool) -> tuple[str, str]:
    """Id and key of a new token; one request."""
    allowed = [{"type": "MethodAllowedList", "allowedMethods": list(METHODS)}] if limited else []
    body = json.dumps({"expire": round((time.time() + days * _DAY) * 1000), "attributes": allowed})
    call = wire.Call("POST", "/api/apiToken", body=body, once=True)
    reply = wire.checked(store.datastore.transport.call(call))
    made = reply.json()
    made = made.get("response") if isinstance(made, dict) else None
    if not isinstance(made, dict) or not all(isinstance(made.get(name), str) for name in ("uid", "key")):
        raise reply.error(errors.ServerError, "the server does not tell the token that it made")
    return made["uid"], made["key"]


def _delete(store: Store, uid: str, why: errors.Dhis2kvError) -> None:
    """Delete a token that is of no use; raises ``ServerError`` where it stays."""
    try:
        wire.checked(store.datastore.transport.call(wire.call("DELETE", "apiToken", uid)))
    except errors.Dhis2kvError as error:
        raise errors.ServerError(
            f"the server made the token {uid} and does not take it ({why}), nor does it delete it ({error}):"
            " it is among the account's personal access tokens"
        ) from error
