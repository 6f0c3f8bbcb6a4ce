"""Fixtures: an emulator, and the two hosts that it has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests

from dhis2kv.emulator import Emulator


@dataclass
class Host:
    """One way to reach an emulator: a session, and the URL that it answers at."""

    emulator: Emulator
    session: requests.Session
    url: str
    served: bool

    def ask(self, method: str, path: str, **how: object) -> requests.Response:
        """One request as admin, of JSON, without waiting longer than ten seconds."""
        headers = {"X-Requested-With": "XMLHttpRequest", "Accept": "application/json"}
        given: dict[str, object] = {"auth": ("admin", "district"), "headers": headers, "timeout": 10, **how}
        return self.session.request(method, self.url + path, allow_redirects=False, **given)  # type: ignore[arg-type]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator of 2.42."""
    found = Emulator("2.42")
    yield found
    found.close()


@pytest.fixture(params=["in process", "served"])
def make_host(request: pytest.FixtureRequest) -> Iterator[Callable[[Emulator], Host]]:
    """Put an emulator behind a host; each test runs on both."""
    with contextlib.ExitStack() as stack:

        def make(emulator: Emulator) -> Host:
            if request.param == "in process":
                return Host(emulator, stack.enter_context(emulator.session()), "http://dhis2.test", False)
            session = stack.enter_context(requests.Session())
            session.trust_env = False
            return Host(emulator, session, stack.enter_context(emulator.serve()).url, True)

        yield make


@pytest.fixture
def host(make_host: Callable[[Emulator], Host], emulator: Emulator) -> Host:
    """An emulator of 2.42 behind each host."""
    return make_host(emulator)
