"""What an expression costs, counted on the wire, on every version and in both stores."""

import pickle

import pytest

from dhis2kv import KeyNotFound, Sharing, Store
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent

DATA = {"a": 1, "b": {"x": [1, 2]}, "c": "text", "d": 0.5}
N = len(DATA)


@pytest.fixture
def bulk(version, either):
    """Whether this server has bulk reads in this store."""
    return version >= ("2.40" if either is either.user else "2.38")


@pytest.fixture
def creates(version):
    """Whether a PUT creates on this server."""
    return version >= "2.38"


@pytest.fixture
def cost(emulator, either):
    """Count the requests of an expression on a namespace that holds DATA, and check its value."""

    def count(expression, value=None):
        either["app"].update(DATA)
        sent(emulator)
        result = expression(either["app"])
        requests = len(sent(emulator))
        if value is not None:
            assert result == value
        return requests

    return count


def test_nothing(cost, either):
    """Making a store or a namespace, store.user, repr and pickling send nothing."""
    assert cost(lambda ns: either["other"]) == 0
    assert cost(lambda ns: either.user["x"]) == 0
    assert cost(lambda ns: repr(ns) + repr(either) + repr(ns.keys()) + repr(ns.items())) == 0
    nobody = Store("http://127.0.0.1:1", ("me", "pw"), retries=0)  # where any request is an error
    assert pickle.loads(pickle.dumps(nobody.user["app"])).name == "app"


def test_a_store(cost, either):
    """Asking whether a namespace exists, listing and counting them cost one; list() asks for the length too."""
    assert cost(lambda ns: "app" in either, True) == 1
    assert cost(lambda ns: either.get("app").name, "app") == 1
    assert cost(lambda ns: either.get("none", 7), 7) == 1
    assert cost(lambda ns: [*iter(either)], ["app"]) == 1
    assert cost(lambda ns: len(either), 1) == 1
    assert cost(lambda ns: list(either), ["app"]) == 2
    assert cost(lambda ns: [name for name, _ in either.items()], ["app"]) == 1
    assert cost(lambda ns: list(either.keys()), ["app"]) == 1


def test_one_entry(cost, creates):
    """Reading, asking, writing and deleting one entry cost one request; a new key up to 2.37 two."""
    assert cost(lambda ns: ns["a"], 1) == 1
    assert cost(lambda ns: ns.get("a"), 1) == 1
    assert cost(lambda ns: ns.get("none", 7), 7) == 1
    assert cost(lambda ns: "a" in ns, True) == 1
    assert cost(lambda ns: "none" in ns, False) == 1
    assert cost(lambda ns: "keys" in ns, False) == 1
    assert cost(lambda ns: ns.__setitem__("a", 2)) == 1
    assert cost(lambda ns: ns.__setitem__("new", 2)) == (1 if creates else 2)
    assert cost(lambda ns: ns.__delitem__("a")) == 1
    assert cost(lambda ns: ns.add("newer", 1), True) == 1
    assert cost(lambda ns: ns.add("a", 1), False) == 1
    assert cost(lambda ns: ns.setdefault("a", 7), 1) == 1
    assert cost(lambda ns: ns.setdefault("newest", 7), 7) == 2
    assert cost(lambda ns: ns.pop("a"), 1) == 2
    assert cost(lambda ns: ns.pop("none", 7), 7) == 1
    assert cost(lambda ns: ns.popitem(), ("a", 1)) == 3


@pytest.mark.parametrize("release", ["2.40", "2.42", "2.42.5", "2.41.0"])
def test_the_first_update_of_the_user_store(release):
    """An entry of the user store is created for one request; over the first one that is there the version is asked.

    Where the server is good, an update costs one request from then on; where it has DHIS2-21740, three each time.
    """
    emulator = Emulator(release)
    ns, faulty = connect(emulator).user["app"], release in ("2.42.5", "2.41.0")

    def methods(act):
        sent(emulator)
        act()
        return [method for method, _ in sent(emulator)]

    assert methods(lambda: ns.__setitem__("a", 1)) == ["POST"]
    assert methods(lambda: ns.__setitem__("a", 2)) == ["POST", "GET", *(["DELETE", "POST"] if faulty else ["PUT"])]
    assert methods(lambda: ns.__setitem__("a", 3)) == (["POST", "DELETE", "POST"] if faulty else ["PUT"])
    assert methods(lambda: ns.__setitem__("b", 3)) == ["POST" if faulty else "PUT"]
    assert methods(lambda: ns.update(dict.fromkeys("ab", 4))).count("GET") == 0
    many = connect(emulator).user["app"]
    assert methods(lambda: many.update(dict.fromkeys("ab", 5))).count("GET") == 1
    assert ns.copy() == {"a": 5, "b": 5}


