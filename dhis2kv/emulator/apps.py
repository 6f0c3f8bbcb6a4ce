"""What DHIS2's own apps ask for before they begin, its Data Store app too: settings, and what is in the header bar.

Here since these have no part in the stores, and yet the Data Store app shows nothing without them.
"""

from __future__ import annotations

from .call import Call
from .messages import NO_STORE, NoResource, Reply, json_reply

MODULES_PATH = "/dhis-web-commons/menu/getModules.action"

# An account's settings that nobody ever changed.
USER_SETTINGS: dict[str, object] = {
    "keyDbLocale": "en",
    "keyMessageSmsNotification": False,
    "keyTrackerDashboardLayout": "",
    "keyStyle": "light_blue/light_blue.css",
    "keyAutoSaveDataEntryForm": False,
    "keyUiLocale": "en",
    "keyAnalysisDisplayProperty": "name",
    "keyMessageEmailNotification": False,
}
_SYSTEM_SETTINGS: dict[str, object] = {"applicationTitle": "DHIS 2", "helpPageLink": "https://docs.dhis2.org/"}


def user_settings(call: Call) -> Reply:
    """GET /api/userSettings"""
    call.require_user()
    call.cache_control = NO_STORE
    return json_reply(200, USER_SETTINGS)


def system_settings(call: Call) -> Reply:
    """GET /api/systemSettings"""
    call.require_user()
    return json_reply(200, _SYSTEM_SETTINGS)


def system_setting(call: Call, name: str) -> Reply:
    """GET /api/systemSettings/{name}"""
    call.require_user()
    if name not in _SYSTEM_SETTINGS:
        raise NoResource
    return json_reply(200, {name: _SYSTEM_SETTINGS[name]})


def dashboard(call: Call) -> Reply:
    """GET /api/me/dashboard: messages that the account has not read."""
    call.require_user()
    return json_reply(200, {"unreadMessageConversations": 0, "unreadInterpretations": 0})


def modules(call: Call) -> Reply:
    """GET /api/apps/menu, and what it was before: the apps of the header bar, of which there are none."""
    call.require_user()
    return json_reply(200, {"modules": []})
