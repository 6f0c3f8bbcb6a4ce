"""What the environment says of server and account; imports nothing of ours.

Here since profiles, ``Store.from_env`` and the command line read the same variables, in the same way.
"""

from __future__ import annotations

import os
from pathlib import Path


def variable(name: str) -> str | None:
    """What an environment variable says, or the file that ``NAME_FILE`` names; None for nothing, or an empty text.

    Of a file's text the newline at its end goes, and with it, but for a password, which may hold them, blanks at the
    ends. Raises ``ValueError`` where both are set or the file is not UTF-8, ``OSError`` where it cannot be read.
    """
    value, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value and path:
        raise ValueError(f"set {name} or {name}_FILE, not both")
    if path:
        try:
            value = Path(path).read_text(encoding="utf-8-sig").removesuffix("\n")  # of \r\n, too, which Python reads so
        except UnicodeDecodeError as error:
            raise ValueError(f"the file that {name}_FILE names is not UTF-8 text") from error
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} (named by {name}_FILE)", path) from error
        if name != "DHIS2_PASSWORD":
            value = value.strip()
    return value or None