@pytest.mark.parametrize("version", ["2.40", "2.41", "2.42", "2.44"])
def test_who_may_read(emulator, store):
    """Telling costs one, and one for each name not met before; changing three, and one for each name; see README."""
    emulator.add_user("alice", "Alice_pw_1!")
    emulator.add_group("Editors", ["alice"])
    assert store.version
    ns, private = store["app"], store.namespace("private", sharing=Sharing.private())

    def count(act):
        sent(emulator)
        act()
        return len(sent(emulator))

    ns.update(a=1, b=2, c=3)
    assert count(lambda: ns.metadata("a")) == 2  # the zone
    assert count(lambda: ns.metadata("a")) == 1
    assert count(lambda: ns.sharing("a")) == 1
    assert count(lambda: ns.share("a", public="r")) == 3
    assert count(lambda: ns.share("a", public="r")) == 1
    assert count(lambda: ns.share("a", users={"alice": "r"}, groups={"Editors": "rw"})) == 5
    assert count(lambda: ns.share_many(["b", "c"], users={"alice": "r"})) == 7
    assert count(lambda: ns.sharing("a")) == 3
    assert count(lambda: ns.sharing("a")) == 1
    assert count(lambda: private.__setitem__("k", 1)) == 5
    assert count(lambda: private.__setitem__("k", 2)) == 3
    assert count(lambda: private.add("l", 1)) == 5
    assert count(lambda: ns.set("e", 1, encrypt=True)) == 1
    assert count(lambda: ns.set("e", 2, encrypt=True)) == 4
    assert count(lambda: ns.set("b", 2, encrypt=True)) == (9 if store.version < (2, 41) else 7)
    assert count(lambda: store.protections()) == (0 if store.version < (2, 42) else 1)


def test_keys(cost):
    """Iterating, counting and asking for truth cost one; list(ns) two, for Python asks for the length too."""
    assert cost(lambda ns: [*iter(ns)], list(DATA)) == 1
    assert cost(lambda ns: len(ns), N) == 1
    assert cost(lambda ns: bool(ns), True) == 1
    assert cost(lambda ns: list(ns.keys()), list(DATA)) == 1
    assert cost(lambda ns: list(ns), list(DATA)) == 2
    assert cost(lambda ns: [len(ns.keys())] * 2, [N, N]) == 1


def test_a_view_is_a_snapshot(cost):
    """A view is fetched at first use, once, however often it is used then."""

    def use(ns):
        items = ns.items()
        return len(items), list(items), list(items), ("a", 1) in items, repr(items)

    assert cost(use) == cost(lambda ns: ns.copy())


def test_all_entries(cost, bulk):
    """A whole namespace costs one request where there are bulk reads, else the listing and one per key."""
    expected = 1 if bulk else N + 1
    assert cost(lambda ns: ns.copy(), DATA) == expected
    assert cost(lambda ns: dict(ns.items()), DATA) == expected
    assert cost(lambda ns: list(ns.values()), list(DATA.values())) == expected
    assert cost(lambda ns: ns == DATA, True) == expected
    assert cost(lambda ns: ns != DATA, False) == expected
    assert cost(lambda ns: ns | {"z": 1}, DATA | {"z": 1}) == expected
    assert cost(lambda ns: {"z": 1, "a": 0} | ns, {"z": 1} | DATA) == expected
    assert cost(lambda ns: ns == ns._store["app"], True) == 2 * expected
    assert cost(lambda ns: dict(ns), DATA) == N + 1
    assert cost(lambda ns: {**ns}, DATA) == N + 1


def test_nulls_and_hidden_entries(cost, bulk, either, emulator):
    """One null costs one more; several cost one more together; each entry that bulk reads hide costs one more."""
    owner = "admin" if either is either.user else None
    assert cost(lambda ns: ns.__setitem__("n1", None)) >= 1
    assert cost(lambda ns: ns.copy(), DATA | {"n1": None}) == (2 if bulk else N + 2)
    assert cost(lambda ns: ns.__setitem__("n2", None)) >= 1
    assert cost(lambda ns: ns.copy(), DATA | {"n1": None, "n2": None}) == (2 if bulk else N + 3)
    emulator.put("app", "s", "secret", user=owner, encrypted=True)
    everything = DATA | {"n1": None, "n2": None, "s": "secret"}
    assert cost(lambda ns: ns.copy(), everything) == (3 if bulk else N + 4)
    assert cost(lambda ns: ns.get_many(["s", "n1", "n2", "a"]), {"s": "secret", "n1": None, "n2": None, "a": 1}) == (
        3 if bulk else 5
    )


