"""The check for rewriting proxies, against a real nginx in the set-up that most DHIS2 servers have."""

import shutil
import socket
import subprocess

import pytest

from dhis2kv import Store, Unaddressable
from dhis2kv.emulator import Emulator

nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

CONFIGURATION = """
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass {upstream}; }}
    }}
}}
"""


@pytest.fixture
def through_nginx(tmp_path):
    """Put an nginx before a URL; a path in its proxy_pass makes it rewrite what it passes."""
    if nginx is None:
        pytest.skip("nginx is not installed")
    command = [nginx, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]

    def start(upstream):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        text = CONFIGURATION.format(folder=tmp_path, port=port, upstream=upstream)
        (tmp_path / "nginx.conf").write_text(text)
        subprocess.run(command, check=True, capture_output=True)  # returns when it listens
        return f"http://127.0.0.1:{port}"

    yield start
    subprocess.run([*command, "-s", "stop"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("version", "path", "reachable"), [("2.44", "/", False), ("2.44", "", True), ("2.42", "/", True)]
)
def test_dotted_names_behind_nginx(through_nginx, version, path, reachable):
    """Where nginx undoes the spelling, 2.44 would take config.json for config: refused there, and only there."""
    emulator = Emulator(version=version)
    with emulator.serve() as server:
        store = Store(through_nginx(server.url + path), ("admin", "district"))
        for either in (store, store.user):
            namespace = either["app"]
            namespace["config"] = "left alone"
            namespace["v1.1"] = 1
            assert namespace["v1.1"] == 1
            if reachable:
                namespace["config.json"] = {"x": 2}
                assert namespace["config.json"] == {"x": 2}
                del namespace["config.json"]
            else:
                for act in (
                    lambda namespace=namespace: namespace["config.json"],
                    lambda namespace=namespace: namespace.__setitem__("config.json", 1),
                    lambda namespace=namespace: namespace.__delitem__("config.json"),
                    lambda either=either: either["app.csv"].clear(),
                ):
                    with pytest.raises(Unaddressable, match="proxy"):
                        act()
            assert namespace.copy() == {"config": "left alone", "v1.1": 1}
