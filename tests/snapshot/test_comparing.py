"""The diff of entries."""

from dhis2kv import snapshot
from dhis2kv.snapshot import Entry


def test_diff():
    """A unified diff of sorted, indented JSON for each entry that is not the same JSON, and nothing for the others."""
    left = {"a": Entry("app", "a", {"y": 1, "x": [1, 2]}), "same": Entry("app", "same", {"p": 1, "q": 2})}
    right = {
        "a": Entry("two", "a", {"x": [1, 3], "y": 1}),
        "same": Entry("two", "same", {"q": 2.0, "p": 1}),
        "b": Entry("two", "b", None),
    }
    assert list(snapshot.diff(left, right, names=("old", ""))) == [
        "--- old app/a",
        "+++ two/a",
        "@@ -1,7 +1,7 @@",
        " {",
        '   "x": [',
        "     1,",
        "-    2",
        "+    3",
        "   ],",
        '   "y": 1',
        " }",
        "--- /dev/null",
        "+++ two/b",
        "@@ -0,0 +1 @@",
        "+null",
    ]
    assert list(snapshot.diff(left, left)) == []


def test_diff_tells_true_from_one():
    """Values that Python takes for equal and JSON does not are a difference."""
    assert list(snapshot.diff({"a": Entry("n", "a", True)}, {"a": Entry("n", "a", 1)}))[-2:] == ["-true", "+1"]
