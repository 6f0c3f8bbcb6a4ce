"""What a command costs: CPU time of ``dhis2kv get`` against that of importing the libraries that it stands on."""

import os
import resource
import statistics
import subprocess
import sys

from dhis2kv.emulator import Emulator

from .measuring import Row

TURNS = 11
IMPORTS = [sys.executable, "-c", "import requests, click"]
GET = [sys.executable, "-m", "dhis2kv", "get", "app", "cfg"]


def rows():
    """One row; the two take turns, so that a busy machine slows both, and the emulator's own time is not in it."""
    emulator = Emulator()
    emulator.put("app", "cfg", {"theme": "dark"})
    with emulator.serve() as server:
        sign = {"DHIS2_URL": server.url, "DHIS2_USERNAME": "admin", "DHIS2_PASSWORD": "district"}
        imports, gets = [], []
        for _ in range(TURNS):
            imports.append(_cpu_seconds(IMPORTS, os.environ | sign)[0])
            spent, printed = _cpu_seconds(GET, os.environ | sign)
            if b"dark" not in printed:
                raise ValueError("the command did not print the value")
            gets.append(spent)
    ours, other = statistics.median(gets), statistics.median(imports)
    figure, against = f"{ours * 1e3:.0f} ms CPU", f"importing requests and click {other * 1e3:.0f} ms CPU"
    yield Row("dhis2kv get app cfg", figure, against, ours / other, 2)


def _cpu_seconds(command, environment):
    """CPU seconds of one run of a command, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, ran.stdout
