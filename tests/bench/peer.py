"""One peer reads a namespace several times; prints how often and the median of the seconds: ``peer.py NAME URL N``.

Runs in the environment of the peers, and so imports nothing of the tests.
"""

import asyncio
import importlib.util
import json
import statistics
import sys
import time

ACCOUNT = ("admin", "district")
READS = 3


def names(number):
    """The keys of the namespace."""
    return [f"key{key:04}" for key in range(number)]


def dhis2kv(url, number):
    from dhis2kv import Store

    namespace = Store(url, ACCOUNT)["app"]
    return namespace.copy


def bare_requests(url, number):
    import requests

    session = requests.Session()
    session.auth = ACCOUNT
    return lambda: {key: session.get(f"{url}/api/dataStore/app/{key}", timeout=30).json() for key in names(number)}


def bare_httpx(url, number):
    import httpx

    client = httpx.Client(auth=ACCOUNT)
    return lambda: {key: client.get(f"{url}/api/dataStore/app/{key}").json() for key in names(number)}


def dhis2_client(url, number):
    from dhis2_client import DHIS2Client

    client = DHIS2Client(url, username=ACCOUNT[0], password=ACCOUNT[1])
    return lambda: {key: client.get(f"/api/dataStore/app/{key}") for key in names(number)}


def dhis2_py(url, number):
    from dhis2 import Api

    api = Api(url, *ACCOUNT)
    return lambda: {key: api.get(f"dataStore/app/{key}").json() for key in names(number)}


def openhexa_toolbox(url, number):
    from openhexa.toolbox.dhis2 import DHIS2

    api = DHIS2(url=url, username=ACCOUNT[0], password=ACCOUNT[1]).api
    return lambda: {key: api.get(f"dataStore/app/{key}") for key in names(number)}


def dhis2w_client(url, number):
    from dhis2w_client import BasicAuth, Dhis2Client

    loop = asyncio.new_event_loop()
    client = Dhis2Client(url, BasicAuth(username=ACCOUNT[0], password=ACCOUNT[1]))
    loop.run_until_complete(client.connect())

    async def read():
        return {key: await client.datastore.get("app", key) for key in names(number)}

    return lambda: loop.run_until_complete(read())


PEERS = {
    "dhis2kv": (dhis2kv, "dhis2kv"),
    "requests": (bare_requests, "requests"),
    "httpx": (bare_httpx, "httpx"),
    "dhis2w-client": (dhis2w_client, "dhis2w_client"),
    "dhis2-client": (dhis2_client, "dhis2_client"),
    "dhis2.py": (dhis2_py, "dhis2"),
    "openhexa.toolbox": (openhexa_toolbox, "openhexa"),
}


def main(name, url, number):
    read = PEERS[name][0](url, int(number))
    times = []
    for _ in range(READS):
        start = time.perf_counter()
        found = read()
        times.append(time.perf_counter() - start)
        if len(found) != int(number):
            raise ValueError(f"{name} has read {len(found)} keys of {number}")
    print(json.dumps([READS, statistics.median(times)]))


if __name__ == "__main__":
    if sys.argv[1] == "list":
        print(*(name for name, (_, module) in PEERS.items() if importlib.util.find_spec(module)), sep="\n")
    else:
        main(*sys.argv[1:])
