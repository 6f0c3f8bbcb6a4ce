"""``python -m tests.trust [--long] [--live URL]``: a table of promises, and status 1 where one was broken.

The short form takes less than five minutes on two cores. A run of all parts writes its table into the README.
``--live`` tries names, values and secrets in a namespace of its own on a real server, whose account the environment
names, and leaves nothing there.
"""

import argparse
import logging
import platform
import sys
import time

from dhis2kv import __version__
from tests.figures import table, write

from . import access, faults, hostile, kills, live, secrets, together, traps, ways

HEAD = ("promise", "tried", "broken")
PARTS = {
    "traps": traps.run,
    "ways": ways.run,
    "faults": faults.run,
    "access": access.run,
    "together": together.run,
    "secrets": secrets.run,
    "hostile": hostile.run,
    "kills": kills.run,
}


def main():
    """Try everything and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", help=f"only these: {', '.join(PARTS)}")
    parser.add_argument("--long", action="store_true", help="some ten times as often")
    parser.add_argument("--live", metavar="URL", help="a real server besides; its account is in the environment")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    logging.getLogger("dhis2kv").addHandler(logging.NullHandler())
    logging.getLogger("dhis2kv").propagate = False  # thousands of warnings about faults that are meant
    rows, began = [], time.monotonic()
    acts = [PARTS[name] for name in options.parts or PARTS]
    if options.live:
        acts.append(lambda long: live.run(options.live, long))
    for act in acts:
        for row in act(options.long):
            print(f"{row.broken:7} of {row.tried:9,}  {row.name}", flush=True)
            for what in row.seen:
                print(f"                     {what}", flush=True)
            rows.append(row)
    python, minutes = f"Python {platform.python_version()}", (time.monotonic() - began) / 60
    when = f"dhis2kv {__version__}, {python}, {time.strftime('%Y-%m-%d')}, {minutes:.0f} minutes"
    text = table(HEAD, [(row.name, f"{row.tried:,}", f"{row.broken:,}") for row in rows])
    print(f"{text}\n{when}")
    if not options.parts:
        write("promises", f"The last {'long' if options.long else 'short'} run: {when}.", text)
    sys.exit(any(row.broken for row in rows))


if __name__ == "__main__":
    main()
