"""Faults on demand, on both hosts: a client must see what it would see of a real server in trouble."""

from __future__ import annotations

import http.client
import threading
from typing import Any

import pytest
import requests
from urllib3.exceptions import NewConnectionError, ProtocolError

from dhis2kv.emulator import Emulator

from .conftest import Host

CFG = "/api/dataStore/app/cfg"


def test_lost_before_acting(host: Host) -> None:
    """``drop_before``: the connection is lost, nothing was stored, and the next request is answered."""
    host.emulator.fail("drop_before")
    with pytest.raises(requests.ConnectionError) as caught:
        host.ask("POST", CFG, json=1)
    assert isinstance(caught.value.args[0], ProtocolError)
    assert isinstance(caught.value.args[0].args[1], http.client.RemoteDisconnected)
    assert host.ask("GET", CFG).status_code == 404


def test_lost_after_acting(host: Host) -> None:
    """``drop_after``: the connection is lost although the value was stored."""
    host.emulator.fail("drop_after")
    with pytest.raises(requests.ConnectionError):
        host.ask("POST", CFG, json=1)
    assert host.ask("GET", CFG).json() == 1


def test_refused(host: Host) -> None:
    """``refuse``: in process the connection is refused; a served one can only be closed unanswered."""
    host.emulator.fail("refuse")
    with pytest.raises(requests.ConnectionError) as caught:
        host.ask("GET", CFG)
    if not host.served:
        assert isinstance(caught.value.args[0].reason, NewConnectionError)
    assert host.ask("GET", CFG).status_code == 404


def test_down(host: Host) -> None:
    """``down``: no connection until it is up again, and no request arrives."""
    host.emulator.down = True
    with pytest.raises(requests.ConnectionError):
        host.ask("PUT", CFG, json=1)
    assert host.emulator.requests == 0
    host.emulator.down = False
    assert host.ask("GET", CFG).status_code == 404


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("retry_after", [None, 7])
def test_status_instead_of_acting(host: Host, status: int, retry_after: int | None) -> None:
    """``status``: that status comes, with Retry-After if wanted, and the server did not act."""
    host.emulator.fail("status", status=status, retry_after=retry_after)
    reply = host.ask("PUT", CFG, json=1)
    assert reply.status_code == status
    assert reply.headers.get("Retry-After") == (str(retry_after) if retry_after else None)
    assert host.ask("GET", CFG).status_code == 404


def test_cut_body(host: Host) -> None:
    """``cut``: the body ends before its Content-Length, which ``requests`` tells as a broken chunk."""
    host.emulator.put("app", "cfg", "x" * 5000)
    host.emulator.fail("cut")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        host.ask("GET", CFG)
    assert len(host.ask("GET", CFG).json()) == 5000


def test_html_with_200(host: Host) -> None:
    """``html``: a page with status 200, as a login page or a proxy gives it, and nothing was done."""
    host.emulator.fail("html")
    reply = host.ask("PUT", CFG, json=1)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/html;charset=utf-8")
    assert "<html>" in reply.text
    assert host.ask("GET", CFG).status_code == 404


def test_slow(host: Host) -> None:
    """``slow``: the server acts, but its reply comes after the client's patience."""
    patience_is_over = threading.Event()
    host.emulator.sleep = (lambda _: patience_is_over.wait(10)) if host.served else (lambda _: None)
    host.emulator.fail("slow")
    with pytest.raises(requests.ReadTimeout):
        host.ask("PUT", CFG, json=1, timeout=(5, 0.05))
    patience_is_over.set()
    assert host.ask("GET", CFG).json() == 1


