"""A store for agents, over the Model Context Protocol: ``build`` and ``serve``; needs the extra ``mcp``.

``tools`` is what each tool does, without any protocol; ``server`` puts them behind the protocol's official SDK. The
names are loaded at first use, so that the tools can be had where the SDK is not installed. May import the library and
``snapshot``. Here since an agent, as a person at a shell, needs a face of its own on the same calls.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dhis2kv.mcp.server import Confirmation as Confirmation
    from dhis2kv.mcp.server import build as build
    from dhis2kv.mcp.server import serve as serve

__all__ = ["Confirmation", "build", "serve"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.server"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
