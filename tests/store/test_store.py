"""Store and Namespace as mappings."""

import copy
import logging
import pickle
import re
import threading
from collections.abc import Mapping, MutableMapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dhis2kv
from dhis2kv import InvalidValue, KeyNotFound, Namespace, Query, ReadOnly, Store
from dhis2kv.emulator import Emulator
from tests.conftest import OLD_MIDDLE_NEW, connect, sent
from tests.wire.test_values import values

try:
    from test import mapping_tests
except ImportError:  # a Python without its own tests
    mapping_tests = None


if mapping_tests is not None:

    class TestAsCPythonTestsMappings(mapping_tests.BasicTestMappingProtocol):
        """CPython's own tests of the mapping protocol hold for a namespace."""

        def type2test(self):
            return connect(Emulator())["app"]

        def _reference(self):
            return {"1": "2", "key1": "value1", "key2": [1, 2, 3]}

else:

    @pytest.mark.skip(reason="this Python comes without test.mapping_tests")
    def test_as_cpython_tests_mappings():
        """CPython's own tests of the mapping protocol hold for a namespace."""


def test_kinds():
    """A namespace is a MutableMapping; a store is a Mapping, without the methods that delete in passing."""
    store = Store("https://dhis2.example.org")
    assert isinstance(store["app"], MutableMapping)
    assert isinstance(store, Mapping)
    for name in ("clear", "pop", "popitem", "update", "setdefault"):
        assert not hasattr(store, name)


def test_identity():
    """Stores are equal only to themselves and can be keys; namespaces compare by content and cannot."""
    store = Store("https://dhis2.example.org")
    assert store == store
    assert store != Store("https://dhis2.example.org")
    assert len({store, store.user}) == 2
    assert store.user is store.user.user
    with pytest.raises(TypeError, match="unhashable"):
        hash(store["app"])


def test_a_namespace_that_does_not_exist_is_empty(either):
    """Reading one that was never written gives nothing, and no error."""
    namespace = either["none"]
    assert list(namespace) == []
    assert len(namespace) == 0
    assert not namespace
    assert namespace.copy() == {}
    assert list(namespace.items()) == []
    assert namespace == {}
    namespace.clear()
    with pytest.raises(KeyError, match="empty"):
        namespace.popitem()


def test_both_stores_are_apart(store):
    """The per-user store shares nothing with the shared one."""
    store["app"]["k"] = 1
    store.user["app"]["k"] = 2
    assert store["app"]["k"] == 1
    assert store.user["app"]["k"] == 2
    del store.user["app"]
    assert store["app"].copy() == {"k": 1}


def test_keys_are_sorted_by_code_point(either):
    """Listing and bulk reads agree on the order, which is that of the code points."""
    keys = ["b", "a", "B", "é", "e\u0301", "_", "10", "9", "😀", "\uffee"]
    either["app"].update(dict.fromkeys(keys, 1))
    assert list(either["app"]) == sorted(keys)
    assert list(either["app"].copy()) == sorted(keys)


def test_an_absent_key_says_so(either):
    """The error is a KeyError about the key, whose sentence names key and namespace."""
    for act in (
        lambda: either["app"]["none"],
        lambda: either["app"].pop("none"),
        lambda: either["app"].__delitem__("none"),
    ):
        with pytest.raises(KeyNotFound) as caught:
            act()
        assert caught.value.args == ("none",)
        assert str(caught.value) == "there is no 'none' in namespace 'app'"
        again = pickle.loads(pickle.dumps(caught.value))
        assert (again.args, again.status, str(again)) == (("none",), 404, str(caught.value))


@pytest.mark.parametrize("trouble", [{"kind": "status", "status": 503}, {"kind": "html"}, {"kind": "refuse"}])
def test_an_outage_is_never_an_absent_key(emulator, store, trouble):
    """get with a default, in, setdefault, pop and add raise when the server is in trouble."""
    namespace = store["app"]
    emulator.fail(times=10_000, **trouble)
    for act in (
        lambda: namespace.get("k", "default"),
        lambda: "k" in namespace,
        lambda: namespace.setdefault("k", 1),
        lambda: namespace.pop("k", 1),
        lambda: namespace.add("k", 1),
        lambda: namespace.copy(),
        lambda: list(namespace),
        lambda: "app" in store,
    ):
        with pytest.raises(dhis2kv.Dhis2kvError) as caught:
            act()
        assert not isinstance(caught.value, KeyError)


