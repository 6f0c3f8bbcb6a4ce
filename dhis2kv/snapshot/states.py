"""What one side of a folder holds of an entry, and how the base writes that down; it may import ``file``.

Here since three sides are compared by fingerprints alone, so that no value is held for it, nor kept beside the files.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dhis2kv.snapshot.file import parts_of
from dhis2kv.wire import exact
from dhis2kv.wire.sharing import Sharing


def shared(sharing: Sharing) -> bytes:
    """The fingerprint of a sharing."""
    return exact.fingerprint(parts_of(sharing))


OPEN = shared(Sharing())


class State(NamedTuple):
    """What one side holds of an entry: fingerprints of its value, None where it is not kept, and of its sharing."""

    value: bytes | None
    encrypted: bool = False
    shared: bytes = OPEN


_SHARED = "shared:"


def text_of(state: State) -> str:
    """A state as the base has it: words with blanks between."""
    words = [
        "encrypted" if state.encrypted else "",
        state.value.hex() if state.value else "",
        _SHARED + state.shared.hex() if state.shared != OPEN else "",
    ]
    return " ".join(filter(None, words))


def state_of(text: Any) -> State:
    """The state that a text of the base says; raises ``ValueError``."""
    value, is_encrypted, sharing = None, False, OPEN
    for word in str(text).split():
        if word == "encrypted":
            is_encrypted = True
        elif word.startswith(_SHARED):
            sharing = bytes.fromhex(word.removeprefix(_SHARED))
        else:
            value = bytes.fromhex(word)
    return State(value, is_encrypted, sharing)
