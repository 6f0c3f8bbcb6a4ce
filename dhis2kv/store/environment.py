"""What the environment says of server and account; imports nothing of ours."""

from __future__ import annotations

import os
from pathlib import Path


def variable(name: str) -> str | None:
    """What an environment variable says, or the file that ``NAME_FILE`` names; None for nothing, or an empty text."""
    value, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value and path:
        raise ValueError(f"set {name} or {name}_FILE, not both")
    if path:
        try:
            value = Path(path).read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"the file that {name}_FILE names is not UTF-8 text") from error
    return value or None
