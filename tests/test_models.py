"""Namespaces with models: what they give and take, what does not fit, and what others stored beside."""

import json
import pickle
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pydantic", reason="models need the extra 'models'")

from pydantic import BaseModel, ConfigDict, Field, computed_field
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from dhis2kv import InvalidValue, KeyNotFound, Rejected, Unfit, where
from dhis2kv.emulator import Emulator
from dhis2kv.models import _merged
from tests.conftest import connect, sent


class Limits(BaseModel):
    rows: int = 10


class Settings(BaseModel):
    theme: str
    since: date = date(2020, 1, 1)
    limits: Limits = Limits()
    tags: list[str] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    theme: str


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    theme: str


@dataclass
class Point:
    x: int
    y: int = 0


class Run(TypedDict):
    by: str


class Named(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    org_unit: str = Field(alias="orgUnit")


class Computed(BaseModel):
    name: str

    @computed_field
    def shout(self) -> str:
        return self.name.upper()


@pytest.fixture
def emulator():
    return Emulator()


@pytest.fixture
def store(emulator):
    return connect(emulator)


@pytest.fixture
def settings(store):
    return store.namespace("app", model=Settings)


def stored(emulator, key="cfg"):
    return connect(emulator)["app"][key]


def test_instances_go_in_and_come_out(emulator, settings):
    """What is written is the instance's JSON, and what is read an instance; each expression costs what it did."""
    settings["cfg"] = Settings(theme="dark", since=date(2024, 5, 6))
    assert stored(emulator) == {"theme": "dark", "since": "2024-05-06", "limits": {"rows": 10}, "tags": []}
    sent(emulator)
    one = settings["cfg"]
    assert (one, type(one)) == (Settings(theme="dark", since=date(2024, 5, 6)), Settings)
    assert settings.get("cfg") == one
    assert settings.copy() == settings.get_many(["cfg", "no"]) == dict(settings.items()) == {"cfg": one}
    assert list(settings.values()) == [one]
    assert settings.find(where("theme") == "dark") == {"cfg": one}
    assert len(sent(emulator)) == 7
    assert settings.find(fields="theme") == {"cfg": {"theme": "dark"}}
    assert settings | {"x": one} == {"cfg": one, "x": one}
    assert settings == {"cfg": one}
    assert settings != {"cfg": Settings(theme="light")}
    assert settings != {"cfg": 7}
    assert settings == settings._store["app"]


def test_every_write_takes_instances(emulator, settings):
    """add, setdefault, update, set_many, replace, pop and popitem give and take them."""
    one, other = Settings(theme="a"), Settings(theme="b")
    assert settings.add("k", one)
    assert settings.setdefault("k", other) == one
    assert settings.setdefault("l", other) == other
    settings.update({"m": one}, n=other)
    settings |= {"o": one}
    settings.set_many({"p": one})
    settings.set("q", one)
    assert settings.pop("k") == one
    assert settings.pop("k", None) is None
    assert settings.popitem() == ("l", other)
    settings._store["app"] = settings
    settings.replace({"z": other})
    assert stored(emulator, "z")["theme"] == "b"
    assert settings.copy() == {"z": other}


def test_what_does_not_fit_is_no_absence(emulator, settings):
    """A stored value that does not fit is Unfit with pydantic's report, and no default is taken for it."""
    emulator.put("app", "cfg", {"since": "soon", "limits": {"rows": "many"}})
    for read in (
        lambda: settings["cfg"],
        lambda: settings.get("cfg", None),
        lambda: settings.pop("cfg", None),
        lambda: settings.setdefault("cfg", Settings(theme="x")),
        lambda: settings.edit("cfg").__enter__(),
    ):
        with pytest.raises(Unfit, match="app/cfg does not fit its model: theme: Field required") as caught:
            read()
        assert not isinstance(caught.value, KeyError)
        assert isinstance(caught.value, ValueError)
    error = caught.value
    assert (error.key, error.namespace) == ("cfg", "app")
    assert [one["loc"] for one in error.details["cfg"]] == [("theme",), ("since",), ("limits", "rows")]
    assert "3 validation errors for Settings" in error.reports["cfg"]
    assert "many" not in str(error)  # what is stored stays out of logs
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert stored(emulator) == {"since": "soon", "limits": {"rows": "many"}}
    with pytest.raises(KeyNotFound):
        settings["no"]


def test_bulk_reads_name_all_that_do_not_fit(emulator, settings):
    """copy, items, values, get_many and find say of all of them what is wrong."""
    emulator.load({"app": {"a": {"theme": 1}, "b": {"theme": "x"}, "c": []}})
    for read in (settings.copy, lambda: [*settings.items()], lambda: settings.get_many(["a", "b", "c"]), settings.find):
        with pytest.raises(Unfit) as caught:
            read()
        assert list(caught.value.details) == ["a", "c"]
        assert "app/a " in str(caught.value)
        assert "app/c " in str(caught.value)


def test_what_does_not_fit_is_not_sent(emulator, settings):
    """Neither the wrong type nor an instance that was changed into a wrong one; several are named at once."""
    wrong = Settings(theme="x")
    wrong.theme = 7
    for write in (
        lambda: settings.__setitem__("cfg", wrong),
        lambda: settings.__setitem__("cfg", 7),
        lambda: settings.__setitem__("cfg", {"theme": 7}),
        lambda: settings.__setitem__("cfg", object()),
        lambda: settings.add("cfg", wrong),
        lambda: settings.setdefault("cfg", wrong),
        lambda: settings.setdefault("cfg"),
        lambda: settings.update(cfg=wrong),
        lambda: settings.replace({"cfg": wrong}),
    ):
        with pytest.raises(Unfit, match="nothing was sent"):
            write()
    with pytest.raises(Unfit) as caught:
        settings.update(a=wrong, b=Settings(theme="x"), c=None)
    assert list(caught.value.details) == ["a", "c"]
    for write in (lambda: settings.patch("cfg", "theme", 7), lambda: settings.roll("cfg", 7, 3)):
        with pytest.raises(Rejected, match="Use edit"):
            write()
    assert sent(emulator) == []


def test_anything_that_pydantic_takes(emulator, store):
    """Dataclasses, TypedDicts, generics, unions, aliases, strict models; JSON is read as JSON."""

    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        on: date
        pair: tuple[int, int]
        price: Decimal

    for model, value, text in (
        (Point, Point(1, 2), {"x": 1, "y": 2}),
        (Run, {"by": "me"}, {"by": "me"}),
        (list[int], [1, 2], [1, 2]),
        (dict[str, Point], {"a": Point(1)}, {"a": {"x": 1, "y": 0}}),
        (int | None, None, None),
        (Named, Named(org_unit="Bo"), {"orgUnit": "Bo"}),
        (
            Strict,
            Strict(on=date(2024, 1, 2), pair=(1, 2), price=Decimal("1.10")),
            {"on": "2024-01-02", "pair": [1, 2], "price": "1.10"},
        ),
    ):
        namespace = store.namespace("app", model=model)
        namespace["cfg"] = value
        assert stored(emulator) == text
        assert namespace["cfg"] == value
        assert type(namespace["cfg"]) is type(value)
    computed = store.namespace("app", model=Computed)
    computed["cfg"] = Computed(name="Bo")
    assert computed["cfg"].shout == "BO"
    with pytest.raises(TypeError, match="for a model"):
        store.namespace("app", model=object())
    with pytest.raises(TypeError, match="pair"):
        store.namespace("app", model=(int,))


def test_keys_of_their_own(emulator, store):
    """``models`` gives keys models of their own; the others have ``model``, or are JSON."""
    mixed = store.namespace("app", models={"cfg": Settings, "log": list[Run]})
    mixed["cfg"] = Settings(theme="x")
    mixed["log"] = [{"by": "me"}]
    mixed["other"] = {"free": 1}
    assert mixed.copy() == {"cfg": Settings(theme="x"), "log": [{"by": "me"}], "other": {"free": 1}}
    with pytest.raises(Unfit):
        mixed["log"] = [7]
    both = store.namespace("app", model=int, models={"cfg": Settings})
    with pytest.raises(Unfit, match="app/other"):
        both.copy()


def test_a_pair_of_functions(emulator, store):
    """A model can be two functions; whatever ``load`` raises about a value is Unfit."""
    dates = store.namespace("app", model=(date.fromisoformat, date.isoformat))
    dates["cfg"] = date(2024, 5, 6)
    assert stored(emulator) == "2024-05-06"
    assert dates["cfg"] == date(2024, 5, 6)
    emulator.load({"app": {"cfg": "soon", "n": 7}})
    with pytest.raises(Unfit, match=r"app/cfg does not fit its model: ValueError: .*; app/n does not") as caught:
        dates.copy()
    assert isinstance(caught.value.__cause__, ValueError)
    lookups = store.namespace("app", model=(lambda value: {"a": 1}[value], str))
    with pytest.raises(Unfit):
        lookups.get("cfg")

    def too_deep(value):
        raise RecursionError("it goes on and on")

    with pytest.raises(Unfit, match="RecursionError: it goes on"):
        store.namespace("app", model=(too_deep, json.loads))["cfg"]
    with pytest.raises(Unfit, match="nothing was sent"):
        dates["x"] = "2024-05-06"


@pytest.mark.parametrize(("model", "kept"), [(Settings, True), (Open, True), (Closed, False)])
def test_unknown_members(emulator, store, model, kept):
    """edit keeps what others stored beside, wherever the model lets it in at all."""
    emulator.put("app", "cfg", {"theme": "x", "other": [1], "limits": {"rows": 1, "more": 2}})
    namespace = store.namespace("app", model=model)
    if not kept:
        with pytest.raises(Unfit, match="Extra inputs"):
            namespace["cfg"]
        return
    with namespace.edit("cfg") as cfg:
        cfg.theme = "y"
    assert stored(emulator)["theme"] == "y"
    assert stored(emulator)["other"] == [1]
    assert stored(emulator)["limits"] == {"rows": 1, "more": 2}
    if model is Open:
        namespace["cfg"] = namespace["cfg"]
        assert stored(emulator)["other"] == [1]


def test_editing_an_instance(emulator, settings):
    """It is changed in place, validated, and written when it changed; what did not change stays as it was stored."""
    emulator.put("app", "cfg", {"theme": "x", "limits": {"more": 2}})
    sent(emulator)
    with settings.edit("cfg") as cfg:
        pass
    assert [method for method, _ in sent(emulator)] == ["GET"]
    with settings.edit("cfg") as cfg:
        cfg.limits.rows = 7
        cfg.tags.append("t")
    assert stored(emulator) == {
        "theme": "x",
        "limits": {"rows": 7, "more": 2},
        "tags": ["t"],
        "since": "2020-01-01",
    }
    sent(emulator)
    with pytest.raises(Unfit, match="nothing was sent"), settings.edit("cfg") as cfg:
        cfg.theme = None
    assert [method for method, _ in sent(emulator)] == ["GET"]


def test_items_keep_what_is_beside_them(emulator, store):
    """An item of a list that is moved takes along what the model does not know of it."""
    emulator.put("app", "cfg", [{"x": 1, "by": "a"}, {"x": 2, "by": "b"}, {"x": 3, "by": "c"}])
    points = store.namespace("app", model=list[Point])
    with points.edit("cfg") as found:
        found.reverse()
        found[1].y = 5
        found.pop()
    assert stored(emulator) == [{"x": 3, "by": "c"}, {"x": 2, "by": "b", "y": 5}]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(stored=json_values, after=json_values)
def test_merging_laws(stored, after):
    """What a model knows wholly is what it says; what it does not change is as it was."""
    assert json.dumps(_merged(stored, stored, after), sort_keys=True) == json.dumps(after, sort_keys=True)
    assert _merged(stored, after, after) == stored


@given(members=st.dictionaries(st.sampled_from("abcdef"), json_values), known=st.sets(st.sampled_from("abcdef")))
def test_unknown_members_stay(members, known):
    """Whatever is done to the known members, the unknown ones stay as they are."""
    before = {name: value for name, value in members.items() if name in known}
    merged = _merged(members, before, {"new": 1})
    unknown = {name: value for name, value in members.items() if name not in known}
    assert merged == {**unknown, "new": 1}


def test_a_cached_namespace(emulator):
    """With a cache instances are fresh with each read, too."""
    settings = connect(emulator, ttl=60).namespace("app", model=Settings)
    settings["cfg"] = Settings(theme="x")
    first = settings["cfg"]
    first.theme = "changed"
    sent(emulator)
    assert settings["cfg"].theme == settings.copy()["cfg"].theme == "x"
    assert settings.get_many(["cfg"])["cfg"].theme == "x"
    assert len(sent(emulator)) == 1


def test_pickled_with_its_models():
    """A pickled namespace has its models again."""
    from dhis2kv import Store

    namespace = Store("https://dhis2.example.org", ("a", "b")).namespace("app", model=Point, models={"k": list[int]})
    again = pickle.loads(pickle.dumps(namespace))
    assert again._models.load("a", {"x": 1}) == Point(1)
    assert again._models.load("k", [1]) == [1]


@pytest.mark.parametrize(
    "extreme", ["7" * 5000, "[" * 1200 + "]" * 1200, "[" * 400 + "]" * 400], ids=["digits", "too deep", "deep"]
)
def test_what_pydantic_cannot_be_given_does_not_fit(emulator, extreme):
    """Servers store more digits and levels than pydantic reads: such a value is named as others that do not fit."""
    text = f'{{"theme": "x", "other": {extreme}}}'
    emulator.load({"app": {"good": '{"theme": "x"}', "huge": text, "next": text}}, texts=True)
    namespace = connect(emulator).namespace("app", model=Settings)
    with pytest.raises(Unfit) as caught:
        namespace.copy()
    assert list(caught.value.details) == ["huge", "next"]
    with pytest.raises(Unfit, match="app/huge does not fit"), namespace.edit("huge"):
        pass
    assert namespace["good"] == Settings(theme="x")


def test_default_for_values_that_are_not_json(emulator):
    """``default`` is called as by json.dumps, at any depth, for every way to write; without it they are refused."""

    def default(value: Any) -> Any:
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, set):
            return sorted(value)
        raise TypeError(f"no JSON for {value!r}")

    namespace = connect(emulator, default=default)["app"]
    namespace["cfg"] = {"on": date(2024, 1, 2), "tags": ({"b", "a"},)}
    assert stored(emulator) == {"on": "2024-01-02", "tags": [["a", "b"]]}
    namespace.update(cfg=[date(2024, 1, 3)])
    assert stored(emulator) == ["2024-01-03"]
    with namespace.edit("cfg") as items:
        items.append({date(2024, 1, 4)})
    assert stored(emulator) == ["2024-01-03", ["2024-01-04"]]
    assert namespace.add("x", date(2024, 1, 5))
    namespace.replace({"y": {1}})
    assert connect(emulator)["app"].copy() == {"y": [1]}
    sent(emulator)
    for refusing, value in ((namespace, 1j), (connect(emulator)["app"], date(2024, 1, 2))):
        with pytest.raises(InvalidValue, match="not JSON"):
            refusing["cfg"] = value
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidValue, match="nested deeper"):
        namespace["cfg"] = endless
    assert sent(emulator) == []


def test_what_is_no_model_is_refused_in_one_line():
    """pydantic's advice to those who write types of their own is left out."""
    with pytest.raises(TypeError, match=r"^pydantic takes no 5 for a model: [^\n]+$"):
        connect(Emulator()).namespace("app", model=5)
