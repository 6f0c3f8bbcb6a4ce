"""How the emulator's own modules stand on each other."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import dhis2kv.emulator

FILES = {path.stem: path for path in Path(dhis2kv.emulator.__file__).parent.glob("*.py")}


def imported(path: Path) -> set[str]:
    """The emulator's modules that one of them imports, wherever in it, for types alone too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return found & set(FILES)


GRAPH = {name: imported(path) for name, path in FILES.items()}


def test_there_is_no_circle() -> None:
    """No module imports, over whatever others, one that imports it."""
    order = list(TopologicalSorter(GRAPH).static_order())
    assert set(order) == set(FILES)


def test_core_knows_no_host_and_hosts_know_no_emulator() -> None:
    """The core that answers is below both hosts, and ``Emulator`` above them."""
    assert not GRAPH["core"] & {"adapter", "http", "emulator", "serve"}
    for host in ("adapter", "http"):
        assert "core" in GRAPH[host]
        assert not GRAPH[host] & {"emulator", "serve"}
        assert host in GRAPH["emulator"]
