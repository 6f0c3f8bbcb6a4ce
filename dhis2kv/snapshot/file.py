"""The form of an export as a file: entries as JSON, one a line, and back.

It may import the library up to the store. Here since the form is written and read in one place: whoever reads an export
is as strict as all others, for a slip in an edited one must not lay open what is encrypted.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import IO, Any

from dhis2kv import errors, wire
from dhis2kv.snapshot.reading import Entry
from dhis2kv.snapshot.scanner import Scanner
from dhis2kv.wire import exact
from dhis2kv.wire.sharing import Sharing

FORM = 1
STORES = (wire.SHARED, wire.USER)


def dump(file: IO[str], stores: Mapping[str, Iterable[Entry]], *, without_sharing: bool = False) -> None:
    """Write an export of ``{"dataStore": entries, "userDataStore": entries}``, entry by entry as they come.

    The entries of a namespace must follow one another, as ``read`` gives them. Holds the names of encrypted entries,
    the sharing of those that are not shared as DHIS2 does it, and nothing else. ``without_sharing`` says in the file
    that the sharing of its entries is not known, so that who imports it does not take them for open to all.
    """
    encrypted: dict[str, dict[str, list[str]]] = {kind: {} for kind in stores}
    shared: dict[str, dict[str, Sharing]] = {}

    def namespaces(kind: str) -> Iterator[_Member]:
        for namespace, entries in groupby(stores[kind], lambda entry: entry.namespace):
            yield namespace, members(kind, entries)

    def members(kind: str, entries: Iterable[Entry]) -> Iterator[_Member]:
        for entry in entries:
            if entry.encrypted:
                encrypted[kind].setdefault(entry.namespace, []).append(entry.key)
            if entry.sharing is not None and entry.sharing != Sharing():
                shared.setdefault(entry.namespace, {})[entry.key] = entry.sharing
            yield entry.key, _text(entry.value)

    def sharings() -> Iterator[_Member]:
        for namespace, found in shared.items():
            yield namespace, ((key, _text(parts_of(sharing))) for key, sharing in found.items())

    def whole() -> Iterator[_Member]:
        yield "dhis2kv", _text(FORM)
        yield from ((kind, namespaces(kind)) for kind in stores)
        yield "encrypted", marks()
        if without_sharing:
            yield "sharing", "false"
        elif shared:
            yield "sharing", iter([(wire.SHARED, sharings())])

    def marks() -> Iterator[_Member]:
        for kind, found in encrypted.items():
            yield kind, ((namespace, _text(keys)) for namespace, keys in found.items())

    _write(file, whole())
    file.write("\n")


_Member = tuple[str, "str | Iterator[_Member]"]


def _write(file: IO[str], value: str | Iterator[_Member], margin: str = "") -> None:
    """Write a JSON text, or an object member by member, a line each."""
    if isinstance(value, str):
        file.write(value)
        return
    before = "{"
    for name, member in value:
        file.write(f"{before}\n{margin}  {_text(name)}: ")
        _write(file, member, margin + "  ")
        before = ","
    file.write("{}" if before == "{" else f"\n{margin}}}")


def parts_of(sharing: Sharing) -> dict[str, Any]:
    """A sharing as JSON."""
    return {"public": sharing.public, "users": dict(sharing.users), "groups": dict(sharing.groups)}


def sharing_of(parts: Any, place: str) -> Sharing:
    """The sharing that JSON means; raises ``ValueError`` that begins with its place."""
    if not isinstance(parts, dict) or not parts.keys() <= {"public", "users", "groups"}:
        raise ValueError(f"{place}: sharing has public, users and groups, and no more")
    try:
        return Sharing(**parts)
    except errors.InvalidValue as error:
        raise ValueError(f"{place}: {error}") from error


def _text(value: Any) -> str:
    return exact.printed(value)


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding(start: bytes) -> str:
    """The encoding of a text that begins so: UTF-8, or UTF-16 where a byte order mark says it."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")


def decoded(file: IO[bytes]) -> IO[str]:
    """The text of a file of bytes that can be read again from its start."""
    start = file.read(3)
    file.seek(0)
    return io.TextIOWrapper(file, encoding=encoding(start), newline="")


def load(file: IO[str]) -> dict[str, list[Entry]]:
    """The entries of an export, as ``{"dataStore": [...], "userDataStore": [...]}``; reads the whole file.

    Raises ``ValueError``, with line and column, for a file that is no export: for a member that the form does not have,
    a name that stands twice, and a mark of an encrypted entry that is not there. Names and values are checked by
    ``plan``. ``Export`` reads files that are larger than memory.
    """
    export = Export(file if file.seekable() else io.StringIO(file.read()))
    return {kind: list(export.entries(kind)) for kind in STORES}


