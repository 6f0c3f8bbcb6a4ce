"""Where the emulator knowingly answers otherwise than the recorded servers: (version, conversation) and the reason."""

KNOWN: dict[tuple[str, str], str] = {}
