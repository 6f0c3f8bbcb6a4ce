"""Calls: how a path is spelled, and what the URL of a server is."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given

from dhis2kv import errors, wire

from .test_values import text


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
        ("a/b", "a%2Fb"),
        ("a/b.c/d", "a%2Fb.%63%2Fd/"),
        ("loginConfig", "loginConfig/"),
        ("account", "account"),
    ],
)
def test_a_last_segment_is_spelled_as_live_servers_take_it_whole(name, spelled):
    """A dotted last segment has its last suffix's first character encoded, and ends in a slash."""
    assert wire.call("GET", "dataStore", "app", name).target == f"/api/dataStore/app/{spelled}"
    assert wire.call("DELETE", "dataStore", name).target == f"/api/dataStore/{spelled}"


def test_both_stores_are_where_servers_have_them():
    """The shared one and the account's own, which no version names otherwise."""
    assert wire.call("GET", wire.SHARED, "app").target == "/api/dataStore/app"
    assert wire.call("GET", wire.USER, "app").target == "/api/userDataStore/app"


def test_a_call_without_a_query():
    """Its target is its path; what is asked besides follows a question mark."""
    assert wire.Call("GET", "/api/me").target == "/api/me"
    assert wire.Call("GET", "/api/me").repeatable
    assert wire.call("GET", "dataStore", "v1.1", query="a=b").target == "/api/dataStore/v1.%31/?a=b"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_what_may_be_sent_again(method):
    """What acts twice as it acts once may be sent again when its answer was lost: no create, no delete, no append."""
    assert wire.call(method, "dataStore", "app", "k").repeatable is (method in ("GET", "HEAD", "PUT"))
    assert wire.call(method, "dataStore", "app", "k", once=True).repeatable is False
    assert wire.call(method, "dataStore", "app", "k").writes is (method in ("PUT", "POST", "DELETE"))


def test_an_inner_segment_needs_nothing():
    """A dotted namespace before a key, or a dotted key before metaData, is spelled plainly, its slashes encoded."""
    assert wire.call("GET", "dataStore", "a/b", "k").target == "/api/dataStore/a%2Fb/k"
    assert wire.call("GET", "dataStore", "my.ns", "k").target == "/api/dataStore/my.ns/k"
    below = wire.call_below("GET", "dataStore", "my.ns", "config.json", below="metaData")
    assert below.target == "/api/dataStore/my.ns/config.json/metaData"


@given(text.filter(bool), text.filter(bool))
def test_every_spelling_decodes_to_its_names(namespace, key):
    """What is sent decodes to just the names that were meant, and a DELETE of it passes the last check."""
    for names in [("dataStore", namespace, key), ("userDataStore", namespace)]:
        if any(name in (".", "..") or "/" in name for name in names):
            continue
        call = wire.call("DELETE", *names)
        path = call.path.removesuffix("/") if "." in names[-1] else call.path
        assert [unquote(part) for part in path.split("/")] == ["", "api", *names]
        assert re.fullmatch(r"[A-Za-z0-9_.~%/-]+", call.path)
        wire.check_delete(call, "/context" + call.path)


#: What servers of 2.44 have registered, as their source lists it.
REGISTERED = [
    *("json", "json.gz", "json.zip", "jsonp", "xml", "xml.gz", "xml.zip", "png", "pdf", "xls", "xlsx"),
    *("csv", "csv.gz", "csv.zip", "adx.xml", "adx.xml.gz", "adx.xml.zip", "geojson"),
]


@pytest.mark.parametrize("extension", REGISTERED)
def test_each_registered_extension_is_a_danger(extension):
    """They are known by their raw spelling: in capitals, or with anything before or behind it, a name is whole."""
    assert wire.cut_by_proxies(f"x.{extension}")
    for name in (f"x.{extension.upper()}", f"x.y.{extension}", f"x.{extension}.", f"x.{extension}-"):
        assert not wire.cut_by_proxies(name)


@pytest.mark.parametrize("path", ["/api/dataStore/app/", "/api/dataStore/app", "/api/dataStore/app/other", "/api"])
def test_a_delete_that_lost_its_key_is_not_sent(path):
    """A path that means anything but the entry is refused, above all the one that wipes its namespace."""
    with pytest.raises(errors.Unaddressable, match=r"refused to send DELETE .* just \('app', 'key'\)"):
        wire.check_delete(wire.call("DELETE", "dataStore", "app", "key"), path)


@pytest.mark.parametrize("names", [("dataStore",), ()])
def test_a_delete_of_no_namespace_is_not_sent(names):
    """Nothing above a namespace can be meant, although its path says just that."""
    path = "/".join(["/api", *names])
    with pytest.raises(errors.Unaddressable, match=r"refused to send DELETE .* just \(\)"):
        wire.check_delete(wire.Call("DELETE", path, names), path)


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
def test_which_names_2_44_cuts_behind_a_proxy(name, cut):
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
        ("https://me@h.org", "https://h.org", ("me", "")),
        ("https://h.org/MOX/", "https://h.org/MOX", None),
        ("https://h.org/MOX/api", "https://h.org/MOX", None),
        ("https://h.org/MOX//api/", "https://h.org/MOX", None),
        ("http://[::1]:8080/api", "http://[::1]:8080", None),
        ("http://[FE80::A]:80", "http://[fe80::a]", None),
        ("https://h.org/dhis/apps/dashboard?x=1#/y", "https://h.org/dhis", None),
        ("https://h.org/apps/x", "https://h.org", None),
        ("https://h.org/apps", "https://h.org/apps", None),
        ("https://h.org/dhis/dhis-web-login/", "https://h.org/dhis", None),
        ("https://h.org/dhis-web-maintenance?a#b", "https://h.org", None),
        ("https://h.org/dhis-web-X", "https://h.org/dhis-web-X", None),
    ],
)
def test_the_base_url(url, base, credentials):
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
def test_one_server_has_one_base_url(one, other):
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
def test_two_servers_have_two_base_urls(one, other):
    """Ports of another scheme, and paths in another case, are another server."""
    assert wire.base_url(one) != wire.base_url(other)


@pytest.mark.parametrize(
    "url",
    [
        *("", "dhis2.example.org", "ftp://h.org", "https://", "https://h.org?x=1", "https://h/#a"),
        *("https://h.org:0", "https://h.org:70000", "https://h.org/a b", "https://h.org/a@b"),
    ],
)
def test_what_is_no_url_of_a_server(url):
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
        "https://me:1234/secret@h.org",
        "https://me:secret@h.org:port",
        "https://me:secret@h o.org",
    ],
)
def test_credentials_in_a_bad_url_are_not_printed(url):
    """The error about a bad URL shows no user-info, wherever it begins and ends."""
    with pytest.raises(ValueError, match="not the URL") as caught:
        wire.base_url(url)
    assert not re.search("sec|cret", str(caught.value).partition(";")[0])


def test_a_url_is_text():
    """None, from a variable that is not set, is a TypeError that says so."""
    with pytest.raises(TypeError, match="is a str, not NoneType"):
        wire.base_url(None)
