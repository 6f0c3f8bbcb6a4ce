"""Replies: what they mean, by their status and the server's own words, and those that were recorded."""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest

from dhis2kv import errors, wire

RECORDINGS = sorted((Path(__file__).parents[1] / "recordings").glob("*.json"))


def replied(status, body="", method="GET", kind="application/json", names=("app", "k"), **given):
    """A reply about app/k; what is given are facts about it, or headers."""
    call = wire.call(method, "dataStore", *names)
    facts = {name: given.pop(name) for name in ("unsure", "anonymous") if name in given}
    headers = {"content-type": kind, **{name.replace("_", "-"): value for name, value in given.items()}}
    return wire.Reply(call, "http://h" + call.path, status, headers, body.encode(), **facts)


def said(status, message):
    """The body of a WebMessage."""
    return json.dumps({"httpStatusCode": status, "status": "ERROR", "message": message})


class TestMeaning:
    @pytest.mark.parametrize(
        ("status", "acted"),
        [(status, False) for status in range(300, 500) if status not in (404, 406)]
        + [(406, True), (500, True), (503, True)],
    )
    def test_whether_the_server_may_have_acted(self, status, acted):
        """A refusal has changed nothing; 5xx may have, and so may 406, which a DELETE of a namespace meets too late."""
        with pytest.raises(errors.Dhis2kvError) as caught:
            wire.checked(replied(status, said(status, "no"), "DELETE"))
        assert caught.value.sent is acted
        assert caught.value.status == status

    @pytest.mark.parametrize(
        ("status", "kind"), [(303, errors.Rejected), (429, errors.ServerError), (428, errors.Rejected)]
    )
    def test_statuses_that_no_recording_has(self, status, kind):
        """Too many requests is trouble of the server; other refusals are refusals."""
        with pytest.raises(kind):
            wire.checked(replied(status, location="/elsewhere"))

    @pytest.mark.parametrize("status", [100, 300, 304, 309, 400, 402, 405, 406, 410, 415, 499])
    def test_a_refusal_says_what_the_server_said(self, status):
        """Its message stands in the sentence, and in ``message``; where there is none nothing is made up."""
        with pytest.raises(errors.Rejected, match=f"^the server refuses the request with {status}: not so ") as caught:
            wire.checked(replied(status, said(status, "not so"), location="/login", anonymous=True))
        assert (caught.value.message, caught.value.status) == ("not so", status)
        with pytest.raises(errors.Rejected, match=rf"with {status} \(GET http://h/api/dataStore/app/k\)$") as caught:
            wire.checked(replied(status))
        assert caught.value.message == ""

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
    def test_trouble_of_the_server(self, status):
        """Too many requests, and everything from 500 on."""
        with pytest.raises(errors.ServerError, match=f"in trouble: it answers {status}: wait ") as caught:
            wire.checked(replied(status, said(status, "wait")))
        assert caught.value.message == "wait"

    @pytest.mark.parametrize(("method", "unsure", "acted"), [("GET", True, False), ("PUT", True, True)])
    def test_an_earlier_try_may_have_acted(self, method, unsure, acted):
        """A refusal says nothing of the try before it; what only reads never acts."""
        reply = replied(404, said(404, "no"), method, unsure=unsure)
        assert reply.may_have_acted is acted
        assert replied(500, method="GET").may_have_acted is False

    def test_two_kinds_of_existing(self):
        """Whoever loses a race to create is told so in one of two texts; any other 409 is another refusal."""
        for text in (
            "Key 'k' already exists in namespace 'app'",
            "ERROR: duplicate key value violates unique constraint",
        ):
            with pytest.raises(errors.KeyExists, match="entry 'app/k' ") as caught:
                wire.checked(replied(409, said(409, text), "POST"))
            assert caught.value.message == text
            for status, method in ((409, "PUT"), (400, "POST")):
                with pytest.raises(errors.Rejected):
                    wire.checked(replied(status, said(status, text), method))
        with pytest.raises(errors.Rejected, match="overflows"):
            wire.checked(replied(409, said(409, "ERROR: value overflows numeric format"), "POST"))

    @pytest.mark.parametrize(
        ("status", "message", "meaning"),
        [
            (404, "Key 'x.json' not found in namespace 'x'", True),
            (404, "The key 'x.json' was not found in the namespace 'x'.", True),
            (404, "Key 'x' not found in namespace 'x'", False),
            (404, "something else", None),
            (406, "", False),
            (404, "", None),
            (503, "Key 'x.json' not found in namespace 'x'", None),
            (200, "Key 'x.json' not found in namespace 'x'", None),
        ],
    )
    def test_what_the_check_for_proxies_says(self, status, message, meaning):
        """A 404 that repeats the whole name: safe; the stem alone, or 406: not; anything else says nothing."""
        assert wire.understood(replied(status, said(status, message) if message else ""), "x.json") is meaning


