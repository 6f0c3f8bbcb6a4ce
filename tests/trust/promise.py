"""A promise: how often it was tried, and what was seen where it was broken."""

import contextlib
import time
import traceback


class Promise:
    """One row of the table. ``seen`` keeps the first few breaches, in words."""

    KEPT_IN_WORDS = 5

    def __init__(self, name):
        self.name, self.tried, self.broken, self.seen = name, 0, 0, []

    def check(self, kept, what):
        """Count one trial, and whether the promise was kept in it; ``what`` says what was tried."""
        self.tried += 1
        if not kept:
            self._breach(what)

    @contextlib.contextmanager
    def trial(self, what):
        """Count one trial around a block: any exception that leaves it breaks the promise."""
        self.tried += 1
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a breach, and is printed
            place = traceback.extract_tb(error.__traceback__)[-1]
            self._breach(f"{what}: {type(error).__name__}: {error} ({place.name}:{place.lineno})")

    def _breach(self, what):
        self.broken += 1
        if len(self.seen) < self.KEPT_IN_WORDS:
            self.seen.append(what)


class Budget:
    """Time that a part may take, in seconds; ``left()`` is false when it is used up."""

    def __init__(self, seconds):
        self._end = time.monotonic() + seconds

    def left(self):
        """Whether there is time for one more trial."""
        return time.monotonic() < self._end