def test_update_is_dicts(either):
    """update takes what dict.update takes, pairs collapsed, and refuses what dict refuses."""
    namespace = either["app"]
    namespace.update({"a": 1}, b=2)
    namespace.update([("a", 0), ("a", 3)])
    namespace.update(c=4)
    namespace.update()
    namespace |= [("d", 5)]
    namespace.update(either["none"])
    assert namespace.copy() == {"a": 3, "b": 2, "c": 4, "d": 5}
    with pytest.raises(TypeError):
        namespace.update(1)
    with pytest.raises(ValueError, match="length"):
        namespace.update([("a", 1, 2)])


def test_operators_with_other_types(store):
    """Merging with or comparing to what is no mapping is left to the other side."""
    namespace = store["app"]
    assert (namespace == 1) is False
    with pytest.raises(TypeError):
        namespace | 1
    with pytest.raises(TypeError):
        1 | namespace
    with pytest.raises(TypeError, match="a mapping of keys"):
        store["app"] = [("a", 1)]


def test_comparing_is_comparing_json(store):
    """true is not 1, and 1 is 1.0."""
    store["app"]["k"] = 1
    assert store["app"] == {"k": 1.0}
    assert store["app"] != {"k": True}
    assert store["app"] == store["app"]
    assert store["app"] != store["other"]


def test_assigning_a_namespace(store):
    """Assigning a mapping makes the namespace equal to it; assigning another namespace copies that."""
    store["app"].update({"a": 1, "b": 2})
    store["app"] = {"b": 3, "c": 4}
    assert store["app"].copy() == {"b": 3, "c": 4}
    store["copy"] = store["app"]
    assert store["copy"].copy() == {"b": 3, "c": 4}
    store["app"] = {}
    assert "app" not in store


def test_values_are_checked_before_anything_is_sent(emulator, store):
    """One bad value among many, and nothing is written."""
    namespace = store["app"]
    for act in (
        lambda: namespace.update({"a": 1, "b": float("nan")}),
        lambda: namespace.replace({"a": 1, "b": {1: 2}}),
        lambda: store.__setitem__("app", {"a": "\0"}),
        lambda: namespace.add("a", object()),
        lambda: namespace.setdefault("a", object()),
    ):
        with pytest.raises(InvalidValue):
            act()
    assert {method for method, _ in sent(emulator)} <= {"GET"}


@pytest.mark.parametrize("version", OLD_MIDDLE_NEW)
def test_any_value_comes_back_the_same(version):
    """Any JSON value is read as it was written, singly and in bulk."""
    namespace = connect(Emulator(version=version))["app"]

    @given(values)
    @settings(max_examples=150, deadline=None)
    def law(value):
        namespace["k"] = value
        expected = namespace._datastore.get("app", "k")
        assert dhis2kv.wire.same(expected, value)
        assert dhis2kv.wire.same(namespace.copy()["k"], value)

    law()


@pytest.mark.parametrize("version", OLD_MIDDLE_NEW)
def test_any_finite_float_comes_back_the_same(version):
    """Any finite float is read as that very float, also through the database's own spelling of it."""
    emulator = Emulator(version=version)
    namespace = connect(emulator)["app"]

    @given(st.floats(allow_nan=False, allow_infinity=False))
    @settings(max_examples=300, deadline=None)
    def law(number):
        namespace["k"] = number
        for again in (namespace["k"], namespace["k"], namespace.copy()["k"]):
            assert type(again) is float
            assert again == number

    law()


def test_null_is_a_value(either):
    """A stored null is there, and reads as None."""
    namespace = either["app"]
    namespace["k"] = None
    assert "k" in namespace
    assert namespace["k"] is None
    assert namespace.get("k", "default") is None
    assert namespace.setdefault("k", 1) is None
    assert list(namespace) == ["k"]


def test_an_entry_without_a_value_reads_as_none(version, emulator, store):
    """What a PUT without a body makes from 2.41 on, an entry without a value, is read as None everywhere."""
    if version < "2.41":
        assert store["app"].get("k") is None
        return
    session = emulator.session()
    url = "http://dhis2.test/api/dataStore/app/k"
    session.put(url, auth=("admin", "district"), headers={"Content-Type": "application/json"})
    assert store["app"]["k"] is None
    assert store["app"].copy() == {"k": None}


