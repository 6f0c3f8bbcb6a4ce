"""The entries query: the recorded replies of real servers, and facts of the SQL that the server makes of a query."""

import json
import re
import tracemalloc
from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from dhis2kv.emulator.entries import Query, QueryError
from dhis2kv.emulator.jsonb import to_jsonb
from dhis2kv.emulator.profiles import PROFILES

RECORDINGS = Path(__file__).parents[1] / "recordings"
# Texts of Java and of the database differ from build to build, and are masked wherever recordings are compared.
FOREIGN = re.compile(r"ERROR: |java\.|For input string")


def params(query):
    """The decoded pairs of a query string."""
    pairs = (part.partition("=") for part in query.split("&"))
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def ask(rows, query, version="2.42"):
    """The parsed reply to a query over entries given as JSON texts (None: SQL NULL) by key."""
    return json.loads(raw(rows, query, version))


def raw(rows, query, version="2.42"):
    stored = sorted((key, None if text is None else to_jsonb(text)) for key, text in rows.items())
    return Query.parse(params(query), PROFILES[version]).answer(iter(stored)).decode()


def keys(rows, query, version="2.42"):
    return [entry["key"] for entry in ask(rows, f"fields=&headless=true&{query}", version)]


def refusal(query, version="2.42", rows=()):
    with pytest.raises(QueryError) as caught:
        raw(dict(rows), query, version)
    return caught.value.status, caught.value.message, caught.value.error_code


CONVERSATIONS = [
    (name, version)
    for name in ("global-query-fields", "global-query-filters", "user-query-fields", "user-order-of-keys")
    for version, profile in PROFILES.items()
    if (profile.user_entries_query if name.startswith("user") else profile.entries_query)
]


@pytest.mark.parametrize(("name", "version"), CONVERSATIONS)
def test_recorded_queries_are_answered_as_recorded(name, version):
    """Every recorded query over entries that were written in the same conversation gets the recorded reply."""
    rows, asked = {}, 0
    for exchange in json.loads((RECORDINGS / f"{name}.json").read_text())["exchanges"]:
        request = exchange["request"]
        path, _, query = request["target"].partition("?")
        key = unquote_plus(path.split("/")[-1])
        if request["method"] == "POST":
            rows[key] = request["body"]
        if request["method"] != "GET" or not re.match("fields", query):
            continue
        wanted = next(reply for reply in exchange["replies"] if version in reply["servers"])
        asked += 1
        try:
            status, body = 200, raw(rows if key != "none" else {}, query, version)
        except QueryError as error:
            status, body = error.status, error
        assert status == wanted["status"], query
        if status == 200:
            assert body == wanted["body"], query
            continue
        reply = json.loads(wanted["body"])
        assert body.error_code == reply.get("errorCode"), query
        if not FOREIGN.search(reply["message"]):
            assert body.message == reply["message"], query
    assert asked >= 3
