"""From a signed-in call to its reply: which handler has it, whether it may run, and how what comes of it is worded.

Here since the server asks in an order of its own, by which a request with two mistakes is refused for one of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import cache, partial
from urllib.parse import urlsplit

from . import apps, paths, people, system
from .call import Call
from .datastore import DataStore
from .jsonb import TooDeep
from .messages import (
    HTML,
    NO_STORE,
    PRIVATE,
    XML,
    NoResource,
    Page,
    Refusal,
    Reply,
    json_reply,
    page_reply,
    web_message,
    xml_message,
)
from .profiles import JSON_UTF8, Profile
from .sharing import get_sharing, put_sharing
from .userdatastore import UserStore

Handlers = dict[str, Callable[[], Reply]]


def answer(call: Call, path: str) -> Reply:
    """The reply to a call for a raw path below the context path."""
    slashed = call.method == "GET" and path.endswith("/") and path != "/"
    if slashed and call.profile.slashed_get_is_no_store:
        call.cache_control = NO_STORE
    try:
        reply = _dispatch(call, path)
    except NoResource:
        reply = page_reply(404)
    except Page as page:
        reply = page_reply(page.status)
    except TooDeep:
        reply = page_reply(500)  # Java's stack overflows, and nobody words that
    except Refusal as refusal:
        reply = _worded(call, path, refusal)
    if call.cache_control and reply.header("Cache-Control") is None:
        reply.headers.append(("Cache-Control", call.cache_control))
    return _conditional(call, reply)


def etag(body: bytes | bytearray) -> str:
    """The ETag of a body, as Spring's filter makes it."""
    return f'"0{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _conditional(call: Call, reply: Reply) -> Reply:
    """The ETag of a successful GET that may be stored, and 304 where the client has it already."""
    cached = reply.header("Cache-Control") or ""
    if call.method != "GET" or not 200 <= reply.status < 300 or "no-store" in cached:
        return reply
    current = etag(reply.body)
    known = call.headers.get("if-none-match")
    if known and current in re.findall(r'(?:W/)?("[^"]*")', known):
        return Reply(304, [("ETag", current)])
    reply.headers.append(("ETag", current))
    return reply


# --- finding and running ----------------------------------------------------------------------------------------------


def _dispatch(call: Call, path: str) -> Reply:
    rest = paths.below_api(path, call.profile)
    if rest is None:
        return _outside_api(call, path)
    if rest in ("", "/"):
        return Reply(302, [("Location", f"{call.base}/api/resources")])
    for route in paths.routes(rest, call.profile):
        call.forced = route.forced
        if handlers := _handlers(call, route.segments):
            return _run(call, handlers, produces_json=_produces_json(call.method, route.segments))
    raise NoResource


def _outside_api(call: Call, path: str) -> Reply:
    if path == "/":
        return Reply(302, [("Location", call.profile.root_location.format(base=call.base))])
    if path == apps.MODULES_PATH:
        return _run(call, {"GET": partial(apps.modules, call)}, produces_json=True)
    if call.profile.wrong_context_redirects and not path.endswith("/"):
        return Reply(301, [("Location", f"{urlsplit(call.base).path}{path}/")])
    raise NoResource


def _run(call: Call, handlers: Handlers, *, produces_json: bool) -> Reply:
    """As Spring does: the method decides first, then what the client sends, then what it takes."""
    profile = call.profile
    if call.method == "OPTIONS":
        allowed = [method for verb in handlers for method in ((verb, "HEAD") if verb == "GET" else (verb,))]
        return Reply(200, [("Allow", ",".join([*allowed, "OPTIONS"]))])
    handler = handlers.get("GET" if call.method == "HEAD" else call.method)
    if handler is None:
        raise Refusal(405, profile.method_text.format(method=call.method))
    optional = call.method == "PUT" and profile.put_without_body_deletes
    if call.method in ("POST", "PUT") and (call.body or not optional):
        call.check_content_type()
    if produces_json and not call.accepts_json():
        raise Refusal(406, "Could not find acceptable representation")
    reply = handler()
    if produces_json or call.accepts_json() or not profile.messages_follow_accept:
        return reply
    return _rendered(call, reply.status, json.loads(reply.body), JSON_UTF8, 406)


def _produces_json(method: str, segments: tuple[str, ...]) -> bool:
    """Every route says that it answers JSON, but for the DELETE of a namespace: that one acts, and asks then."""
    is_namespace = segments[0] in ("dataStore", "userDataStore") and len(segments) == 2
    return not (method == "DELETE" and is_namespace)


# --- the routes -------------------------------------------------------------------------------------------------------


def _handlers(call: Call, segments: tuple[str, ...]) -> Handlers:
    """The handlers of a path by method; none where no route has it."""
    if segments[0] == "dataStore":
        return _data_store(call, segments[1:])
    if segments[0] == "userDataStore":
        return _user_store(call, segments[1:])
    return _system(call, segments)


