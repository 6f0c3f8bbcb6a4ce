"""How things are measured: calls that take turns, and instructions that are counted."""

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
ROUNDS = 15
SECONDS = 0.02  # that one round takes of each


class Row(NamedTuple):
    """One line of the table: what was measured, the figure, what it is set against, and the goal for the ratio."""

    what: str
    figure: str
    against: str = ""
    ratio: float | None = None
    goal: float | None = None
    least: bool = False  # the goal is a lower bound


class Skipped(Exception):
    """Something cannot be measured here; the text says why."""


def seconds(act, calls=1):
    """How long one of so many calls takes."""
    start = time.perf_counter()
    for _ in range(calls):
        act()
    return (time.perf_counter() - start) / calls


def in_turns(ours, other, *, rounds=ROUNDS, calls=None):
    """Medians of the seconds that one call of each takes, and the median of their ratios; the two take turns."""
    for act in (ours, other):
        act()
    if calls is None:
        calls = max(1, int(SECONDS / max(seconds(other, 3), 1e-9)))
    times = [(seconds(ours, calls), seconds(other, calls)) for _ in range(rounds)]
    our_median, other_median = map(statistics.median, zip(*times, strict=True))
    return our_median, other_median, statistics.median(one / two for one, two in times)


def time_of(duration):
    """Seconds, in a unit that can be read."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if duration * factor >= 1:
            return f"{duration * factor:.3g} {unit}"
    return f"{duration * 1e9:.3g} ns"


def compared(what, name, ours, other, goal=None, **options):
    """A row about two acts that take turns."""
    mine, theirs, ratio = in_turns(ours, other, **options)
    return Row(what, time_of(mine), f"{name} {time_of(theirs)}", ratio, goal)


def instructions(code, calls=(20, 120)):
    """Instructions of one call, counted by valgrind: ``code`` is a program that is given the number of calls.

    The difference of two runs, so that what it takes to start is not in it.
    """
    if not shutil.which("valgrind"):
        raise Skipped("valgrind is not installed: apt-get install valgrind")
    # What has to be compiled once is compiled, and written where it will be looked for.
    subprocess.run([sys.executable, "-c", code, "1"], env=ENVIRONMENT, cwd=ROOT, check=True)
    found = [_counted(code, number) for number in calls]
    return (found[1] - found[0]) / (calls[1] - calls[0])


def _counted(code, calls):
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={folder}/out",
            "--log-file=" + folder + "/log",
        ]
        subprocess.run([*command, sys.executable, "-c", code, str(calls)], env=ENVIRONMENT, cwd=ROOT, check=True)
        log = (Path(folder) / "log").read_text(encoding="utf-8")
    return int(re.search(r"Collected : (\d+)", log)[1])
