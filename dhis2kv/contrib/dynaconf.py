"""A loader for dynaconf: ``Dynaconf(loaders=["dhis2kv.contrib.dynaconf"], DHIS2KV_FOR_DYNACONF="app")``.

``DHIS2KV_FOR_DYNACONF`` is the name of a namespace in the store that the environment describes (see
``Store.from_env``), or any mapping; it can be set per environment, as any setting. Loading costs one request; a
``Namespace`` given as the mapping costs one more, for dynaconf asks whether it is empty. What goes wrong is raised,
also where dynaconf is told to be silent: give a ``Config`` with a fallback where the server may be away.

Whoever may write an entry does not thereby govern the program. Values are handed over as they are stored: a text such
as ``@format {env[HOME]}`` or ``@read_file ...`` is a text, unless ``DHIS2KV_TOKENS_FOR_DYNACONF`` is true. What would
switch something in dynaconf itself, as ``dynaconf_include`` does, is left out with a warning in any case. A name with
dots is one name, which ``settings.get(name, dotted_lookup=False)`` looks up.

Here since dynaconf obeys texts and names that it is given, and stored values are data.
"""
# mypy: disable-error-code="import-not-found, import-untyped"
# dynaconf is seldom where the types are checked.

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from dynaconf.base import RESERVED_ATTRS, UPPER_DEFAULT_SETTINGS
from dynaconf.utils import upperfy
from dynaconf.utils.parse_conf import Lazy, MetaValue, parse_conf_data

from dhis2kv.config import entries
from dhis2kv.contrib import opened

log = logging.getLogger("dhis2kv")

DEPTH = 100  # levels of a value; dynaconf goes through values by recursion, several calls a level

# Read by dynaconf, and none of its default settings: the first makes it run a file at the next reload.
_SWITCHES = {"DEFAULT_SETTINGS_PATHS", "DYNABOXIFY", "LOAD_DOTENV", "YAML", *UPPER_DEFAULT_SETTINGS, *RESERVED_ATTRS}
_SWITCH = re.compile(r"_?DYNACONF_.*|.*_FOR_DYNACONF|__.*", re.S)
_MARKS = ("dynaconf_merge", "dynaconf_merge_unique")
_MARK = re.compile(r"_DYNACONF_.*|DYNACONF_MERGE(_UNIQUE)?", re.S)


def load(obj: Any, *_: object, **__: object) -> None:
    """Load all entries into the settings; called by dynaconf, with more than is needed here."""
    source = obj.get("DHIS2KV_FOR_DYNACONF")
    if source is None:
        raise ValueError("set DHIS2KV_FOR_DYNACONF to the name of a namespace, or to a mapping")
    tokens = obj.get("DHIS2KV_TOKENS_FOR_DYNACONF", False)
    if not isinstance(tokens, bool):
        raise ValueError(f"DHIS2KV_TOKENS_FOR_DYNACONF is true or false, not {tokens!r}")
    # Before the loader is called dynaconf reads a dict that it was given, as any setting.
    if not tokens and _obeyed(dict.get(obj.store, "DHIS2KV_FOR_DYNACONF")):
        raise ValueError(
            "DHIS2KV_FOR_DYNACONF is a dict with texts that dynaconf obeys; give the namespace itself, its name, or a"
            " Config of it"
        )
    if not tokens and parse_conf_data(_Text("@none")) is None:
        raise RuntimeError("this version of dynaconf would obey stored texts; use one that dhis2kv is tested with")
    found = _named(obj, entries(opened(source)))
    if not tokens:
        found = {name: _data(value, name) for name, value in found.items()}
    obj.update(found, loader_identifier="dhis2kv", dotted_lookup=False)
    for name in found:
        # Before it loads again, dynaconf asks for each setting as an attribute, by the path that its dots make; where
        # another setting stands in that path (`list.x` beside `list`), it breaks off. So it finds it at once.
        if "." in name:
            object.__setattr__(obj, name, found[name])