def names_of(target):
    """The store, namespace and key that a recorded target is about, where it is one that this library sends."""
    path = target.partition("?")[0]
    parts = path.removesuffix("/").removeprefix("/api/").split("/")
    if parts[0] not in ("dataStore", "userDataStore") or not 1 <= len(parts) <= 3 or "" in parts:
        return None
    names = tuple(map(unquote, parts))
    try:
        return names if wire.call("GET", *names).path == path else None
    except UnicodeEncodeError:
        return None


def recorded_replies():
    """Every recorded reply to a request of the kind that this library sends, once for each servers' wording."""
    for path in RECORDINGS:
        for exchange in json.loads(path.read_text())["exchanges"]:
            request = exchange["request"]
            ours = "headers" not in request and request["method"] in ("GET", "HEAD", "PUT", "POST", "DELETE")
            names = names_of(request["target"]) if ours else None
            if names and names[2:] == ("keys",):
                continue  # from 2.39 on no entry, but the listing
            for reply in exchange["replies"] if names else []:
                yield path.stem, request, names, reply


def meaning(request, names, recorded):
    """What wire makes of a recorded reply: the class of its error, or None for a success."""
    body = f"<title>{recorded['html']}</title>" if "html" in recorded else recorded.get("body", "")
    headers = {"content-type": recorded.get("type", ""), **recorded.get("headers", {})}
    call = wire.call(request["method"], *names)
    try:
        wire.checked(wire.Reply(call, "http://h" + call.path, recorded["status"], headers, body.encode()))
    except errors.Dhis2kvError as error:
        return type(error)
    return None


EXPECTED = {
    201: {None},
    302: {errors.NotAuthenticated},
    304: {errors.Rejected},
    401: {errors.NotAuthenticated},
    403: {errors.Forbidden},
    405: {errors.Rejected},
    406: {errors.Rejected},
    415: {errors.Rejected},
    500: {errors.ServerError},
}


def test_recorded_replies_come_to_their_meaning():
    """Of every recorded reply the status and the server's own words decide what it means."""
    counted = 0
    for name, request, names, recorded in recorded_replies():
        status, message = recorded["status"], recorded.get("body", "")
        if status == 200:
            expected = {None}
        elif status == 404:  # DHIS2's own says which name; a page says that there is no such route
            own = recorded.get("type", "").startswith("application/json")
            expected = {errors.KeyNotFound} if own and "cut" not in recorded else {errors.ServerError}
        elif status == 409 and request["method"] == "POST" and "already exists" in message:
            expected = {errors.KeyExists}
        elif status == 409:
            expected = {errors.Rejected}
        elif status == 400 and "is protected" in message:
            expected = {errors.Forbidden}
        elif status == 400 and "www-authenticate" in recorded.get("headers", {}):
            expected = {errors.NotAuthenticated}
        elif status == 400:
            expected = {errors.Rejected}
        else:
            expected = EXPECTED[status]
        assert meaning(request, names, recorded) in expected, (name, request, recorded)
        counted += 1
    assert counted > 2000