def _data_store(call: Call, names: tuple[str, ...]) -> Handlers:
    store = DataStore(call)
    match names:
        case ():
            return {"GET": store.get_namespaces}
        case ("protections",) if call.profile.protections_route:
            return {"GET": store.get_protections, "DELETE": lambda: store.delete_namespace("protections")}
        case (namespace,):
            return _namespace(call, store, namespace, queries=call.profile.entries_query)
        case (namespace, key):
            return _entry(store, namespace, key, listed=call.profile.keys_route)
        case (namespace, key, "metaData"):
            return {"GET": lambda: store.get_metadata(namespace, key)}
    return {}


def _user_store(call: Call, names: tuple[str, ...]) -> Handlers:
    if len(names) > 2:
        return {}
    store = UserStore(call)
    match names:
        case (namespace,):
            return _namespace(call, store, namespace, queries=call.profile.user_entries_query)
        case (namespace, key):
            return _entry(store, namespace, key, listed=call.profile.user_keys_route)
    return {"GET": store.get_namespaces}


def _namespace(call: Call, store: DataStore | UserStore, namespace: str, *, queries: bool) -> Handlers:
    asked = queries and call.parameter("fields") is not None
    get = store.get_entries if asked else store.get_keys
    return {"GET": lambda: get(namespace), "DELETE": lambda: store.delete_namespace(namespace)}


def _entry(store: DataStore | UserStore, namespace: str, key: str, *, listed: bool) -> Handlers:
    return {
        "GET": lambda: store.get_keys(namespace) if listed and key == "keys" else store.get_entry(namespace, key),
        "POST": lambda: store.post_entry(namespace, key),
        "PUT": lambda: store.put_entry(namespace, key),
        "DELETE": lambda: store.delete_entry(namespace, key),
    }


def _system(call: Call, segments: tuple[str, ...]) -> Handlers:
    """The routes beside the stores: those of a fixed path, and those that end in a name."""
    path, named = "/".join(segments), "/".join(segments[:-1])
    if found := _fixed(call.profile).get(path):
        return {method: partial(handler, call) for method, handler in found.items()}
    return {method: partial(handler, call, segments[-1]) for method, handler in _NAMED.get(named, {}).items()}


_NAMED: dict[str, dict[str, Callable[[Call, str], Reply]]] = {
    "userGroups": {"GET": people.get_group, "DELETE": people.delete_group},
    "userLookup": {"GET": people.look_up_user},
    "systemSettings": {"GET": apps.system_setting},
}


@cache
def _fixed(profile: Profile) -> dict[str, dict[str, Callable[[Call], Reply]]]:
    known: dict[str, dict[str, Callable[[Call], Reply]]] = {
        "system/ping": {"GET": system.system_ping},
        "system/info": {"GET": system.system_info},
        "me": {"GET": system.me},
        "me/dashboard": {"GET": apps.dashboard},
        "userSettings": {"GET": apps.user_settings},
        "systemSettings": {"GET": apps.system_settings},
        "apps/menu": {"GET": apps.modules},
        "sharing": {"GET": get_sharing, "POST": put_sharing, "PUT": put_sharing},
        "sharing/search": {"GET": people.search},
        "userGroups": {"GET": people.get_groups, "POST": people.create_group},
        "userLookup": {"GET": people.look_up_users},
        "users": {"GET": people.get_users},
    }
    if profile.login_config_route:
        known["loginConfig"] = {"GET": system.login_config}
    if profile.token_route:
        known["apiToken"] = {"POST": system.create_token}
    return known


# --- words ------------------------------------------------------------------------------------------------------------


def _worded(call: Call, path: str, refusal: Refusal) -> Reply:
    """A refusal as this version words it, in a type that the client takes."""
    profile = call.profile
    message = web_message(refusal.status, refusal.message, errorCode=refusal.code)
    kind = profile.error_type if refusal.thrown else JSON_UTF8
    if profile.messages_follow_accept:
        unworded = 406 if refusal.status == 406 else 500  # an exception whose handler fails is nobody's
        reply = _rendered(call, refusal.status, message, kind, unworded)
    elif _prefers_xml(call, path):
        reply = Reply(refusal.status, [("Content-Type", f"{XML};charset=UTF-8")], xml_message(message))
    else:
        reply = json_reply(refusal.status, message, kind)
    is_message = reply.header("Content-Type") != HTML
    if profile.errors_are_always_private or (call.cache_control is None and is_message):
        call.cache_control = PRIVATE
    return reply


def _rendered(call: Call, status: int, message: dict[str, object], kind: str, unworded: int) -> Reply:
    """A message in a type that the client takes; the page of status ``unworded`` where there is none."""
    if call.accepts_json():
        return json_reply(status, message, kind)
    if call.profile.xml_messages and call.accepts("application", "xml"):
        return Reply(status, [("Content-Type", f"{XML};charset=UTF-8")], xml_message(message))
    return page_reply(unworded)


def _prefers_xml(call: Call, path: str) -> bool:
    """2.36's own rule for messages: the path's ending decides, then the Accept header, and JSON is the default."""
    decoded = paths.decode_path(path)
    if decoded.endswith((".json", ".xml")):
        return decoded.endswith(".xml")
    call.forced = None
    return not call.accepts_json() and call.accepts("application", "xml")