class Export:
    """An export in a file that can be read again from its start; holds the names of one namespace, and no values.

    Making one reads the file once, or twice where encrypted entries are marked, and raises as ``load``. ``namespaces``
    has the names of those in each store; ``without_sharing`` is whether the file says that the sharing of its entries
    is not known. Where it says nothing of sharing, that of an entry is None; where it tells that of some, the others
    have DHIS2's.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._marks: dict[tuple[str, str], dict[str, str]] = {}  # store and namespace: each key, and where it stands
        self._shared: dict[tuple[str, str], Sharing] | None = None  # by namespace and key, if the file tells any
        self.without_sharing = False
        self.namespaces: dict[str, set[str]] = {kind: set() for kind in STORES}
        for _ in self._walk(marking=True):
            pass
        left = {place: dict(keys) for place, keys in self._marks.items()}
        unshared: set[tuple[str, str]] = set(self._shared or ())
        if any(left.values()) or unshared:
            for kind, entry in self._walk():
                left.get((kind, entry.namespace), {}).pop(entry.key, None)
                if kind == wire.SHARED:
                    unshared.discard((entry.namespace, entry.key))
        for namespace, key in sorted(unshared):
            raise ValueError(f"{wire.SHARED} has no entry {namespace}/{key} that could be shared")
        for (kind, namespace), keys in left.items():
            for key, place in keys.items():
                raise ValueError(f"{place}: {kind} has no entry {namespace}/{key} that could be encrypted")

    def entries(self, kind: str) -> Iterator[Entry]:
        """The entries of ``"dataStore"`` or ``"userDataStore"``."""
        return (entry for found, entry in self._walk() if found == kind)

    def _walk(self, *, marking: bool = False) -> Iterator[tuple[str, Entry]]:
        self._file.seek(0)
        scanner, form = Scanner(self._file), None
        if scanner.sign() != "{":
            raise scanner.error(f'it is no export: expected a JSON object with "dhis2kv": {FORM}')
        for name in scanner.members():
            if name in STORES:
                for namespace in scanner.members():
                    self.namespaces[name].add(namespace)
                    marked = self._marks.get((name, namespace), {})
                    for key in scanner.members():
                        sharing = self._sharing(name, namespace, key)
                        yield name, Entry(namespace, key, scanner.value(), key in marked, sharing)
            elif name == "encrypted":
                self._read_marks(scanner, marking)
            elif name == "sharing":
                self._read_sharing(scanner, marking)
            elif name == "dhis2kv":
                form = scanner.value()
            else:
                raise scanner.error(
                    f"an export has no member {name!r}: it has dhis2kv, encrypted, sharing, {', '.join(STORES)}"
                )
        if scanner.sign():
            raise scanner.error("after the export comes more")
        if form != FORM or isinstance(form, bool):
            raise ValueError(f'it is no export that can be read here: one has "dhis2kv": {FORM}')

    def _sharing(self, kind: str, namespace: str, key: str) -> Sharing | None:
        """The sharing of an entry; DHIS2's where that of others is told, None where none is."""
        if kind != wire.SHARED or self._shared is None:
            return None
        return self._shared.get((namespace, key), Sharing())

    def _read_sharing(self, scanner: Scanner, marking: bool) -> None:
        if scanner.sign() != "{":
            if scanner.value() is not False:
                raise scanner.error("sharing is an object, or false where it is not known")
            self.without_sharing = True
            return
        if marking:
            self._shared = {}
        for kind in scanner.members():
            if kind != wire.SHARED:
                raise scanner.error(f"only entries of {wire.SHARED} are shared, not those of {kind!r}")
            for namespace in scanner.members():
                for key in scanner.members():
                    place = scanner.place
                    sharing = sharing_of(scanner.value(), place)
                    if self._shared is not None:
                        self._shared[namespace, key] = sharing

    def _read_marks(self, scanner: Scanner, marking: bool) -> None:
        for kind in scanner.members():
            if kind not in STORES:
                raise scanner.error(f"{kind!r} is no store whose encrypted entries could be named: {', '.join(STORES)}")
            for namespace in scanner.members():
                place = scanner.place
                keys = scanner.value()
                if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
                    raise ValueError(f"{place}: the encrypted entries of {kind} {namespace!r} are no list of keys")
                if len(set(keys)) < len(keys):
                    raise ValueError(f"{place}: an encrypted entry of {kind} {namespace!r} is named twice")
                if marking:
                    self._marks[kind, namespace] = dict.fromkeys(keys, place)
