"""Config: what a look at a setting costs, and values of any depth and type."""

import dataclasses
import sys
from collections import OrderedDict

import hypothesis
import hypothesis.strategies as st
import pytest

import dhis2kv.config as config_module
from dhis2kv import Config
from dhis2kv.emulator import Emulator
from tests.conftest import connect
from tests.test_config import Clock, warnings


@pytest.fixture
def emulator():
    return Emulator()


@pytest.fixture
def store(emulator):
    return connect(emulator, retries=0)


@pytest.fixture
def clock():
    return Clock()


# --- what a look costs ------------------------------------------------------------------------------------------------


def calls(look):
    """The functions that are called while it looks, but for itself."""
    found = []
    sys.setprofile(lambda frame, event, _: found.append(frame.f_code.co_name) if event == "call" else None)
    try:
        look()
    finally:
        sys.setprofile(None)
    return found[1:-1] if found[-1:] == ["setprofile"] else found[1:]


@pytest.mark.parametrize("name", ["text", "number", "flag", "nothing", "in.text", "dotted.key"])
def test_a_plain_setting_is_looked_up_once(name):
    """The second look at a value that nobody can change calls nothing: it is one look into a dict."""
    config = Config({"text": "x", "number": 1.5, "flag": True, "nothing": None, "in": {"text": "y"}, "dotted.key": 1})
    assert "_look_up" in calls(lambda: config[name])
    assert calls(lambda: config[name]) == ["__getitem__"]


def test_what_was_looked_up_is_forgotten_with_its_snapshot(clock):
    """What a name meant in one snapshot it does not mean in the next, absent ones included."""
    source = {"plain": 1, "in": {"plain": 1}, "other": 1}
    config = Config(source, refresh_after=60, clock=clock)
    assert [config["plain"], config["in.plain"], config["other"]] == [1, 1, 1]
    source.update({"plain": 2, "in.plain": 2})
    del source["other"]
    assert [config["plain"], config["in.plain"], config["other"]] == [1, 1, 1]
    clock.now += 60
    assert [config["plain"], config["in.plain"], config.get("other")] == [2, 2, None]
    source["plain"] = 3
    config.refresh()
    assert config["plain"] == 3


@pytest.mark.parametrize("where", ["_current", "_look_up"])
def test_what_is_looked_up_while_another_thread_loads_is_not_kept(monkeypatch, where):
    """A look that began before a load does not leave what it found to those that come after it."""
    source = {"k": 1}
    config = Config(source)
    assert len(config) == 1
    owner = Config if where == "_current" else config_module
    step = getattr(owner, where)

    def slowly(*arguments):
        found = step(*arguments)
        source["k"] = 2
        config.refresh()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(owner, where, slowly)
        assert config["k"] == 1
    assert config["k"] == 2


@pytest.mark.parametrize("name", [[], {}, 1, None, b"k"])
def test_a_name_of_another_type_is_a_mistake_at_each_look(name):
    """Also one that no dict could hold, and also when everything was looked up before."""
    config = Config({"k": 1, 1: 2})
    assert config["k"] == 1
    with pytest.raises(TypeError, match="a setting's name is a str, not "):
        config[name]


# --- values of any depth ----------------------------------------------------------------------------------------------


def nested(levels, leaf=1):
    """An object in an object... and a list in a list, that deep."""
    inner, items = leaf, leaf
    for _ in range(levels):
        inner, items = {"in": inner}, [items]
    return {"objects": inner, "lists": items}


def leaf(value):
    """What is innermost, and how deep."""
    depth = 0
    while isinstance(value, dict | list):
        value, depth = (value["in"] if isinstance(value, dict) else value[0]), depth + 1
    return value, depth


def deep_down(look, frames=800):
    """What a look gives from so many frames down Python's stack."""
    return look() if not frames else deep_down(look, frames - 1)


@dataclasses.dataclass
class Node:
    next: "Node | int"


