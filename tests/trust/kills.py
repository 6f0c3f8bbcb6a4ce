"""Programs that are killed at random moments: what they were doing, done again, ends in the same."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dhis2kv import Store
from dhis2kv.emulator import Emulator

from .promise import Promise

ACCOUNT = ("admin", "district")
ENTRIES = {f"key{number:03}": {"number": number, "text": "x" * 50} for number in range(300)}


def _environment(url, home):
    sign = {"DHIS2_URL": url, "DHIS2_USERNAME": "admin", "DHIS2_PASSWORD": "district"}
    return os.environ | sign | {"HOME": home, "XDG_CONFIG_HOME": home}


def _killed(command, environment, draw):
    """Run a command and kill it at a random moment; whether it was still running."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(draw.uniform(0.2, 1.2))
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


def writers(row, rounds):
    """``import``, ``copy`` and ``push``, killed and run again, leave what one run leaves."""
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as home, Emulator().serve() as server:
        environment, place = _environment(server.url, home), Path(home)
        dhis2kv = [sys.executable, "-m", "dhis2kv"]
        store = Store(server.url, ACCOUNT)
        store["source"].update(ENTRIES)
        (place / "export.json").write_text(json.dumps({"dhis2kv": 1, "dataStore": {"imported": ENTRIES}}))
        subprocess.run(
            [*dhis2kv, "pull", str(place / "folder"), "source"], env=environment, check=True, capture_output=True
        )
        acts = {
            "imported": [*dhis2kv, "import", "--yes", str(place / "export.json")],
            "copied": [*dhis2kv, "copy", "--yes", "source", "copied"],
            "source": [*dhis2kv, "push", "--yes", str(place / "folder")],
        }
        for turn in range(rounds):
            for name, command in acts.items():
                if name == "source":  # every entry changes here, so that a push has something to do
                    for path in (place / "folder" / "dataStore" / "source").glob("*.json"):
                        path.write_text(json.dumps({"turn": turn, "was": path.stem}))
                else:
                    store[name].clear()
                running = _killed(command, environment, draw)
                again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                wanted = ENTRIES
                if name == "source":
                    wanted = {key: {"turn": turn, "was": key} for key in ENTRIES}
                state = "killed" if running else "done already"
                what = f"{name}, {state}: the next run ends with {again.returncode}: {again.stderr[-200:]}"
                row.check(again.returncode == 0 and store[name].copy() == wanted, what)
            store["source"].update(ENTRIES)
            subprocess.run(
                [*dhis2kv, "pull", str(place / "folder"), "source"], env=environment, check=True, capture_output=True
            )


def servers(row, rounds):
    """What ``serve --db`` has answered with success is there after it was killed."""
    draw = random.Random(2)
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "dhis2kv", "serve", "--port", "0", "--db", str(Path(home) / "db.sqlite")]
        kept = {}
        for turn in range(rounds):
            process = subprocess.Popen(
                command, env=_environment("", home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            url = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
            ns = Store(url.rstrip("/.,"), ACCOUNT, retries=0)["app"]
            row.check(ns.copy() == kept, "what was answered is not there any more")
            end = time.monotonic() + draw.uniform(0.05, 0.5)
            number = 0
            while time.monotonic() < end:
                ns[f"{turn}-{number}"] = number
                kept[f"{turn}-{number}"] = number
                number += 1
            process.kill()
            process.wait()
            process.stdout.close()


def run(long):
    """A row for those who write, and one for the server."""
    rows = [Promise("killed and run again: import, copy, push"), Promise("killed: serve --db")]
    for row, act, rounds in ((rows[0], writers, 12 if long else 2), (rows[1], servers, 20 if long else 4)):
        with row.trial(act.__name__):
            act(row, rounds)
    return rows
