"""Values as models: what a namespace with ``model=`` gives, and what it takes; imports the errors and the protocol.

Here since a stored value is what anybody stored: it becomes an instance, or an error that says what does not fit.
Models of pydantic are an extra, and loaded when the first one is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from dhis2kv import errors, wire

# What a function raises that is given data it does not expect.
_DOES_NOT_FIT = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Model(Protocol):
    """How one kind of value is read and written; both raise ``_Misfit`` for what does not fit."""

    def load(self, value: Any) -> Any:
        """The instance that a JSON value means."""

    def dump(self, value: Any) -> Any:
        """The JSON value of an instance, if ``load`` takes it."""


class _Misfit(Exception):
    """What does not fit, in a sentence; and as pydantic tells it, in whole and in parts."""

    def __init__(self, sentence: str, report: str, details: list[dict[str, Any]]) -> None:
        super().__init__(sentence)
        self.report, self.details = report, details


class Models:
    """The models of a namespace's keys: ``models`` for some of them, ``model`` for the others.

    A model is a pair of functions, ``load`` from JSON and ``dump`` to JSON, or anything that pydantic's ``TypeAdapter``
    takes. Without one a value is its JSON. Raises ``TypeError`` for what is none, and ``ImportError`` without pydantic.
    """

    def __init__(self, namespace: str, model: Any, models: Mapping[str, Any] | None) -> None:
        self.given = model, models
        self._namespace = namespace
        self._others = None if model is None else _model(model)
        self._by_key = {key: _model(one) for key, one in (models or {}).items()}

    def load(self, key: str, value: Any) -> Any:
        """The instance that the value of a key means; raises ``Unfit``."""
        return self.load_all({key: value})[key]

    def dump(self, key: str, value: Any) -> Any:
        """The JSON value of an instance; raises ``Unfit``."""
        return self.dump_all({key: value})[key]

    def load_all(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The instances of several keys; raises ``Unfit``, which names all that do not fit."""
        return self._each(values, lambda model, value: model.load(value), "does not fit its model")

    def dump_all(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON values of several instances; raises ``Unfit``, which names all that do not fit."""
        return self._each(values, lambda model, value: model.dump(value), "does not fit its model; nothing was sent")

    def edited(self, key: str, stored: Any, before: Any, after: Any) -> Any:
        """The JSON value to write of an edited instance, with the members beside that the model ignores.

        ``before`` and ``after`` are the JSON values of the instance; what is in ``stored`` and not in ``before`` is
        unknown to the model, and somebody else's.
        """
        return _merged(stored, before, after) if self._of(key) else after

    def _of(self, key: str) -> Model | None:
        return self._by_key.get(key, self._others)

    def _each(self, values: Mapping[str, Any], act: Callable[[Model, Any], Any], what: str) -> dict[str, Any]:
        done: dict[str, Any] = {}
        misfits: dict[str, _Misfit] = {}
        for key, value in values.items():
            model = self._of(key)
            try:
                done[key] = value if model is None else act(model, value)
            except _Misfit as misfit:
                misfits[key] = misfit
        if misfits:
            raise self._unfit(misfits, what)
        return done

    def _unfit(self, misfits: Mapping[str, _Misfit], what: str) -> errors.Unfit:
        told = "; ".join(f"{self._namespace}/{key} {what}: {misfit}" for key, misfit in misfits.items())
        error = errors.Unfit(
            told,
            key=next(iter(misfits)),
            namespace=self._namespace,
            reports={key: misfit.report for key, misfit in misfits.items()},
            details={key: misfit.details for key, misfit in misfits.items()},
        )
        error.__cause__ = next(iter(misfits.values())).__cause__
        return error


def _model(given: Any) -> Model:
    if isinstance(given, tuple):
        if len(given) != 2 or not all(map(callable, given)):
            raise TypeError("a model is a pair of functions, load and dump, or what pydantic's TypeAdapter takes")
        return _Pair(*given)
    return _Pydantic(given)


class _Pair:
    """A model that is two functions."""

    def __init__(self, load: Callable[[Any], Any], dump: Callable[[Any], Any]) -> None:
        self._load, self._dump = load, dump

    def load(self, value: Any) -> Any:
        return _called(self._load, value)

    def dump(self, value: Any) -> Any:
        dumped = _called(self._dump, value)
        self.load(dumped)
        return dumped


def _called(function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except errors.Dhis2kvError:
        raise
    except _DOES_NOT_FIT as error:
        sentence = f"{type(error).__name__}: {error}"
        raise _Misfit(sentence, sentence, [{"loc": (), "msg": sentence, "type": type(error).__name__}]) from error


class _Pydantic:
    """A model of pydantic's."""

    def __init__(self, model: Any) -> None:
        try:
            import pydantic
            import pydantic_core
        except ModuleNotFoundError as error:
            raise ImportError("models need pydantic: install 'dhis2kv[models]', or give a pair (load, dump)") from error
        try:
            self._adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(model)
        except pydantic.errors.PydanticUserError as error:
            why = error.message.partition("\n")[0]
            raise TypeError(f"pydantic takes no {model!r} for a model: {why}") from error
        self._refusals = (pydantic.ValidationError, pydantic_core.PydanticSerializationError)

    def load(self, value: Any) -> Any:
        # As JSON, not as a Python value: in strict models too a text may be a date there, and a list a tuple.
        try:
            text = json.dumps(value)
        except (ValueError, RecursionError) as error:  # an integer of too many digits, or nested too deep
            raise _misfit(error) from error
        return self._called(self._adapter.validate_json, text)

    def dump(self, value: Any) -> Any:
        # By alias, as it is read; and read again, for an instance may have been changed into one that does not fit.
        text = self._called(
            lambda it: self._adapter.dump_json(it, by_alias=True, round_trip=True, warnings=False), value
        )
        self._called(self._adapter.validate_json, text)
        return json.loads(text)

    def _called(self, function: Callable[[Any], Any], value: Any) -> Any:
        try:
            return function(value)
        except self._refusals as error:
            raise _misfit(error) from error


def _misfit(error: Any) -> _Misfit:
    """A refusal of pydantic's, or of what spells JSON for it; its sentence without the values, which are data that must
    not stand in logs.
    """
    if not hasattr(error, "errors"):
        return _Misfit(str(error), str(error), [{"loc": (), "msg": str(error), "type": "serialization"}])
    details = [
        {name: fact for name, fact in one.items() if name in ("loc", "msg", "type")}
        for one in error.errors(include_url=False, include_context=False)
    ]
    told = [f"{place}: {one['msg']}" if (place := ".".join(map(str, one["loc"]))) else one["msg"] for one in details]
    return _Misfit("; ".join(told), str(error), details)


# --- what others stored beside ----------------------------------------------------------------------------------------


def _merged(stored: Any, before: Any, after: Any) -> Any:
    """``after``, with what ``stored`` has and ``before`` has not, and as stored where nothing changed."""
    if wire.same(before, after):
        return stored
    if isinstance(stored, dict) and isinstance(before, dict) and isinstance(after, dict):
        unknown = {name: member for name, member in stored.items() if name not in before}
        known = {
            name: _merged(stored[name], before[name], member) if name in stored and name in before else member
            for name, member in after.items()
        }
        return unknown | known
    if isinstance(stored, list) and isinstance(before, list) and isinstance(after, list) and len(stored) == len(before):
        return _merged_items(stored, before, after)
    return after


def _merged_items(stored: list[Any], before: list[Any], after: list[Any]) -> list[Any]:
    """The items: one that was there before keeps what is beside it wherever it is now, another one where it stands."""
    free = dict(enumerate(before))
    places: list[int | None] = []
    for item in after:
        place = next((number for number, was in free.items() if wire.same(was, item)), None)
        places.append(place)
        free.pop(place, None)  # type: ignore[arg-type]  # None is none of them
    for number in range(len(after)):
        if places[number] is None and number in free:
            places[number] = number
            del free[number]
    return [
        item if place is None else _merged(stored[place], before[place], item)
        for item, place in zip(after, places, strict=True)
    ]


def check(model: Any) -> Callable[[Mapping[str, Any]], Iterator[tuple[str, list[dict[str, Any]]]]]:
    """What finds each key whose value does not fit a model, with what does not: ``loc``, the path, and ``msg``.

    Raises as ``Models`` does for what is no model.
    """
    fitting = _model(model)

    def misfits(values: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        for key, value in values.items():
            try:
                fitting.load(value)
            except _Misfit as misfit:
                yield key, misfit.details

    return misfits
