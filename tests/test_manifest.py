"""The source distribution: that it can run these tests."""

from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_manifest_takes_every_file_of_the_tests():
    """No file that a test may need is of a kind that MANIFEST.in leaves out of the source distribution."""
    lines = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    [patterns] = [line.split()[2:] for line in lines if line.startswith("recursive-include tests ")]
    files = [path for path in (ROOT / "tests").rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    assert any(path.parent.name == "recordings" for path in files)
    assert [path for path in files if not any(fnmatch(path.name, pattern) for pattern in patterns)] == []
