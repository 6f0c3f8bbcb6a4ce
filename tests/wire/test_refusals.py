"""Refusals: who is asking, where the server is, what is absent, and pages that are none of DHIS2's."""

import pytest

from dhis2kv import errors, wire

from .test_replies import replied, said

LOGIN = "https://h/dhis-web-login/"
HOW = r"make a profile .*DHIS2_USERNAME.*Store"


def refused(expected, match, *args, **facts):
    """The error that a reply means."""
    with pytest.raises(errors.Dhis2kvError, match=match) as caught:
        wire.checked(replied(*args, **facts))
    assert type(caught.value) is expected
    return caught.value


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_every_kind_of_redirect(self, status):
        """To the login it means that nobody is signed in; to elsewhere it is shown, and not followed."""
        refused(errors.NotAuthenticated, f"not signed in: .* to its login, {LOGIN} ", status, location=LOGIN)
        refused(errors.Rejected, "redirects to 'https://h/x', which is not followed", status, location="https://h/x")
        refused(errors.Rejected, "redirects to '', which", status)

    def test_who_did_not_sign_is_told_how(self):
        """Whoever gave credentials is not."""
        refused(errors.NotAuthenticated, f"{LOGIN}; {HOW}", 302, location=LOGIN, anonymous=True)
        error = refused(errors.NotAuthenticated, "not signed in", 302, location=LOGIN)
        assert str(error).endswith(f"to its login, {LOGIN} (GET http://h/api/dataStore/app/k)")

    def test_a_context_path_that_is_missing(self):
        """A redirect to the same path with a slash is what servers say where no DHIS2 is."""
        target = "http://h/api/dataStore/app/k/"
        refused(errors.Rejected, "no DHIS2 at this address. Many servers have it one level down", 302, location=target)

    def test_credentials_in_a_target_are_not_shown(self):
        """They are left out, with all that stands before the host."""
        error = refused(errors.Rejected, "redirects to 'https://h/x@y'", 302, location="https://me:secret@h/x@y")
        assert "secret" not in str(error)


class TestWhoIsAsking:
    def test_credentials_that_are_not_accepted(self):
        """401 says so, and so does 400 where the server asks for others; its words are passed on."""
        sentence = "does not accept these credentials: bad "
        for status, headers in ((401, {}), (401, {"www_authenticate": "Basic"}), (400, {"www_authenticate": "Bearer"})):
            error = refused(errors.NotAuthenticated, sentence, status, said(status, "bad"), **headers)
            assert error.message == "bad"
        for status in (402, 409):
            refused(errors.Rejected, ": bad ", status, said(status, "bad"), www_authenticate="Basic")

    def test_credentials_that_were_not_given(self):
        """Whoever gave none learns how."""
        error = refused(errors.NotAuthenticated, f"no credentials were given: {HOW}", 401, said(401, "x"), anonymous=1)
        assert error.message == "x"

    @pytest.mark.parametrize("status", [400, 409])
    def test_a_protected_namespace(self, status):
        """It is forbidden, whatever the status; the server's words, which may hold a value, stay out."""
        for code, text in ((403, "SECRET"), (status, "Namespace 'SECRET' is protected, access denied")):
            error = refused(errors.Forbidden, "refuses this to the account", code, said(code, text))
            assert "SECRET" not in f"{error} {error.message}"

    @pytest.mark.parametrize(
        "page",
        [
            "<html>The plain HTTP request was sent to HTTPS port</html>",
            "Bad Request\r\nThis combination of host and port requires TLS.\r\n",
            "You're speaking plain HTTP to an SSL-enabled server port.",
        ],
        ids=["nginx", "Tomcat", "Apache"],
    )
    def test_http_where_https_is_spoken(self, page):
        """What nginx, Tomcat and Apache answer leads to the right address."""
        refused(errors.Rejected, "its address begins with https://", 400, page, kind="text/html")
        refused(errors.Rejected, "with 410", 410, page, kind="text/html")
        refused(errors.Rejected, "with 400 ", 400, "<html>Bad Request</html>", kind="text/html")


