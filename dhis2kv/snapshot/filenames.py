"""Names of namespaces and keys as file names that Linux, macOS and Windows can hold, and back.

It may import the library up to the store. Here since a server holds names that file systems refuse, fold or change:
``a:b``, ``CON``, ``Cfg`` beside ``cfg``, 255 characters of four bytes each. What is troublesome is written as
percent-encoded UTF-8; servers refuse ``%`` in names, so that this can be told from a name's own characters. Of a name
that is too long the beginning stays, and a hash of all of it; where it is shortened, somebody has to note the name.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256

LONGEST = 150  # bytes of a file name; systems hold 255, of which suffixes and temporary names take some
SHORTENED = "%~"  # before the hash of a name that was shortened; no percent-encoding begins so

_KEPT = 60  # bytes of a name that is shortened
_REFUSED = frozenset('<>:"/\\|?*%')  # by Windows, or with a meaning here
# Windows takes these for devices, whatever follows after a dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.I | re.S)
_ESCAPED = re.compile("((?:%[0-9A-Fa-f]{2})+)")


def encode(name: str, *, fold: bool = False) -> str:
    """The file name of a name; ``fold`` also encodes what file systems take for the same, like capital letters."""
    every = unicodedata.normalize("NFC", name) != name  # file systems change the one form into the other
    parts = []
    for place, sign in enumerate(name):
        at_edge = place == 0 or place == len(name) - 1
        is_odd = (
            sign in _REFUSED
            or unicodedata.category(sign) in ("Cc", "Cf", "Cn", "Zl", "Zp")
            or (at_edge and (sign == "." or sign.isspace()))
            or (every and not sign.isascii())
            or (fold and folded(sign) != sign)
        )
        parts.append(_percent(sign) if is_odd else sign)
    if _DEVICE.fullmatch(name):
        parts[0] = _percent(name[0])
    if unicodedata.normalize("NFC", found := "".join(parts)) != found:  # a mark would join what is before it now
        parts = [part if part.isascii() else "".join(map(_percent, part)) for part in parts]
        found = "".join(parts)
    return found if len(found.encode()) <= LONGEST else _shortened(name, parts)


def _percent(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode())


def _shortened(name: str, parts: list[str]) -> str:
    start, size = "", 0
    for part in parts:
        size += len(part.encode())
        if size > _KEPT:
            break
        start += part
    return f"{start}{SHORTENED}{sha256(name.encode()).hexdigest()[:32]}"


def is_shortened(file_name: str) -> bool:
    """Whether the name cannot be read from its file name."""
    return SHORTENED in file_name


def decode(file_name: str) -> str:
    """The name that a file name means, as ``encode`` or somebody's hand has written it; raises ``ValueError``."""
    text = unicodedata.normalize("NFC", file_name)
    parts = _ESCAPED.split(text)
    for number, part in enumerate(parts):
        if number % 2:
            try:
                parts[number] = bytes.fromhex(part.replace("%", "")).decode()
            except UnicodeDecodeError:
                raise ValueError(f"{part} is no percent-encoded text in UTF-8") from None
        elif "%" in part:
            raise ValueError("a percent sign stands for itself as %25 only, and no server holds one in a name")
    return "".join(parts)


def folded(name: str) -> str:
    """What is the same for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).upper().casefold())


def encoded(names: Iterable[str]) -> dict[str, str]:
    """The file name of each of these names; no two are the same on any file system."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[folded(name)].append(name)
    return {name: encode(name, fold=len(group) > 1) for group in groups.values() for name in group}
