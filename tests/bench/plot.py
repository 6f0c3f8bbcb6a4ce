"""Draws requests and time against the number of keys: ``plot.py FILE``, with the figures as JSON on standard input.

Runs in the environment of the peers, and so imports nothing of the tests.
"""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "dhis2kv", "font.size": 9})

from matplotlib import pyplot  # noqa: E402 - after it was told what to draw with


def main(path):
    keys, found = json.load(sys.stdin)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for peer, figures in found.items():
        ours = peer == "dhis2kv"
        style = {"color": "#c2410c", "linewidth": 2.5, "zorder": 3} if ours else {"linewidth": 1, "alpha": 0.8}
        requests, seconds = zip(*figures, strict=True)
        left.plot(keys, requests, marker="o", markersize=3, label=peer, **style)
        right.plot(keys, [one * 1e3 for one in seconds], marker="o", markersize=3, label=peer, **style)
    for axes, title in ((left, "requests"), (right, "milliseconds")):
        axes.set(xscale="log", yscale="log", xlabel="keys in the namespace", title=f"{title} to read them all")
        axes.grid(alpha=0.3)
    right.legend(fontsize=7, frameon=False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main(sys.argv[1])
