"""Config: a snapshot of a namespace for long-running programs."""

import dataclasses
import json
import logging
import os
import stat
import threading
from collections.abc import Mapping

import pytest

from dhis2kv import Cache, Forbidden, NotAuthenticated, ServerError, TimedOut, Unreachable
from dhis2kv.config import Config, entries
from dhis2kv.emulator import Emulator
from tests.conftest import connect, sent


class Clock:
    """Seconds that pass when told."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Other(Mapping):
    """A mapping that is no dict; ``meanwhile`` is called while it is read."""

    def __init__(self, data, meanwhile=lambda: None):
        self.data, self.meanwhile = data, meanwhile

    def __getitem__(self, key):
        return self.data[key]

    def __iter__(self):
        self.meanwhile()
        return iter(self.data)

    def __len__(self):
        return len(self.data)


@pytest.fixture
def emulator():
    return Emulator()


@pytest.fixture
def store(emulator):
    return connect(emulator, retries=0)


@pytest.fixture
def clock():
    return Clock()


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# --- looking ---------------------------------------------------------------------------------------------------------


def test_two_hundred_settings_cost_one_request(emulator, store):
    """Making a Config sends nothing, and a program that reads 200 settings through it makes one request."""
    emulator.load({"app": {f"setting{n}": n for n in range(200)}})
    config = Config(store["app"])
    assert sent(emulator) == []
    assert [config[f"setting{n}"] for n in range(200)] == list(range(200))
    assert len(config) == 200
    assert "setting7" in config
    assert dict(config) == config.copy() == dict(config.items())
    assert [method for method, _ in sent(emulator)] == ["GET"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("db", {"host": "h", "a.b": {"c": 1}}),
        ("db.host", "h"),
        ("db.a.b", {"c": 1}),
        ("db.a.b.c", 1),
        ("v1.1", {"x": "longest"}),
        ("v1.1.x", "longest"),
        ("v1.2.x", "inner"),
        (".hidden.x", 2),
    ],
)
def test_a_dotted_name_is_a_path(name, value):
    """A name is a key or a path into objects; keys with dots in them are found, the longest first."""
    config = Config(
        {
            "db": {"host": "h", "a.b": {"c": 1}},
            "v1": {"1": {"x": "shorter"}, "2": {"x": "inner"}},
            "v1.1": {"x": "longest"},
            ".hidden": {"x": 2},
        }
    )
    assert config[name] == value
    assert name in config
    assert config.get(name) == value


@pytest.mark.parametrize("name", ["absent", "db.absent", "db.host.x", "absent.host", "", ".", "db."])
def test_an_absent_name_is_a_key_error(name):
    """What is not there is a KeyError with the name, and ``get`` gives its default."""
    config = Config({"db": {"host": "h"}})
    with pytest.raises(KeyError) as caught:
        config[name]
    assert caught.value.args == (name,)
    assert name not in config
    assert config.get(name, "default") == "default"


def test_a_name_is_text():
    """A name that is no text is a mistake, not an absent setting."""
    with pytest.raises(TypeError, match="a setting's name is a str, not int"):
        Config({"1": 1}).get(1)


def test_nobody_changes_it(store):
    """It cannot be assigned to, and what was handed out is a copy: changing that changes nothing."""
    source, defaults = {"db": {"hosts": ["a"]}}, {"log": {"level": "INFO"}}
    config = Config(source, defaults)
    with pytest.raises(TypeError):
        config["db"] = 1
    config["db"]["hosts"].append("b")
    config.copy()["db"]["hosts"].append("b")
    next(iter(config.values()))["level"] = "DEBUG"
    dict(config.items())["db"]["hosts"].append("b")
    config["log"]["level"] = "DEBUG"
    source["db"]["hosts"].append("b")
    assert config["db.hosts"] == ["a"]
    assert config["log.level"] == "INFO"


def test_defaults_fill_the_gaps_member_by_member(emulator, store):
    """The server's values come first, null included; objects in both are merged, everything else is replaced."""
    emulator.load({"app": {"db": {"host": "prod", "pool": {"size": 9}}, "theme": None, "flat": 1, "list": [1]}})
    defaults = {
        "db": {"host": "localhost", "port": 5432, "pool": {"size": 1, "wait": 2}},
        "theme": "dark",
        "flat": {"a": 1},
        "list": [2, 3],
        "more": True,
    }
    config = Config(store["app"], defaults)
    assert config.copy() == {
        "db": {"host": "prod", "port": 5432, "pool": {"size": 9, "wait": 2}},
        "theme": None,
        "flat": 1,
        "list": [1],
        "more": True,
    }
    assert config["db.pool.wait"] == 2
    assert defaults["db"]["host"] == "localhost"


