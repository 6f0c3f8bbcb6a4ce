"""What the standard streams can carry; imports nothing of ours.

Here since names and values are in every script, and what prints them must not break where the machine's own encoding
has not all of it.
"""

from __future__ import annotations

import codecs
import io
import os
import sys

_ESCAPED = "dhis2kv.escaped"


def prepare() -> None:
    """Let standard streams carry every text: UTF-8 where they are no terminal, and escapes where one lacks a character.

    ``PYTHONIOENCODING``, where it is set, says the encoding.
    """
    codecs.register_error(_ESCAPED, escaped)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue  # closed, or another program's
        encoding = None if stream.isatty() or os.environ.get("PYTHONIOENCODING") else "utf-8"
        stream.reconfigure(encoding=encoding, errors="surrogateescape" if stream is sys.stdin else _ESCAPED)


def escaped(error: UnicodeError) -> tuple[str, int]:
    r"""What stands for characters that cannot be encoded: ``\u....``, as JSON writes them, two where it takes two."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)), error.end
