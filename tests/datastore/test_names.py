"""Every name a server can hold works, every other is refused before a request, and no other entry is touched."""

import pytest

from dhis2kv import InvalidKey, Store
from dhis2kv.emulator import Emulator
from tests.conftest import NAMES, connect, sent

BESIDE = ["config", "v1", "x", "x.json", "a.b", "trail.csv", "report", "my", "k", "é.j"]


@pytest.fixture
def untouched(either):
    """Entries that a mangled name would hit, in namespaces that a mangled namespace would hit; checked at the end.

    Nothing mends them meanwhile, so whatever hits one of them shows.
    """
    for name in BESIDE:
        either["beside"][name] = either[name]["beside"] = f"left alone: {name}"
    before = {name: either[name].copy() for name in either}
    yield
    assert {name: either[name].copy() for name in either} == before


@pytest.mark.usefixtures("untouched")
def test_keys_that_work(either):
    """set, get, in, listing, bulk reads and del work for each such key, and change nothing else."""
    namespace = either["beside"]
    before = namespace.copy()
    for name in NAMES["works"]:
        assert name not in namespace, name
        namespace[name] = {"value": name}
        assert namespace[name] == {"value": name}
        assert name in namespace, name
        assert list(namespace) == sorted({*before, name})
        assert namespace.copy() == before | {name: {"value": name}}
        assert namespace.get_many([name, "v1"]) == {name: {"value": name}, "v1": before["v1"]}
        namespace[name] = None
        assert namespace.copy() == before | {name: None}, name
        del namespace[name]
        assert name not in namespace, name


@pytest.mark.usefixtures("untouched")
def test_namespaces_that_work(either):
    """The same for a namespace of each such name, whose deletion deletes nothing else."""
    for name in NAMES["works"]:
        assert name not in either, name
        namespace = either[name]
        namespace["k"] = namespace["config.json"] = 1
        assert namespace.copy() == {"k": 1, "config.json": 1}, name
        assert list(namespace) == ["config.json", "k"], name
        assert name in either, name
        del namespace["k"]
        assert namespace.get_many(["k", "config.json"]) == {"config.json": 1}, name
        assert namespace["config.json"] == 1, name
        del either[name]
        assert name not in either, name


@pytest.mark.parametrize("name", NAMES["refused"])
def test_a_name_that_is_refused(name):
    """Such a key is absent when read and an error when written, such a namespace an error; nothing is sent."""
    emulator = Emulator()
    either = connect(emulator)
    namespace = either["app"]
    assert namespace.get(name, "absent") == "absent"
    assert name not in namespace
    assert namespace.pop(name, "absent") == "absent"
    assert namespace.get_many([name]) == {}
    for act in (
        lambda: namespace[name],
        lambda: namespace.__setitem__(name, 1),
        lambda: namespace.__delitem__(name),
        lambda: namespace.add(name, 1),
        lambda: namespace.update({"ok": 1, name: 1}),
        lambda: either[name],
        lambda: either.__delitem__(name),
        lambda: either.__setitem__(name, {"a": 1}),
    ):
        with pytest.raises(InvalidKey):
            act()
    assert sent(emulator) == []


@pytest.mark.parametrize("name", NAMES["read_only"])
def test_a_key_that_is_only_read(either, emulator, name):
    """Such a key, written by another client, is listed, read and deleted; writing one sends nothing."""
    namespace = either["app"]
    namespace["k"] = 1
    emulator.put("app", name, {"by": "another"}, user="admin" if either is either.user else None)
    assert namespace[name] == {"by": "another"}
    assert name in namespace
    assert namespace.copy() == {"k": 1, name: {"by": "another"}}
    sent(emulator)
    with pytest.raises(InvalidKey, match="unreadable"):
        namespace[name] = 2
    assert sent(emulator) == []
    del namespace[name]
    assert list(namespace) == ["k"]
    either[name]["k"] = 1
    assert either[name].copy() == {"k": 1}


@pytest.mark.parametrize("name", [1, None, b"k", ("a",)])
def test_names_are_text(name):
    """Anything but text is a TypeError, also where one only reads."""
    emulator = Emulator()
    either = connect(emulator)
    namespace = either["app"]
    for act in (
        lambda: namespace[name],
        lambda: namespace.get(name),
        lambda: name in namespace,
        lambda: namespace.__setitem__(name, 1),
        lambda: either[name],
        lambda: name in either,
        lambda: either.get(name),
    ):
        with pytest.raises(TypeError):
            act()
    assert sent(emulator) == []


def rewriting(emulator):
    """A session through a proxy that undoes percent-encoding, as nginx does with a path in its proxy_pass."""
    session = emulator.session()
    adapter = session.get_adapter("http://dhis2.test")
    inner = adapter.send

    def send(request, **options):
        request.url = request.url.replace("%6A", "j").replace("%63", "c").replace("%31", "1")
        return inner(request, **options)

    adapter.send = send
    return session


@pytest.mark.parametrize("version", ["2.36", "2.40", "2.42", "2.43", "2.44"])
def test_behind_a_proxy_that_undoes_the_spelling(version):
    """Only on 2.44, and only names with a registered extension, cannot be reached: that is said, and nothing is hit."""
    emulator = Emulator(version=version)
    store = Store("http://dhis2.test", ("admin", "district"), session=rewriting(emulator))
    namespace = store["app"]
    namespace["config"] = "left alone"
    namespace["v1.1"] = 1
    assert namespace["v1.1"] == 1
    sent(emulator)
    if version == "2.44":
        for act in (
            lambda: namespace["config.json"],
            lambda: namespace.get("config.json"),
            lambda: "config.json" in namespace,
            lambda: namespace.__setitem__("config.json", 1),
            lambda: namespace.__delitem__("config.json"),
            lambda: store["app.csv"].clear(),
        ):
            with pytest.raises(ValueError, match="proxy before the server rewrites") as caught:
                act()
            assert not isinstance(caught.value, KeyError)
        assert len(sent(emulator)) == 1  # the check, once
    else:
        namespace["config.json"] = 1
        assert namespace["config.json"] == 1
    assert namespace["config"] == "left alone"


def test_the_check_for_proxies_is_one_request_and_harmless(emulator, store):
    """The first name with a registered extension costs one GET of what cannot exist, the next ones nothing."""
    assert "config.json" not in store["app"]
    check, ask = sent(emulator)
    assert check[0] == "GET"
    assert check[1].endswith(".%6Ason/")
    assert ask == ("HEAD", "/api/dataStore/app/config.%6Ason/")
    assert "x.csv" not in store.user["app"]
    assert len(sent(emulator)) == 1


def test_a_check_that_says_nothing_is_an_error(emulator):
    """When the check meets trouble that is raised, nothing is remembered, and the next name asks again."""
    store = connect(emulator, retries=0)
    emulator.fail("status", status=503)
    with pytest.raises(Exception, match="503"):
        store["app"]["config.json"] = 1
    store["app"]["config.json"] = 1
    assert [method for method, _ in sent(emulator)][:2] == ["GET", "GET"]
    assert store["app"].copy() == {"config.json": 1}