def test_any_mapping_will_do(emulator, store):
    """The source may be any mapping; a namespace is read in one request, and so are some of its entries."""
    assert Config(Other({"a": 1}))["a"] == 1
    assert Config(Config({"a": 1}))["a"] == 1
    emulator.load({"app": {"a": 1, "b": 2}})
    for source in (Other({"a": 1, "b": 2}), store["app"]):
        assert entries(source) == {"a": 1, "b": 2}
        assert entries(source, ["b", "absent", "a"]) == {"b": 2, "a": 1}
    assert len(sent(emulator)) == 2


# --- loading again ---------------------------------------------------------------------------------------------------


def test_refresh_loads_now(emulator, store):
    """Nothing is loaded again by itself; ``refresh`` does, with one request."""
    ns = store["app"]
    ns["k"] = 1
    config = Config(ns)
    assert config["k"] == 1
    ns["k"] = 2
    assert config["k"] == 1
    sent(emulator)
    config.refresh()
    assert config["k"] == 2
    assert len(sent(emulator)) == 1


def test_it_is_loaded_again_after_a_while(emulator, store, clock):
    """The first look after ``refresh_after`` seconds costs one request, those before and after it none."""
    emulator.put("app", "k", 1)
    config = Config(store["app"], refresh_after=60, clock=clock)
    assert config["k"] == 1
    emulator.put("app", "k", 2)
    clock.now += 59.9
    assert config["k"] == 1
    assert len(sent(emulator)) == 1
    clock.now += 0.1
    assert [config["k"], config["k"]] == [2, 2]
    assert len(sent(emulator)) == 1


@pytest.mark.parametrize("seconds", [0, -1])
def test_refresh_after_is_a_time(seconds):
    """No time, or a negative one, is refused."""
    with pytest.raises(ValueError, match="refresh_after is a number of seconds above 0"):
        Config({}, refresh_after=seconds)


def test_a_cached_namespace_is_read_past_its_cache(emulator):
    """A store's cache does not make a refresh load what is old."""
    store = connect(emulator, cache=Cache(ttl=3600))
    emulator.put("app", "k", 1)
    config = Config(store["app"])
    assert config["k"] == store["app"].copy()["k"] == 1
    emulator.put("app", "k", 2)
    config.refresh()
    assert config["k"] == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "refuse"}, Unreachable),
        ({"kind": "cut"}, Unreachable),
        ({"kind": "slow", "seconds": 3600}, TimedOut),
        ({"kind": "status", "status": 503}, ServerError),
        ({"kind": "status", "status": 403}, Forbidden),
    ],
    ids=["refused", "cut", "slow", "503", "403"],
)
def test_the_last_good_snapshot_is_kept(emulator, store, clock, caplog, fault, error):
    """When loading again fails, looking gives what was there before and a warning, and asks again later only; an
    explicit ``refresh`` raises, and leaves the snapshot alone."""
    emulator.sleep = lambda seconds: None
    emulator.put("app", "k", 1)
    config = Config(store["app"], refresh_after=60, clock=clock)
    assert config["k"] == 1
    emulator.put("app", "k", 2)
    emulator.fail(**fault)
    clock.now += 60
    sent(emulator)
    assert [config["k"], config["k"]] == [1, 1]
    assert len(sent(emulator)) == 1
    [warning] = warnings(caplog)
    assert warning.startswith("the settings could not be loaded again, those from before stay: ")
    emulator.fail(**fault)
    with pytest.raises(error):
        config.refresh()
    assert config["k"] == 1
    clock.now += 60
    assert config["k"] == 2


def test_the_first_look_raises(emulator, store):
    """Without a snapshot an outage is an error, never an absent setting; the next look asks again."""
    emulator.put("app", "k", 1)
    emulator.down = True
    config = Config(store["app"], defaults={"k": 0})
    with pytest.raises(Unreachable):
        config.get("k")
    emulator.down = False
    assert config["k"] == 1


def test_many_threads_that_begin_together_make_one_request(emulator, store):
    """Threads that need the first snapshot at the same time wait for one of them to load it."""
    emulator.put("app", "k", 1)
    config = Config(store["app"])
    together = threading.Barrier(8)
    found = []

    def look():
        together.wait(timeout=30)
        found.append(config["k"])

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 8
    assert len(sent(emulator)) == 1


