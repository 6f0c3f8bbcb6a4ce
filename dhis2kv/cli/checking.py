"""The command check: which stored values do not fit a model or a JSON Schema.

Here since the model and the schema are the user's own code and files: what is wrong with them is wrong usage, what is
wrong with values is the answer.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dhis2kv import errors, wire
from dhis2kv.cli.connection import complete_key, namespace_argument, with_store
from dhis2kv.cli.failures import FAILURE, Comparison
from dhis2kv.cli.output import output_option, say, show

if TYPE_CHECKING:
    from dhis2kv.store import Store

# Of a value, each thing that does not fit: its path, and a sentence.
Misfits = Callable[[Mapping[str, Any]], Iterator[tuple[str, str, str]]]


@click.command(cls=Comparison)
@with_store
@namespace_argument
@click.argument("key", required=False, shell_complete=complete_key)
@click.option("--model", metavar="PACKAGE:CLASS", help="A model, as pydantic takes it; also one of this folder.")
@click.option("--schema", metavar="FILE", help="A JSON Schema.")
@output_option("raw")
@click.pass_context
def check(
    context: click.Context,
    store: Store,
    namespace: str,
    key: str | None,
    model: str | None,
    schema: str | None,
    form: str,
) -> None:
    """Tell which values do not fit a model or a JSON Schema, and where; exit status 1 when there are any.

    A value that Python cannot hold does not fit either. Needs the extra 'models' for a model, and 'schema' for a
    schema.
    """
    if (model is None) == (schema is None):
        raise click.UsageError("give --model PACKAGE:CLASS, or --schema FILE")
    misfits = _of_model(model) if model is not None else _of_schema(Path(schema or ""))
    values, unreadable = _values(_texts(store, namespace, key))
    found = [*unreadable, *misfits(values)]
    if form == "raw":
        show([f"{name}{f' {path}' if path else ''}: {problem}" for name, path, problem in found], form)
    else:
        show([{"KEY": name, "PATH": path, "PROBLEM": problem} for name, path, problem in found], form)
    wrong = len({name for name, _, _ in found})
    total = len(values) + len(unreadable)
    say(f"{wrong} of {total} entries do not fit" if wrong else f"all {total} entries fit")
    if found:
        context.exit(FAILURE)


def _texts(store: Store, namespace: str, key: str | None) -> dict[str, str]:
    """The JSON texts of a namespace's entries, or of one; raises ``KeyNotFound`` where there is none."""
    user = store is store.user
    if key is not None:
        return {key: store.datastore.get_text(namespace, key, user=user)}
    texts = store.datastore.get_all(namespace, user=user, texts=True)
    if not texts and namespace not in store:
        raise errors.KeyNotFound(namespace)
    return texts


def _values(texts: Mapping[str, str]) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """The values of these texts, and what is said of those that Python cannot hold."""
    values: dict[str, Any] = {}
    unreadable: list[tuple[str, str, str]] = []
    for key, text in texts.items():
        try:
            values[key] = wire.loads(text)
        except errors.Unreadable as error:
            unreadable.append((key, "", f"it cannot be read: {error}"))
    return values, unreadable


def _of_model(named: str) -> Misfits:
    from dhis2kv import models

    package, _, name = named.partition(":")
    if not package or not name:
        raise click.BadParameter(f"{named!r} names no model: write package.module:Class", param_hint="--model")
    sys.path.insert(0, os.getcwd())  # a console script's own folder is there instead
    try:
        model = attrgetter(name)(importlib.import_module(package))
    except (ImportError, AttributeError) as error:
        raise click.BadParameter(f"cannot import {named}: {error}", param_hint="--model") from error
    finally:
        sys.path.remove(os.getcwd())
    try:
        fitting = models.check(model)
    except (TypeError, ImportError) as error:
        raise click.BadParameter(str(error), param_hint="--model") from error

    def misfits(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        for key, details in fitting(values):
            yield from ((key, _dotted(one["loc"]), one["msg"]) for one in details)

    return misfits


def _of_schema(file: Path) -> Misfits:
    try:
        import jsonschema
        from referencing import Registry
        from referencing.exceptions import Unresolvable
    except ModuleNotFoundError as error:
        raise click.UsageError("--schema needs the extra 'schema': install 'dhis2kv[schema]'") from error
    try:
        schema = wire.loads(file.read_text(encoding="utf-8-sig"))
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        kind.check_schema(schema)
    except OSError as error:
        raise click.BadParameter(f"cannot read {file}: {error.strerror}", param_hint="--schema") from error
    except ValueError as error:
        raise click.BadParameter(f"{file} is not JSON: {error}", param_hint="--schema") from error
    except jsonschema.SchemaError as error:
        raise click.BadParameter(f"{file} is no JSON Schema: {error.message}", param_hint="--schema") from error
    validator = kind(schema, registry=Registry())  # an empty one: nothing is fetched from anywhere

    def misfits(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        try:
            for key, value in values.items():
                try:
                    problems = sorted(validator.iter_errors(value), key=lambda one: list(map(str, one.absolute_path)))
                except (RecursionError, ValueError) as error:  # nested too deep for it, or an integer it cannot print
                    yield key, "", f"it cannot be checked: {error}"
                    continue
                for problem in problems:
                    yield key, _dotted(problem.absolute_path), problem.message
        except Unresolvable as error:
            raise click.BadParameter(f"{file} refers to what is not in it: {error}", param_hint="--schema") from error

    return misfits


def _dotted(path: Any) -> str:
    return ".".join(map(str, path))


COMMANDS = (check,)
