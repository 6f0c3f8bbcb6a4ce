"""What an error says where an address, a proxy, a certificate or the credentials are not as they should be."""

import http.server
import socket
import ssl
import threading

import pytest
import responses
import trustme

from dhis2kv import NotAuthenticated, Rejected, ServerError, Store, Unreachable
from dhis2kv.emulator import Emulator
from dhis2kv.transport import failures

from .listening import Listener

CREDENTIALS = ("admin", "district")
VARIABLES = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def https(authority):
    """The port of a server that speaks https for localhost, with the certificate of an authority of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "1")
            self.end_headers()
            self.wfile.write(b"7")

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            pass  # what speaks no TLS, or trusts nobody, is what the tests send

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def bundle(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def asked(url, auth=CREDENTIALS, **options):
    with Store(url, auth, retries=0, **options) as store:
        return store["app"]["k"]


@pytest.fixture
def emulated():
    with Emulator().serve() as server:
        yield server.url


def test_https_where_http_is_spoken(emulated):
    """It is said that the port speaks no https, and which address would do."""
    with pytest.raises(Unreachable, match=rf"does not speak https there; perhaps its address is {emulated}$"):
        asked(emulated.replace("http:", "https:"))


def test_http_where_https_is_spoken(https):
    """A connection that breaks before any reply may be one to a port that speaks https: it is said."""
    with pytest.raises(Unreachable, match="begins with https://"):
        asked(f"http://127.0.0.1:{https}")


@pytest.mark.parametrize(
    "page",
    [
        "<center>The plain HTTP request was sent to HTTPS port</center>",
        "Bad Request\r\nThis combination of host and port requires TLS.\r\n",
        "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
    ],
)
@responses.activate
def test_http_where_a_known_server_speaks_https(page):
    """nginx, Tomcat and Apache answer in words of their own; it is said in ours."""
    responses.get("http://dhis2.example.org/api/dataStore/app/k", status=400, body=page, content_type="text/html")
    with pytest.raises(Rejected, match="speaks https there: its address begins with https://"):
        asked("http://dhis2.example.org")


def test_an_alert_of_tls():
    """What OpenSSL sends to those who speak no TLS is no HTTP: it is said what it means."""
    with (
        Listener(b"\x15\x03\x03\x00\x02\x02\x46") as listener,
        pytest.raises(Unreachable, match="begins with https://"),
    ):
        asked(listener.url)


def test_a_refused_connection_is_not_about_https():
    """Where nothing listens, nothing is said about https."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable) as caught:
        asked(f"http://127.0.0.1:{port}")
    assert "https" not in str(caught.value)
    assert "HTTPConnection" not in str(caught.value)


def test_a_certificate_of_nobody_who_is_trusted(https, monkeypatch):
    """The error ends with what to set, and without the extra truststore with that, too."""
    monkeypatch.setattr(failures, "find_spec", lambda _: None)
    with pytest.raises(Unreachable, match=r"SSL_CERT_FILE, ca_file in a profile, --ca-file or .*dhis2kv\[truststore\]"):
        asked(f"https://localhost:{https}")
    monkeypatch.setattr(failures, "find_spec", lambda name: name == "truststore" or None)
    with pytest.raises(Unreachable, match=r"--ca-file or Store\(\.\.\., verify=FILE\)$"):
        asked(f"https://localhost:{https}")


def test_a_certificate_of_another_host(https, bundle):
    """A certificate for another name is not helped by a file, and none is named."""
    with pytest.raises(Unreachable, match=r"certificate is not valid: .*(mismatch|doesn't match)") as caught:
        asked(f"https://127.0.0.1:{https}", verify=bundle)
    assert "ca_file" not in str(caught.value)


