"""The page on what a served emulator holds: who sees it, what it shows, and that it is none of what is emulated."""

from __future__ import annotations

import html
import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv.emulator import Emulator
from dhis2kv.emulator.http import ServedEmulator
from dhis2kv.emulator.page import indented, is_loopback_address

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def emulator() -> Emulator:
    emulator = Emulator("2.42")
    emulator.load({"app": {"cfg": {"theme": "dark", "limits": [1, 2.5]}, "empty": {}}, "jobs": {"nightly": 1}})
    emulator.put("app", "secret", "sesame", encrypted=True)
    emulator.load({"mine": {"x": "of admin"}}, user="admin")
    return emulator


@pytest.fixture
def served(emulator: Emulator) -> Iterator[ServedEmulator]:
    with emulator.serve(page=True) as served:
        yield served


def ask(served: ServedEmulator, path: str = "/", method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)
    connection.request(method, path, headers={**BROWSER, **headers})
    reply = connection.getresponse()
    reply.text = reply.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return reply


def test_what_is_held_is_shown(served: ServedEmulator) -> None:
    """The root lists the namespaces of each store with their entries; a namespace its keys and values, indented."""
    root = ask(served).text  # type: ignore[attr-defined]
    assert re.findall(r"<h2>(.*?)</h2>", root) == ["dataStore", "userDataStore of admin", "The last requests"]
    assert re.findall(r"<a href='(.*?)'>(.*?)</a></td><td>(\d+)</td>", root) == [
        ("?namespace=app", "app", "3"),
        ("?namespace=jobs", "jobs", "1"),
        ("?user=admin&amp;namespace=mine", "mine", "1"),
    ]
    app = ask(served, "/?namespace=app").text  # type: ignore[attr-defined]
    values = [html.unescape(value) for value in re.findall(r"<pre>(.*?)</pre>", app, re.S)]
    assert values == ['{\n  "theme": "dark",\n  "limits": [\n    1,\n    2.5\n  ]\n}', "{}", '"sesame"']
    assert "encrypted" in app
    assert "of admin" in ask(served, "/?user=admin&namespace=mine").text  # type: ignore[attr-defined]
    assert "of admin" not in ask(served, "/?namespace=mine").text  # type: ignore[attr-defined]


def test_the_last_requests_are_shown(served: ServedEmulator) -> None:
    """What was asked of the emulated server stands there, newest first, with its status; not the looking."""
    ask(served, "/api/dataStore/app/none?x=<b>", Authorization="Basic YWRtaW46ZGlzdHJpY3Q=")
    ask(served, "/api/dataStore", "POST")
    ask(served)
    rows = re.findall(r"<td>(\w+)</td><td><code>(.*?)</code></td><td>(\d+)</td>", ask(served).text)  # type: ignore[attr-defined]
    assert rows == [("POST", "/api/dataStore", "302"), ("GET", "/api/dataStore/app/none?x=&lt;b&gt;", "400")]


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
def test_who_asks_for_no_page_gets_what_dhis2_answers(emulator: Emulator, served: ServedEmulator, accept: str) -> None:
    """The root without ``text/html``, and every other path, is the emulated server's to answer."""
    with emulator.serve() as plain:
        for path in ("/", "/?namespace=app", "/index.html", "/api/dataStore"):
            with_page, without = (
                ask(server, path, Accept=accept if path.startswith(("/?", "/")) and len(path) < 20 else "*/*", Host="x")
                for server in (served, plain)
            )
            assert with_page.status == without.status
            assert with_page.text == without.text  # type: ignore[attr-defined]


def test_without_being_asked_for_there_is_no_page(emulator: Emulator) -> None:
    """An emulator that tests serve is nothing but what is emulated."""
    with emulator.serve() as served:
        assert "The last requests" not in ask(served).text  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "", "[::2]"]
)
def test_another_host_is_refused(served: ServedEmulator, host: str) -> None:
    """Where the Host header names another one, nothing is shown: a page of that name would read it."""
    reply = ask(served, Host=host)
    assert reply.status == 403
    assert "app" not in re.sub("<style>.*</style>", "", reply.text, flags=re.S)  # type: ignore[attr-defined]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"])