def test_others_go_on_while_one_thread_loads(clock):
    """While one thread loads again, another one gets the snapshot that is there without waiting."""
    loads = []
    source = Other({"k": 1}, lambda: loads.append(threading.current_thread()))
    config = Config(source, refresh_after=60, clock=clock)
    assert config["k"] == 1
    seen = []

    def meanwhile():
        other = threading.Thread(target=lambda: seen.append(config["k"]))
        other.start()
        other.join(timeout=30)

    source.data, source.meanwhile = {"k": 2}, meanwhile
    clock.now += 60
    assert config["k"] == 2
    assert seen == [1]


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_file_serves_when_the_server_is_away_at_the_start(emulator, store, clock, tmp_path, caplog):
    """A program that starts while the server is away has the settings of the last one, and the server's own when it
    is back."""
    path = tmp_path / "settings.json"
    emulator.load({"app": {"k": 1, "žluť": "kůň"}})
    assert Config(store["app"], fallback=path)["k"] == 1
    emulator.down = True
    config = Config(store["app"], {"more": True}, refresh_after=60, fallback=str(path), clock=clock)
    assert config.copy() == {"k": 1, "žluť": "kůň", "more": True}
    [warning] = warnings(caplog)
    assert warning.startswith(f"the server is away, the settings are those in {path}: ")
    emulator.down = False
    emulator.put("app", "k", 2)
    clock.now += 60
    assert config["k"] == 2
    assert json.loads(path.read_text(encoding="utf-8"))["k"] == 2


def test_only_its_owner_reads_the_file(store, tmp_path):
    """The file has mode 0600, also where one with another mode was there before."""
    path = tmp_path / "settings.json"
    path.write_text("{}")
    path.chmod(0o644)
    assert len(Config(store["app"], fallback=path)) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["settings.json"]


def test_the_file_is_written_when_something_changed(emulator, store, tmp_path):
    """A refresh that brings nothing new does not write the file again."""
    path = tmp_path / "settings.json"
    emulator.put("app", "k", 1)
    config = Config(store["app"], fallback=path)
    config.refresh()
    first = path.stat().st_ino
    config.refresh()
    assert path.stat().st_ino == first
    emulator.put("app", "k", 2)
    config.refresh()
    assert json.loads(path.read_text()) == {"k": 2}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_the_file_is_whole_or_as_before(emulator, store, tmp_path, monkeypatch, caplog, step):
    """When the disk fails, the old file stays as it was and nothing else is left behind; the program goes on."""
    path = tmp_path / "settings.json"
    emulator.put("app", "k", 1)
    config = Config(store["app"], fallback=path)
    config.refresh()

    def full(*_):
        raise OSError(28, "No space left on device")

    emulator.put("app", "k", 2)
    with monkeypatch.context() as broken:
        broken.setattr(os, step, full)
        config.refresh()
    assert config["k"] == 2
    assert json.loads(path.read_text()) == {"k": 1}
    assert os.listdir(tmp_path) == ["settings.json"]
    assert warnings(caplog) == [
        f"the settings could not be written to {path}, which stays as it was: [Errno 28] No space left on device"
    ]
    config.refresh()
    assert json.loads(path.read_text()) == {"k": 2}


@pytest.mark.parametrize("content", [b"", b'{"k": ', b"[1]", b"\xff\xfe"], ids=["empty", "cut", "a list", "not UTF-8"])
def test_a_broken_file_is_named(emulator, store, tmp_path, content):
    """A file that cannot be understood is an error that names it, says what to do, and tells why it was needed."""
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    emulator.down = True
    with pytest.raises(ValueError, match="Remove the file and start again when the server is back") as caught:
        len(Config(store["app"], fallback=path))
    assert str(path) in str(caught.value)
    assert "the server is away (no connection to dhis2.test" in str(caught.value)


def test_without_a_file_the_outage_is_raised(emulator, store, tmp_path):
    """At the very first start there is no file yet: the error is the server's."""
    emulator.down = True
    with pytest.raises(Unreachable):
        len(Config(store["app"], fallback=tmp_path / "settings.json"))


def test_the_file_does_not_serve_those_who_are_refused(emulator, store, tmp_path):
    """An account that the server refuses gets no settings from the file."""
    path = tmp_path / "settings.json"
    path.write_text('{"k": 1}')
    emulator.fail("status", status=401)
    with pytest.raises(NotAuthenticated):
        len(Config(store["app"], fallback=path))


def test_the_folder_of_the_file_must_be_there(store, tmp_path):
    """A folder that does not exist is found out when the Config is made."""
    with pytest.raises(FileNotFoundError, match="to keep the fallback in"):
        Config(store["app"], fallback=tmp_path / "absent" / "settings.json")


