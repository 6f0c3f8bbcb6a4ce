"""What is worth knowing about a store before it is too late: what is open, secret, mistaken for something else.

It may import the library up to the store, and ``snapshot`` to read whole namespaces. Here since it is a judgement about
what others may do with what is stored, which the commands only print. Only reads; no value leaves it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from dhis2kv import errors, snapshot, wire
from dhis2kv.releases import SHARING_NOT_ON_READS
from dhis2kv.store import Store
from dhis2kv.wire.sharing import Sharing

Progress = Callable[[int, int], None]


class Finding(NamedTuple):
    """One thing that is worth knowing: what is found, about which entry (or whole namespace), in a sentence."""

    namespace: str
    key: str | None
    finding: str
    about: str


class _Seen(NamedTuple):
    """What is kept of an entry, which is not its value."""

    key: str
    encrypted: bool | None
    secret: str | None


def findings(
    store: Store, namespaces: Iterable[str] | None = None, *, progress: Progress | None = None
) -> Iterator[Finding]:
    """What is worth knowing about these namespaces of a store, or of all, by namespace and key.

    - ``open to writing``, ``open to reading``: every account may change, or read, the entry;
    - ``open secret``: it is open to every account, and it or a part of it is named like a secret, or looks like one;
    - ``encrypted``: the server keeps it encrypted, so that it must be written with ``encrypt``;
    - ``mistaken name``: a name that other clients, or servers, take for another one;
    - ``breaks bulk reads``: a key that makes the answers to all clients unreadable;
    - ``protected``: DHIS2 or an app guards the namespace, as far as the account is told that.

    Costs what ``snapshot.read`` does, and in the shared store a request per entry, several at a time, for its sharing.
    """
    is_user = store is store.user
    heeded = is_user or not SHARING_NOT_ON_READS.on(store.version)
    guarded = {} if is_user else _protected(store)
    names = list(store) if namespaces is None else sorted(set(namespaces))
    done = total = 0
    for name in names:
        yield from _of_name(name)
        if name in guarded:
            yield Finding(name, None, "protected", guarded[name])
        seen = _look(store, name)
        total += len(seen)
        sharings = _sharings(store, name, [entry.key for entry in seen]) if not is_user else iter([None] * len(seen))
        for entry, sharing in zip(seen, sharings, strict=True):
            yield from _of_entry(name, entry, sharing, heeded)
            done += 1
            if progress:
                progress(done, total)


def _look(store: Store, name: str) -> list[_Seen]:
    """The entries of a namespace without their values, those that cannot be read included, by key."""
    unreadable: list[_Seen] = []

    def left_out(what: str, _: errors.Dhis2kvError) -> None:
        if what != name:
            unreadable.append(_Seen(what.removeprefix(f"{name}/"), None, None))

    entries = snapshot.read(store, [name], left_out=left_out, sharing=False)
    seen = [_Seen(entry.key, entry.encrypted, secret_in(entry.key, entry.value)) for entry in entries]
    return sorted([*seen, *unreadable])


def _sharings(store: Store, name: str, keys: list[str]) -> Iterator[Sharing | None]:
    """Who may read these entries; None of those that are gone, or of which the account is not told."""
    from dhis2kv.datastore.many import pool_of  # it loads requests, which whoever only asks for help need not

    def sharing(key: str) -> Sharing | None:
        try:
            return store.datastore.sharing(name, key)
        except (errors.KeyNotFound, errors.InvalidKey, errors.Unaddressable, errors.Forbidden):
            return None

    with pool_of(store.datastore.workers) as pool:
        yield from pool.map(sharing, keys)


def _protected(store: Store) -> dict[str, str]:
    """The namespaces that are guarded, and how, as far as the server tells it, and tells it to this account."""
    try:
        told = store.protections() or []
    except errors.Forbidden:
        return {}
    return {
        str(one.get("namespace")): f"reads {one.get('reads', '?')}, writes {one.get('writes', '?')}".lower()
        for one in told
    }


def _of_name(name: str) -> Iterator[Finding]:
    if mistaken := _mistaken(name):
        yield Finding(name, None, "mistaken name", mistaken)
    elif name == "protections":
        yield Finding(name, None, "mistaken name", "from 2.42 on its address tells of protected namespaces instead")


def _of_entry(name: str, entry: _Seen, sharing: Sharing | None, heeded: bool) -> Iterator[Finding]:
    public = sharing.public if sharing else "--"
    if public[1] == "w":
        yield Finding(name, entry.key, "open to writing", "every account may read and change it")
    elif public[0] == "r":
        yield Finding(name, entry.key, "open to reading", "every account may read it")
    elif sharing and not heeded:
        yield Finding(name, entry.key, "open to reading", "it is closed, but this release of DHIS2 does not heed that")
    if entry.secret and sharing and (public[0] == "r" or not heeded):
        yield Finding(name, entry.key, "open secret", f"{entry.secret}, and every account may read it")
    if entry.encrypted:
        yield Finding(name, entry.key, "encrypted", "write it with encrypt alone, or the new value lies open")
    if mistaken := _mistaken(entry.key):
        yield Finding(name, entry.key, "mistaken name", mistaken)
    if _breaks(entry.key):
        yield Finding(name, entry.key, "breaks bulk reads", "servers print it unescaped, so that no client can read on")


def _mistaken(name: str) -> str | None:
    """What others take this name for; None where nobody does."""
    if name == "":
        return "an empty name has the address of what is above it: deleting it deletes that"
    if name == "keys":
        return "its address means the listing of keys on newer servers"
    if name == "loginConfig":
        return "2.44 takes its address for an open one, and refuses it"
    if wire.cut_by_proxies(name):
        return f"servers, and proxies before 2.44, take it for {name.partition('.')[0]!r}"
    if "." in name:
        return f"up to 2.43 servers take it for {name.rpartition('.')[0]!r} from most clients"
    return None


def _breaks(key: str) -> bool:
    try:
        wire.check_new_key(key)
    except errors.InvalidKey:
        return key != ""
    return False


# --- what looks like a secret -----------------------------------------------------------------------------------------

_WORDS = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRETS = {
    **dict.fromkeys(("password", "passwords", "passwd", "passphrase", "pwd", "pass"), "a password"),
    **dict.fromkeys(("token", "tokens"), "a token"),
    **dict.fromkeys(("secret", "secrets", "credential", "credentials"), "a secret"),
    **dict.fromkeys(("key", "apikey"), "a key"),
}
_LOOKS = (
    (re.compile("-----BEGIN [A-Z0-9 ]*PRIVATE KEY"), "a private key"),
    (re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@"), "an address with a password"),
    (re.compile(r"(?i)\b(password|pwd)\s*=\s*[^\s;&]"), "a connection with a password"),
    (re.compile(r"\bd2p(at)?_[A-Za-z0-9]{20,}"), "a token of DHIS2"),
    (re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+"), "a signed token"),
)


def secret_in(key: str, value: Any) -> str | None:
    """What makes an entry look like a secret, in words that hold nothing of the value; None where nothing does."""
    if (kind := _named_like(key)) and value not in (None, "", True, False) and not isinstance(value, bool):
        return f"it is named like {kind}"
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            for pattern, kind in _LOOKS:
                if pattern.search(item):
                    return f"it holds {kind}"
        elif isinstance(item, dict):
            for name, member in item.items():
                if member and isinstance(member, str) and (kind := _named_like(name)):
                    return f"a part of it is named like {kind}"
            todo += item.values()
        elif isinstance(item, list):
            todo += item
    return None


def _named_like(name: str) -> str | None:
    """What a name says that it names: ``db_password``, ``apiKey``; "key" counts at the end alone."""
    words = [word.lower() for word in _WORDS.findall(name)]
    for place, word in enumerate(words):
        if word in _SECRETS and (word != "key" or place == len(words) - 1):
            return _SECRETS[word]
    return None
