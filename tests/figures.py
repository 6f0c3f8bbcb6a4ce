"""Figures that a command has found: as a table, and in the README between two marks."""

from pathlib import Path

README = Path(__file__).parents[1] / "README.rst"


def table(head, rows):
    """Rows of texts as a table of reStructuredText; none may begin with an empty cell."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = " ".join("=" * width for width in widths)
    text = [" ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([rule, text[0], rule, *text[1:], rule])


def write(name, when, text):
    """Put a sentence and a table between ``.. NAME: begin`` and ``.. NAME: end`` in the README."""
    begin, end = f".. {name}: begin\n", f".. {name}: end\n"
    page = README.read_text(encoding="utf-8")
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the README has no one place for {name}")
    before, rest = page.split(begin)
    labelled = f"{when}\n\n.. _{name}:\n\n{text}"
    README.write_text(f"{before}{begin}\n{labelled}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")