def test_a_folder_is_no_file(emulator, store, tmp_path):
    """A path that is a folder is found out when the Config is made, not when the server is away; so is a link to it."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    for path in (tmp_path, link):
        with pytest.raises(IsADirectoryError, match="name a file in it"):
            Config(store["app"], fallback=path)
    assert sent(emulator) == []


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to no file yet"])
def test_a_link_stays_a_link(emulator, store, tmp_path, there):
    """Of a symbolic link the file that it leads to is replaced, for its owner's eyes only, and nothing is left over."""
    (tmp_path / "data").mkdir()
    target, link = tmp_path / "data" / "real.json", tmp_path / "settings.json"
    if there:
        target.write_text("{}")
    link.symlink_to(target)
    emulator.put("app", "k", 1)
    assert Config(store["app"], fallback=link)["k"] == 1
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"k": 1}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["data", "settings.json"]
    assert os.listdir(tmp_path / "data") == ["real.json"]


def test_the_folder_that_a_link_leads_to_must_be_there(store, tmp_path):
    """A link into a folder that does not exist is found out when the Config is made."""
    (tmp_path / "settings.json").symlink_to(tmp_path / "absent" / "real.json")
    with pytest.raises(FileNotFoundError, match="absent"):
        Config(store["app"], fallback=tmp_path / "settings.json")


# --- changes ---------------------------------------------------------------------------------------------------------


def test_changes_are_told(clock):
    """Callbacks get the keys whose values differ as JSON, added and removed ones included, when the new values count;
    not at the first load, and not when nothing changed."""
    source = {"same": 1, "order": {"a": 1, "b": 2}, "changed": 1, "removed": 0, "over default": 1}
    config = Config(source, {"default": 1, "over default": 2}, refresh_after=60, clock=clock)
    told = []

    @config.on_change
    def first(keys):
        told.append((keys, config.get("changed")))

    config.on_change(lambda keys: told.append(keys))
    assert callable(first)
    config.refresh()
    assert config["changed"] == 1
    config.refresh()
    assert told == []
    source.update({"same": 1.0, "order": {"b": 2, "a": 1}, "changed": True, "added": None})
    del source["removed"], source["over default"]
    clock.now += 60
    assert config["changed"] is True
    keys = {"changed", "removed", "added", "over default"}
    assert told == [(keys, True), keys]
    config.refresh()
    assert len(told) == 2


def test_what_a_callback_raises_is_raised(clock):
    """A callback's error is not swallowed: who loaded gets it, and the new snapshot counts."""
    source = {"k": 1}
    config = Config(source, refresh_after=60, clock=clock)
    assert config["k"] == 1

    @config.on_change
    def broken(keys):
        raise ZeroDivisionError

    source["k"] = 2
    with pytest.raises(ZeroDivisionError):
        config.refresh()
    assert config["k"] == 2
    source["k"] = 3
    clock.now += 60
    with pytest.raises(ZeroDivisionError):
        config["k"]
    assert config["k"] == 3


# --- types -----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Database:
    host: str
    port: int = 5432


@dataclasses.dataclass
class Settings:
    theme: str
    db: Database
    replica: Database | None = None
    tags: list[str] = dataclasses.field(default_factory=list)
    made: int = dataclasses.field(default=7, init=False)


def test_dataclasses_are_filled():
    """Fields are filled by name, dataclasses in fields too; other keys are ignored, and defaults are the class's."""
    config = Config({"theme": "dark", "db": {"host": "h"}, "replica": {"host": "r", "port": 1}, "made": 1, "else": 2})
    assert config.as_(Settings) == Settings("dark", Database("h"), Database("r", 1))
    assert config.as_(Database, "db") == Database("h")
    assert Config({"theme": "dark", "db": {"host": "h"}, "replica": None}).as_(Settings).replica is None


def test_what_a_dataclass_lacks_is_named():
    """Settings that a dataclass needs and that are not there are named all at once."""
    with pytest.raises(ValueError, match="Settings needs settings that are not there: theme, db"):
        Config({"replica": {"host": "r"}}).as_(Settings)
    with pytest.raises(ValueError, match="Database needs settings that are not there: host"):
        Config({"theme": "dark", "db": {}}).as_(Settings)
    with pytest.raises(ValueError, match="Database is made from an object with members, not from int"):
        Config({"db": 1}).as_(Database, "db")
    with pytest.raises(KeyError, match="absent"):
        Config({}).as_(Database, "absent")


def test_anything_with_model_validate_is_given_everything():
    """A class with ``model_validate``, as pydantic's models have, gets all settings or those below a name."""

    class Model:
        @classmethod
        def model_validate(cls, data):
            return data

    config = Config({"db": {"host": "h"}}, {"theme": "dark"})
    assert config.as_(Model) == {"db": {"host": "h"}, "theme": "dark"}
    assert config.as_(Model, "db") == {"host": "h"}


def test_other_classes_are_refused():
    """What is neither is a TypeError that says so."""
    with pytest.raises(TypeError, match="neither a dataclass nor has it model_validate"):
        Config({}).as_(int)