def test_the_variable_of_other_programs_counts(https, bundle, monkeypatch, tmp_path):
    """SSL_CERT_FILE says whom to trust, after the variables of requests, and not where an option says it."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    assert asked(f"https://localhost:{https}") == 7
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with pytest.raises(Unreachable, match="nobody who is trusted"):
        asked(f"https://localhost:{https}")
    assert asked(f"https://localhost:{https}", verify=bundle) == 7
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    with pytest.raises(ValueError, match=r"SSL_CERT_FILE name .*nowhere"):
        Store(f"https://localhost:{https}")


def test_the_certificates_of_the_system(https, bundle, monkeypatch):
    """With truststore installed the operating system says whom to trust; here that is what OpenSSL looks into."""
    pytest.importorskip("truststore", reason="needs the extra truststore")
    monkeypatch.setattr(ssl.SSLContext, "set_default_verify_paths", lambda self: self.load_verify_locations(bundle))
    assert asked(f"https://localhost:{https}") == 7
    store = Store(f"https://localhost:{https}", CREDENTIALS, retries=0)
    monkeypatch.setattr("os.getpid", lambda: 1)  # as in a child of this process
    assert store["app"]["k"] == 7


@pytest.mark.parametrize(
    ("variable", "url"), [("HTTP_PROXY", "http://dhis2.test"), ("HTTPS_PROXY", "https://dhis2.test")]
)
def test_a_dead_proxy_is_named(monkeypatch, variable, url):
    """Where the proxy is away, the error names the proxy, without its password, and what goes around it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv(variable, f"http://me:s3cret@127.0.0.1:{port}")
    with pytest.raises(
        Unreachable, match=rf"no connection to the proxy http://127\.0\.0\.1:{port}, .*NO_PROXY"
    ) as caught:
        asked(url)
    assert "s3cret" not in str(caught.value)
    assert "dhis2.test is asked" in str(caught.value)


def test_a_proxy_without_a_scheme_and_with_a_name(monkeypatch):
    """What requests takes for no URL is named, without its password."""
    monkeypatch.setenv("HTTPS_PROXY", "me:s3cret@127.0.0.1:3128")
    with pytest.raises(Unreachable, match=r"the proxy 127\.0\.0\.1:3128 is not a URL like http://proxy"):
        asked("https://dhis2.test")


def test_a_proxy_that_refuses(monkeypatch):
    """A proxy that does not lead there is said to be what refuses."""
    with Listener(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(Unreachable, match=rf"no connection to dhis2\.test: the proxy {proxy.url} .*407"):
            asked("https://dhis2.test")


def test_a_name_that_is_no_host(monkeypatch):
    """A host that cannot be found is said to be that."""

    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(
        Unreachable, match=r"a host of the name 'dihs2\.example\.org' cannot be found; is the address right"
    ):
        asked("https://dihs2.example.org:8443/dhis")


def test_no_credentials(emulated, monkeypatch, tmp_path):
    """Who gives no credentials is told that, and where to give some; wrong ones are another matter."""
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(NotAuthenticated, match=r"no credentials were given: .*profile add .*DHIS2_PAT"):
        asked(emulated, auth=None)
    with pytest.raises(NotAuthenticated, match="does not accept these credentials") as caught:
        asked(emulated, auth=("admin", "wrong"))
    assert "profile" not in str(caught.value)


@pytest.mark.parametrize(
    "page",
    [
        "apps/dashboard#/",
        "apps/dashboard#/?x=1",
        "dhis-web-dashboard/index.html#/",
        "dhis-web-login/",
        "dhis-web-x?y=1",
    ],
)
@pytest.mark.parametrize("base", ["https://dhis2.example.org", "https://dhis2.example.org:8443/dhis"])
def test_the_address_of_a_page(page, base):
    """What is copied from a browser is the server that shows it."""
    assert Store(f"{base}/{page}").datastore.transport.base == base


@pytest.mark.parametrize(
    "url",
    [
        "https://me:pa#/apps/x@h.example/",
        "https://h.example/apps",
        "https://h.example/myapps/x",
        "https://h.example/dhis",
    ],
)
def test_what_is_no_page(url):
    """What only looks like one stays what it is; a secret in the wrong place is still refused."""
    if "@" in url:
        with pytest.raises(ValueError, match="not the URL of a DHIS2 server"):
            Store(url)
    else:
        assert Store(url).datastore.transport.base == url


@pytest.mark.parametrize("version", ["2.36", "2.40", "2.42", "2.44"])
def test_a_wrong_context_path(version):
    """Where there is no DHIS2 at the address, it is said that it may be one level down."""
    for path, base in (("", "/dhis"), ("/dhis", "")):
        with Emulator(version, context_path=path).serve() as server:
            url = server.url.removesuffix(path) + base
            if base == path:
                continue
            with pytest.raises(
                (Rejected, ServerError), match=r"one level down, as in https://dhis2\.example\.org/dhis"
            ):
                asked(url)
