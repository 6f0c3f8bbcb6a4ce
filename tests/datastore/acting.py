"""What tests of writing do besides: look at what was sent, and let things happen in between."""

from dhis2kv import Query
from tests.conftest import connect, sent


def methods(emulator):
    return [method for method, _ in sent(emulator)]


def before(emulator, method, *acts):
    """Let something happen just before the first request of this method, before the second, and so on."""
    waiting, inner = list(acts), emulator.deliver

    def deliver(request):
        if request.method == method and waiting:
            outer = emulator.__dict__.pop("deliver")  # what happens then is not waited for
            waiting.pop(0)()
            emulator.deliver = outer
        return inner(request)

    emulator.deliver = deliver


def nothing():
    """Happens where only a later request is of interest."""


def in_bulk(emulator, user=False):
    """What everybody can see of a namespace in a bulk read: entries that are not encrypted."""
    rows = connect(emulator).datastore.query("app", Query(include_all=False), user=user)
    return {row["key"]: row["value"] for row in rows}
