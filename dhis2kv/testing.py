"""A DHIS2 data store for tests, without a DHIS2.

::

    from dhis2kv.testing import Emulator, connect

    emulator = Emulator("2.42")
    store = connect(emulator)

``Emulator`` answers as a DHIS2 of that version does: the newest of a line, from ``VERSIONS``, or a release of it, as in
``"2.42.5"``; those in ``RELEASES`` have faults or ways that the newest has no longer. What tests use of it:

- ``load({namespace: {key: value}})`` and ``put(namespace, key, value)`` fill it without a request, with ``user=NAME``
  that account's own store; ``reset()`` empties it. ``add_user(name, password)`` adds an account to
  ``admin``/``district``, which is a superuser, and ``add_group(name, members)`` a group of users to share entries with.
- ``log`` is a list of every request since the start, each a ``LogRecord``; ``requests`` is their number.
- ``down = True`` refuses every connection; ``latency`` is added to each reply, in seconds; ``fail(kind, ...)`` lets
  coming requests go wrong, see ``Fault``.
- ``clock`` is where it reads the time, ``sleep`` what it waits with; see ``Clock`` for a time that tests can move.
- ``session()`` is a ``requests`` session without sockets, ``serve()`` the same emulator on a loopback address.

Under pytest the fixtures ``dhis2_store``, ``dhis2_emulator``, ``dhis2_server`` and ``dhis2_clock`` do all this.

Imports the emulator and the store. Here since the emulator knows nothing of the library, nor the library of it: whoever
tests with both finds them together in one place.
"""

from __future__ import annotations

from typing import Any

from dhis2kv.emulator import PROFILES, Emulator, Fault, LogRecord
from dhis2kv.emulator import RELEASES as _RELEASES
from dhis2kv.store import Store

__all__ = ["RELEASES", "VERSIONS", "Clock", "Emulator", "Fault", "LogRecord", "connect"]

#: The versions that can be emulated, oldest first.
VERSIONS = tuple(PROFILES)

#: Releases that do otherwise than the newest of their line. Every other release can be emulated as well.
RELEASES = tuple(_RELEASES)


class Clock:
    """A time that stands still until a test moves it; calling it gives seconds since 1970.

    ::

        clock = Clock()
        emulator = Emulator(clock=clock)
        emulator.sleep = clock.advance  # what would wait moves the time instead

    :param now: where it starts, in seconds since 1970; the start of 2026 unless given.
    """

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        self._now = now

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let this many seconds pass."""
        self._now += seconds


def connect(emulator: Emulator, auth: Any = ("admin", "district"), **options: Any) -> Store:
    """A store on an emulator, without sockets; sends nothing.

    It is an ordinary ``Store`` with its options, but that it repeats failed requests at once where others wait first.
    Give ``auth=None`` with a ``token``. It leaves the emulator as it is: several stores, of several accounts, may use
    one.
    """
    store = Store(f"http://dhis2.test{emulator.context_path}", auth, session=emulator.session(), **options)
    store.datastore.transport.sleep = lambda _: None  # a Store has no such option: only tests are in a hurry
    return store
