"""What holds while the server is away, wherever the records are."""

from __future__ import annotations

import pytest

from dhis2kv import errors
from tests.cache.doubles import (
    APP,
    CFG,
    TTL,
)


class AwayLaws:
    """A part of ``Laws``."""

    AWAY = (
        errors.Unreachable("no connection"),
        errors.TimedOut("no answer in time"),
        errors.ServerError("it is in trouble", status=500),
        errors.ServerError("it is starting", status=503),
    )
    REFUSALS = (
        errors.NotAuthenticated("who are you", status=401),
        errors.Forbidden("not for you", status=403),
        errors.ServerError("too many requests", status=429),
        errors.ServerError("not JSON", status=200),
        errors.ServerError("not JSON"),
        errors.KeyNotFound("cfg", namespace="app", status=404),
    )

    @pytest.mark.parametrize("kind", ["value", "entries", "listing"])
    @pytest.mark.parametrize("error", AWAY, ids=lambda error: f"{type(error).__name__}{error.status or ''}")
    def test_stale_if_error(self, make, server, clock, caplog, error, kind):
        """While the server is away the last good record serves for so long, with a warning and then a pause."""
        cache, place = make(stale_if_error=100), CFG if kind == "value" else APP

        def read():
            return getattr(cache, kind)(place, getattr(server, kind)(place))

        good, start = read(), clock.now
        clock.now += TTL
        server.error = error
        for requests in (2, 2):
            assert read() == good
            assert server.requests == requests
        assert [record.name for record in caplog.records] == ["dhis2kv"]
        assert str(error) in caplog.text
        clock.now += 10
        assert read() == good
        assert server.requests == 3
        clock.now = start + TTL + 99.9
        assert read() == good
        clock.now += 0.1
        with pytest.raises(type(error)):
            read()

    @pytest.mark.parametrize("error", REFUSALS, ids=lambda error: f"{type(error).__name__}{error.status or ''}")
    def test_refusals_are_no_outage(self, make, server, clock, error):
        """A refusal or an absence is never covered by what was read before."""
        cache = make(stale_if_error=100)
        cache.value(CFG, server.value(CFG))
        clock.now += TTL
        server.error = error
        with pytest.raises(type(error)):
            cache.many(APP, ["cfg"], lambda keys: {"cfg": server.value(CFG)()[1]})
        with pytest.raises(type(error)):
            cache.value(CFG, server.value(CFG))

    def test_a_refusal_in_between(self, make, server, clock):
        """A refusal does not lose the last good record: it serves when the server goes away after that."""
        cache = make(stale_if_error=100)
        cache.value(CFG, server.value(CFG))
        clock.now += TTL
        server.error = errors.ServerError("too many requests", status=429)
        with pytest.raises(errors.ServerError):
            cache.value(CFG, server.value(CFG))
        server.error = errors.Unreachable("no connection")
        assert cache.value(CFG, server.value(CFG)) == {"a": [1]}

    @pytest.mark.parametrize("bulk_first", [True, False])
    def test_an_absence_is_the_last_word(self, make, server, clock, bulk_first):
        """A value that was found absent since does not come back when the server goes away."""
        cache = make(stale_if_error=100)
        (cache.entries(APP, server.entries(APP)) if bulk_first else cache.value(CFG, server.value(CFG)))
        clock.now += TTL
        stored = server.stored["app"].pop("cfg")
        with pytest.raises(errors.KeyNotFound):
            cache.value(CFG, server.value(CFG))
        server.error = errors.Unreachable("no connection")
        with pytest.raises(errors.Unreachable):
            cache.value(CFG, server.value(CFG))
        server.error, server.stored["app"]["cfg"] = None, stored
        assert cache.value(CFG, server.value(CFG)) == stored

    def test_an_absent_namespace_is_the_last_word(self, make, server, clock):
        """Nor does a listing of a namespace that was found absent since."""
        cache = make(stale_if_error=100)
        cache.listing(APP, server.listing(APP))
        clock.now += TTL
        server.error = errors.KeyNotFound("app", status=404)
        with pytest.raises(errors.KeyNotFound):
            cache.listing(APP, server.listing(APP))
        assert cache.known(CFG) is None
        server.error = errors.Unreachable("no connection")
        with pytest.raises(errors.Unreachable):
            cache.listing(APP, server.listing(APP))

    def test_stale_out_of_a_bulk_read(self, make, server, clock):
        """A key out of a bulk read survives an outage too; of two old records the newer one serves."""
        cache = make(stale_if_error=1000)
        cache.value(CFG, server.value(CFG))
        clock.now += 5
        server.stored["app"]["cfg"] = "newer"
        cache.entries(APP, server.entries(APP))
        clock.now += TTL
        server.error = errors.Unreachable("no connection")
        assert cache.value(CFG, server.value(CFG)) == "newer"

    def test_a_stale_bulk_read_outdoes_nothing(self, make, server, clock):
        """A namespace that serves although it is old takes the place of no younger single read."""
        cache = make(stale_if_error=1000)
        cache.entries(APP, server.entries(APP))
        clock.now += TTL
        server.stored["app"]["cfg"] = "newer"
        assert cache.value(CFG, server.value(CFG)) == "newer"
        clock.now += TTL
        server.error = errors.Unreachable("no connection")
        assert cache.entries(APP, server.entries(APP))["cfg"] == {"a": [1]}
        assert cache.value(CFG, server.value(CFG)) == "newer"

    def test_no_outage_without_asking_for_it(self, make, server, clock):
        """Without ``stale_if_error`` an outage is an error."""
        cache = make()
        cache.value(CFG, server.value(CFG))
        clock.now += TTL
        server.error = errors.Unreachable("no connection")
        with pytest.raises(errors.Unreachable):
            cache.value(CFG, server.value(CFG))

    def test_after_an_outage(self, make, server, clock):
        """When the pause is over and the server back, its new value is read."""
        cache = make(stale_if_error=1000)
        cache.value(CFG, server.value(CFG))
        clock.now += TTL
        server.error = errors.Unreachable("no connection")
        cache.value(CFG, server.value(CFG))
        server.error, server.stored["app"]["cfg"] = None, "new"
        clock.now += 10
        assert cache.value(CFG, server.value(CFG)) == "new"

    def test_own_writes_outdo_stale_records(self, make, server, clock):
        """After an own write nothing from before it serves, however far away the server is."""
        cache = make(stale_if_error=1000)
        cache.value(CFG, server.value(CFG))
        with cache.writing(CFG):
            server.stored["app"]["cfg"] = "new"
        server.error = errors.Unreachable("no connection")
        with pytest.raises(errors.Unreachable):
            cache.value(CFG, server.value(CFG))
