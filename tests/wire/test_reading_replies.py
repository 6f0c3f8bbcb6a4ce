"""Replies: whether a body is all of it, and what it says in DHIS2's envelope or without."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhis2kv import errors, wire

from .test_replies import replied, said
from .test_values import text, values


def uncounted(body, method="GET"):
    """A reply whose body nothing counts."""
    return wire.Reply(wire.call(method, "dataStore", "app", "k"), "http://h/k", 200, body=body, counted=False)


class TestWhole:
    @given(
        st.lists(values) | st.dictionaries(text, values) | text,
        st.sampled_from([None, 1]),
        st.sampled_from(["", " ", "\r\n", "\t\n"]),
        st.data(),
    )
    def test_what_closes_itself_is_whole(self, value, indent, space, data):
        """An object, a list or a text is certain to be all there; no beginning of it is, nor it with more behind."""
        whole = json.dumps(value, indent=indent, ensure_ascii=False).encode()
        assert uncounted(space.encode() + whole + space.encode()).whole is True
        end = data.draw(st.integers(0, len(whole) - 1))
        assert uncounted(whole[:end]).whole is False
        for more in (b",", b"X", b"]", b'"', b"[]", b" 1"):
            assert uncounted(whole + more).whole is False

    @pytest.mark.parametrize(
        ("body", "whole"),
        [
            *[
                (body, True)
                for body in ("{}", "[]", '""', '"a{["', '"\\\\"', '"a\\"b"', '[{"a":["]"]},{}]', " \t[1]\r\n")
            ],
            *[
                (body, False)
                for body in ("[1][2]", '""""', '"a"b"', '"a', '"a\\"', '{"a":"}', "[[1]", "[]]", "{}X", "X{}")
            ],
            *[(body, False) for body in ("", " ", "1", "true", "[", "{", '"', "]", "[]{", '[]"', '"[]', '{}"a"')],
        ],
    )
    def test_how_a_body_ends(self, body, whole):
        """By the bracket or quote that closes what began it; brackets in a text, and escaped quotes, close nothing."""
        assert uncounted(body.encode()).whole is whole

    @given(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False))
    def test_what_does_not_close_itself_is_not(self, value):
        """A number may go on, and a word is not looked at: neither is certain, and nothing at all least."""
        assert uncounted(json.dumps(value).encode()).whole is False
        assert uncounted(b"").whole is False

    @pytest.mark.parametrize(
        "body", [b"[" * 100_000 + b"]" * 100_000, b"[" + b"9" * 9000 + b"]", b"[\xff]", b"[\\n]", b'{"a" "\\\n"}']
    )
    def test_more_than_a_parser_takes(self, body):
        """Only brackets and quotes count, so that a value is whole which is too deep or too long to be parsed."""
        assert uncounted(body).whole
        assert uncounted(bytearray(body)).whole

    @pytest.mark.parametrize("body", [b"", b"1", b"[", b"<html>", b"[1]"])
    def test_what_is_counted_is_whole(self, body):
        """By its length or its chunks: whatever it is."""
        assert replied(200, body.decode()).whole is True


class TestSaying:
    @pytest.mark.parametrize(
        ("header", "kind"),
        [
            ("application/json", "application/json"),
            ("application/json;charset=UTF-8", "application/json"),
            (" Application/JSON ; charset=UTF-8; x=y", "application/json"),
            ("", ""),
        ],
    )
    def test_the_media_type(self, header, kind):
        """Without parameters, whatever the spelling."""
        assert replied(200, kind=header).media_type == kind

    def test_what_is_not_told_is_nothing(self):
        """A reply of which only the status is known."""
        reply = wire.Reply(wire.call("GET", "dataStore"), "http://h/api/dataStore", 200)
        assert (reply.headers, reply.body, reply.media_type, reply.text) == ({}, b"", "", "")
        assert (reply.unsure, reply.counted, reply.anonymous, reply.may_have_acted) == (False, True, False, False)
        with pytest.raises(AttributeError, match="cannot assign"):
            reply.status = 404

    def test_a_body_that_is_read(self):
        """As text, as a value, as names and as an object."""
        assert replied(200, '"é"').text == '"é"'
        assert replied(200, '{"a":1.5}').json() == replied(200, '{"a":1.5}').members() == {"a": 1.5}
        assert replied(200, '["a","é"]').names() == ["a", "é"]
        assert replied(200, "[]").names() == []
        assert replied(200, "{}").members() == {}

    @pytest.mark.parametrize(
        ("read", "body", "sentence"),
        [
            *[(read, b'"\xff"', "is not UTF-8 text") for read in ("text", "json", "names", "members")],
            *[("json", body, "is not JSON that can be read") for body in (b"", b"[1", b"NaN", b"words")],
            *[("names", body, "is not a list of names") for body in (b'{"a":1}', b'"app"', b"null", b'["a",1]', b"7")],
            *[("members", body, "is not an object") for body in (b"[]", b'"a"', b"null", b'[["a",1]]')],
        ],
    )
    def test_a_body_that_is_something_else(self, read, body, sentence):
        """It is an error of the server that says what was asked, and where."""
        reply = wire.Reply(wire.call("GET", "dataStore", "app"), "http://h/api/dataStore/app", 200, body=body)
        with pytest.raises(errors.ServerError, match=rf"{sentence}.* \(GET http://h/api/dataStore/app\)$") as caught:
            getattr(reply, read)() if read != "text" else reply.text
        error = caught.value
        assert (error.method, error.url, error.status, error.sent) == ("GET", reply.url, 200, False)

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({}, "no"),
            ({"kind": "application/json;charset=UTF-8"}, "no"),
            ({"kind": "text/html"}, ""),
            ({"kind": ""}, ""),
            ({"method": "HEAD"}, ""),
            ({"status": 404}, ""),
            ({"body": "[]"}, ""),
            ({"body": "nothing"}, ""),
            ({"body": '{"message": "no"}'}, ""),
            ({"body": '{"httpStatusCode": 409}'}, ""),
            ({"body": '{"httpStatusCode": 409, "message": {"a": 1}}'}, ""),
            ({"body": '{"httpStatusCode": 409, "message": null}'}, ""),
        ],
        ids=str,
    )
    def test_the_message_of_dhis2(self, changed, message):
        """It is one in JSON that repeats the status; whatever else came says nothing, a stored value above all."""
        reply = replied(**{"status": 409, "body": said(409, "no"), **changed})
        assert reply.message == message
        assert isinstance(reply.web_message, dict)
