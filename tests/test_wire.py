"""The protocol as facts: names, spelling, values and the meaning of replies, without any server."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv import errors, wire

from .conftest import NAMES

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.json"))

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.recursive(scalars | text, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=20)


class TestNames:
    @pytest.mark.parametrize("name", NAMES["works"])
    def test_names_that_servers_hold_are_taken(self, name):
        """A name that every server can hold is returned unchanged, as key, as new key and as namespace."""
        assert wire.check_name(name) == wire.check_new_key(name) == wire.check_name(name, "namespace") == name

    @pytest.mark.parametrize("name", NAMES["refused"])
    def test_names_that_no_server_holds_are_refused(self, name):
        """Such a name is a KeyError where one reads and a ValueError where one writes, with a sentence."""
        for kind in (KeyError, ValueError):
            with pytest.raises(kind, match="cannot be a key"):
                wire.check_name(name)

    @pytest.mark.parametrize("name", NAMES["read_only"])
    def test_keys_that_break_bulk_reads_are_not_written(self, name):
        """A key with a quotation mark or a control character may be read, but not written."""
        assert wire.check_name(name) == name
        with pytest.raises(errors.InvalidKey, match="unreadable for every client"):
            wire.check_new_key(name)

    @pytest.mark.parametrize("name", [1, None, b"key", ("a", "b")])
    def test_names_are_text(self, name):
        """Anything but a str is a TypeError."""
        with pytest.raises(TypeError, match="is a str"):
            wire.check_name(name)

    def test_a_long_name_is_cut_in_the_error(self):
        """An error about a name of 10,000 characters can be read."""
        with pytest.raises(errors.InvalidKey) as caught:
            wire.check_name("k" * 10_000)
        assert len(str(caught.value)) < 250


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


class TestValues:
    @given(values)
    def test_values_come_back_the_same(self, value):
        """What is written is read as the same value, of the same types."""
        back = wire.loads(wire.dumps(value))
        assert wire.same(back, value)
        assert repr(back) == repr(json.loads(json.dumps(value)))

    @given(values)
    def test_no_number_has_an_exponent(self, value):
        """The database writes out exponents, as an integer where it can: none may leave here."""
        outside_texts = re.sub(r'"(?:[^"\\]|\\.)*"', '""', wire.dumps(value))
        assert not re.search(r"\d[eE]", outside_texts)

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_floats_stay_floats(self, number):
        """A float's text has a decimal point, so that the database does not make it an integer."""
        assert "." in wire.dumps(number)

    def test_text_that_looks_like_a_number_is_left_alone(self):
        """An exponent inside a text, behind an escaped quotation mark, is not written out."""
        assert wire.loads(wire.dumps(['1e5 " 2e+300 \\', 1e300])) == ['1e5 " 2e+300 \\', 1e300]

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (float("nan"), "JSON has no nan"),
            ([float("-inf")], "JSON has no -inf"),
            ({1: 2}, "member names in JSON are text"),
            ({"a": {None: 1}}, "member names in JSON are text"),
            ("a\0b", "U\\+0000"),
            ({"\0": 1}, "U\\+0000"),
            (["\ud800"], "lone surrogate"),
            ({"\udfff": 1}, "lone surrogate"),
            pytest.param(10**4300, "4,300 digits", id="large"),
            pytest.param(-(10**4300), "4,300 digits", id="negative"),
            (object(), "object is not JSON"),
            ({"a": {1, 2}}, "set is not JSON"),
            (b"bytes", "bytes is not JSON"),
        ],
    )
    def test_what_would_not_come_back_is_refused(self, value, reason):
        """Such a value is an InvalidValue (a TypeError and a ValueError) that says what is wrong."""
        for kind in (TypeError, ValueError):
            with pytest.raises(kind, match=reason):
                wire.dumps(value)

    def test_the_largest_integer_is_taken(self):
        """4,300 digits can be written and read."""
        assert wire.loads(wire.dumps(10**4300 - 1)) == 10**4300 - 1

    def test_depth_is_bounded(self):
        """500 levels are taken, 501 are not, nor is a value that contains itself."""
        deep = 1
        for _ in range(500):
            deep = [deep]
        assert wire.same(wire.loads(wire.dumps(deep)), deep)
        with pytest.raises(errors.InvalidValue, match="500 levels"):
            wire.dumps([deep])
        endless = []
        endless += [endless, endless]
        with pytest.raises(errors.InvalidValue, match="contains itself"):
            wire.dumps(endless)

    @pytest.mark.parametrize(
        ("a", "b", "equal"),
        [
            (True, 1, False),
            (False, 0, False),
            (1, 1.0, True),
            ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
            ((1, [2]), [1, (2,)], True),
            ([1], [True], False),
            ({"a": None}, {}, False),
            ([], {}, False),
            ([1], [1, 2], False),
            ({"a": 1}, {"b": 1}, False),
            ("1", 1, False),
            (None, None, True),
            (None, False, False),
            (2**53 + 1, float(2**53), False),
        ],
    )
    def test_when_values_are_the_same(self, a, b, equal):
        """Values are compared as JSON values."""
        assert wire.same(a, b) is equal
        assert wire.same(b, a) is equal
        assert wire.same([a], [b]) is equal


class TestEntries:
    def test_a_bulk_answer(self):
        """Each entry comes with its value and the place of its text."""
        text = '[{"key":"a","value":{"x": [1, 2]}},{"key":"b\tc","value":null}, { "key" : "d" , "value" : "]}" } ]'
        found = [(key, value, text[start:end]) for key, value, start, end in wire.entries(text)]
        assert found == [("a", {"x": [1, 2]}, '{"x": [1, 2]}'), ("b\tc", None, "null"), ("d", "]}", '"]}"')]
        assert list(wire.entries(" [ ] ")) == []

    @pytest.mark.parametrize(
        "text",
        [
            '[{"key":"x","key":"y","value":2}]',
            '[{"key":"a"b","value":2}]',
            '[{"key":"a","value":2,"x":1}]',
            '[{"key":"a","value":1},{"key":"a","value":2}]',
            '[{"key":"a","value":1}]{"httpStatus":"Bad Request"}',
            '[{"key":"a","value":1},',
            '[{"key":"a"}]',
            '["a","b"]',
            "{}",
            "",
        ],
    )
    def test_an_answer_that_is_not_certain(self, text):
        """What does not parse, repeats a key or has other members is refused: keys are printed unescaped."""
        with pytest.raises(ValueError, match=r"entry|list"):
            list(wire.entries(text))

    def test_a_value_too_deep_for_this_python(self):
        """A value nested beyond the interpreter's stack is an answer that is not certain, and no crash."""
        deep = "[" * 200_000 + "]" * 200_000
        with pytest.raises(ValueError, match="too deep"):
            list(wire.entries(f'[{{"key":"a","value":{deep}}}]'))
        with pytest.raises(ValueError, match="too deeply"):
            wire.loads(deep)


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
