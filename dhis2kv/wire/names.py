"""Which names a server can hold, and which of them can be written; imports only the errors.

Here since names go wrong in silence: what a server refuses, cuts or takes for another name is known before it is asked.
"""

from __future__ import annotations

import re

from dhis2kv import errors

SHARED = "dataStore"
USER = "userDataStore"
NAME_LENGTH = 255  # code points; the database's varchar(255)

# Tomcat, or Spring's firewall behind it, refuses these however they are encoded.
_REFUSED = re.compile("[/\\\\%;\0\n\r\u2028\u2029]")
# The server prints keys unescaped in bulk answers, so that one such key breaks them for every client.
_BREAKS_BULK = re.compile('["\x00-\x1f]')
# 2.44 cuts a last segment at its first dot when all that follows is one of these, in their raw spelling.
_EXTENSIONS = frozenset(
    {"json", "json.gz", "json.zip", "jsonp", "xml", "xml.gz", "xml.zip", "png", "pdf", "xls", "xlsx"}
    | {"csv", "csv.gz", "csv.zip", "adx.xml", "adx.xml.gz", "adx.xml.zip", "geojson"}
)


def check_name(name: str, what: str = "key") -> str:
    """Return a key or namespace unchanged if a server can hold it.

    Raises ``TypeError`` for anything but text, and ``InvalidKey`` for names that every server refuses or takes for
    another one. Sends nothing.
    """
    if not isinstance(name, str):
        raise TypeError(f"a {what} is a str, not {type(name).__name__}")
    if name in ("", ".", ".."):
        reason = "servers take it for the place above it"
    elif found := _REFUSED.search(name):
        reason = f"servers refuse {found[0]!r} in names, however it is encoded"
    elif len(name) > NAME_LENGTH:
        reason = f"it has {len(name)} characters, and the database holds {NAME_LENGTH}"
    elif not encodable(name):
        reason = "a lone surrogate is not text"
    else:
        return name
    raise errors.InvalidKey(f"{_shown(name)} cannot be a {what}: {reason}")


def can_be_held(name: str) -> bool:
    """Whether a server can hold a key or namespace of this name."""
    try:
        check_name(name)
    except errors.InvalidKey:
        return False
    return True


def check_new_key(key: str) -> str:
    """Return a key unchanged if it may be written; raises as ``check_name``, and for keys that break bulk reads."""
    check_name(key)
    if found := _BREAKS_BULK.search(key):
        raise errors.InvalidKey(
            f"{key!r} cannot be written: servers print keys unescaped in bulk answers,"
            f" where {found[0]!r} would make the whole namespace unreadable for every client"
        )
    return key


def cut_by_proxies(name: str) -> bool:
    """Whether a server of 2.44 cuts this name, as last segment, once a proxy has undone its percent-encoding."""
    return name.partition(".")[2] in _EXTENSIONS


def encodable(text: str) -> bool:
    """Whether a text is UTF-8, which no lone surrogate is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    return repr(name) if len(name) <= 80 else f"{name[:60]!r}..."
