"""Commands that are killed at any moment and run again end as if nothing had happened."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import deque

import pytest

from dhis2kv.emulator import Emulator
from tests.conftest import connect
from tests.snapshot.conftest import entries

KILLS = 2  # of each command
SECRETS = [f"s{number}" for number in range(4)]


class Deadly(deque):
    """A log of requests that kills the process that sent the one with a certain number."""

    def __init__(self, number, signal=signal.SIGKILL):
        super().__init__(maxlen=0)
        self.left, self.process, self.signal = number, None, signal

    def append(self, record):
        self.left -= 1
        if self.left == 0 and self.process:
            os.kill(self.process.pid, self.signal)


@pytest.fixture
def served():
    emulator = Emulator("2.44")
    with emulator.serve() as server:
        emulator.url = server.url
        yield emulator


@pytest.fixture
def other():
    emulator = Emulator("2.44")
    with emulator.serve() as server:
        emulator.url = server.url
        yield emulator


def start(url, home, command):
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "DHIS2_URL": url,
        "DHIS2_USERNAME": "admin",
        "DHIS2_PASSWORD": "district",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "dhis2kv", *command.split()],
        # What a shell starts in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(url, home, command):
    process = start(url, home, command)
    said, _ = process.communicate()
    assert process.returncode == 0, said


def kill(emulator, url, home, command, number):
    """Run a command that is killed when it has asked this emulator so often."""
    emulator.log = Deadly(number)
    process = emulator.log.process = start(url, home, command)
    process.communicate()
    emulator.log = deque(maxlen=0)


def old():
    """What a server holds before, to be updated, deleted and left alone."""
    return {"app": {f"k{number:02}": {"old": number} for number in range(12)}, "zoo": {"same": [1], "more": 1}}


def new():
    held = {"app": {f"k{number:02}": {"new": number} for number in range(4, 20)}, "zoo": {"same": [1]}}
    held["app"] |= {f"s{number}": f"secret {number}" for number in range(4)}
    return held


def fill(emulator):
    emulator.reset()
    emulator.load(old())
    emulator.load({"app": {"s0": "old secret", "s1": "secret 1"}}, encrypted=True)


def wanted(emulator):
    emulator.reset()
    emulator.load(
        {
            name: {key: value for key, value in held.items() if key[0] != "s" or name == "zoo"}
            for name, held in new().items()
        }
    )
    emulator.load({"app": {f"s{number}": f"secret {number}" for number in range(4)}}, encrypted=True)
    found = entries(connect(emulator))
    assert sum(bool(entry.encrypted) for entry in found.values()) == 4
    return found


def check(emulator, url, home, command, end, prepare):
    """Kill the command when it has asked the emulator that it changes so often, and see that it then ends the same."""
    prepare()
    emulator.log = deque()
    run(url, home, command)
    total = len(emulator.log)
    assert entries(connect(emulator)) == end
    for number in random.Random().sample(range(1, total), KILLS):
        emulator.log = deque(maxlen=0)
        prepare()
        kill(emulator, url, home, command, number)
        run(url, home, command)
        assert entries(connect(emulator)) == end, f"killed at request {number} of {total}"


def test_import_survives_kills(served, tmp_path):
    """import --mode replace."""
    end = wanted(served)
    marks = {"dataStore": {"app": SECRETS}}
    (tmp_path / "x.json").write_text(json.dumps({"dhis2kv": 1, "dataStore": new(), "encrypted": marks}))
    check(served, served.url, tmp_path, "import x.json --mode replace --yes", end, lambda: fill(served))


def test_copy_survives_kills(served, other, tmp_path):
    """copy --mode replace, from another server."""
    end = {place: entry for place, entry in wanted(served).items() if place[0] == "app"}
    wanted(other)
    profiles = tmp_path / ".config" / "dhis2kv" / "profiles.toml"
    profiles.parent.mkdir(parents=True)
    profiles.write_text(f'[profiles.to]\nbase_url = "{served.url}"\nusername = "admin"\npassword = "district"\n')
    profiles.chmod(0o600)

    def prepare():
        served.reset()
        served.load({"app": old()["app"]})
        served.load({"app": {"s0": "old secret"}}, encrypted=True)

    check(served, other.url, tmp_path, "copy app --to-profile to --mode replace --yes", end, prepare)


def test_push_survives_kills(served, tmp_path):
    """push --delete, of encrypted entries, too: they are deleted and created anew, and may be gone in between."""
    end = wanted(served)

    def prepare():
        fill(served)
        run(served.url, tmp_path, "pull config --secrets --force")
        place = tmp_path / "config" / "dataStore"
        for name, held in new().items():
            for key in old()[name].keys() - held.keys():
                (place / name / f"{key}.json").unlink()
            for key, value in held.items():
                (place / name / f"{key}.json").write_text(json.dumps(value))
        (place / "app" / ".dhis2kv.json").write_text(json.dumps({"encrypted": SECRETS}))

    check(served, served.url, tmp_path, "push config --delete --yes", end, prepare)
    run(served.url, tmp_path, "status config")
    assert sorted(path.name for path in (tmp_path / "config" / ".dhis2kv").iterdir()) == ["dataStore", "server.json"]


def test_an_interrupt_says_how_far_it_came(served, tmp_path):
    """Ctrl-C in the midst of an import ends it with a sentence; run again, it ends as if nothing had happened."""
    held = {"app": {f"k{number:03}": number for number in range(200)}}
    (tmp_path / "x.json").write_text(json.dumps({"dhis2kv": 1, "dataStore": held}))
    served.log = Deadly(50, signal.SIGINT)
    process = served.log.process = start(served.url, tmp_path, "import x.json")
    said, _ = process.communicate()
    assert process.returncode == 1
    done = int(re.search(f"Interrupted: ([0-9]+) of 200 changes on {served.url} are made. Run it again", said)[1])
    assert 0 < done < 200
    served.log = deque(maxlen=0)
    run(served.url, tmp_path, "import x.json")
    assert connect(served)["app"] == held["app"]