@pytest.mark.parametrize("levels", [10, 500, 5000])
def test_values_of_any_depth(levels, clock):
    """A value is handed out, copied, merged and compared however deep it is nested, from wherever one looks."""
    source = nested(levels)
    config = Config(source, nested(levels, leaf=0) | {"more": [1]}, refresh_after=60, clock=clock)

    def looks():
        yield config["objects"]
        yield config["lists"]
        yield config.copy()["objects"]
        yield dict(config.items())["lists"]
        yield from list(config.values())[:2]

    assert deep_down(lambda: [leaf(value) for value in looks()]) == [(1, levels)] * 6
    assert deep_down(lambda: list(config)) == ["objects", "lists", "more"]
    path = ["objects", *["in"] * min(levels, 500)]
    assert leaf(config[".".join(path)]) == (1, levels - len(path) + 1)
    assert config.get(".".join([*path, "out"])) is None
    config["lists"][0].append(1)
    assert len(config["lists"][0]) == 1
    told = []
    config.on_change(told.append)
    source.update(nested(levels, leaf=2))
    deep_down(config.refresh)
    assert told == [{"objects", "lists"}]
    assert leaf(config["objects"]) == (2, levels)


def test_dataclasses_of_any_depth():
    """Dataclasses in dataclasses are made however deep they are nested."""
    value = 1
    for _ in range(2000):
        value = {"next": value}
    made = deep_down(lambda: Config({"node": value}).as_(Node, "node"))
    depth = 0
    while isinstance(made, Node):
        made, depth = made.next, depth + 1
    assert (made, depth) == (1, 2000)


def test_the_deepest_values_that_a_server_takes(emulator, store, tmp_path, caplog):
    """A value of 500 levels comes from the server and from the file; where the file cannot be written, because the
    program is too far down its stack, that is a warning."""
    emulator.load({"app": {"lists": nested(500)["lists"], "k": 1}})
    path = tmp_path / "settings.json"
    assert leaf(Config(store["app"], fallback=path)["lists"]) == (1, 500)
    emulator.down = True
    config = Config(store["app"], fallback=path)
    assert (leaf(config["lists"]), config["k"]) == ((1, 500), 1)
    assert leaf(deep_down(lambda: config["lists"])) == (1, 500)
    caplog.clear()
    other = tmp_path / "other.json"
    assert leaf(deep_down(lambda: Config(nested(500), fallback=other)["lists"])) == (1, 500)
    kept_or_warned(other, caplog, "maximum recursion")


@pytest.mark.parametrize("text", ["1" * 5000, "[" * 2000 + "]" * 2000])
def test_what_no_file_can_hold_is_a_warning(emulator, store, tmp_path, caplog, text):
    """A value that Python reads and does not print keeps the program's settings from nobody but the file."""
    emulator.load({"app": {"much": text, "k": "1"}}, texts=True)
    path = tmp_path / "settings.json"
    config = Config(store["app"], fallback=path)
    assert config["k"] == 1
    assert config["much"]
    kept_or_warned(path, caplog, "")


def kept_or_warned(path, caplog, why):
    """How deep a value Python prints is another matter from 3.12 on: the file is there, or why it is not is logged."""
    told = [f"the settings could not be written to {path}, which stays as it was: {why}"] * (not path.exists())
    assert len(warnings(caplog)) == len(told)
    assert all(warning.startswith(sentence) for warning, sentence in zip(warnings(caplog), told, strict=True))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="ab."), inner),
)


@hypothesis.given(VALUES)
def test_a_copy_is_equal_and_shares_nothing(value):
    """What is handed out is equal, member order included, and no part of it that could be changed is the source's."""
    source = {"k": value}
    given = Config(source)["k"]
    assert repr(given) == repr(value)

    def parts(item):
        if isinstance(item, dict | list):
            yield id(item)
            for inner in item.values() if isinstance(item, dict) else item:
                yield from parts(inner)

    assert not set(parts(given)) & set(parts(value))


def test_what_is_no_json_is_copied_too():
    """Values of other types, which defaults may hold, are copied as they are: their types, and what stands twice."""
    shared = [1]
    defaults = {"order": OrderedDict(a=[1]), "set": {1}, "twice": [shared, shared], "pair": ([1], 2)}
    config = Config({}, defaults)
    assert type(config["order"]) is OrderedDict
    config["set"].add(2)
    config["order"]["a"].append(2)
    config["pair"][0].append(2)
    assert config.copy() == {"order": {"a": [1]}, "set": {1}, "twice": [[1], [1]], "pair": ([1], 2)}
    twice = config["twice"]
    assert twice[0] is twice[1]
    around = []
    around.append(around)
    found = Config({"around": around})["around"]
    assert found[0] is found
    assert found is not around
