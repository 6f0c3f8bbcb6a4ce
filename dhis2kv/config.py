"""Settings for long-running programs: a snapshot of a namespace that outlives the server's absences.

It may import the library up to the store. Here since a store gives what the server holds at that moment, an entry at a
time, and a program wants all its settings of one moment, also while the server is away.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import os
import threading
import time
import types
import typing
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from pathlib import Path
from typing import Any, TypeVar

from dhis2kv import errors, private, wire
from dhis2kv.store import Namespace

log = logging.getLogger("dhis2kv")

#: What an error is when the server is away, and not when it refuses.
AWAY = (errors.Unreachable, errors.TimedOut, errors.ServerError)

_ABSENT: Any = object()
_PLAIN = frozenset((str, int, float, bool, type(None)))  # types of values that nobody can change
_M = TypeVar("_M")
_Callback = TypeVar("_Callback", bound=Callable[[frozenset[str]], object])


def entries(source: Mapping[str, Any], keys: Iterable[str] | None = None) -> dict[str, Any]:
    """All entries of a mapping as a dict, or those of these keys that are there.

    A namespace is read in one request, where ``dict()`` would ask for each key; see ``Namespace.get_many``.
    """
    if keys is not None:
        return source.get_many(keys) if isinstance(source, Namespace) else {k: source[k] for k in keys if k in source}
    return source.copy() if isinstance(source, Namespace) else dict(source)


class Config(Mapping[str, Any]):
    """A read-only mapping over a snapshot of a namespace, or of any other mapping.

    ::

        config = Config(store["app"], defaults={"db": {"port": 5432}}, refresh_after=300)
        config["db.port"]

    Making one sends nothing. The first look loads everything in one request; after that looking costs none, however
    many settings there are. A name is a key, or a dotted path into objects below one: ``config["db.port"]`` is
    ``config["db"]["port"]``. Keys that hold dots themselves are found, and the longest one counts. Iteration and
    ``len()`` are about the keys alone. Values are copies: changing one changes nothing for anybody else.

    With ``refresh_after`` the first look after so many seconds loads the snapshot again, in the thread that looks;
    meanwhile other threads go on with the snapshot that is there. When that fails, whatever the reason, a warning is
    logged, the snapshot stays, and the next try is after the same time. Only ``refresh()`` and the first look raise.

    With ``fallback`` each snapshot that differs from the one before is also written to a file, whole or not at all,
    which only its owner can read (mode 0600: it holds all values in plain text). When that fails a warning is logged.
    The first look reads it when the server is away: no connection, no answer in time, an error of the server's own.
    Not when the server refuses. Then it raises ``ValueError`` for a file that cannot be understood.

    Any number of threads may use one.

    :param source: a ``Namespace``, which is read past its cache, or any other mapping.
    :param defaults: what counts where the source says nothing; objects in both are merged, member by member.
    :param refresh_after: seconds; without it only ``refresh()`` loads again.
    :param fallback: the path of a file in a folder that exists, or of a symbolic link to one, which stays a link.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        source: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
        *,
        refresh_after: float | None = None,
        fallback: str | os.PathLike[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if refresh_after is not None and refresh_after <= 0:
            raise ValueError("refresh_after is a number of seconds above 0; without it nothing is loaded again")
        self._source, self._defaults = source, dict(defaults or {})
        self._refresh_after = refresh_after
        self._fallback = None if fallback is None else Path(fallback)
        if self._fallback is not None:
            _check_place(self._fallback)
        self._clock = clock
        self._lock = threading.Lock()  # held while the snapshot is loaded
        self._data: dict[str, Any] | None = None
        self._plain: dict[str, Any] = {}  # what names mean in it that were looked up already, where no copy is needed
        self._saved: str | None = None
        self._due = 0.0
        self._callbacks: list[Callable[[frozenset[str]], object]] = []

    def __repr__(self) -> str:
        # Never the settings themselves, of which some may be secret.
        source = repr(self._source) if isinstance(self._source, Namespace) else f"a {type(self._source).__name__}"
        loaded = "not loaded yet" if self._data is None else f"{len(self._data)} settings"
        return f"<{type(self).__name__} of {source}, {loaded}>"

    # --- looking ------------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        try:  # a program that runs does nothing else with its settings
            if self._refresh_after is None or self._clock() < self._due:
                return self._plain[name]
        except (KeyError, TypeError):  # not looked up before, or no text
            pass
        if not isinstance(name, str):
            raise TypeError(f"a setting's name is a str, not {type(name).__name__}")
        data, plain = self._current(), self._plain
        value = _look_up(data, name)
        if value is _ABSENT:
            raise KeyError(name)
        if type(value) not in _PLAIN:
            return _copied(value)
        if data is self._data:  # then plain is of it too, for _take replaces it later
            plain[name] = value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def copy(self) -> dict[str, Any]:
        """Everything as a dict, all of one snapshot."""
        return typing.cast(dict[str, Any], _copied(self._current()))

    def items(self) -> ItemsView[str, Any]:
        """Keys and values, all of one snapshot."""
        return self.copy().items()

    def values(self) -> ValuesView[Any]:
        """The values, all of one snapshot."""
        return self.copy().values()

    def as_(self, model: type[_M], name: str | None = None) -> _M:
        """The settings as an instance of a model, or those below one name.

        A model is a class with ``model_validate``, as in pydantic, which is given everything; or a dataclass, which is
        given what its fields are named after. Fields that are dataclasses, or those or None, are made from objects,
        too; no value is checked or converted. Raises what the model raises, ``KeyError`` for a name that is absent,
        ``TypeError`` for a class of another kind, and ``ValueError`` where a dataclass lacks a setting.
        """
        data = self.copy() if name is None else self[name]
        validate = getattr(model, "model_validate", None)
        if validate is not None:
            return typing.cast(_M, validate(data))
        if not dataclasses.is_dataclass(model):
            raise TypeError(f"{model!r} is neither a dataclass nor has it model_validate, as pydantic's models have")
        return typing.cast(_M, _dataclass(model, data))

    # --- loading ------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Load the snapshot again, now; one request. Raises what reading raises, and then the old snapshot stays."""
        with self._lock:
            changed = self._load()
        self._tell(changed)

    def on_change(self, callback: _Callback) -> _Callback:
        """Have a function called after each load that changed something, with the names of the keys that changed.

        It is called in the thread that loaded, when the new snapshot counts already; what it raises is raised there.
        The first load changes nothing. Returns the function, so that this is a decorator.
        """
        self._callbacks.append(callback)
        return callback

    def _current(self) -> dict[str, Any]:
        """The snapshot, loaded where it has to be."""
        if self._data is None:
            with self._lock:
                if self._data is None:  # another thread may have loaded it while this one waited
                    self._load_first()
        elif self._refresh_after is not None and self._clock() >= self._due and self._lock.acquire(blocking=False):
            self._load_again()
        return typing.cast(dict[str, Any], self._data)

    def _load_first(self) -> None:
        try:
            self._load()
        except AWAY as error:
            if self._fallback is None or not self._fallback.exists():
                raise
            self._take(_merged(self._defaults, _restored(self._fallback, error)))
            log.warning("the server is away, the settings are those in %s: %s", self._fallback, error)

    def _load_again(self) -> None:
        """Load a snapshot that is too old, and release the lock."""
        changed: frozenset[str] = frozenset()
        try:
            changed = self._load()
        except errors.Dhis2kvError as error:
            log.warning("the settings could not be loaded again, those from before stay: %s", error)
        finally:
            self._lock.release()
        self._tell(changed)

    def _load(self) -> frozenset[str]:
        """Load the snapshot; returns the keys that changed, none at first."""
        if self._refresh_after is not None:
            self._due = self._clock() + self._refresh_after
        if isinstance(self._source, Namespace):
            self._source.refresh()  # the reason to load is that what is cached may be old
        found = entries(self._source)
        before, now = self._data, _copied(_merged(self._defaults, found))
        self._take(now)
        if self._fallback is not None:
            self._save(self._fallback, found)
        return frozenset() if before is None else _changed(before, now)

    def _take(self, data: dict[str, Any]) -> None:
        """Let a snapshot count from now on."""
        self._data = data
        self._plain = {}  # in this order; see __getitem__

    def _save(self, path: Path, found: dict[str, Any]) -> None:
        try:
            text = json.dumps(found, ensure_ascii=False)
            if text == self._saved:
                return
            with private.whole_file(path) as file:
                file.write(text)
        except (OSError, ValueError, RecursionError) as error:  # the last two: more digits or levels than json prints
            log.warning("the settings could not be written to %s, which stays as it was: %s", path, error)
        else:
            self._saved = text

    def _tell(self, changed: frozenset[str]) -> None:
        if changed:
            for callback in self._callbacks:
                callback(changed)


def _changed(before: dict[str, Any], now: dict[str, Any]) -> frozenset[str]:
    """The keys that are in one of them, or that do not mean the same in both."""
    same = {key for key in before.keys() & now.keys() if wire.same(before[key], now[key])}
    return frozenset((before.keys() | now.keys()) - same)


# Nothing below recurses, for a value may be nested as deep as half of Python's stack.


def _look_up(data: Mapping[str, Any], name: str) -> Any:
    """What a name means in nested objects; of keys with dots in them the longest counts."""
    todo = [(data, name)]
    while todo:
        inside, rest = todo.pop()
        if rest in inside:
            return inside[rest]
        heads = [(rest[:end], rest[end + 1 :]) for end, mark in enumerate(rest) if end and mark == "."]
        todo += [(inside[head], tail) for head, tail in heads if isinstance(inside.get(head), Mapping)]
    return _ABSENT


def _merged(defaults: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The one over the other, objects in both member by member."""
    whole = {**defaults, **found}
    todo = [(whole, defaults, found)]
    while todo:
        merged, below, above = todo.pop()
        for key in below.keys() & above.keys():
            if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
                merged[key] = {**below[key], **above[key]}
                todo.append((merged[key], below[key], above[key]))
    return whole


def _copied(value: Any) -> Any:
    """A copy of a value, which shares nothing with it that could be changed."""
    whole: list[Any] = []
    copies: dict[int, Any] = {}  # by the id of what they are copies of, which may stand in several places
    todo: list[tuple[Any, Any]] = [([value], whole)]
    while todo:
        source, into = todo.pop()
        for name, member in source.items() if type(source) is dict else enumerate(source):
            kind = type(member)
            if kind in _PLAIN:
                new = member
            elif kind is not dict and kind is not list:
                new = copy.deepcopy(member)
            elif (new := copies.get(id(member))) is None:
                new = copies[id(member)] = kind()
                todo.append((member, new))
            if type(into) is dict:
                into[name] = new
            else:
                into.append(new)
    return whole[0]


def _dataclass(model: Any, data: Any) -> Any:
    """An instance of a dataclass, and of those in its fields."""
    made: dict[str, Any] = {}
    todo = [(model, data, made, "")]
    order = []
    while todo:
        model, data, parent, place = todo.pop()
        members = _members(model, data)
        order.append((model, members, parent, place))
        hints = typing.get_type_hints(model)
        for name, value in members.items():
            inner = _dataclass_of(hints[name])
            if inner is not None and isinstance(value, Mapping):
                todo.append((inner, value, members, name))
    for model, members, parent, place in reversed(order):  # those in fields first
        parent[place] = model(**members)
    return made[""]


def _members(model: Any, data: Any) -> dict[str, Any]:
    """What a dataclass is given, by the names of its fields."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{model.__name__} is made from an object with members, not from {type(data).__name__}")
    fields = {field.name: field for field in dataclasses.fields(model) if field.init}
    needed = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in needed if name not in data]
    if missing:
        raise ValueError(f"{model.__name__} needs settings that are not there: {', '.join(missing)}")
    return {name: data[name] for name in fields if name in data}


def _dataclass_of(kind: Any) -> Any:
    """The dataclass that a field's type is, or one of several that is; None where there is none."""
    kinds = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    return next(filter(dataclasses.is_dataclass, kinds), None)


def _check_place(path: Path) -> None:
    """Refuse a path at which no file can be kept."""
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name a file in it to keep the fallback in")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {str(folder)!r} to keep the fallback in")


def _restored(path: Path, why: Exception) -> dict[str, Any]:
    """The entries in a fallback file; raises ``ValueError`` where they cannot be read."""
    try:
        found = wire.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(_broken(path, error, why)) from error
    if not isinstance(found, dict):
        raise ValueError(_broken(path, "it holds no object", why)) from why
    return found


def _broken(path: Path, what: object, why: Exception) -> str:
    return (
        f"the server is away ({why}), and the fallback {path} is not what was written there: {what}."
        " Remove the file and start again when the server is back"
    )
