"""The routes beside the two stores that a client of them meets: system info, the own account, tokens.

Here since a client asks who it is, and what the server is, before or beside what it asks of the stores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from .apps import USER_SETTINGS
from .call import Call
from .messages import NO_STORE, Refusal, Reply, dumps, json_reply, web_message
from .profiles import JSON_UTF8

_MONTH = 30 * 86400


def system_ping(call: Call) -> Reply:
    """GET /api/system/ping"""
    call.cache_control = call.profile.system_ping_cache
    return Reply(200, [("Content-Type", JSON_UTF8)], b"pong")


def system_info(call: Call) -> Reply:
    """GET /api/system/info: what ordinary accounts see of it."""
    call.cache_control = NO_STORE
    now = datetime.fromtimestamp(call.server.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    info = {
        "contextPath": call.base,
        "userAgent": call.headers.get("user-agent", ""),
        "calendar": "iso8601",
        "dateFormat": "yyyy-mm-dd",
        "serverDate": now,
        "version": call.profile.release,
        "revision": call.profile.revision,
        "buildTime": f"{call.profile.build_day}T06:00:00.000",
        "systemName": "DHIS 2",
    }
    return json_reply(200, _only(call, info) if call.profile.info_fields else info)


def login_config(call: Call) -> Reply:
    """GET /api/loginConfig: public."""
    config = {"applicationTitle": "DHIS 2", "apiVersion": call.profile.release, "uiLocale": "en"}
    return json_reply(200, config)


def me(call: Call) -> Reply:
    """GET /api/me"""
    user = call.user
    if call.profile.tokens_break_me and call.server.storage.has_token(user.name):
        raise Refusal(500, "org.hisp.dhis.security.apikey.ApiToken cannot be serialized")
    if call.profile.me_is_no_store:
        call.cache_control = NO_STORE
    authorities = sorted(user.authorities | ({"ALL"} if user.superuser else set()))
    about: dict[str, object] = {
        "id": user.uid,
        "username": user.name,
        "firstName": user.first_name,
        "surname": user.surname,
        "name": user.display_name,
        "displayName": user.display_name,
        "authorities": authorities,
        "settings": USER_SETTINGS,
    }
    if not call.profile.me_has_username:
        about["userCredentials"] = {"username": about.pop("username")}
    return json_reply(200, _only(call, about))


def _only(call: Call, whole: Mapping[str, object]) -> dict[str, object]:
    """The members that ``fields`` asks for; all of them without it."""
    asked = re.sub(r"\[[^\]]*\]", "", call.parameter("fields") or "")  # members of members come with all others
    wanted = {name.strip() for name in asked.split(",") if name.strip()}
    if not wanted or wanted & {"*", ":all"}:
        return dict(whole)
    return {name: value for name, value in whole.items() if name in wanted}


def create_token(call: Call) -> Reply:
    """POST /api/apiToken: a new personal access token, told this once."""
    call.check_content_type()
    try:
        wanted = json.loads(call.text() or "")
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    expire = wanted.get("expire") if isinstance(wanted, dict) else None
    seconds = expire / 1000 if isinstance(expire, int | float) else call.server.clock() + _MONTH
    token = call.server.accounts.create_token(call.user, seconds, _methods(call, wanted))
    response = {
        "responseType": call.profile.api_key_response,
        "key": token.key,
        "uid": token.uid,
        "klass": "org.hisp.dhis.security.apikey.ApiToken",
        "errorReports": [],
    }
    body = dumps(web_message(201, None, response=response))
    location = f"{call.base}/api/apiToken/{token.uid}"
    return Reply(201, [("Content-Type", JSON_UTF8), ("Location", location)], body)


def _methods(call: Call, wanted: object) -> frozenset[str] | None:
    """The methods that a token is to be limited to: those of its MethodAllowedList, if it has one with any."""
    attributes = wanted.get("attributes") if isinstance(wanted, dict) else None
    found: set[str] = set()
    for attribute in attributes if isinstance(attributes, list) else []:
        if isinstance(attribute, dict) and attribute.get("type") == "MethodAllowedList":
            found |= {str(method) for method in attribute.get("allowedMethods") or []}
    for method in found:
        if call.profile.token_methods is not None and method.upper() not in call.profile.token_methods:
            raise Refusal(400, f"Not a valid http method, value={method}")
    return frozenset(found) or None
