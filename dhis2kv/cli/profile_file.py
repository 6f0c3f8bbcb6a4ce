"""Changes to this package's profile file, which keep what else stands there; imports profiles.

Here since only the command line writes it: with a library that leaves comments and order as they are, which reading
profiles must not need.
"""

from __future__ import annotations

from typing import Any

import tomlkit

from dhis2kv import private
from dhis2kv.profiles import files


class ProfileFile:
    """This package's own profile file; nothing is written before ``save``.

    Raises ``ValueError`` for a file that cannot be used, as whoever reads profiles does.
    """

    def __init__(self) -> None:
        self.path = files.own()
        for file in files.read():  # refuses what others may read, or is not what it should be
            if file.path == self.path:
                break
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        self._document: Any = tomlkit.parse(text)

    @property
    def default(self) -> str | None:
        """The profile that counts where none is named."""
        default: str | None = self._document.get("default")
        return default

    @default.setter
    def default(self, name: str) -> None:
        if "default" in self._document or not self._document:
            self._document["default"] = name
        else:  # a member behind a table would belong to that table
            self._document = tomlkit.parse(f"default = {tomlkit.item(name).as_string()}\n\n{self._text()}")

    def __contains__(self, name: str) -> bool:
        return name in self._document.get("profiles", {})

    def set(self, name: str, settings: dict[str, str]) -> None:
        """Add a profile, or put another one in its place."""
        profiles = self._document.setdefault("profiles", tomlkit.table(is_super_table=True))
        profiles[name] = tomlkit.item(settings)

    def remove(self, name: str) -> None:
        """Remove a profile that is there, and the default if it is that."""
        del self._document["profiles"][name]
        if self.default == name:
            del self._document["default"]

    def save(self) -> None:
        """Write the file whole or not at all, with mode 0600."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with private.whole_file(self.path) as file:
            file.write(self._text())

    def _text(self) -> str:
        return tomlkit.dumps(self._document)
