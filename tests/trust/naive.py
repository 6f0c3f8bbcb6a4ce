"""What a naive client does: requests as they come to mind, by which the traps of a server are shown to be there."""

import json

SIGN = {"X-Requested-With": "XMLHttpRequest", "Accept": "application/json"}


class Naive:
    """An account that asks an emulated server without any care."""

    def __init__(self, emulator, name="admin", password="district"):
        self._session = emulator.session()
        self._session.auth = (name, password)
        self._session.headers.update(SIGN)

    def ask(self, method, path, value=..., **options):
        """The response to a request below ``/api``; ``value`` is sent as JSON."""
        if value is not ...:
            options["data"] = json.dumps(value)
            options["headers"] = {"Content-Type": "application/json"}
        return self._session.request(
            method, f"http://dhis2.test/api/{path}", timeout=30, allow_redirects=False, **options
        )

    def get(self, path):
        """The value at a path, or None for anything but a success."""
        response = self.ask("GET", path)
        return response.json() if response.ok and response.content else None
