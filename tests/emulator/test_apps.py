"""What DHIS2's own Data Store app asks before and beside the stores, and pages that nobody needs to sign in for."""

from __future__ import annotations

from typing import Any

import pytest

from dhis2kv.emulator import PROFILES, Emulator, Request

from .test_server import ask, value


@pytest.mark.parametrize("version", PROFILES)
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/userSettings", {"keyUiLocale": "en"}),
        ("/api/systemSettings/applicationTitle", {"applicationTitle": "DHIS 2"}),
        ("/api/systemSettings", {"applicationTitle": "DHIS 2"}),
        ("/api/me/dashboard", {"unreadMessageConversations": 0, "unreadInterpretations": 0}),
        ("/dhis-web-commons/menu/getModules.action", {"modules": []}),
        ("/api/apps/menu", {"modules": []}),
        ("/api/me", {"settings": {"keyUiLocale": "en"}}),
        ("/api/me?fields=settings%5BkeyUiLocale,keyDbLocale%5D,authorities,avatar,name", {"name": "admin admin"}),
    ],
)
def test_what_apps_ask(version: str, path: str, expected: dict[str, Any]) -> None:
    """Each account is answered in JSON, nobody else is."""
    emulator = Emulator(version)
    found = value(ask(emulator, "GET", path))
    for name, part in expected.items():
        assert (part.items() <= found[name].items()) if isinstance(part, dict) else found[name] == part
    assert ask(emulator, "GET", path, as_=None).status == 401


@pytest.mark.parametrize(("version", "number"), [("2.36", 36), ("2.40", 42), ("2.42", 42), ("2.44", 44)])
def test_numbered_paths(version: str, number: int) -> None:
    """The app asks under its version's number."""
    emulator = Emulator(version)
    for path in ("userSettings", "systemSettings/helpPageLink", "me?fields=settings", "me/dashboard"):
        assert ask(emulator, "GET", f"/api/{number}/{path}").status == 200
        assert ask(emulator, "GET", f"/api/{number + 1}/{path}").status == 404


def test_fields_of_settings() -> None:
    """``settings`` comes where it is asked for among the fields of the own account."""
    emulator = Emulator()
    assert list(value(ask(emulator, "GET", "/api/me?fields=id,settings"))) == ["id", "settings"]
    assert list(value(ask(emulator, "GET", "/api/me?fields=id"))) == ["id"]


def test_an_unknown_setting_is_not_found() -> None:
    """A setting that nobody knows is 404."""
    assert ask(Emulator(), "GET", "/api/systemSettings/nope").status == 404


@pytest.mark.parametrize("version", PROFILES)
def test_the_way_to_the_login_page_ends(version: str) -> None:
    """Following redirects from a path that needs a sign-in comes to an end: a page up to 2.40, 404 later."""
    emulator = Emulator(version, context_path="/dhis")
    target, seen = "/dhis/api/dataStore", []
    while True:
        reply = emulator.handle(Request("GET", target, {"Host": "dhis2.test"}))
        if reply.status != 302:
            break
        target = (reply.header("Location") or "").removeprefix("http://dhis2.test")
        assert target not in seen
        seen.append(target)
    expected = {"2.37": 401}.get(version, 200 if version < "2.41" else 404)
    assert (reply.status, bool(seen)) == (expected, version != "2.37")
    assert b"<title>" in reply.body
