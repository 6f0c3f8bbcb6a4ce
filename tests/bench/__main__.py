"""``python -m tests.bench``: measures everything, prints one table, and writes the README's figures from it.

With names of parts (``python -m tests.bench cached values``) it measures those and writes nothing.
"""

import platform
import sys
from pathlib import Path

from tests.figures import table, write

from . import cached, command, emulated, peers, snapshots, uncached, values, writing
from .measuring import Row, Skipped

PLOT = Path(__file__).with_name("peers.svg")
PARTS = {
    "uncached": uncached.rows,
    "cached": cached.rows,
    "values": values.rows,
    "writing": writing.rows,
    "command": command.rows,
    "snapshots": snapshots.rows,
    "emulated": emulated.rows,
    "peers": lambda: peers.rows(PLOT),
}
HEAD = ("what", "measured", "against", "ratio", "goal")


def measured(parts):
    """The rows of these parts, printed as they come."""
    for part in parts:
        try:
            for row in PARTS[part]():
                print("  ".join(_cells(row)), flush=True)
                yield row
        except Skipped as reason:
            yield Row(part, f"skipped: {reason}")


def _cells(row):
    bound = "" if row.goal is None else f"{'at least' if row.least else 'at most'} {row.goal:g}"
    return row.what, row.figure, row.against, "" if row.ratio is None else f"{row.ratio:.2f}", bound


def main(parts):
    if unknown := set(parts) - PARTS.keys():
        sys.exit(f"there is no part {', '.join(sorted(unknown))}: {', '.join(PARTS)}")
    rows = list(measured(parts or PARTS))
    text = table(HEAD, map(_cells, rows))
    print(f"\n{text}")
    if not parts:
        machine = f"Python {platform.python_version()}, {platform.system()} on {platform.machine()}"
        write("figures", f"Measured with {machine}.", text)
    missed = [row for row in rows if row.goal is not None and (row.ratio < row.goal) == row.least]
    if missed:
        sys.exit("missed: " + "; ".join(row.what for row in missed))


if __name__ == "__main__":
    main(sys.argv[1:])