def test_what_comes_is_ones_own(store):
    """Changing what was handed out changes nothing; nested assignment cannot be saved by any mapping."""
    store["app"]["cfg"] = {"x": [1]}
    store["app"]["cfg"]["x"].append(2)
    assert store["app"]["cfg"] == {"x": [1]}


def test_keys_that_poison_bulk_reads(either, emulator):
    """Keys that make bulk answers unreadable, or lie in them, cost single reads, and nothing is missing."""
    owner = "admin" if either is either.user else None
    everything = {"good": {"x": 1}, 'a"b': 2, 'k","value":1},{"x': 3, "z": None}
    for key, value in everything.items():
        emulator.put("app", key, value, user=owner)
    assert either["app"].copy() == everything
    assert list(either["app"]) == sorted(everything)


def test_repr_and_errors_show_no_secret(emulator):
    """Neither repr, nor errors, nor the log show a password or token."""
    store = Store("http://me:s3cret@dhis2.test/api", session=emulator.session())
    assert repr(store) == "<Store http://dhis2.test dataStore as me>"
    assert repr(store.user["app"]) == "<Namespace 'app' of <Store http://dhis2.test userDataStore as me>>"
    with pytest.raises(dhis2kv.NotAuthenticated) as caught:
        store["app"]["k"]
    for text in (str(caught.value), repr(caught.value), repr(pickle.dumps(caught.value))):
        assert "s3cret" not in text
    assert "s3cret" not in repr(vars(caught.value))


def test_a_forbidden_value_is_not_in_the_error(caplog):
    """A 403 of 2.38 holds the stored value in its text: that stays out of error and log."""
    import responses

    with responses.RequestsMock() as mock, caplog.at_level(logging.DEBUG):
        mock.delete(
            "https://dhis2.example.org/api/dataStore/app/a",
            status=403,
            json={"httpStatusCode": 403, "message": "DatastoreEntry(namespace=app, key=a, getValue={pw: s3cret})"},
        )
        with pytest.raises(PermissionError) as caught:
            del Store("https://dhis2.example.org", ("me", "pw"))["app"]["a"]
    assert "s3cret" not in str(caught.value) + repr(vars(caught.value)) + caplog.text


def test_pickling():
    """A store and its namespaces can be pickled, with their settings; opaque parts are refused."""
    store = Store("https://dhis2.example.org/api", ("me", "pw"), timeout=(1, 2, 3), workers=2, read_only=True)
    again = pickle.loads(pickle.dumps(store))
    assert repr(again) == repr(store)
    assert again.datastore.transport.account == "me"
    assert again.datastore.workers == 2
    with pytest.raises(ReadOnly):
        again["app"]["k"] = 1
    assert repr(pickle.loads(pickle.dumps(store.user["app"]))) == repr(store.user["app"])
    assert copy.copy(store.user).user is not store
    for opaque in ({"auth": lambda request: request}, {"session": Emulator().session()}):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(Store("https://dhis2.example.org", **opaque))


def test_from_the_environment(monkeypatch, tmp_path):
    """URL and credentials come from variables or the files they name; the pickle says: read them again."""
    monkeypatch.setenv("DHIS2_URL", "https://one.example.org")
    monkeypatch.setenv("DHIS2_USERNAME", "me")
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("DHIS2_PASSWORD_FILE", str(tmp_path / "password"))
    store = Store.from_env(workers=2)
    assert repr(store) == "<Store https://one.example.org dataStore as me>"
    assert store.datastore.transport.account == "me"
    data = pickle.dumps(store.user["app"])
    assert b"s3cret" not in data
    assert b"one.example.org" not in data
    monkeypatch.setenv("DHIS2_URL", "https://two.example.org")
    again = pickle.loads(data)
    assert repr(again) == "<Namespace 'app' of <Store https://two.example.org userDataStore as me>>"
    assert again._datastore.workers == 2


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "set DHIS2_URL"),
        ({"DHIS2_URL": "https://h.org", "DHIS2_USERNAME": "me"}, "set both"),
        ({"DHIS2_URL": "https://h.org", "DHIS2_URL_FILE": "x"}, "not both"),
    ],
)
def test_an_environment_that_does_not_say(monkeypatch, variables, reason):
    """What is missing or said twice is an error that says what to set."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=reason):
        Store.from_env()


def test_what_an_environment_may_say(monkeypatch, tmp_path):
    """An empty variable is none, a token counts rather than a password, and a file may begin with a mark."""
    monkeypatch.setenv("DHIS2_URL", "https://h.org")
    monkeypatch.setenv("DHIS2_USERNAME", "me")
    monkeypatch.setenv("DHIS2_PASSWORD", "pw")
    monkeypatch.setenv("DHIS2_PAT", "")
    assert Store.from_env().datastore.transport.account == "me"
    monkeypatch.setenv("DHIS2_PAT", "d2p_x")
    assert Store.from_env().datastore.transport.account is None
    monkeypatch.delenv("DHIS2_PAT")
    monkeypatch.delenv("DHIS2_USERNAME")
    monkeypatch.setenv("DHIS2_USERNAME_FILE", str(tmp_path / "name"))
    (tmp_path / "name").write_bytes(b"\xef\xbb\xbfyou\r\n")
    assert Store.from_env().datastore.transport.account == "you"
    (tmp_path / "name").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="DHIS2_USERNAME_FILE"):
        Store.from_env()


class Special(Store):
    """A store of somebody's own class."""


