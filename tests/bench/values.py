"""Values and settings in the process: writing JSON, and looking a setting up."""

import json

from dhis2kv import Config, wire

from .measuring import compared

ITEM = {"id": 12345, "name": "Malaria cases", "enabled": True, "share": 0.25, "tags": ["a", "b"], "none": None}


def rows():
    """Rows about ``dumps`` and ``Config``."""
    for name, value in (("200 B", ITEM), ("20 kB", [ITEM] * 200), ("1 MB", [ITEM] * 10_000)):
        yield compared(
            f"JSON text of a value, {name}",
            "json.dumps",
            lambda value=value: wire.dumps(value),
            lambda value=value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
            1.6,
        )
    settings = {"theme": "dark", "limit": 10, "nested": {"a": [1, 2]}}
    config = Config(settings)
    yield compared('Config["theme"]', "a dict", lambda: config["theme"], lambda: settings["theme"], 5)
