"""What changes in a namespace, as an iterator."""

import threading

import pytest

from dhis2kv import NotAuthenticated, Unfit
from dhis2kv.emulator import Emulator
from dhis2kv.store.watching import Change, Watch
from tests.conftest import connect, sent


@pytest.fixture
def emulator():
    emulator = Emulator()
    emulator.load({"app": {"a": 1, "b": {"x": 1}}})
    return emulator


@pytest.fixture
def namespace(emulator):
    return connect(emulator, retries=0)["app"]


@pytest.fixture
def meanwhile(monkeypatch):
    """What others do while the watch rests, step by step; then it is closed."""

    def does(*steps):
        todo = iter(steps)

        def rest(watch, _):
            step = next(todo, None)
            if step is None:
                watch.close()
                return False
            step()
            return True

        monkeypatch.setattr(Watch, "_rest", rest)

    return does


def test_changes_one_by_one(emulator, namespace, meanwhile):
    """Added, changed and removed entries come by key, with what was there and what is; another spelling is none."""
    meanwhile(
        lambda: emulator.load({"app": {"b": {"x": 2}, "c": None}}),
        lambda: emulator.load({"app": {"a": 1.0}}),
        lambda: namespace.delete_many(["a", "c"]),
    )
    assert list(namespace.watch(every=5)) == [
        Change("changed", "b", {"x": 1}, {"x": 2}),
        Change("added", "c", None, None),
        Change("removed", "a", 1, None),
        Change("removed", "c", None, None),
    ]


def test_it_costs_one_bulk_read_a_round(emulator, namespace, meanwhile):
    """One request when it begins, and one each round, whatever a cache holds."""
    cached = connect(emulator, ttl=60)["app"]
    for one in (namespace, cached):
        one.copy()
        sent(emulator)
        meanwhile(lambda: None, lambda: emulator.put("app", "n", "new"))
        list(one.watch())
        assert [method for method, _ in sent(emulator)] == ["GET"] * 3
        emulator.put("app", "n", "old")


def test_some_keys(emulator, namespace, meanwhile):
    """Only the keys that are asked for are watched, from before they exist."""
    meanwhile(lambda: emulator.load({"app": {"a": 2, "c": 1, "d": 1}}))
    assert [change.key for change in namespace.watch(keys=["b", "c"])] == ["c"]


def test_outages_are_told_and_survived(emulator, namespace, meanwhile, caplog):
    """During an outage nothing has changed; the log says once when it begins and ends; what changed then comes."""

    def down(yes):
        emulator.down = yes

    meanwhile(
        lambda: down(True),
        lambda: emulator.put("app", "a", 2),
        lambda: down(False),
    )
    assert list(namespace.watch(every=7)) == [Change("changed", "a", 1, 2)]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "every 7 seconds" in told[0]
    assert "there again" in told[1]


def test_it_can_begin_during_an_outage(emulator, namespace, meanwhile):
    """Then what is there afterwards is where it begins."""
    emulator.down = True
    meanwhile(lambda: setattr(emulator, "down", False), lambda: emulator.put("app", "a", 2))
    assert list(namespace.watch()) == [Change("changed", "a", 1, 2)]


def test_what_is_no_outage_is_raised(emulator, namespace):
    """A sign-in that is refused ends it, also at its beginning."""
    with pytest.raises(NotAuthenticated):
        connect(emulator, auth=("admin", "wrong"))["app"].watch()
    with pytest.raises(ValueError, match="every"):
        namespace.watch(every=0)


def test_closing_ends_who_waits(namespace):
    """close() from another thread ends the loop at once, however long it would rest; closing again is nothing."""
    watch = namespace.watch(every=10_000)
    ended = threading.Event()

    def follow():
        for _ in watch:
            pass
        ended.set()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    watch.close()
    assert ended.wait(60)
    watch.close()
    assert list(watch) == []


def test_closing_in_the_midst_of_changes(emulator, namespace, meanwhile):
    """Who closes it after a change is given no other one, though one look has found several."""
    meanwhile(lambda: emulator.load({"app": {"c": 1, "d": 2, "e": 3}}))
    watch = namespace.watch()
    seen = []
    for change in watch:
        seen.append(change.key)
        watch.close()
    assert seen == ["c"]
    assert list(watch) == []


def test_closing_waits_for_no_server(namespace, monkeypatch):
    """A look that hangs is not waited for either."""
    looking, go = threading.Event(), threading.Event()
    watch = namespace.watch(every=0.001)

    def hang():
        looking.set()
        go.wait(60)
        return {}

    monkeypatch.setattr(watch, "_look", hang)
    found = []
    thread = threading.Thread(target=lambda: found.append(list(watch)), daemon=True)
    thread.start()
    assert looking.wait(60)
    watch.close()
    thread.join(60)
    assert not thread.is_alive()
    assert found == [[]]
    go.set()


def test_as_a_context_manager(namespace):
    """Leaving it closes it."""
    with namespace.watch(every=10_000) as watch:
        pass
    assert list(watch) == []


def test_with_a_model(emulator, meanwhile):
    """What it gives are instances; a value that does not fit is raised, and the rest comes afterwards."""
    numbers = connect(emulator).namespace("app", model=(lambda value: complex(value), lambda value: value.real))
    emulator.load({"app": {"b": 7}})
    meanwhile(lambda: emulator.load({"app": {"a": "x", "b": 2}}))
    watch = numbers.watch()
    with pytest.raises(Unfit, match="app/a"):
        next(watch)
    assert next(watch) == Change("changed", "b", complex(7), complex(2))


def test_without_threads(emulator, namespace, meanwhile, monkeypatch):
    """In a Python that has no threads it looks in the one there is."""

    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    meanwhile(lambda: emulator.put("app", "a", 2))
    assert [change.kind for change in connect(emulator, workers=1)["app"].watch()] == ["changed"]