def test_the_loopback_has_several_names(served: ServedEmulator, host: str) -> None:
    """Each name of the loopback, with any port, is let in."""
    assert ask(served, Host=host).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_can_only_be_looked_at(served: ServedEmulator, method: str) -> None:
    """No other verb reaches the page."""
    assert "The last requests" not in ask(served, "/?namespace=app", method).text  # type: ignore[attr-defined]


def test_what_others_stored_commands_no_browser(emulator: Emulator, served: ServedEmulator) -> None:
    """Names and values are text on the page, wherever they stand, and no script or frame is allowed there at all."""
    odd = "<script>alert(1)'\"&"
    emulator.load({odd: {odd: {odd: odd}}}, user=None)
    for path in ("/", "/?namespace=%3Cscript%3Ealert(1)%27%22%26"):
        reply = ask(served, path)
        assert "<script" not in reply.text  # type: ignore[attr-defined]
        assert "&lt;script&gt;alert(1)" in reply.text  # type: ignore[attr-defined]
        policy = reply.getheader("Content-Security-Policy") or ""
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy


def test_large_values_and_many_entries_are_cut(emulator: Emulator, served: ServedEmulator) -> None:
    """A page stays a page: of long values the beginning is shown, of many entries the first, and both are said."""
    emulator.load({"big": {"long": "x" * 50_000}, "many": {f"key{number:04}": number for number in range(500)}})
    big = ask(served, "/?namespace=big").text  # type: ignore[attr-defined]
    assert "and 30,002 characters more" in big
    many = ask(served, "/?namespace=many").text  # type: ignore[attr-defined]
    assert "500 entries, the first 200 of them" in many
    assert "key0199" in many
    assert "key0200" not in many


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_what_only_this_machine_reaches(host: str) -> None:
    """The page is for addresses of the loopback."""
    assert is_loopback_address(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "dhis2.example.org"])
def test_what_other_machines_reach(host: str) -> None:
    """Where others can reach the server there is no page."""
    assert not is_loopback_address(host)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES, st.sampled_from([None, (",", ":"), (" , ", " : ")]))
def test_indenting_is_what_python_does(value: object, separators: tuple[str, str] | None) -> None:
    """A text is indented as ``json.dumps`` would indent its value, whatever its spelling was."""
    text = json.dumps(value, separators=separators)
    assert indented(text) == json.dumps(value, indent=2)


@given(VALUES, st.integers(0, 200))
def test_a_text_that_is_cut_is_indented_as_far_as_it_goes(value: object, length: int) -> None:
    """The beginning of a text has all the signs that it had."""
    text = json.dumps(value, ensure_ascii=False)[:length]
    assert re.sub(r"\s", "", indented(text)) == re.sub(r"\s", "", text)


# --- a real browser ---------------------------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., str]:
    """What a browser makes of an address: the document, after its scripts ran."""
    if CHROMIUM is None:
        pytest.skip("needs chromium")

    def browse(url: str, *options: str) -> str:
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
        ran = subprocess.run([*command, *options, "--dump-dom", url], capture_output=True, text=True, timeout=60)
        return ran.stdout

    return browse


def test_a_browser_shows_it(emulator: Emulator, served: ServedEmulator, browse: Callable[..., str]) -> None:
    """Opened in a browser the page stands there, its links lead to namespaces, and no stored script runs."""
    emulator.load(
        {"odd": {"k": "</pre><script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"}}
    )
    root = browse(served.url)
    assert "<h2>The last requests</h2>" in root
    [link] = re.findall(r'<a href="(\?namespace=odd)">odd</a>', root)
    page = browse(f"{served.url}/{link}")
    assert "<title>Emulated DHIS2</title>" in page
    assert "document.title = " in page
    assert not re.search("<(script|img)", page)


def test_a_browser_that_was_led_here_by_another_name(served: ServedEmulator, browse: Callable[..., str]) -> None:
    """A name of somebody else's that leads to the loopback shows nothing of what is held."""
    port = urlsplit(served.url).port
    page = browse(f"http://evil.example:{port}/", "--host-resolver-rules=MAP evil.example 127.0.0.1")
    assert "shown on the loopback alone" in page
    assert "jobs" not in page
