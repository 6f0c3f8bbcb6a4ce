"""``python -m tests.trust [--long] [--live URL]``: a table of promises, and status 1 where one was broken.

The short form takes less than five minutes on two cores. ``--live`` tries names, values and secrets in a namespace of
its own on a real server, whose account the environment names, and leaves nothing there.
"""

import argparse
import logging
import platform
import sys
import time

from dhis2kv import __version__

from . import access, faults, hostile, kills, live, secrets, together, traps, ways

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
    print(table(rows))
    minutes = (time.monotonic() - began) / 60
    print(
        f"dhis2kv {__version__}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}, {minutes:.1f} minutes"
    )
    sys.exit(any(row.broken for row in rows))


def table(rows):
    """The rows as a table of reStructuredText."""
    lines = [("promise", "tried", "broken"), *((row.name, f"{row.tried:,}", f"{row.broken:,}") for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = " ".join("=" * width for width in widths)
    text = [f"{name:{widths[0]}} {tried:>{widths[1]}} {broken:>{widths[2]}}" for name, tried, broken in lines]
    return "\n".join([rule, text[0], rule, *text[1:], rule])


if __name__ == "__main__":
    main()
