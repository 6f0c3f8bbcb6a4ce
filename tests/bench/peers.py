"""Reading a namespace by this library and by its peers: requests and time against the number of keys.

Each peer reads key by key, as its documentation shows it; none of them has a bulk read. They live in an environment
of their own, which is made here, and each runs in a process of its own against one served emulator.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import servers
from .measuring import Row, Skipped

PACKAGES = ["dhis2w-client", "dhis2-client", "dhis2.py", "openhexa.toolbox", "requests", "httpx", "matplotlib"]
KEYS = (1, 10, 100, 1000)
HERE = Path(__file__).parent
VALUE = {"theme": "dark", "limits": [1, 2, 3], "title": "Overview"}


def environment(folder):
    """The Python of an environment with the peers, and what of them is not to be had."""
    subprocess.run([_newest_python(), "-m", "venv", folder], check=True)
    inside = str(Path(folder) / "bin" / "python")
    missing = {}
    for package in PACKAGES:
        install = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
        ran = subprocess.run(install, capture_output=True, text=True, check=False)
        if ran.returncode:
            missing[package] = (ran.stderr.strip().splitlines() or ["pip failed"])[-1]
    subprocess.run([inside, "-m", "pip", "install", "--quiet", str(HERE.parents[1])], check=True)
    return inside, missing


def _newest_python():
    """The newest Python of this machine that runs: some peers need one newer than this library does."""
    kept = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin/python"))
    named = [shutil.which(f"python3.{minor}") for minor in range(11, 20)]
    found = {}
    for python in filter(None, [*named, *map(str, kept), sys.executable]):
        ran = subprocess.run(
            [python, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, check=False
        )
        if ran.returncode == 0:
            found[ast.literal_eval(ran.stdout.decode())] = python
    return found[max(found)]


def rows(plot):
    """A row a peer, and the plot; each peer is asked for the same keys as this library."""
    with tempfile.TemporaryDirectory() as folder:
        python, missing = environment(folder)
        for package, reason in missing.items():
            yield Row(f"read {KEYS[-1]:,} keys: {package}", f"not installed: {reason}")
        found = {}
        for number in KEYS:
            data = {"app": {f"key{key:04}": VALUE for key in range(number)}}
            with servers.emulator(data) as served:
                for peer in peers(python):
                    found.setdefault(peer, []).append(_asked(python, peer, served, number))
        subprocess.run([python, HERE / "plot.py", plot], input=json.dumps([KEYS, found]), text=True, check=True)
        ours = found["dhis2kv"][-1]
        for peer, figures in found.items():
            requests, spent = figures[-1]
            figure = f"{requests:,.0f} requests, {spent * 1e3:,.0f} ms"
            yield Row(f"read {KEYS[-1]:,} keys: {peer}", figure, f"dhis2kv {ours[1] * 1e3:,.0f} ms", spent / ours[1])


def peers(python):
    """The names of the peers that this environment has; the library itself comes first."""
    ran = subprocess.run([python, HERE / "peer.py", "list"], capture_output=True, text=True, check=True)
    names = ran.stdout.split()
    if not names:
        raise Skipped("no peer is installed")
    return names


def _asked(python, peer, served, number):
    """Requests and seconds that one peer takes to read the namespace."""
    before = served.requests
    command = [python, HERE / "peer.py", peer, served.url, str(number)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{peer} failed:\n{ran.stderr}")
    reads, spent = json.loads(ran.stdout)
    return (served.requests - before) / reads, spent
