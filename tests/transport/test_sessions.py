"""Sessions of our own: what they take over from one that was passed in, and which proxies and certificates count."""

import importlib.util
import ssl

import pytest
import requests
import responses

from dhis2kv import Rejected, Store
from dhis2kv.transport import Transport, sessions
from dhis2kv.transport.sessions import session_like

from .listening import Listener, reply

URL = "https://dhis2.example.org"
ENTRY = f"{URL}/api/dataStore/app/k"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


# --- proxies and certificates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "proxies",
    [
        {"http": "proxy.test:3128"},
        {"https": "http://proxy.test"},
        {"all": "https://me:pw@proxy.test:1"},
        {"https://dhis2.example.org": "http://proxy.test"},
        {"ftp": "http://"},
        {"no_proxy": "localhost,http://"},
        {"no": "*"},
        {},
    ],
)
def test_proxies_that_are_some(proxies):
    """A proxy is a URL, or a host and a port; what the environment says besides is no proxy."""
    Transport(URL, proxies=proxies)


@pytest.mark.parametrize(
    "proxies",
    [
        {"http": "http://"},
        {"https": "http://proxy.test:99999"},
        {"https": "http://proxy.test:0"},
        {"all": "http://:3128"},
        {"all": "http://[bad"},
        {"http": ""},
        {"https://dhis2.example.org": "http://"},
        {"no": "*", "https": "http://"},
    ],
)
def test_proxies_that_are_none(proxies):
    """What could never be one is found out when the transport is made."""
    with pytest.raises(ValueError, match="is not a URL like http://proxy"):
        Transport(URL, proxies=proxies)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_proxy_that_speaks_socks(monkeypatch, scheme):
    """It needs a library, and where that is missing it is named."""
    proxies = {"https": f"{scheme}://proxy.test:1"}
    monkeypatch.setattr(sessions, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs PySocks"):
        Transport(URL, proxies=proxies)
    Transport(URL, proxies={"https": "http://proxy.test:1"})
    monkeypatch.setattr(sessions, "find_spec", lambda name: name == "socks" or None)
    Transport(URL, proxies=proxies)


@pytest.mark.parametrize(
    "options", [{"verify": "/none"}, {"cert": "/none"}, {"cert": (__file__, "/none")}, {"cert": ("/none", __file__)}]
)
def test_files_that_are_not_there(options):
    """They are found out when the transport is made, by their names."""
    with pytest.raises(ValueError, match="name '/none', which is not there"):
        Transport(URL, **options)


@responses.activate
@pytest.mark.parametrize("options", [{}, {"verify": False}, {"verify": __file__}, {"cert": (__file__, __file__)}])
def test_certificates(options):
    """They are those that are given; otherwise the server's is verified, and there is none of one's own."""
    responses.get(ENTRY, json=1)
    Store(URL, **options)["app"]["k"]
    asked = responses.calls[0].request.req_kwargs
    assert (asked["verify"], asked["cert"]) == (options.get("verify", True), options.get("cert"))
    assert asked["stream"] is True  # or requests would take all of a body, whatever its size


@responses.activate
@pytest.mark.parametrize(("trusted", "verify"), [(True, __file__), (False, True)])
def test_a_session_that_trusts_no_environment(monkeypatch, trusted, verify):
    """Where it does not, no variable counts."""
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    session = requests.Session()
    session.trust_env = trusted
    responses.get(ENTRY, json=1)
    Store(URL, session=session)["app"]["k"]
    assert responses.calls[0].request.req_kwargs["verify"] == verify


def test_whom_the_system_trusts():
    """With truststore the operating system is asked, with and without a proxy, but by plain sessions."""
    truststore = pytest.importorskip("truststore", reason="needs the extra truststore")
    adapter = session_like(None, ask_system=True).get_adapter(URL)
    for manager in (adapter.poolmanager, adapter.proxy_manager_for("http://proxy.test:1")):
        context = manager.connection_pool_kw["ssl_context"]
        assert isinstance(context, truststore.SSLContext)
        assert context.verify_mode == ssl.CERT_REQUIRED
    assert "ssl_context" not in session_like(None).get_adapter(URL).poolmanager.connection_pool_kw


def test_without_truststore(monkeypatch):
    """Without it it is not asked."""
    monkeypatch.setattr(
        sessions, "find_spec", lambda name: None if name == "truststore" else importlib.util.find_spec(name)
    )
    adapter = session_like(None, ask_system=True).get_adapter(URL)
    assert "ssl_context" not in adapter.poolmanager.connection_pool_kw


# --- a session that was passed in -------------------------------------------------------------------------------------


def test_what_is_taken_over():
    """Its adapters, with one twin for each, and its settings; not its connections, and it stays as it is."""
    given = requests.Session()
    adapter = requests.adapters.HTTPAdapter()
    foreign = requests.adapters.BaseAdapter()
    for prefix, one in {"http://": adapter, "https://": adapter, "https://x.org/": foreign}.items():
        given.mount(prefix, one)
    given.headers["X"] = "1"
    given.proxies = {"https": "http://proxy.test"}
    before = dict(given.headers)
    session = session_like(given)
    assert list(session.adapters) == list(given.adapters)
    assert session.get_adapter("http://h") is session.get_adapter("https://h") is not adapter
    assert session.get_adapter("https://x.org/y") is foreign
    assert (session.headers["X"], session.proxies) == ("1", given.proxies)
    assert given.headers == before


def test_closing_leaves_what_is_not_ours():
    """An adapter that has its own way to a server belongs to whoever made it, and is not closed."""

    class Foreign(requests.adapters.BaseAdapter):
        closed = False

        def close(self):
            self.closed = True

    session, foreign = requests.Session(), Foreign()
    session.mount("https://", foreign)
    Store(URL, session=session).close()
    assert not foreign.closed


def test_as_many_connections_as_threads():
    """Those of 32 threads that ask at the same time are kept."""
    adapter = session_like(None).get_adapter("http://h")
    pool = adapter.poolmanager.connection_from_url("http://h")
    connections = [pool._get_conn() for _ in range(32)]
    for connection in connections:
        pool._put_conn(connection)
    assert {pool._get_conn() for _ in range(32)} == set(connections)


def test_a_location_that_is_no_url():
    """What makes requests fail on its way to follow a redirect is looked at by nobody."""
    with Listener(
        reply(b"1", "200 OK", "Location: http://["), reply(b"", "302 ", "Location: http://["), reply()
    ) as server:
        store = Store(server.url, retries=0)
        assert store["app"]["k"] == 1
        with pytest.raises(Rejected, match="redirects"):
            store["app"]["k"]
