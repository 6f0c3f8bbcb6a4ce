"""Reads without a cache: instructions of one, and bulk reads against bare requests."""

import json

import requests

from dhis2kv import Store

from . import servers
from .measuring import Row, Skipped, compared, in_turns, instructions

BODY = b'{"theme": "dark", "limits": [1, 2, 3]}'
HEADERS = {"Accept": "application/json", "X-Requested-With": "XMLHttpRequest"}
ACCOUNT = ("admin", "district")
VALUE = {"theme": "dark", "limits": [1, 2, 3], "title": "Overview"}

PROGRAMS = {
    'store["app"]["k"]': """
from dhis2kv import Store
namespace = Store(url, ("admin", "district"))["app"]
def act(): return namespace["k"]
""",
    "http.client": """
import http.client, base64, json
from urllib.parse import urlsplit
connection = http.client.HTTPConnection(urlsplit(url).netloc)
sign = {"Authorization": "Basic " + base64.b64encode(b"admin:district").decode(), "Accept": "application/json"}
def act():
    connection.request("GET", "/api/dataStore/app/k", headers=sign)
    return json.loads(connection.getresponse().read())
""",
    "urllib3": """
import urllib3
pool = urllib3.PoolManager()
sign = urllib3.make_headers(basic_auth="admin:district") | {"Accept": "application/json"}
def act(): return pool.request("GET", url + "/api/dataStore/app/k", headers=sign).json()
""",
    "requests.Session.get": """
import requests
session = requests.Session()
headers = {"Accept": "application/json"}
def act():
    return session.get(url + "/api/dataStore/app/k", auth=("admin", "district"), headers=headers, timeout=30).json()
""",
}
LOOP = "\nimport sys\nfor _ in range(int(sys.argv[1])): act()\n"


def rows():
    """Rows about one read, and about bulk reads."""
    with servers.static(BODY) as url:
        namespace, bare = Store(url, ACCOUNT)["app"], _bare(url, "k")
        if bare() != namespace["k"]:
            raise ValueError("the two do not read the same")
        yield compared("read, uncached", "requests", lambda: namespace["k"], bare, 0.9, rounds=60, calls=25)
        try:
            yield from _counted(url)
        except Skipped as reason:
            yield Row("read, uncached: instructions", str(reason))
    for keys in (1_000, 100_000):
        answer = [{"key": f"key{number:06}", "value": VALUE} for number in range(keys)]
        with servers.static(json.dumps(answer, separators=(",", ":")).encode()) as url:
            namespace, bare = Store(url, ACCOUNT)["app"], _bare(url, "")
            if len(namespace.copy()) != keys:
                raise ValueError("a bulk read has lost something")
            yield _bulk(keys, namespace, bare)


def _bare(url, key):
    session = requests.Session()

    def get():
        return session.get(f"{url}/api/dataStore/app/{key}", auth=ACCOUNT, headers=HEADERS, timeout=30).json()

    return get


def _bulk(keys, namespace, bare):
    ours, theirs, ratio = in_turns(namespace.copy, bare, rounds=15 if keys < 10_000 else 5, calls=1)
    each = f"{ours / keys * 1e6:.2f} us a key"
    return Row(f"copy() of {keys:,} entries", each, f"requests.get().json() {theirs / keys * 1e6:.2f} us", ratio, 1.25)


def _counted(url):
    ours, *others = ((name, instructions(f"url = {url!r}\n{code}{LOOP}")) for name, code in PROGRAMS.items())
    for name, count in others:
        figure, against = f"{ours[1] / 1e3:,.0f} k instructions", f"{name} {count / 1e3:,.0f} k"
        yield Row("read, uncached: instructions", figure, against, ours[1] / count)