def test_latency_is_slept_by_the_host(host: Host) -> None:
    """``latency`` is added to every reply, by the injected sleep."""
    slept: list[float] = []
    host.emulator.sleep = slept.append
    host.emulator.latency = 0.25
    assert host.ask("GET", CFG).status_code == 404
    assert slept == [0.25]


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    ("duplicate", "words"), [(False, "already exists in namespace"), (True, "duplicate key value")]
)
def test_lost_put(host: Host, done: bool, duplicate: bool, words: str) -> None:
    """``put_race``: a PUT gets 409 in either text, whether or not the server had acted."""
    host.emulator.fail("put_race", done=done, duplicate=duplicate)
    assert host.ask("GET", "/api/dataStore").status_code == 200
    reply = host.ask("PUT", CFG, json=1)
    assert (reply.status_code, words in reply.json()["message"]) == (409, True)
    assert ("errorCode" in reply.json()) is not duplicate
    assert host.ask("GET", CFG).status_code == (200 if done else 404)


@pytest.mark.parametrize("done", [False, True])
def test_lost_delete(host: Host, done: bool) -> None:
    """``delete_race``: a DELETE gets 500, whether or not the entry is gone."""
    host.emulator.put("app", "cfg", 1)
    host.emulator.fail("delete_race", done=done)
    assert host.ask("DELETE", CFG).status_code == 500
    assert host.ask("GET", CFG).status_code == (404 if done else 200)


def test_fault_waits_for_its_request(host: Host) -> None:
    """``method``, ``match`` and ``times`` choose the requests that a fault befalls; the oldest fault goes first."""
    host.emulator.fail("status", method="GET", match=r"/b$", times=2)
    host.emulator.fail("status", status=502)
    statuses = [host.ask("GET", f"/api/dataStore/app/{key}").status_code for key in "abbb"]
    assert statuses == [502, 503, 503, 404]


def test_faults_are_logged(host: Host) -> None:
    """The log has every request, with the status that was answered; None where nothing was."""
    host.emulator.fail("drop_before")
    host.emulator.fail("status")
    host.emulator.fail("drop_after")
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            host.ask("GET", CFG)
        host.ask("GET", CFG)
    assert [record.status for record in host.emulator.log] == [None, 503, 404, 404]
    assert host.emulator.requests == 4


@pytest.mark.parametrize("version", ["2.38", "2.40.10", "2.41.7.1", "2.42.4"])
def test_old_versions_lose_races_with_500(version: str) -> None:
    """The database's refusal is a 500 where nobody hears its words: up to 2.39, and in releases up to 2.42.4."""
    emulator = Emulator(version)
    emulator.fail("put_race", duplicate=True)
    with emulator.session() as session:
        assert session.put("http://dhis2.test" + CFG, json=1).status_code == 500


def test_unknown_fault_is_refused(emulator: Emulator) -> None:
    """A misspelt kind is an error that names those there are."""
    with pytest.raises(ValueError, match="drop_before"):
        emulator.fail("dropped")


@pytest.mark.parametrize("method", ["put", "Put", "PUT"])
def test_methods_are_meant_in_any_case(emulator: Emulator, method: str) -> None:
    """A fault for ``put`` befalls a PUT, and no other request."""
    emulator.fail("status", method=method)
    with emulator.session() as session:
        session.auth = ("admin", "district")
        assert session.get("http://dhis2.test" + CFG).status_code == 404
        assert session.put("http://dhis2.test" + CFG, json=1).status_code == 503


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"match": "app("}, "match is a regular expression, and 'app\\('"),
        ({"seconds": -1}, "seconds is how late"),
        ({"seconds": float("nan")}, "seconds is how late"),
        ({"times": 0}, "at least 1 and not 0"),
        ({"times": -3}, "at least 1 and not -3"),
        ({"times": float("nan")}, "at least 1 and not nan"),
    ],
)
def test_faults_that_could_befall_nothing_are_refused(emulator: Emulator, options: dict[str, Any], reason: str) -> None:
    """What cannot be meant is an error where it is asked for, and no fault waits."""
    with pytest.raises(ValueError, match=reason):
        emulator.fail("slow", **options)
    with emulator.session() as session:
        session.auth = ("admin", "district")
        assert session.get("http://dhis2.test" + CFG).status_code == 404
