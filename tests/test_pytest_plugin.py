"""The pytest plugin, in test runs of its own."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from tests.test_readme import sections


@pytest.fixture
def run(pytester):
    """Runs a test file in a pytest of its own, with the plugin as the package's entry point brings it."""

    def run(source, *arguments):
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", *arguments)

    return run


def test_it_is_an_entry_point():
    """Pytest finds the plugin wherever the package is installed."""
    assert [point.value for point in entry_points(group="pytest11", name="dhis2kv")] == ["dhis2kv.pytest_plugin"]


def test_it_costs_those_nothing_who_do_not_use_it():
    """Every pytest run imports the plugin, so that importing it loads none of what talks or emulates."""
    code = "import sys; known = set(sys.modules); import dhis2kv.pytest_plugin; print(*set(sys.modules) - known)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(process.stdout.split())
    assert {name for name in loaded if name.startswith("dhis2kv")} == {"dhis2kv", "dhis2kv.pytest_plugin"}
    assert loaded.isdisjoint({"requests", "urllib3", "sqlite3", "http.client", "cachetools"})


def test_store_and_emulator_are_two_ends(run):
    """What the store writes, the emulator logs; what the emulator is filled with, the store reads."""
    run("""
        def test_it(dhis2_store, dhis2_emulator):
            dhis2_store["app"]["cfg"] = 1
            assert [(r.method, r.target) for r in dhis2_emulator.log] == [("PUT", "/api/dataStore/app/cfg")]
            dhis2_emulator.put("app", "other", [2])
            assert dhis2_store["app"].copy() == {"cfg": 1, "other": [2]}
            dhis2_store.user["app"]["mine"] = 3
            assert "mine" not in dhis2_store["app"]
    """).assert_outcomes(passed=1)


def test_each_test_has_its_own(run):
    """What one test leaves in its emulator, the next does not find."""
    run("""
        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(dhis2_store, turn):
            assert not dhis2_store["app"].setdefault("seen", False)
            dhis2_store["app"]["seen"] = True
    """).assert_outcomes(passed=2)


def test_server_is_the_same_emulator(run):
    """The server's URL is on the loopback, and leads to the emulator that the store is on."""
    run("""
        import json, urllib.request

        def test_it(dhis2_server, dhis2_store):
            assert dhis2_server.startswith("http://127.0.0.1:")
            dhis2_store["app"]["cfg"] = {"a": 1}
            request = urllib.request.Request(dhis2_server + "/api/dataStore/app/cfg")
            request.add_header("Authorization", "Basic YWRtaW46ZGlzdHJpY3Q=")
            with urllib.request.urlopen(request, timeout=10) as reply:
                assert json.load(reply) == {"a": 1}
    """).assert_outcomes(passed=1)


def test_server_ends_with_its_test(run):
    """After a test nothing listens where its server was."""
    run("""
        import socket
        import pytest

        addresses = []

        def test_one(dhis2_server):
            addresses.append(("127.0.0.1", int(dhis2_server.rpartition(":")[2])))
            socket.create_connection(addresses[0], timeout=10).close()

        def test_two():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(addresses[0], timeout=10)
    """).assert_outcomes(passed=2)


def test_data_of_the_marker(run):
    """Markers of module, class and test fill the store together; of one entry the closest marker has it."""
    run(
        """
        import pytest

        pytestmark = pytest.mark.dhis2_data(app={"a": "module", "b": "module"}, module={"k": None})

        @pytest.mark.dhis2_data(app={"b": "class", "c": "class"})
        class TestIt:
            @pytest.mark.dhis2_data(app={"c": "test"}, **{"my.app": {"config.json": [1]}})
            def test_it(self, dhis2_store, dhis2_emulator):
                assert dhis2_emulator.requests == 0
                assert dhis2_store["app"].copy() == {"a": "module", "b": "class", "c": "test"}
                assert dhis2_store["module"].copy() == {"k": None}
                assert dhis2_store["my.app"]["config.json"] == [1]
    """,
        "--strict-markers",
    ).assert_outcomes(passed=1)


def test_marker_takes_a_mapping(run):
    """Names that are no Python names are given in a mapping, alone or besides others; the closest marker wins."""
    run("""
        import pytest

        @pytest.mark.dhis2_data({"my-app": {"a": 1, "b": 1}})
        @pytest.mark.dhis2_data({"my-app": {"b": 2}, "my.app": {}}, app={"k": None})
        def test_it(dhis2_store):
            assert dhis2_store["my-app"].copy() == {"a": 1, "b": 2}
            assert dhis2_store["app"].copy() == {"k": None}
    """).assert_outcomes(passed=1)


