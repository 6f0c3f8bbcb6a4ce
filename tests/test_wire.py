"""The protocol as facts: names, spelling, values and the meaning of replies, without any server."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv import errors, wire

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.json"))

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


class TestSpelling:
    @pytest.mark.parametrize(
        ("name", "spelled"),
        [
            ("cfg", "cfg"),
            ("config.json", "config.%6Ason/"),
            ("v1.1", "v1.%31/"),
            (".hidden", ".%68idden/"),
            ("x.json.zip", "x.json.%7Aip/"),
            ("trail.", "trail./"),
            ("a b+c", "a%20b%2Bc"),
            ("é.jsön", "%C3%A9.%6As%C3%B6n/"),
            ("a.é", "a.%C3%A9/"),
        ],
    )
    def test_a_last_segment_is_spelled_as_live_servers_take_it_whole(self, name, spelled):
        """A dotted last segment has its last suffix's first character encoded, and ends in a slash."""
        assert wire.call("GET", "dataStore", "app", name).target == f"/api/dataStore/app/{spelled}"
        assert wire.call("DELETE", "dataStore", name).target == f"/api/dataStore/{spelled}"

    def test_an_inner_segment_needs_nothing(self):
        """A dotted namespace before a key, or a dotted key before metaData, is spelled plainly."""
        assert wire.call("GET", "dataStore", "my.ns", "k").target == "/api/dataStore/my.ns/k"
        below = wire.call_below("GET", "dataStore", "my.ns", "config.json", below="metaData")
        assert below.target == "/api/dataStore/my.ns/config.json/metaData"

    @given(text.filter(bool), text.filter(bool))
    def test_every_spelling_decodes_to_its_names(self, namespace, key):
        """What is sent decodes to just the names that were meant, and a DELETE of it passes the last check."""
        for names in [("dataStore", namespace, key), ("userDataStore", namespace)]:
            if any(name in (".", "..") or "/" in name for name in names):
                continue
            call = wire.call("DELETE", *names)
            path = call.path.removesuffix("/") if "." in names[-1] else call.path
            assert [unquote(part) for part in path.split("/")] == ["", "api", *names]
            assert re.fullmatch(r"[A-Za-z0-9_.~%/-]+", call.path)
            wire.check_delete(call, "/context" + call.path)

    @pytest.mark.parametrize("path", ["/api/dataStore/app/", "/api/dataStore/app", "/api/dataStore/app/other", "/api"])
    def test_a_delete_that_lost_its_key_is_not_sent(self, path):
        """A path that means anything but the entry is refused, above all the one that wipes its namespace."""
        with pytest.raises(errors.Unaddressable, match="refused to send DELETE"):
            wire.check_delete(wire.call("DELETE", "dataStore", "app", "key"), path)

    @pytest.mark.parametrize(
        ("name", "cut"),
        [
            ("config.json", True),
            ("x.json.zip", True),
            ("a.b.json", False),
            ("v1.1", False),
            ("json", False),
            (".csv", True),
        ],
    )
    def test_which_names_2_44_cuts_behind_a_proxy(self, name, cut):
        """A name is in danger where everything after its first dot is a registered extension."""
        assert wire.cut_by_proxies(name) is cut

    @pytest.mark.parametrize(
        ("url", "base", "credentials"),
        [
            ("https://h.org", "https://h.org", None),
            ("https://h.org/", "https://h.org", None),
            ("https://h.org/api", "https://h.org", None),
            ("https://h.org/api/", "https://h.org", None),
            ("https://h.org/api/42", "https://h.org", None),
            ("https://h.org/dhis/api/42/", "https://h.org/dhis", None),
            ("http://h.org:8080/dhis", "http://h.org:8080/dhis", None),
            ("https://me:p%40ss@h.org/dhis", "https://h.org/dhis", ("me", "p@ss")),
            ("https://me@moh.org:pass@h.org", "https://h.org", ("me@moh.org", "pass")),
        ],
    )
    def test_the_base_url(self, url, base, credentials):
        """A server's URL may end in /api, /api/NN or a slash, have a context path, and hold credentials."""
        assert wire.base_url(url) == (base, credentials)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("http://localhost", "http://LOCALHOST/api"),
            ("http://h", "http://h:80/"),
            ("https://h/dhis", "HTTPS://H:443/dhis/api/42/"),
            ("http://[::1]:8080", "http://[::1]:08080"),
            ("http://[FE80::A]", "http://[fe80::a]:80"),
        ],
    )
    def test_one_server_has_one_base_url(self, one, other):
        """Servers are compared in normal form, so that a cache knows one as one."""
        assert wire.base_url(one) == wire.base_url(other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("http://h", "https://h"),
            ("http://h", "http://h:443"),
            ("https://h:80", "https://h"),
            ("http://h/a", "http://h/A"),
            ("http://h", "http://h:8080"),
        ],
    )
    def test_two_servers_have_two_base_urls(self, one, other):
        """Ports of another scheme, and paths in another case, are another server."""
        assert wire.base_url(one) != wire.base_url(other)

    @pytest.mark.parametrize(
        "url", ["", "dhis2.example.org", "ftp://h.org", "https://", "https://h.org?x=1", "https://h/#a"]
    )
    def test_what_is_no_url_of_a_server(self, url):
        """A URL without scheme or host, or with a query, is refused."""
        with pytest.raises(ValueError, match="not the URL of a DHIS2 server"):
            wire.base_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://me:secret@h.org",
            "me:secret@h.org",
            "https://me:sec#ret@h.org",
            "https://me:se?cret@h.org",
            "https://me:se/cret@h.org",
            "https://me:secret@h.org:port",
            "https://me:secret@h o.org",
        ],
    )
    def test_credentials_in_a_bad_url_are_not_printed(self, url):
        """The error about a bad URL shows no user-info, wherever it begins and ends."""
        with pytest.raises(ValueError, match="not the URL") as caught:
            wire.base_url(url)
        assert not re.search("sec|cret", str(caught.value).partition(";")[0])

    def test_a_url_is_text(self):
        """None, from a variable that is not set, is a TypeError that says so."""
        with pytest.raises(TypeError, match="is a str, not NoneType"):
            wire.base_url(None)


def replied(status, body="", method="GET", kind="application/json", **headers):
    """A reply about app/k."""
    call = wire.call(method, "dataStore", "app", "k")
    return wire.Reply(call, "http://h" + call.path, status, {"content-type": kind, **headers}, body.encode())


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

    def test_two_kinds_of_existing(self):
        """Whoever loses a race to create is told so in one of two texts; any other 409 is another refusal."""
        for text in (
            "Key 'k' already exists in namespace 'app'",
            "ERROR: duplicate key value violates unique constraint",
        ):
            with pytest.raises(errors.KeyExists, match="'app/k'"):
                wire.checked(replied(409, said(409, text), "POST"))
            with pytest.raises(errors.Rejected):
                wire.checked(replied(409, said(409, text), "PUT"))
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