def test_a_subclass_is_pickled_as_one():
    """A pickled store comes back as what it was."""
    assert type(pickle.loads(pickle.dumps(Special("https://h.org", ["me", "pw"])))) is Special


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"timeout": float("inf")}, ValueError),
        ({"timeout": (1, 2, 3, 4)}, ValueError),
        ({"timeout": (5,)}, ValueError),
        ({"timeout": (None, 30)}, ValueError),
        ({"verify": "/does/not/exist.pem"}, ValueError),
        ({"cert": ("/does/not", "/exist.pem")}, ValueError),
        ({"proxies": {"https": "http://name:pw@"}}, ValueError),
        ({"proxies": {"https": "http://h:99999"}}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"timeout": (1, -1)}, ValueError),
        ({"retries": -1}, ValueError),
        ({"max_bytes": 0}, ValueError),
        ({"workers": 0}, ValueError),
        ({"auth": ("a:b", "c")}, ValueError),
        ({"auth": 5}, TypeError),
        ({"auth": ("a", "b"), "token": "x"}, ValueError),
        ({"token": "two words"}, ValueError),
        ({"ttl": 1, "cache": dhis2kv.Cache(1)}, ValueError),
        ({"ttl": 0}, ValueError),
    ],
)
def test_options_that_make_no_sense(options, kind):
    """Bad settings are refused when the store is made."""
    with pytest.raises(kind):
        Store("https://dhis2.example.org", **options)


def test_read_only(emulator):
    """A store opened read-only reads, and refuses every write before a request."""
    connect(emulator)["app"].update({"k": 1, "l": [1]})
    store = connect(emulator, read_only=True)
    namespace = store["app"]
    assert namespace.copy() == {"k": 1, "l": [1]}
    sent(emulator)

    def edit():
        with namespace.edit("l") as value:
            value.append(2)

    for act in (
        lambda: namespace.__setitem__("k", 2),
        lambda: namespace.__delitem__("k"),
        lambda: namespace.add("x", 1),
        lambda: namespace.update(k=2),
        lambda: namespace.replace({}),
        lambda: namespace.delete_many(["k"]),
        lambda: namespace.patch("k", "a", 1),
        lambda: namespace.roll("l", 1, 3),
        lambda: namespace.set("k", 1, encrypt=True),
        lambda: namespace.pop("k"),
        lambda: namespace.clear(),
        lambda: store.__delitem__("app"),
        edit,
    ):
        with pytest.raises(ReadOnly, match="read_only"):
            act()
    assert {method for method, _ in sent(emulator)} <= {"GET"}


def test_a_context_manager(emulator):
    """A store closes its connections at the end of a block, and works again afterwards."""
    with emulator.serve() as server, Store(server.url, ("admin", "district")) as store:
        store["app"]["k"] = 1
        store.close()
        assert store["app"]["k"] == 1


