"""What snapshots cost: how a diff grows with what is compared, and the memory of commands with the entries.

Each command runs in a process of its own against served emulators; its memory is the peak of that process. With a
number, ``python -m tests.bench.snapshots 100000``, the commands are measured with so many entries.
"""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from dhis2kv import snapshot
from dhis2kv.emulator import Emulator

from .measuring import Row, Skipped, seconds, time_of

FEW, MANY = 1_000, 10_000


def rows(many=MANY):
    """A row for the diff, and one for each command."""
    quick, slow = (_diff_seconds(records) for records in (2_000, 8_000))
    yield Row("diff of 8,000 records", time_of(slow), f"of 2,000 {time_of(quick)}", slow / quick, 8)
    few, most = _costs(FEW), _costs(many)
    for command, (spent, peak) in most.items():
        figure = f"{peak / 1e6:.0f} MB, {time_of(spent)}"
        against = f"of {FEW:,} {few[command][1] / 1e6:.0f} MB"
        yield Row(f"{command} of {many:,} entries", figure, against, peak / few[command][1], 2 * many / MANY)


def _record(number):
    """A value such as apps keep: some 300 bytes."""
    return {
        "id": f"record-{number:07}",
        "name": f"Facility number {number} of the district",
        "opened": "2019-04-01",
        "coordinates": [number % 180 + 0.125, number % 90 + 0.25],
        "tags": ["clinic", "rural", f"group-{number % 17}"],
        "contact": {"email": f"f{number}@example.org", "phone": "+000 00 000 000"},
        "active": number % 3 == 0,
    }


def _diff_seconds(records):
    """How long it takes to compare one value of so many records, of which a tenth has changed."""
    one = [_record(number) for number in range(records)]
    other = [dict(item) for item in one]
    for number in random.Random(records).sample(range(records), records // 10):
        other[number]["active"] = "changed"
    sides = [{"v": snapshot.Entry("app", "v", value)} for value in (one, other)]
    return seconds(lambda: list(snapshot.diff(*sides)))


# A process's own figure for its peak is that of the one it was forked from, if that was larger; this is not.
COMMAND = """
import atexit, re, sys
peak = sys.argv.pop(1)
def note():
    with open("/proc/self/status") as status, open(peak, "w") as file:
        file.write(re.search(r"VmHWM:\\s*(\\d+) kB", status.read())[1])
atexit.register(note)
from dhis2kv.cli import main
main()
"""


def _measured(url, home, command):
    """Seconds, and peak memory in bytes, of a command."""
    if not Path("/proc/self/status").exists():
        raise Skipped("the peak of a process is read from /proc")
    environment = {**os.environ, "DHIS2_URL": url, "DHIS2_USERNAME": "admin", "DHIS2_PASSWORD": "district"}
    words = [sys.executable, "-c", COMMAND, "peak", *command.split()]
    spent = seconds(lambda: subprocess.run(words, cwd=home, env=environment, stderr=subprocess.DEVNULL, check=True))
    return spent, int((Path(home) / "peak").read_text()) * 1024


def _costs(entries):
    """What each command costs with so many entries."""
    source = Emulator("2.44")
    source.load({"app": {f"key-{number:07}": _record(number) for number in range(entries)}})
    found = {}
    with tempfile.TemporaryDirectory() as home, source.serve() as server:
        (Path(home) / ".config").mkdir()
        found["export"] = _measured(server.url, home, "export --output x.json")
        found["pull"] = _measured(server.url, home, "pull config")
        found["status"] = _measured(server.url, home, "status config")
        for command in ("import x.json", "push config --to-other-server"):
            with Emulator("2.44").serve() as empty:
                found[command.split()[0]] = _measured(empty.url, home, command)
    return found


if __name__ == "__main__":
    for row in rows(int(sys.argv[1])):
        print(*row[:4], sep="   ", flush=True)
