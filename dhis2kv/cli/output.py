"""What the commands print: data on stdout, everything else on stderr.

Here since anybody may have stored what is printed: a terminal must not obey it, and a script must get it whole.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from dhis2kv.wire import exact

FORMATS = ("json", "compact", "raw", "table")
COLOURS = {"+": "green", "~": "yellow", "-": "red"}

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
_LATE_CONTROL = re.compile("[\x7f-\x9f]")
_WIDEST = 60  # columns that a cell of a table takes
_WHOLE = frozenset({"KEY", "NAMESPACE", "NAME", "URL", "ABOUT"})  # what is typed again, or is a sentence, is never cut


def output_option(default: str) -> Callable[..., Any]:
    """The option ``-o``; ``raw`` prints text without quotes, and a list an item a line."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(FORMATS), default=default, show_default=True, help="How to print."
    )


def show(value: Any, form: str) -> None:
    """Print a JSON value on stdout, in one of the ``FORMATS``."""
    if form == "json":
        put(_json(value, indent=2))
    elif form == "compact":
        put(compact(value))
    elif form == "table":
        _table(_rows(value))
    else:
        for item in value if isinstance(value, list) else [value]:
            text = item if isinstance(item, str) else compact(item)
            # color=True keeps click from taking escape sequences, which are data here, out of what goes into a pipe.
            put(harmless(text) if sys.stdout.isatty() else text, color=True)


def compact(value: Any) -> str:
    """A JSON value in one line."""
    return _json(value, separators=(",", ":"))


def _json(value: Any, **form: Any) -> str:
    """A value as JSON, whose control characters are all escaped; of itself JSON leaves those from U+007F to U+009F."""
    text = exact.printed(value, sort_keys=False, **form)
    return _LATE_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def harmless(text: str) -> str:
    """A text whose control characters a terminal does not obey: anybody may have stored them."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def entries_of(number: int) -> str:
    """So many entries, in words: ``1 entry``, ``7 entries``."""
    return "1 entry" if number == 1 else f"{number} entries"


def say(sentence: str) -> None:
    """Print a sentence on stderr."""
    _Bar.wipe()
    click.echo(harmless(sentence), file=sys.stderr)


def show_log(verbosity: int) -> None:
    """Print the library's log on stderr: for 1 the requests and repeats, for 2 the headers, too, secrets masked."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    log = logging.getLogger("dhis2kv")
    log.handlers[:] = [handler]
    log.setLevel(logging.DEBUG if verbosity == 1 else 1)


class _Line(logging.Formatter):
    """A record as a line that commands no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))


def show_change(sign: str, what: object) -> None:
    """Print on stdout what would be created (``+``), updated (``~``) or deleted (``-``)."""
    put(click.style(harmless(f"{sign} {what}"), fg=COLOURS[sign]))


def put(text: str, color: bool | None = None) -> None:
    """Print a line on stdout: on this very stream, for click puts one of its own in place of one in ASCII."""
    _Bar.wipe()
    click.echo(text, file=sys.stdout, color=color)


def interactive() -> bool:
    """Whether there is a terminal to ask."""
    return sys.stdin.isatty()


def confirm(question: str, yes: bool) -> None:
    """Ask before something is deleted; the default is no. Refuses where there is no terminal to ask."""
    if yes:
        return
    if not interactive():
        raise click.UsageError(f"{question} There is no terminal to ask: give --yes if that is meant")
    click.confirm(harmless(question), default=False, abort=True, err=True)


class _Bar:
    """The progress bar on stderr: a line that goes before anything else is printed, and at the end."""

    drawn = False

    def __init__(self, label: str) -> None:
        self._bar = click.progressbar(length=1, label=label, file=sys.stderr, show_pos=True)

    def step(self, done: int, total: int) -> None:
        """Show how far it is; the total may change, and the next namespace begins anew. Nothing to do is no bar."""
        if not total:
            return
        self._bar.length, self._bar.finished = total, False
        self._bar.make_step(done - self._bar.pos)
        self._bar.render_progress()
        _Bar.drawn = True

    @classmethod
    def wipe(cls) -> None:
        """Take the bar off the terminal, and give the cursor back."""
        if cls.drawn:
            cls.drawn = False
            click.echo("\r\x1b[K\x1b[?25h", nl=False, file=sys.stderr, color=True)


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr, as a function of done and total; None where stderr is no terminal, or has the log."""
    if not sys.stderr.isatty() or logging.getLogger("dhis2kv").handlers:
        yield None
        return
    try:
        yield _Bar(label).step
    finally:
        _Bar.wipe()


# --- tables -----------------------------------------------------------------------------------------------------------


def readable_size(count: int) -> str:
    """A number of bytes for people: ``812 B``, ``1.2 kB``."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _rows(value: Any) -> list[dict[str, Any]]:
    """A value as rows: of an object its members, of a list its items."""
    if isinstance(value, dict):
        return [{"NAME": name, "VALUE": member} for name, member in value.items()]
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, dict) else {"VALUE": item} for item in items]


def _table(rows: Sequence[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, *([_cell(row.get(name, ""), whole=name in _WHOLE) for name in columns] for row in rows)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(columns))]
    for line in lines if columns else []:
        cells = (f"{cell}{' ' * (width - _width(cell))}" for cell, width in zip(line, widths, strict=True))
        put("  ".join(cells).rstrip())


def _cell(value: Any, *, whole: bool) -> str:
    text = harmless(value if isinstance(value, str) else compact(value))
    if whole:
        return text.replace("\n", "\\n").replace("\t", "\\t")
    text = " ".join(text.split())[: _WIDEST * 8]  # a character may have marks of no width
    if _width(text) <= _WIDEST:
        return text
    return next(f"{text[:end]}…" for end in range(len(text), -1, -1) if _width(text[:end]) < _WIDEST)


def _width(text: str) -> int:
    """The columns that a terminal takes for a text without control characters."""
    from wcwidth import wcswidth  # its tables take time to load, which other commands need not wait for

    return max(wcswidth(text), 0)
