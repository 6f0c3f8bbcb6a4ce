"""The emulator in process, against ``responses`` with a callback that keeps values in a dict."""

import json
import re

import requests
import responses

from dhis2kv.emulator import Emulator

from .measuring import compared

URL = "http://dhis2.test/api/dataStore/app/k"
SIGN = ("admin", "district")


def rows():
    """One row: to set and to get a value, by bare requests."""
    session = Emulator().session()
    kept = {}

    def put(request):
        kept[request.path_url] = request.body
        return 200, {}, json.dumps({"httpStatusCode": 200, "status": "OK"})

    def get(request):
        return 200, {}, kept[request.path_url]

    with responses.RequestsMock() as mocked:
        mocked.add_callback(responses.PUT, re.compile("http://dhis2.test/.*"), put, content_type="application/json")
        mocked.add_callback(responses.GET, re.compile("http://dhis2.test/.*"), get, content_type="application/json")
        bare = requests.Session()
        yield compared("the emulator: set and get", "responses", lambda: _twice(session), lambda: _twice(bare), 1.5)


def _twice(session):
    session.put(URL, json={"theme": "dark"}, auth=SIGN, timeout=30)
    return session.get(URL, auth=SIGN, timeout=30).json()
