"""The rooms of the house, and who may enter which."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dhis2kv"

LIBRARY = {"errors", "wire", "query", "transport", "cache", "datastore", "store"}
TESTING = {"emulator", "store", "testing"}

# What a room may import of ours. Who may enter the store may enter what lies below it, to catch the errors, name the
# queries and compare values.
MAY_IMPORT = {
    "__init__": LIBRARY | {"config", "aio"},
    "errors": set(),
    "wire": {"errors"},
    "query": {"errors", "wire"},
    "transport": {"errors", "wire"},
    "cache": {"errors"},  # it tells an absence from an outage, and raises copies of either
    "datastore": {"errors", "wire", "query", "transport", "cache"},
    "store": LIBRARY,
    "snapshot": LIBRARY,
    "config": LIBRARY,
    "contrib": LIBRARY | {"config"},
    "aio": LIBRARY,
    "emulator": {"emulator"},
    "testing": TESTING,
    "pytest_plugin": TESTING,
    "demo": {"store", "testing"},
    "profiles": LIBRARY,  # which server and account: for the command line and the MCP server
    "cli": LIBRARY | {"snapshot", "emulator", "demo", "profiles", "mcp"},
    "mcp": LIBRARY | {"profiles", "snapshot"},
    "__main__": {"cli"},
}
# The rooms that know no HTTP library.
WITHOUT_HTTP = {"errors", "wire", "query", "cache", "snapshot", "config", "aio", "demo"}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """Every module that a file imports, by its full name."""
    package = ("dhis2kv", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield from ((f"{module}.{alias.name}" for alias in node.names) if module == "dhis2kv" else [module])


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_a_room_imports_what_it_may(path):
    """Each module imports of ours only what the design lets it; the emulator nothing, that knows HTTP or not."""
    room = room_of(path)
    for module in imported(path):
        top, *rest = module.split(".")
        if top == "dhis2kv" and rest and rest != ["__version__"]:
            assert rest[0] in MAY_IMPORT[room] | ({room} if path.parent != PACKAGE else set()), module
        if room in WITHOUT_HTTP:
            assert top not in ("requests", "urllib3", "http"), module


@pytest.mark.parametrize("module", ["dhis2kv", "dhis2kv.errors", "dhis2kv.wire", "dhis2kv.pytest_plugin"])
def test_light_modules_load_no_http(module):
    """Importing the package, its facts or its pytest plugin does not load requests."""
    code = f"import sys, {module}; sys.exit('requests' in sys.modules or 'urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
