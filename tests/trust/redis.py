"""A Redis of the trials' own, on a Unix socket, that keeps nothing on disk; it can be killed and started again."""

import contextlib
import shutil
import subprocess
import tempfile

#: Whether there is one to be had.
INSTALLED = shutil.which("redis-server") is not None


class Redis:
    """A Redis in a folder."""

    def __init__(self, folder):
        self.url = f"unix://{folder}/redis.sock"
        options = ["--port", "0", "--unixsocket", f"{folder}/redis.sock", "--dir", folder, "--save", ""]
        self._command, self._process = ["redis-server", *options], None

    def start(self):
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        if not any("ready to accept connections" in line.lower() for line in self._process.stdout):
            raise RuntimeError("redis-server does not start")

    def kill(self):
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@contextlib.contextmanager
def running():
    """A Redis that runs, and is gone in the end with its folder."""
    with tempfile.TemporaryDirectory(prefix="redis") as folder:  # a socket's name is short
        redis = Redis(folder)
        redis.start()
        try:
            yield redis
        finally:
            redis.kill()