class TestAbsence:
    @pytest.mark.parametrize(("names", "namespace"), [(("app", "k"), "app"), (("k",), None)])
    def test_what_is_absent(self, names, namespace):
        """The key, in its namespace, or the namespace: in the server's own words about that name."""
        error = refused(errors.KeyNotFound, "there is no", 404, said(404, "no 'k' here"), names=names)
        assert (error.args, error.namespace, error.message) == (("k",), namespace, "no 'k' here")
        assert (error.status, error.url) == (404, f"http://h/api/dataStore/{'/'.join(names)}")

    @pytest.mark.parametrize("text", ["no 'app' here", "no k here", "no 'k.json' here", "no 'xk' here"])
    def test_another_name(self, text):
        """A 404 about a namespace, or a name that was cut, is no absence of the key."""
        refused(errors.ServerError, f"another name than the one asked for: {text}", 404, said(404, text))

    def test_a_page(self):
        """A 404 that is not DHIS2's own is no absence of anything."""
        for facts in ({"kind": "text/html"}, {"kind": "application/json"}, {"method": "HEAD", "kind": "text/html"}):
            refused(errors.ServerError, "not come from DHIS2's data store: .*one level down", 404, **facts)
        refused(errors.ServerError, "not come from DHIS2's data store", 404, said(404, "'dataStore'"), names=())

    def test_without_a_body(self):
        """To a HEAD the media type has to do."""
        error = refused(errors.KeyNotFound, "there is no 'k' in namespace 'app'", 404, method="HEAD")
        assert error.message == ""

    @pytest.mark.parametrize(
        ("status", "text", "absent"),
        [
            (404, "Key 'k' not found in namespace 'app'", "k"),
            (404, "Namespace 'app' not found", "app"),
            (404, "Namespace 'apps' not found, nor k", None),
            (404, "", None),
            (405, "Key 'k' not found", None),
            (200, "Key 'k' not found", None),
        ],
    )
    def test_which_of_two_names_is_missing(self, status, text, absent):
        """The key where the server names it, else the namespace, else neither."""
        assert wire.missing(replied(status, said(status, text) if text else ""), "app", "k") == absent


class TestAnswers:
    @pytest.mark.parametrize(
        "facts",
        [
            {"body": "1"},
            {"body": "1", "kind": "application/vnd.dhis2+json"},
            {"body": "1", "status": 203},
            {"method": "HEAD", "kind": "text/html"},
            {"method": "HEAD", "kind": "", "status": 204},
            {"kind": ""},
            {"kind": "", "names": ("app",)},
            {"kind": "application/json", "names": ("app",)},
        ],
        ids=str,
    )
    def test_what_may_be_one(self, facts):
        """JSON, an entry without a value, a namespace that is hidden, and all that comes to a HEAD."""
        reply = replied(**{"status": 200, **facts})
        assert wire.checked(reply) is reply

    @pytest.mark.parametrize(
        "facts",
        [
            {"body": "1", "kind": "text/plain"},
            {"body": "1", "kind": ""},
            {"kind": "application/json"},
            {"kind": "text/html", "names": ("app",)},
            {"kind": "", "status": 204},
            {"kind": "", "status": 201},
            {"kind": "", "method": "PUT"},
            {"kind": "", "method": "DELETE", "names": ("app",)},
        ],
        ids=str,
    )
    def test_what_is_none(self, facts):
        """No type, another type, or nothing where something has to be."""
        with pytest.raises(errors.ServerError, match=r"instead of JSON came|has no Content-Type"):
            wire.checked(replied(**{"status": 200, **facts}))

    @pytest.mark.parametrize(("method", "end"), [("GET", ""), ("PUT", ", and whether it is done is not known")])
    @pytest.mark.parametrize(
        ("body", "kind", "sentence"),
        [
            ("{}", "", "application/json: so must a test double, in its headers"),
            ("<TITLE lang='en'>\n Gate way </title>", "text/html", "instead of JSON came the page 'Gate way'"),
            ("<title>T" + 300 * "t", "text/html", f"instead of JSON came the page 'T{199 * 't'}'"),
            ("1234", "text/plain", "instead of JSON came 4 bytes of text/plain"),
            ("\xff", "text/html", "instead of JSON came 2 bytes of text/html"),
            ("", "", "instead of JSON came 0 bytes of ?"),
        ],
    )
    def test_what_came_instead(self, method, end, body, kind, sentence):
        """The error says what it was; after a write also that it is not known whether it was done."""
        status = 201 if method == "GET" else 200
        error = refused(errors.ServerError, "the reply has|came", status, body, method, kind)
        assert str(error).endswith(f"{sentence}{end} ({method} http://h/api/dataStore/app/k)")

    @pytest.mark.parametrize(
        "page", ["<title>DHIS2 Login</title>", "<INPUT TYPE='password'>", "<input type=password>", "Please log in"]
    )
    def test_a_login_page(self, page):
        """A page that asks for a password means that nobody is signed in."""
        refused(errors.NotAuthenticated, "not signed in: instead of JSON came", 200, page, kind="text/html")

    def test_a_page_in_another_encoding(self):
        """It is shown as far as it can be read."""
        call = wire.call("GET", "dataStore", "app", "k")
        page = b"<title>Acc\xe8s</title>"
        with pytest.raises(errors.ServerError, match="the page 'Acc\ufffds'"):
            wire.checked(wire.Reply(call, "http://h", 200, {"content-type": "text/html"}, page))
