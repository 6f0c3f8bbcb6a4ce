# pyright: strict
"""A program with types, as users write one; the type checkers read it, and it runs.

Each ``assert_type`` says what a type checker must know; each ignored line is one that it must refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_type

import pydantic
from typing_extensions import TypedDict

from dhis2kv import Namespace, Store, where


class Settings(pydantic.BaseModel):
    theme: str = "light"


@dataclass
class Point:
    x: int


class Run(TypedDict):
    by: str


class Ours(Store):
    """A subclass, which its own methods give again."""


def load(value: str) -> complex:
    """A complex number of its text."""
    return complex(value)


def dump(value: complex) -> str:
    """The text of a complex number."""
    return str(value)


def plain(ns: Namespace) -> None:
    """A namespace without a model holds anything."""
    ns["cfg"] = {"theme": "dark"}
    assert_type(ns["cfg"], Any)
    assert_type(ns.copy(), dict[str, Any])
    mapping: Mapping[str, Any] = ns
    assert mapping


def modelled(store: Store) -> None:
    """A namespace with a model holds that."""
    ns = store.namespace("app", model=Settings)
    assert_type(ns, Namespace[Settings])
    ns["cfg"] = Settings(theme="dark")
    assert_type(ns["cfg"], Settings)
    assert_type(ns.get("cfg"), Settings | None)
    assert_type(ns.copy(), dict[str, Settings])
    assert_type(ns.get_many(["cfg"]), dict[str, Settings])
    assert_type(ns.find(where("theme") == "dark"), dict[str, Settings])
    assert_type(ns.find(fields="theme"), dict[str, Any])
    assert_type(ns.find(explain=True), str)
    assert_type(ns.setdefault("cfg", Settings()), Settings)
    with ns.edit("cfg") as cfg:
        assert_type(cfg, Settings)
        cfg.theme = "light"
    for key, value in ns.items():
        assert_type(key, str)
        assert_type(value, Settings)
    assert_type(ns.pop("cfg"), Settings)
    assert_type(ns.pop("cfg", None), Settings | None)


def other_models(store: Store) -> None:
    """Dataclasses, TypedDicts, generics and pairs of functions are models, too."""
    assert_type(store.namespace("app", model=Point), Namespace[Point])
    assert_type(store.namespace("app", model=list[int]), Namespace[list[int]])
    assert_type(store.namespace("app", model=Run), Namespace[Run])
    assert_type(store.namespace("app", model=(load, dump)), Namespace[complex])
    assert_type(store.namespace("app", models={"cfg": Settings}), Namespace[Any])


def stores(store: Ours) -> None:
    """A store gives namespaces, and itself for the other half of it."""
    assert_type(store["app"], Namespace[Any])
    assert_type(store.get("app"), Namespace[Any] | None)
    assert_type(store.get("app", 7), Namespace[Any] | int)
    assert_type(store.user, Ours)
    with store as same:
        assert_type(same, Ours)


def never(ns: Namespace[Settings]) -> None:
    """What is only read by type checkers."""
    assert_type(Ours.from_env(), Ours)
    assert_type(Ours.from_profile("play"), Ours)
    Store("https://dhis2.example.org", auth=("admin", "district"))
    Store("https://dhis2.example.org", auth=lambda request: request)
    Store("https://dhis2.example.org", auth="admin")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ns["cfg"] = {"theme": "dark"}  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
    ns.add("cfg", 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def main(store: Ours) -> None:
    """All of it, on one store."""
    plain(store["app"])
    modelled(store)
    other_models(store)
    stores(store)
