"""What a prompt offers after ``ns["`` and the tab key; imports the errors.

Here since whoever types waits for no server: what does not come in a moment, or not at all, is not offered.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from dhis2kv import errors

SECONDS = 2.0
_THREAD = "dhis2kv-completion"

# Nothing that goes wrong there is worth a line in the midst of what is typed.
logging.getLogger("dhis2kv").addFilter(lambda record: record.threadName != _THREAD)


def offered(names: Callable[[], Iterable[str]]) -> list[str]:
    """The names, if they come in a moment; else none. One request, in a thread of its own."""
    found: list[str] = []

    def ask() -> None:
        try:
            found.extend(names())
        except errors.Dhis2kvError:
            return  # an outage, or a namespace that may not be read: there is nothing to offer

    thread = threading.Thread(target=ask, name=_THREAD, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # a Python without threads cannot wait for a moment only
        return []
    thread.join(SECONDS)
    return [] if thread.is_alive() else found
