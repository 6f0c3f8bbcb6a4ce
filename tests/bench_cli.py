"""What a command costs: ``python -m tests.bench_cli``.

Prints the CPU time (user and system) of ``dhis2kv get`` against a served emulator as a ratio to that of
``python -c "import requests, click"``. Medians of one run, in which the two take turns, so that a busy machine slows
both; the emulator's own time is not in it. Ends with status 1 when the ratio is over its limit.
"""

import os
import resource
import statistics
import subprocess
import sys

from dhis2kv.emulator import Emulator

TURNS = 21
LIMIT = 2.0

IMPORTS = [sys.executable, "-c", "import requests, click"]
GET = [sys.executable, "-m", "dhis2kv", "get", "app", "cfg"]


def cpu_seconds(command, environment):
    """CPU seconds of one run of a command, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, ran.stdout


def measure():
    """Medians of the CPU seconds of both."""
    emulator = Emulator()
    emulator.put("app", "cfg", {"theme": "dark"})
    with emulator.serve() as server:
        environment = os.environ | {
            "DHIS2_URL": server.url,
            "DHIS2_USERNAME": "admin",
            "DHIS2_PASSWORD": "district",
        }
        imports, gets = [], []
        for _ in range(TURNS):
            imports.append(cpu_seconds(IMPORTS, environment)[0])
            seconds, printed = cpu_seconds(GET, environment)
            assert b"dark" in printed
            gets.append(seconds)
    return statistics.median(imports), statistics.median(gets)


def main():
    imports, get = measure()
    print(f"python -c 'import requests, click'  {imports * 1000:6.0f} ms CPU")
    print(f"dhis2kv get app cfg                 {get * 1000:6.0f} ms CPU")
    print(f"ratio {get / imports:.2f}, limit {LIMIT}")
    sys.exit(get / imports > LIMIT)


if __name__ == "__main__":
    main()
