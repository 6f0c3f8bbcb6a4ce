"""``python -m tests.mutants [room ...] [--only TEXT]``: changes that no test notices, and status 1 where there are any.

Changes that make no difference are listed in ``equivalent.txt``, each with the reason. Takes two hours on two cores;
no part of the gate.
"""

import argparse
import os
import sys
import time
from collections import Counter, defaultdict
from functools import partial

os.environ["CI"] = "1"  # the same examples each time

from tests.figures import table

from .changes import mutants
from .running import ROOT, in_child, run_fresh, run_swapped, tree_of

#: The rooms whose code is changed, and the tests that should notice: their own, and those of what stands on them.
ROOMS = {
    "wire": (
        ["tests/wire"],
        [
            "tests/datastore/test_forging.py",
            "tests/datastore/test_odd_replies.py",
            "tests/datastore/test_search.py",
            "tests/datastore/test_search_law.py",
            "tests/datastore/test_sharing.py",
            "tests/datastore/test_unreadable.py",
            "tests/datastore/test_writing.py",
            "tests/store/test_costs.py",
        ],
    ),
    "transport": (["tests/transport"], ["tests/datastore/test_odd_replies.py", "tests/datastore/test_tokens.py"]),
    "cache": (
        ["tests/cache"],
        ["tests/datastore/test_unreadable.py", "tests/store/test_costs.py", "tests/store/test_reading_machine.py"],
    ),
}
EQUIVALENT = ROOT / "tests" / "mutants" / "equivalent.txt"


def main():
    """Try every change and print what survived, and a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("rooms", nargs="*", help=f"only these: {', '.join(ROOMS)}")
    parser.add_argument("--only", default="", metavar="TEXT", help="only changes whose module and name hold this")
    options = parser.parse_args()
    if unknown := set(options.rooms) - ROOMS.keys():
        parser.error(f"there is no room {', '.join(sorted(unknown))}")
    known, found = equivalent(), defaultdict(Counter)

    def report(module, mutant, end):
        listed = (module, mutant.name) in known
        if end == "survived" and listed:
            end = "equivalent"
        elif end != "killed" or listed:
            print(f"{'listed, but ' * listed}{end} {module}:{mutant.line} {mutant.name}", flush=True)
        return module, end

    began = time.monotonic()
    for room in options.rooms or ROOMS:
        own, others = ROOMS[room]
        modules = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "dhis2kv" / room).glob("*.py"))]
        wanted = {
            (module, number)
            for module in modules
            for number, mutant in enumerate(mutants(tree_of(module)))
            if options.only in f"{module} {mutant.name}"
        }
        # In a child, so that this process never imports what is changed.
        ends, fresh, patience = in_child(partial(run_swapped, wanted, own, others, report))
        for module, end in [*ends, *run_fresh(fresh, own, report, patience)]:
            found[module][end] += 1
    head = ("killed", "hangs", "equivalent", "survived")
    rows = [(module, *(str(counts[end]) for end in head)) for module, counts in found.items()]
    total = [str(sum(counts[end] for counts in found.values())) for end in head]
    print(table(("module", *head), [*rows, ("all", *total)]))
    print(f"{(time.monotonic() - began) / 60:.0f} minutes")
    sys.exit(any(counts["survived"] for counts in found.values()))


def equivalent():
    """The changes that make no difference: module and name of each."""
    listed, module = set(), ""
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("dhis2kv/"):
            module = line
        elif line.startswith("    ") and " -> " in line:
            listed.add((module, line.strip()))
    return listed


if __name__ == "__main__":
    main()
