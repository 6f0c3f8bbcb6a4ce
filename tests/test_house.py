"""The rooms of the house, and who may enter which."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dhis2kv"

LIBRARY = {
    "errors",
    "wire",
    "releases",
    "transport",
    "cache",
    "datastore",
    "environment",
    "private",
    "profiles",
    "store",
}
TESTING = {"emulator", "store", "testing"}

# What a room may import of ours. Who may enter the store may enter what lies below it, to catch the errors, name the
# queries and compare values.
MAY_IMPORT = {
    "__init__": LIBRARY | {"config", "aio"},
    "errors": set(),
    "wire": {"errors"},
    "releases": set(),
    "transport": {"errors", "wire"},
    "cache": {"errors", "wire"},  # it tells an absence from an outage, and reads texts
    "datastore": {"errors", "wire", "releases", "transport"},
    "environment": set(),
    "private": set(),
    "profiles": {"environment", "private"},  # which server and account: no more than files and variables
    "models": {"errors", "wire"},
    "store": LIBRARY | {"models"},
    "snapshot": LIBRARY,
    "audit": LIBRARY | {"snapshot"},
    "config": LIBRARY,
    "contrib": LIBRARY | {"config"},
    "aio": LIBRARY,
    "emulator": {"emulator"},
    "testing": TESTING,
    "pytest_plugin": TESTING,
    "demo": {"store", "testing", "audit"},
    "cli": LIBRARY | {"models", "audit", "snapshot", "emulator", "demo", "mcp"},
    "mcp": LIBRARY | {"snapshot"},
    "__main__": {"cli"},
}
# The rooms that know no HTTP library.
WITHOUT_HTTP = {
    "errors",
    "wire",
    "releases",
    "cache",
    "environment",
    "private",
    "profiles",
    "snapshot",
    "config",
    "aio",
    "demo",
}


# What may be longer than all else, and why.
LONGER = {
    "dhis2kv/datastore/__init__.py": "holds Datastore",
    "dhis2kv/datastore/__init__.py: Datastore": "a list: one short method an operation, with its whole docstring",
}
LINES_OF_MODULE, LINES_OF_CLASS, LINES_OF_TESTS = 420, 320, 700


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


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_a_room_says_what_it_is_and_why(path):
    """A module's first lines say what it is, then why it exists; they, or its package's, say what it may import."""
    what, _, rest = docstring(path).partition("\n\n")
    assert what, "it does not say what it is"
    assert "Here since" not in what, "what it is comes first, in a paragraph of its own"
    assert "Here since" in " ".join(rest.split()), "it does not say why it is a module of its own: 'Here since ...'"
    package = "" if path.parent == PACKAGE else docstring(path.with_name("__init__.py"))
    assert re.search(r"\bimports?\b", f"{what}\n{rest}\n{package}", re.I), "it does not say what it may import"


def docstring(path):
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def test_nothing_is_long_without_a_reason():
    """No module, no class and no file of tests is longer than one looks through, but for those that have a reason."""
    found = set(long_ones())
    assert not found - LONGER.keys(), "split it where it has two reasons to change, or say in LONGER why it has not"
    assert not LONGER.keys() - found, "it is short now: take it out of LONGER"


def long_ones():
    root = PACKAGE.parent
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > LINES_OF_MODULE:
            yield path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and node.end_lineno - node.lineno >= LINES_OF_CLASS:
                yield f"{path.relative_to(root).as_posix()}: {node.name}"
    for path in (root / "tests").rglob("*.py"):
        if len(path.read_text(encoding="utf-8").splitlines()) > LINES_OF_TESTS:
            yield path.relative_to(root).as_posix()


@pytest.mark.parametrize("module", ["dhis2kv", "dhis2kv.errors", "dhis2kv.wire", "dhis2kv.pytest_plugin"])
def test_light_modules_load_no_http(module):
    """Importing the package, its facts or its pytest plugin does not load requests."""
    code = f"import sys, {module}; sys.exit('requests' in sys.modules or 'urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_circles_at_import():
    """No module waits, while it is imported, for one that waits for it."""
    modules = {".".join(("dhis2kv", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in FILES}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    needs = {name: set(needed(path, name, modules)) for name, path in modules.items()}
    done = set()
    while ready := {name for name, wanted in needs.items() if wanted <= done and name not in done}:
        done |= ready
    assert needs.keys() - done == set()


def needed(path, name, modules):
    """What must have been imported before a module can be: not what its functions import, nor what types alone need."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            wanted = {
                f"{module}.{alias.name}" if f"{module}.{alias.name}" in modules else module for alias in node.names
            }
            yield from wanted & modules.keys()
