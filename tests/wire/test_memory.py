"""Nothing takes more than some ten times the text that it reads or writes, whatever the text."""

import json
import tracemalloc

import pytest

from dhis2kv import wire
from dhis2kv.wire import deep

SIZE = 3_000_000
LONG = {
    "letters": "s" * SIZE,
    "quotes": '"' * (SIZE // 2),
    "backslashes": "\\" * (SIZE // 2),
    "exponents": "1e22 " * (SIZE // 5),
    "brackets": '[{"' * (SIZE // 3),
    "beyond Latin": "ж" * SIZE,
}
long_text = pytest.mark.parametrize("text", LONG.values(), ids=LONG)


def peak(act):
    """The most bytes that were held at a time while something was done, beside what was held before."""
    act()  # what is made once, and kept, is made now
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def check(text, act):
    assert peak(act) < 10 * len(text.encode())


@long_text
def test_writing(text):
    """A float with an exponent beside a long text is spelled out without a copy of each of its characters."""
    for value in ([1e22, text], {"x": 1e-7, text: 1}, {"x": 1}, [text]):
        check(text, lambda value=value: wire.dumps(value))


@long_text
def test_reading(text):
    """A long text is read, and its end is found, in the place that it takes itself."""
    written = json.dumps(text)
    check(written, lambda: wire.loads(written))
    check(written, lambda: deep.end(written))
    nested = f"{'[' * 2000}{written}{']' * 2000}"
    check(nested, lambda: wire.loads(nested))
    check(nested, lambda: deep.end(nested))


@long_text
def test_a_bulk_answer_with_a_long_value(text):
    """So are the values of a bulk answer, with marks or without."""
    written = json.dumps(text)
    plain = f'[{{"key":"a","value":{written}}},{{"key":"b","value":1}}]'
    check(plain, lambda: list(wire.entries(plain)))
    marked = wire.Marked.of(wire.Query())
    answer = plain.replace("value", marked.mark)
    check(answer, lambda: [batch.read() for batch in marked.batches(answer)])


@long_text
def test_a_bulk_answer_with_a_long_key(text):
    """So are its keys, whatever they hold."""
    written = json.dumps(text)
    plain = f'[{{"key":{written},"value":1}}]'
    check(plain, lambda: list(wire.entries(plain)))
    marked = wire.Marked.of(wire.Query())
    answer = f'[{{"key":"{text}","{marked.mark}":1}},{{"key":"b","{marked.mark}":{{}}}}]'
    check(answer, lambda: list(marked.batches(answer)))


def test_a_bulk_answer_of_many_entries():
    """An answer of many entries is taken apart some at a time: beside it and its values there is little."""
    marked = wire.Marked.of(wire.Query())
    rows = (f'{{"key":"key{number:06}","{marked.mark}":"{"x" * 100}"}}' for number in range(50_000))
    answer = f"[{','.join(rows)}]"

    def read():
        for batch in marked.batches(answer):
            batch.read()

    assert peak(read) < len(answer)
