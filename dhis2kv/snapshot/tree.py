"""A folder of namespaces on disk: one file a key, and what the server held when it was pulled.

It may import the library up to the store. Here since ``folder``, which compares three sides, need not know of file
names. The form::

    DIR/dataStore/app/cfg.json         a value: indented, members sorted, a newline at the end
    DIR/dataStore/app/.dhis2kv.json    what the names of files do not say: which of these entries are encrypted, who may
                                       read those that are not open to all, and keys that are too long for a file name
    DIR/dataStore/.dhis2kv.json        namespaces that are too long for the name of a folder
    DIR/userDataStore/...              the same of an account's own store
    DIR/.dhis2kv/server.json           where it was pulled from, which namespaces, and whether with sharing
    DIR/.dhis2kv/dataStore/app.json    what the server held then: a fingerprint for each key
    DIR/.dhis2kv/dataStore.writing     while a push is under way: the entries that it overwrites, a line each
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dhis2kv import errors, wire
from dhis2kv.private import whole_file
from dhis2kv.snapshot import filenames
from dhis2kv.snapshot.file import STORES, encoding, parts_of, sharing_of
from dhis2kv.snapshot.scanner import Scanner
from dhis2kv.snapshot.states import OPEN, State, shared, state_of, text_of
from dhis2kv.wire import exact
from dhis2kv.wire.sharing import Sharing

FORM = 1
OWN = ".dhis2kv"
NOTES = ".dhis2kv.json"
SUFFIX = ".json"

_ENCRYPTED = "encrypted"
_SHARING = "sharing"


class Origin(NamedTuple):
    """Where a folder was pulled from: the server, of the own store the account, which namespaces, None for all, and
    whether the folder tells who may read the entries."""

    server: str
    account: str | None
    namespaces: list[str] | None
    sharing: bool


class BrokenFolder(ValueError):
    """Something in the folder that is none of its form; the sentence begins with its path."""


def read_json(path: Path) -> Any:
    """The value in a file, strictly read; raises ``BrokenFolder``."""
    try:
        data = path.read_bytes()
        return exact.loads(data.decode(encoding(data[:3])), strict=True)
    except UnicodeDecodeError:
        raise BrokenFolder(f"{path}: it is not text in UTF-8 or UTF-16") from None
    except ValueError as error:
        raise BrokenFolder(f"{path}: it is not JSON: {error}") from error
    except OSError as error:
        raise BrokenFolder(f"{path}: it cannot be read: {error.strerror}") from error


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, sync=False) as file:
        file.write(exact.printed(value, indent=2) + "\n")


class Tree:
    """The files of one of the two stores in a folder; raises ``BrokenFolder`` for what does not belong there."""

    def __init__(self, folder: str | os.PathLike[str], kind: str) -> None:
        self.folder, self.kind = Path(folder), kind
        self._place = self.folder / kind
        self._own = self.folder / OWN
        self._spaces: dict[str, Path] | None = None
        self._base_files: dict[str, Path] | None = None

    # --- where it comes from ------------------------------------------------------------------------------------------

    @property
    def origin(self) -> Origin | None:
        """Where it was pulled from; None for a folder that was not."""
        found = self._origins().get(self.kind)
        if found is None:
            return None
        return Origin(found["server"], found.get("account"), found.get("namespaces"), found.get("sharing") is True)

    def set_origin(self, origin: Origin) -> None:
        """Note where it was pulled from."""
        _write_json(
            self._own / "server.json",
            {"dhis2kv": FORM, "stores": {**self._origins(), self.kind: origin._asdict()}},
        )

    def _origins(self) -> dict[str, Any]:
        path = self._own / "server.json"
        if not path.exists():
            return {}
        found = read_json(path)
        stores = found.get("stores") if isinstance(found, dict) and found.get("dhis2kv") == FORM else None
        if not isinstance(stores, dict) or not all(
            isinstance(store, dict) and isinstance(store.get("server"), str) for store in stores.values()
        ):
            raise BrokenFolder(f"{path}: it does not say where the folder was pulled from; pull into a new folder")
        return stores

    # --- the files ----------------------------------------------------------------------------------------------------

    def namespaces(self) -> dict[str, Path]:
        """The folder of each namespace; looked up once."""
        if self._spaces is None:
            for path in self.folder.iterdir() if self.folder.is_dir() else ():
                if path.name not in STORES and path.name.casefold() in map(str.casefold, STORES):
                    raise BrokenFolder(f"{path}: write {' or '.join(STORES)}, in these letters")
                if path.name == OWN and path.is_symlink():
                    raise BrokenFolder(f"{path}: it is a link, and what it leads to is none of this folder")
            found = self._named(self._place, "namespace")
            self._spaces = {name: self._place / file_name for name, file_name in found.items()}
        return self._spaces

    def keys(self, namespace: str) -> dict[str, str]:
        """The name of the file of each key of a namespace."""
        place = self.namespaces().get(namespace)
        return {} if place is None else self._named(place, "key")

    def _named(self, place: Path, what: str) -> dict[str, str]:
        """The name of the file, or folder, of each name in a folder."""
        if place.is_symlink():
            raise BrokenFolder(f"{place}: it is a link, and what it leads to is none of this folder")
        if not place.is_dir():
            return {}
        long = {filenames.encode(name): name for name in self._notes(place).get("names", ())}
        seen: dict[str, str] = {}
        with os.scandir(place) as entries:
            for entry in entries:
                name = self._name(place, entry, long, what)
                if name in seen:
                    both = f"{place / entry.name}: it means the {what} {name!r}"
                    raise BrokenFolder(f"{both}, as {place / seen[name]} does")
                if name is not None:
                    seen[name] = entry.name
        return seen

    def _name(self, place: Path, entry: os.DirEntry[str], long: Mapping[str, str], what: str) -> str | None:
        """The name that a file or folder means; None for one that is not about values."""
        path, stem = place / entry.name, entry.name
        if entry.name == NOTES or (entry.name.startswith(".") and not entry.name.endswith(SUFFIX)):
            return None  # ours, or of an editor, of git, of the system
        if entry.is_symlink() or entry.is_dir() is (what == "key"):
            raise BrokenFolder(f"{path}: {'a file' if what == 'key' else 'a folder'} is expected for each {what}")
        if what == "key":
            stem = entry.name.removesuffix(SUFFIX)
            if stem == entry.name:
                raise BrokenFolder(f"{path}: the name of a value's file is its key and {SUFFIX}")
        return self._decoded(path, stem, long, what)

    def _decoded(self, path: Path, stem: str, long: Mapping[str, str], what: str) -> str:
        if stem.startswith("."):
            raise BrokenFolder(f"{path}: a dot at the start of a {what} is written %2E")
        if filenames.is_shortened(stem):
            if stem not in long:
                raise BrokenFolder(f"{path}: {path.parent / NOTES} does not say which {what} it means")
            return long[stem]
        try:
            return wire.check_name(filenames.decode(stem), what)
        except (ValueError, errors.InvalidKey) as error:
            raise BrokenFolder(f"{path}: {error}") from error

    def marks(self, namespace: str, keys: Iterable[str]) -> set[str]:
        """Which of these keys, of which there are files, are marked as encrypted."""
        place = self.namespaces().get(namespace)
        if place is None:
            return set()
        marks = set(self._notes(place).get(_ENCRYPTED, ()))
        if missing := marks.difference(keys):
            raise BrokenFolder(f"{place / NOTES}: there is no file of {min(missing)!r}, which is to be encrypted")
        return marks

    def sharings(self, namespace: str, keys: Iterable[str]) -> dict[str, Sharing]:
        """Who may read these keys, of which there are files; those that are not named are open to all."""
        place = self.namespaces().get(namespace)
        if place is None:
            return {}
        found = self._notes(place).get(_SHARING, {})
        if missing := found.keys() - set(keys):
            raise BrokenFolder(f"{place / NOTES}: there is no file of {min(missing)!r}, which is to be shared")
        try:
            return {key: sharing_of(parts, f"{place / NOTES}: {key}") for key, parts in found.items()}
        except ValueError as error:
            raise BrokenFolder(str(error)) from error

    def _notes(self, place: Path) -> dict[str, Any]:
        """What a folder says beside the names of its files."""
        path = place / NOTES
        if not path.exists():
            return {}
        found = read_json(path)
        allowed = {"names"} if place == self._place else {"names", _ENCRYPTED, _SHARING}
        if not isinstance(found, dict) or not found.keys() <= allowed:
            raise BrokenFolder(f"{path}: it holds an object with {', '.join(sorted(allowed))}, and nothing else")
        for member, names in found.items():
            if member == _SHARING:
                if not isinstance(names, dict):
                    raise BrokenFolder(f"{path}: {member} is an object, with a member for each key")
            elif not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise BrokenFolder(f"{path}: {member} is a list of names")
        return found

    def state(self, path: Path, encrypted: bool, sharing: Sharing | None) -> State:
        """What a file holds, and its marks are."""
        return State(exact.fingerprint(read_json(path)), encrypted, OPEN if sharing is None else shared(sharing))

    # --- changing them ------------------------------------------------------------------------------------------------

    def open(self, namespace: str, new: Iterable[str] = ()) -> Writer:
        """Write and delete files of a namespace, among them those of new keys."""
        spaces = self.namespaces()
        place = spaces.get(namespace)
        if place is None:
            held = {name: found.name for name, found in spaces.items()}
            file_name = _kept_apart(self._place, held, {namespace})[namespace]
            spaces.update({name: self._place / found for name, found in held.items()})
            place = spaces[namespace] = self._place / file_name
            self._note_long(self._place, place.name, namespace)
        return Writer(place, self.keys(namespace), self._notes(place), new)

    def _note_long(self, place: Path, file_name: str, name: str) -> None:
        notes = self._notes(place)
        if filenames.is_shortened(file_name) and name not in notes.get("names", []):
            _write_json(place / NOTES, {**notes, "names": sorted([*notes.get("names", []), name])})

    # --- what the server held -----------------------------------------------------------------------------------------

    def base(self, namespace: str) -> dict[str, State]:
        """What the server held of a namespace when it was pulled."""
        path = self._bases().get(namespace)
        if path is None:
            return {}
        held: dict[str, State] = {}
        try:
            with path.open(encoding="utf-8") as file:  # part by part: a namespace may have very many entries
                scanner = Scanner(file)
                for member in scanner.members():
                    if member == "entries":
                        held.update((key, state_of(scanner.value())) for key in scanner.members())
                    else:
                        scanner.value()
        except (ValueError, OSError):
            raise BrokenFolder(f"{path}: it does not say what the server held; pull into a new folder") from None
        return held

    def based(self) -> set[str]:
        """The namespaces of which is known what the server held."""
        return set(self._bases())

    def _bases(self) -> dict[str, Path]:
        if self._base_files is None:
            place = self._own / self.kind
            paths = place.glob(f"[!.]*{SUFFIX}") if place.is_dir() else ()
            self._base_files = {_namespace_of(path): path for path in paths}
        return self._base_files

    def set_base(self, namespace: str, held: Iterable[tuple[str, State]]) -> None:
        """Note what the server holds of a namespace now."""
        bases = self._bases()
        path = bases.get(namespace)
        if path is None:
            path = bases[namespace] = (
                self._own / self.kind / (filenames.encoded([*bases, namespace])[namespace] + SUFFIX)
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        before = "{"
        with whole_file(path, sync=False) as file:
            file.write(f'{{\n"namespace": {exact.printed(namespace)},\n"entries": ')
            for key, state in held:
                file.write(f"{before}\n{exact.printed(key)}: {exact.printed(text_of(state))}")
                before = ","
            file.write("{}\n}\n" if before == "{" else "\n}\n}\n")
        if before == "{":
            bases.pop(namespace).unlink()

    # --- what a push overwrites ---------------------------------------------------------------------------------------

    def overwriting(self) -> set[tuple[str, str]]:
        """The entries that a push was about to overwrite when it was cut short; none when it came to its end.

        Where an entry is deleted and created anew, it may be gone since.
        """
        if not self._journal.exists():
            return set()
        try:
            return {tuple(json.loads(line)) for line in self._journal.read_text(encoding="utf-8").splitlines()}
        except (ValueError, TypeError):
            raise BrokenFolder(f"{self._journal}: it does not say which entries are overwritten; remove it") from None

    def set_overwriting(self, entries: Iterable[tuple[str, str]]) -> None:
        """Note which entries a push is about to overwrite; none, when it is done."""
        rows = [*map(json.dumps, sorted({*self.overwriting(), *entries}))] if entries else []
        if not rows:
            self._journal.unlink(missing_ok=True)
            return
        self._own.mkdir(parents=True, exist_ok=True)
        with whole_file(self._journal) as file:
            file.writelines(f"{row}\n" for row in rows)

    @property
    def _journal(self) -> Path:
        return self._own / f"{self.kind}.writing"


def _namespace_of(path: Path) -> str:
    stem = path.name.removesuffix(SUFFIX)
    if not filenames.is_shortened(stem):
        return filenames.decode(stem)
    found = read_json(path)
    return str(found.get("namespace")) if isinstance(found, dict) else stem


def _kept_apart(place: Path, held: dict[str, str], new: set[str], suffix: str = "") -> dict[str, str]:
    """The file names of new names; renames what some file system would take for one of them."""
    wanted = {name: file_name + suffix for name, file_name in filenames.encoded({*held, *new}).items()}
    for name, file_name in held.items():
        if file_name != wanted[name] != filenames.encode(name) + suffix:
            os.rename(place / file_name, place / wanted[name])
            held[name] = wanted[name]
    return {name: wanted[name] for name in new}


class Writer:
    """Writes and deletes the files of one namespace."""

    def __init__(self, place: Path, file_names: dict[str, str], notes: dict[str, Any], new: Iterable[str]) -> None:
        self._place, self._files = place, file_names
        self._marks, self._long = set(notes.get(_ENCRYPTED, ())), set(notes.get("names", ()))
        self._sharings: dict[str, Any] = dict(notes.get(_SHARING, {}))
        self._notes = notes
        self._new = _kept_apart(place, file_names, set(new), SUFFIX)

    def write(self, key: str, value: Any, encrypted: bool, sharing: Sharing | None) -> None:
        """Write the file of a key; without a sharing what is noted of that stays."""
        if key not in self._files:
            self._files[key] = self._new.get(key) or _kept_apart(self._place, self._files, {key}, SUFFIX)[key]
        file_name = self._files[key]
        if filenames.is_shortened(file_name) and key not in self._long:
            self._long.add(key)
            self._save()  # first: a file whose key nobody knows is an error
        _write_json(self._place / file_name, value)
        (self._marks.add if encrypted else self._marks.discard)(key)
        if sharing == Sharing():
            self._sharings.pop(key, None)
        elif sharing is not None:
            self._sharings[key] = parts_of(sharing)

    def delete(self, key: str) -> None:
        """Delete the file of a key."""
        if key in self._marks or key in self._sharings:
            self._marks.discard(key)
            self._sharings.pop(key, None)
            self._save()  # first: a mark of no file is an error
        (self._place / self._files.pop(key)).unlink(missing_ok=True)
        self._long.discard(key)

    def close(self) -> None:
        """Write what the names of the files do not say, and remove the folder when it is empty."""
        self._save()
        if not self._files and self._place.is_dir() and not any(self._place.iterdir()):
            self._place.rmdir()

    def _save(self) -> None:
        notes = {_ENCRYPTED: sorted(self._marks), "names": sorted(self._long), _SHARING: dict(self._sharings)}
        notes = {name: names for name, names in notes.items() if names}
        if notes == {
            name: names if name == _SHARING else sorted(names) for name, names in self._notes.items() if names
        }:
            return
        self._notes = notes
        if notes:
            _write_json(self._place / NOTES, notes)
        else:
            (self._place / NOTES).unlink(missing_ok=True)
