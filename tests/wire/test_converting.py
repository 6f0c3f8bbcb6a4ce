"""What is no JSON becomes what a function makes of it."""

import sys
from datetime import date

import pytest

from dhis2kv import errors, wire
from dhis2kv.wire import exact
from dhis2kv.wire.values import DEPTH


def iso(part):
    if isinstance(part, date):
        return part.isoformat()
    if isinstance(part, set):
        return sorted(part)
    raise TypeError(f"no {part!r}")


def within(part, levels):
    for _ in range(levels):
        part = [part]
    return part


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (date(2024, 1, 2), "2024-01-02"),
        ({date(2024, 1, 2)}, ["2024-01-02"]),
        (
            {"a": [1, {"b": {3}}], "c": ({2}, None, True, 1.5, "x")},
            {"a": [1, {"b": [3]}], "c": [[2], None, True, 1.5, "x"]},
        ),
    ],
    ids=["alone", "again", "within"],
)
def test_parts_become_json(value, becomes):
    """Wherever a part stands, and also where what it becomes holds such parts again; members keep their order."""
    found = wire.converted(value, iso)
    assert found == becomes
    assert repr(found) == repr(becomes)


def test_the_value_itself_is_left_as_it_is():
    """Its containers are copied, also where nothing in them has to become anything."""
    value = {"a": [1, {2}], "b": {"c": []}}
    assert wire.converted(value, iso) == {"a": [1, [2]], "b": {"c": []}}
    assert value == {"a": [1, {2}], "b": {"c": []}}
    assert wire.converted(value["b"], iso)["c"] is not value["b"]["c"]


def test_a_part_under_as_many_levels_as_there_may_be_becomes_json():
    """500 containers hold it, as they may hold any number; one more is refused, whoever made it."""
    assert wire.same(wire.converted(within(date(2024, 1, 2), DEPTH), iso), within("2024-01-02", DEPTH))
    for value in (within(date(2024, 1, 2), DEPTH + 1), within({1}, DEPTH)):
        with pytest.raises(errors.InvalidValue, match="nested deeper than 500 levels"):
            wire.converted(value, iso)


def test_it_takes_no_stack():
    """A caller whose own calls have almost used up Python's stack gets the same."""

    def below(frames):
        if frames:
            return below(frames - 1)
        return wire.converted(within({1}, DEPTH - 1), iso)

    depth = 0
    frame = sys._getframe()
    while frame:
        frame, depth = frame.f_back, depth + 1
    assert wire.same(below(sys.getrecursionlimit() - depth - 50), within([1], DEPTH - 1))


def test_what_never_becomes_json_is_refused():
    """A function that makes such parts of parts, or lists around them, does not go on for ever, nor does a circle."""
    endless = []
    endless += [endless, endless]
    for value, default in ((1j, lambda part: part + 1), (1j, lambda part: [part]), (endless, iso)):
        with pytest.raises(errors.InvalidValue, match=r"complex of it again and again|nested deeper"):
            wire.converted(value, default)


def test_what_the_function_does_not_take_is_refused():
    """Its TypeError says why; other errors of its own are not for us to explain."""
    with pytest.raises(errors.InvalidValue, match=r"complex is not JSON, and default does not take it: no 1j"):
        wire.converted([1j], iso)
    with pytest.raises(ZeroDivisionError):
        wire.converted([1j], lambda _: 1 / 0)


def test_a_number_with_every_digit_is_json():
    """It goes out as it came in, and the function is not asked."""
    value = exact.loads("[0.1234567890123456789012345]")
    assert exact.dumps(wire.converted(value, iso)) == "[0.1234567890123456789012345]"