def test_many_threads(store):
    """Threads that write and read different keys through one store do not disturb each other."""
    namespace = store["app"]
    failed = []

    def work(number):
        key = f"k{number}"
        for value in range(10):
            namespace[key] = value
            if namespace[key] != value:
                failed.append(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert namespace.copy() == {f"k{number}": 9 for number in range(16)}


def test_a_query(version, store):
    """The accessor passes a query on, and refuses page numbers that servers clamp in silence."""
    store["pets"].update({"cat": {"legs": 4}, "bird": {"legs": 2}})
    query = Query(fields="legs", filters=("legs:gt:2",), include_all=False, page_size=10)
    if version >= "2.38":
        assert store.datastore.query("pets", query) == [{"key": "cat", "legs": 4}]
    for wrong in ({"page": 0}, {"page_size": 0}, {"page_size": 1001}):
        with pytest.raises(ValueError, match="page"):
            Query(**wrong)


def test_metadata(store):
    """The shared store tells what it knows about an entry."""
    store["my.ns"]["config.json"] = 1
    metadata = store.datastore.metadata("my.ns", "config.json")
    assert (metadata.namespace, metadata.key) == ("my.ns", "config.json")
    with pytest.raises(KeyNotFound):
        store.datastore.metadata("my.ns", "none")


def test_the_names_of_the_package():
    """Everything the package names can be had, and nothing else."""
    for name in dhis2kv.__all__:
        assert getattr(dhis2kv, name) is not None
    assert set(dhis2kv.__all__) <= set(dir(dhis2kv))
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        getattr(dhis2kv, "Nope")  # noqa: B009 - a linter takes the plain way for useless
    assert isinstance(Store("http://h")["app"], Namespace)


class Backend:
    """A backend for caches, in this process."""

    def __init__(self):
        self.kept = {}

    def get(self, *names):
        return [self.kept.get(name) for name in names]

    def set(self, name, data, seconds):
        self.kept[name] = data

    def add(self, name, data, seconds):
        return self.kept.setdefault(name, data) is data

    def delete(self, name):
        self.kept.pop(name, None)


def test_whose_records_a_shared_cache_keeps():
    """The names of shared records hold server and account: as told, as signed in, or asked once; never a secret."""
    emulator = Emulator()
    created = emulator.session().post(
        "http://dhis2.test/api/apiToken", auth=("admin", "district"), json={"attributes": [], "expire": 4102444800000}
    )
    token = created.json()["response"]["key"]
    emulator.put("app", "k", 1)
    for options, account, asked in (
        ({"auth": ("admin", "district")}, "admin", 0),
        ({"auth": None, "token": token, "account": "reader"}, "reader", 0),
        ({"auth": None, "token": token}, "M5zQapPyTZI", 1),
    ):
        backend = Backend()
        store = connect(emulator, **options, cache=dhis2kv.Cache(60, backend=backend))
        sent(emulator)
        assert [store["app"]["k"], store["app"]["k"], store["app"].copy()] == [1, 1, {"k": 1}]
        targets = [target for _, target in sent(emulator)]
        assert sum("/api/me" in target for target in targets) == asked
        assert len(targets) == 2 + asked
        names = " ".join(backend.kept)
        assert account in names
        assert "http://dhis2.test" in names
        assert token not in names
        assert "district" not in names


def test_views_of_a_store(store):
    """The values of a store are its namespaces."""
    store["a"]["k"] = store["b"]["k"] = 1
    assert [namespace.name for namespace in store.values()] == ["a", "b"]
    assert [(name, namespace.copy()) for name, namespace in store.items()] == [("a", {"k": 1}), ("b", {"k": 1})]


def test_a_query_in_full(store, version):
    """Order, junction and pages are passed on."""
    store["pets"].update({"cat": {"legs": 4}, "bird": {"legs": 2}, "fish": {"legs": 0}})
    query = Query(
        "legs", ("legs:eq:4", "legs:eq:0"), order="_:desc", junction="OR", include_all=False, page=2, page_size=1
    )
    if version >= "2.38":
        assert store.datastore.query("pets", query) == [{"key": "cat", "legs": 4}]


def test_a_server_that_does_not_tell():
    """No version where one is needed is an error, and so is a check that comes to nothing."""
    import responses

    url = "https://dhis2.example.org"
    with responses.RequestsMock() as mock:
        mock.get(f"{url}/api/system/info", json={"revision": "abc"})
        with pytest.raises(dhis2kv.ServerError, match="does not tell its version"):
            Store(url).datastore.version()
    with responses.RequestsMock() as mock:
        mock.get(re.compile(".*"), json=1)
        with pytest.raises(dhis2kv.ServerError, match="how it understands dotted names"):
            Store(url)["app"]["config.json"]