def _obeyed(value: Any) -> bool:
    """Whether dynaconf has taken a text in a value for a token; looks past what dynaconf makes of it when asked."""
    if isinstance(value, dict):
        return any(map(_obeyed, dict.values(value)))
    if isinstance(value, list):
        return any(map(_obeyed, list.__iter__(value)))
    return isinstance(value, Lazy | MetaValue)


def _named(obj: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """The entries by the names under which dynaconf keeps them, without its switches and what it cannot tell apart."""
    kept: dict[str, str] = {}
    for key in sorted(found):
        name = _name(obj, key)
        if _is_switch(name):
            _warn(f"the entry {key!r} is left out: that name is a switch of dynaconf's own")
        elif _levels(found[key]) > DEPTH:
            _warn(f"the entry {key!r} is left out: it is nested deeper than {DEPTH} levels, and dynaconf would fail")
        elif name in kept:
            counts, lost = (key, kept[name]) if key == name else (kept[name], key)
            _warn(f"dynaconf cannot tell the entries {counts!r} and {lost!r} apart: the first counts")
            kept[name] = counts
        else:
            kept[name] = key
    return {name: found[key] for name, key in kept.items()}


def _name(obj: Any, key: str) -> str:
    """What dynaconf makes of a key."""
    index, nested = obj.get("INDEX_SEPARATOR_FOR_DYNACONF"), obj.get("NESTED_SEPARATOR_FOR_DYNACONF")
    if index:
        key = re.sub(rf"{index}(\d+)", r"[\1]", key)
    if nested:
        key = key.replace(nested, ".")
    return str(upperfy(key.strip()))


def _is_switch(name: str) -> bool:
    """Whether dynaconf would find a switch of its own under the name of a setting."""
    name = _folded(name)
    return name in _SWITCHES or _SWITCH.fullmatch(name) is not None


def _folded(name: str) -> str:
    """A name as dynaconf looks for it where it does not find it as it is: without regard to case, nor to blanks."""
    return name.strip().replace(" ", "_").lower().upper()


def _data(value: Any, where: str) -> Any:
    """A value in which nothing is dynaconf's: no text is a token, and no member or item tells it to merge or delete."""
    if isinstance(value, str):
        return _Text(value) if value.startswith("@") else value
    if isinstance(value, Mapping):
        marks = [name for name in value if _MARK.fullmatch(_folded(name))]
        members: Any = {name: _data(item, f"{where}.{name}") for name, item in value.items() if name not in marks}
    elif isinstance(value, list):
        marks = [item for item in value if item in _MARKS]
        members = [_data(item, where) for item in value if item not in _MARKS]
    else:
        return value
    for mark in marks:
        _warn(f"{mark!r} in {where!r} is left out: it is a switch of dynaconf's own")
    return members


def _warn(message: str) -> None:
    log.warning("%s", message)


def _levels(value: Any) -> int:
    """How deep a value is nested."""
    count, level = 0, [value]
    while level := [
        member
        for item in level
        if isinstance(item, Mapping | list)
        for member in (item.values() if isinstance(item, Mapping) else item)
    ]:
        count += 1
    return count


class _Text(str):
    """A text that begins like a token of dynaconf's, and is none.

    dynaconf parses texts at each assignment, also those that it has stored: an environment variable for one member of
    an object parses the others again. So a text must not only arrive, it must stay what it is. Of all that a text can
    do, two things are used to find a token: whether it starts with one of them all, and whether its first word is in
    the table of them. A validator with ``cast=str`` gets the same.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def startswith(self, prefix: str | tuple[str, ...], *bounds: Any) -> bool:
        return super().startswith(prefix, *bounds) and not (isinstance(prefix, tuple) and "@format" in prefix)

    def partition(self, sep: str) -> tuple[str, str, str]:
        word, found, rest = super().partition(sep)
        return _Word(word), found, rest


class _Word(str):
    """A word that equals itself, and is found in no table of others."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        return ~str.__hash__(self)
