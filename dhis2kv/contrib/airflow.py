"""A secrets backend for Airflow: connections, variables and options from three namespaces.

::

    [secrets]
    backend = dhis2kv.contrib.airflow.SecretsBackend
    backend_kwargs = {"connections": "airflow-connections", "variables": "airflow-variables"}

The server is the one that the environment describes; see ``Store.from_env``.

Here since Airflow asks for texts in forms of its own, and has other places to ask for what is absent.
"""
# mypy: disable-error-code="import-not-found, misc"
# Airflow is seldom where the types are checked; then its classes are Any.

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow.secrets import BaseSecretsBackend

from dhis2kv.contrib import opened


class SecretsBackend(BaseSecretsBackend):
    """What Airflow looks up, from namespaces given by name, or from any other mappings; one request per look-up.

    A text is given to Airflow as it stands, any other value as JSON: a connection is a URI or an object with
    ``conn_type`` and so on. What is absent, or null, is left to Airflow's other backends; an outage is raised.
    All teams see the same.

    :param connections, variables, config: where to look them up; without one they are not looked up here.
    """

    def __init__(
        self,
        connections: Mapping[str, Any] | str | None = None,
        variables: Mapping[str, Any] | str | None = None,
        config: Mapping[str, Any] | str | None = None,
    ) -> None:
        super().__init__()
        self._connections, self._variables, self._config = map(_source, (connections, variables, config))

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:  # noqa: ARG002 - see the class
        """A connection, as a URI or as JSON; ``ValueError`` for what is neither a text nor an object."""
        value = self._connections.get(conn_id)
        if not isinstance(value, str | dict | None):
            raise ValueError(  # Airflow would take the JSON of a list or number for a URI
                f"the connection {conn_id!r} is {type(value).__name__}; it is a URI, or an object with conn_type etc."
            )
        return _text(value)

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:  # noqa: ARG002 - see the class
        """A variable."""
        return _text(self._variables.get(key))

    def get_config(self, key: str) -> str | None:
        """An option: what Airflow's ``..._secret`` option names."""
        return _text(self._config.get(key))


def _source(given: Mapping[str, Any] | str | None) -> Mapping[str, Any]:
    return {} if given is None else opened(given)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)