def test_many(cost, bulk):
    """Chosen keys cost one request per URL-full of them; absent ones are left out."""
    assert cost(lambda ns: ns.get_many(["d", "none", "a"]), {"d": 0.5, "a": 1}) == (1 if bulk else 4)
    assert cost(lambda ns: ns.get_many(["d"]), {"d": 0.5}) == 1
    assert cost(lambda ns: ns.get_many([]), {}) == 0
    many = [f"key{number:04}" for number in range(600)]
    if bulk:
        assert cost(lambda ns: ns.get_many(many), {}) == 2


def test_writing_many(cost, either, bulk):
    """update costs one request per entry; replacing a namespace one reading and one request per difference."""
    reading = 1 if bulk else N + 1
    assert cost(lambda ns: ns.update({"a": 2, "b": 3})) == 2
    assert cost(lambda ns: ns.update([("a", 2)], b=3)) == 2
    assert cost(lambda ns: ns.__ior__({"a": 2})) == 1
    assert cost(lambda ns: ns.delete_many(["a", "b"])) == 2
    assert cost(lambda ns: ns.replace(DATA)) == reading
    assert cost(lambda ns: ns.replace({"a": 1, "b": 0})) == reading + 3
    assert cost(lambda ns: either.__setitem__("app", {"a": 9})) == reading + 4


def test_an_update_in_place_is_an_update(emulator, either):
    """``store["app"] |= m`` writes m and reads nothing."""
    either["app"]["a"] = 1
    sent(emulator)
    either["app"] |= {"a": 2}
    assert [method for method, _ in sent(emulator)] == ["PUT"]
    assert either["app"].copy() == {"a": 2}


def test_clearing(cost, either, version):
    """Clearing and deleting a namespace cost one request, also where there is none."""
    assert cost(lambda ns: ns.clear()) == 1
    assert cost(lambda ns: either["none"].clear()) == 1
    assert cost(lambda ns: either.__delitem__("app")) == 1
    if either is not either.user or version >= "2.40":
        with pytest.raises(KeyNotFound):
            del either["app"]


def test_editing(cost, emulator, either):
    """Editing costs one request when nothing changed, else three."""

    def edit(namespace, key=None):
        with namespace.edit("b") as value:
            if key:
                value[key] = 1

    assert cost(edit) == 1
    assert cost(lambda ns: edit(ns, "y")) == 3


def test_read_back(version, creates):
    """Reading back costs one request per write."""
    emulator = Emulator(version=version)
    namespace = connect(emulator, read_back=True)["app"]
    namespace["a"] = 1
    assert [method for method, _ in sent(emulator)][-2:] == ["PUT" if creates else "POST", "GET"]


def test_cached(version, either, emulator, bulk):
    """With a cache a repeated read sends nothing, nor does a single one after a bulk read, nor get_many."""
    namespace = connect(emulator, ttl=60)["app"]
    if either is either.user:
        namespace = namespace._store.user["app"]
    namespace.update(DATA)
    for first, *then in (
        (lambda: namespace["a"], lambda: namespace["a"], lambda: "a" in namespace, lambda: namespace.get("a")),
        (lambda: namespace.copy(), lambda: namespace.copy(), lambda: namespace["d"], lambda: namespace == DATA),
        (lambda: len(namespace), lambda: list(namespace), lambda: "none" in namespace, lambda: bool(namespace)),
        (lambda: "a" in namespace, lambda: "a" in namespace),
        (lambda: namespace.get_many(["b", "c"]), lambda: namespace.get_many(["c", "b"]), lambda: namespace["b"]),
    ):
        namespace.refresh()
        sent(emulator)
        first()
        assert len(sent(emulator)) >= 1
        for again in then:
            again()
        assert sent(emulator) == []
    namespace["a"] = 2
    sent(emulator)
    assert namespace.copy() == DATA | {"a": 2}
    assert namespace.get_many(["a", "b"]) == {"a": 2, "b": DATA["b"]}
    assert len(sent(emulator)) == (1 if bulk else N + 1)
