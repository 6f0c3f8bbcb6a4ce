"""For OmegaConf: stored values as data, in which nothing is interpolated.

::

    OmegaConf.create(escaped(store["app"].copy()))

Here since OmegaConf puts something else in the place of some texts, and stored values are data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_INTERPOLATION = re.compile(r"(\\*)\$\{")


def escaped(value: Any) -> Any:
    """The value, with texts that OmegaConf gives back as they are here; nothing is sent.

    Without it ``${oc.env:HOME}`` in a stored text is the program's environment, and ``${a.b}`` any of its settings.
    ``OmegaConf.resolve(config)`` undoes it: then OmegaConf takes the texts that it has given back for interpolations of
    its own. ``OmegaConf.to_container(config, resolve=True)`` does not. A text ``???`` means a missing value to
    OmegaConf, which raises when it is looked at; that cannot be escaped.
    """
    if isinstance(value, str):
        return _INTERPOLATION.sub(lambda found: found[1] * 2 + r"\${", value)
    if isinstance(value, Mapping):
        return {name: escaped(member) for name, member in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    return value