@pytest.mark.parametrize("given", ["1", "['app']", "{'app': {}}, {'b': {}}", "None"])
def test_marker_without_names_is_explained(run, given):
    """A marker that is given neither names nor a mapping says how it is used."""
    result = run(f"""
        import pytest

        @pytest.mark.dhis2_data({given})
        def test_it(dhis2_store): ...
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*dhis2_data takes namespaces by name, or as one mapping: dhis2_data(app={'key': *"])


def test_marker_that_names_a_namespace_twice(run):
    """One marker with two ideas of a namespace is refused."""
    result = run("""
        import pytest

        @pytest.mark.dhis2_data({"app": {}}, app={"a": 1})
        def test_it(dhis2_store): ...
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*dhis2_data names app twice"])


@pytest.mark.parametrize("entries", ["5", "None", "['a']"])
def test_marker_without_entries_is_explained(run, entries):
    """A marker whose namespace is no dict of entries says which one, and how it is used."""
    result = run(f"""
        import pytest

        @pytest.mark.dhis2_data(app={entries})
        def test_it(dhis2_store): ...
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*dhis2_data takes the entries of app as a dict: dhis2_data(app={'key': 'value'}) *"])


@pytest.mark.parametrize("option", [[], ["-o", "dhis2_version=2.36"]], ids=["default", "option"])
def test_version_of_the_ini_option(run, option):
    """The ini option says which DHIS2 is emulated, 2.42 unless it is given."""
    run(
        f"""
        def test_it(dhis2_store, dhis2_version):
            assert dhis2_version == {"2.36" if option else "2.42"!r}
            assert dhis2_store.datastore.version()[:2] == {(2, 36) if option else (2, 42)}
    """,
        *option,
    ).assert_outcomes(passed=1)


def test_version_can_be_overridden(run):
    """A fixture of that name makes the tests run on several versions."""
    run("""
        import pytest

        @pytest.fixture(params=["2.38", "2.44"])
        def dhis2_version(request):
            return request.param

        def test_it(dhis2_store, dhis2_version):
            assert "{}.{}".format(*dhis2_store.datastore.version()[:2]) == dhis2_version
    """).assert_outcomes(passed=2)


def test_waiting_moves_the_clock(run):
    """Nothing waits in real time: a server that is slow or down shows at once, and the clock tells how late it is."""
    run("""
        import pytest
        from dhis2kv import TimedOut, Unreachable

        def test_it(dhis2_store, dhis2_emulator, dhis2_clock):
            start = dhis2_clock()
            dhis2_emulator.fail("slow", seconds=3600)
            with pytest.raises(TimedOut):
                dhis2_store["app"]["cfg"] = 1
            assert dhis2_clock() - start == 30
            dhis2_emulator.latency = 2
            assert list(dhis2_store["app"].keys()) == ["cfg"]
            assert dhis2_clock() - start == 32
            dhis2_emulator.down = True
            with pytest.raises(Unreachable):
                dhis2_store["app"]["cfg"]
    """).assert_outcomes(passed=1)


def test_a_moved_clock_ends_sessions(run):
    """What goes by the server's time goes by the clock: an hour later the session is forgotten, and renewed unseen."""
    run("""
        def test_it(dhis2_store, dhis2_emulator, dhis2_clock):
            dhis2_store["app"]["cfg"] = 1
            first = dhis2_store.datastore.metadata("app", "cfg").created
            cookies = {r.headers.get("Cookie") for r in dhis2_emulator.log}
            dhis2_clock.advance(3601)
            dhis2_store["app"]["late"] = 1
            assert dhis2_store.datastore.metadata("app", "late").created > first
            assert dhis2_emulator.log[-1].headers["Cookie"] not in cookies
    """).assert_outcomes(passed=1)


def test_the_server_is_asked_without_a_proxy(run, monkeypatch):
    """Where the environment names a proxy, it is not asked for dhis2_server; what it leaves out stays so."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "intra.example.org")
    monkeypatch.setenv("no_proxy", "intra.example.org")
    run("""
        import os
        from dhis2kv import Store

        def test_it(dhis2_server):
            assert "app" not in Store(dhis2_server, ("admin", "district"))
            assert set(os.environ["NO_PROXY"].split(",")) == {"intra.example.org", "127.0.0.1"}

        def test_afterwards():
            assert os.environ["no_proxy"] == "intra.example.org"
    """).assert_outcomes(passed=2)


def test_the_environment_names_the_server(run, monkeypatch):
    """dhis2_env: a program that reads the environment meets the emulator, whatever was set before."""
    for name in ("DHIS2_PAT", "DHIS2_PASSWORD_FILE", "DHIS2_PROFILE"):
        monkeypatch.setenv(name, "elsewhere")
    run("""
        import os
        import pytest
        from dhis2kv import Store

        @pytest.mark.dhis2_data(app={"k": 1})
        def test_it(dhis2_env, dhis2_server):
            assert os.environ["DHIS2_URL"] == dhis2_env == dhis2_server
            assert Store.from_env()["app"]["k"] == Store.from_profile()["app"]["k"] == 1

        def test_afterwards():
            assert os.environ["DHIS2_PROFILE"] == "elsewhere"
            assert "DHIS2_URL" not in os.environ
    """).assert_outcomes(passed=2)


def test_fixtures_and_marker_are_described(run):
    """``pytest --fixtures`` and ``--markers`` tell what there is."""
    listed = run("", "--fixtures").stdout.str()
    for name in ("dhis2_store", "dhis2_emulator", "dhis2_server", "dhis2_env", "dhis2_clock", "dhis2_version"):
        assert f"\n{name} -- " in listed
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.dhis2_data(NAMESPACE={KEY: VALUE, ...}, ...): *"])


def test_examples_of_the_readme(run):
    """The tests that the README shows pass, on each of the three versions that it shows."""
    section = next(section for section in sections() if section.id == "With pytest")
    run("".join(code for code, *_ in section.values[0])).assert_outcomes(passed=12)
