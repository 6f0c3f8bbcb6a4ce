"""The loader for dynaconf."""

import importlib
import json
import logging
import os
import pickle

import pytest

from dhis2kv import Unreachable, contrib
from dhis2kv.config import Config
from tests.conftest import connect, sent

dynaconf = pytest.importorskip("dynaconf")

SECRET = "secret of the process"
TOKENS = [
    "@format {env[DHIS2KV_SECRET]}",
    "@format {this.store}",
    "@jinja {{ env.DHIS2KV_SECRET }}",
    "@int @format {env[DHIS2KV_SECRET]}",
    "@read_file secret.txt",
    "@get LOADERS_FOR_DYNACONF",
    "@none",
    "@note ask",
    "@empty",
    "@del",
    "@reset 1",
    "@merge a=1",
    "@merge_unique 1",
    "@insert 0 x",
    "@int 5",
    "@json [1]",
    "@upper x",
    "@own x",
]


def settings(source, *loaders, **more):
    return dynaconf.Dynaconf(loaders=["dhis2kv.contrib.dynaconf", *loaders], DHIS2KV_FOR_DYNACONF=source, **more)


@pytest.fixture
def from_env(emulator, monkeypatch):
    """The environment describes a served emulator."""
    contrib._store.cache_clear()
    with emulator.serve() as server:
        monkeypatch.setenv("DHIS2_URL", server.url)
        monkeypatch.setenv("DHIS2_USERNAME", "admin")
        monkeypatch.setenv("DHIS2_PASSWORD", "district")
        yield
        contrib._store().close()
    contrib._store.cache_clear()


def test_a_namespace_by_its_name(emulator, load, from_env):
    """The name of a namespace is looked up in the store that the environment describes; loading costs one request,
    looking none, and ``reload`` brings what changed."""
    load(theme="dark", db={"host": "h"})
    found = settings("app")
    assert (found.THEME, found.theme, found.db.host) == ("dark", "dark", "h")
    assert len(sent(emulator)) == 1
    load(theme="light")
    assert found.theme == "dark"
    found.reload()
    assert found.theme == "light"
    assert len(sent(emulator)) == 1
    load(theme="new")
    assert found.get_fresh("theme") == "new"


def test_a_namespace_itself(emulator, store, load):
    """A namespace will do, for one request more: dynaconf asks whether it is empty."""
    load(theme="dark")
    assert settings(store["app"]).theme == "dark"
    assert len(sent(emulator)) == 2


def test_any_mapping_will_do(emulator, store, load):
    """So will any other mapping, such as a Config."""
    assert settings({"theme": "dark"}).theme == "dark"
    load(theme="dark")
    assert settings(Config(store["app"])).theme == "dark"
    assert len(sent(emulator)) == 1


def test_values_have_the_servers_types(store, load):
    """Values are JSON's and not parsed from text again, and they come after the defaults."""
    load(number="42", switch=False, nothing=None, hosts=["h"])
    found = settings(store["app"], NUMBER=1, SWITCH=True, OTHER="stays")
    assert (found.number, found.switch, found.nothing, found.hosts) == ("42", False, None, ["h"])
    assert found.other == "stays"


# --- stored values are data -------------------------------------------------------------------------------------------


@pytest.fixture
def secret(monkeypatch, tmp_path):
    """What a stored text must not reach: a variable, a file, a converter of the program's own, and code to run."""
    monkeypatch.setenv("DHIS2KV_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "evil.py").write_text("import pathlib\npathlib.Path('ran').touch()\nDHIS2KV_EVIL = 1\n")
    (tmp_path / "evil.yaml").write_text("default: {DHIS2KV_EVIL: 1}\nDHIS2KV_EVIL: 1\n")
    (tmp_path / ".env").write_text("DHIS2KV_EVIL=1\n")
    converters = importlib.import_module("dynaconf.utils.parse_conf").converters
    monkeypatch.setitem(converters, "@own", lambda value: SECRET)
    return tmp_path


def warned(caplog):
    """What the loader has warned of since it was asked last."""
    found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    caplog.clear()
    return found


def raw(value):
    """A value without dynaconf's own types of objects and lists."""
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("token", TOKENS)
def test_a_stored_text_is_no_token(store, secret, monkeypatch, token):
    """A text that begins like a token is the text that was stored, alone, in an object and in a list; so it stays when
    the program loads again, changes the environment, or sets another member, which all have dynaconf parse anew."""
    monkeypatch.setenv("DYNACONF_OBJECT__PORT", "5")
    stored = {"text": token, "object": {"in": token, "deeper": [{"in": token}]}, "list": [token, [token]]}
    store["app"].update(stored)
    found = settings(
        store["app"],
        "dynaconf.loaders.env_loader",
        TEXT="before",
        LIST=[1, 2],
        OBJECT={"before": 1},
    )
    stored["object"]["PORT"] = 5
    for look in (
        lambda: found,
        lambda: found.reload() or found,
        lambda: found.from_env("another", keep=True),
        lambda: found.setenv("third") or found,
        lambda: found.set("object.port", 5) or found,
        lambda: found.dynaconf_clone(),
    ):
        now = look()
        assert raw({name: now[name] for name in stored}) == stored
    assert found.get_fresh("text") == token
    assert (found.text == token, token.startswith("@"), found.text.startswith(("@", "x"))) == (True, True, True)
    assert [hash(found.text), *found.text.partition(" ")] == [hash(token), *token.partition(" ")]
    assert pickle.loads(pickle.dumps(found.text)) == token


@pytest.mark.parametrize(
    "own",
    [
        {"AUTO_CAST": True},
        {"MERGE_ENABLED": True},
        {"ENVIRONMENTS": True},
        {"DYNABOXIFY": False},
        {"FRESH_VARS": ["n", "db"]},
        {"validators": [dynaconf.Validator("n", "db.a", cast=str)]},
    ],
)
def test_no_option_of_the_program_makes_tokens_of_texts(store, secret, own):
    """Nor do options that change how dynaconf takes values in."""
    store["app"].update(db={"a": "@format {env[DHIS2KV_SECRET]}"}, n="@note x")
    found = settings(store["app"], DB={"b": 1}, **own)
    assert raw(found.db)["a"] == "@format {env[DHIS2KV_SECRET]}"
    assert found.n == "@note x"


def test_tokens_where_the_program_asks_for_them(store, secret):
    """With ``DHIS2KV_TOKENS_FOR_DYNACONF`` tokens are dynaconf's; it is a yes or no, and no entry can say it."""
    store["app"].update(a="@format {env[DHIS2KV_SECRET]}", b="@int 5", dynaconf_include="evil.py")
    found = settings(store["app"], DHIS2KV_TOKENS_FOR_DYNACONF=True)
    assert (found.a, found.b) == (SECRET, 5)
    assert not (secret / "ran").exists()
    with pytest.raises(ValueError, match="DHIS2KV_TOKENS_FOR_DYNACONF is true or false, not 'yes'"):
        settings(store["app"], DHIS2KV_TOKENS_FOR_DYNACONF="yes").get("a")
    store["app"]["DHIS2KV_TOKENS_FOR_DYNACONF"] = True
    found = settings(store["app"])
    found.reload()
    assert found.a == "@format {env[DHIS2KV_SECRET]}"


@pytest.mark.parametrize("evil", ["evil.py", ["evil.py"], "evil", "evil.yaml", True, {"a": 1}])
@pytest.mark.parametrize("spell", [str, str.lower, str.title, lambda name: f" {name[0]}{name[1:].replace('_', ' ')}\t"])
def test_switches_of_dynaconf_are_left_out(store, secret, caplog, evil, spell):
    """No entry switches anything in dynaconf itself, in whatever spelling it would understand: no file is loaded or
    run, at the start or at a reload, the settings stay, and a warning names what was left out."""
    base = importlib.import_module("dynaconf.base")
    more = ["DYNACONF_INCLUDE", "DEFAULT_SETTINGS_PATHS", "LOAD_DOTENV", "YAML", "DYNABOXIFY", "_REGISTERED_HOOKS"]
    more += ["DHIS2KV_FOR_DYNACONF", "DHIS2KV_TOKENS_FOR_DYNACONF", "NEVER_HEARD_OF_FOR_DYNACONF", "DYNACONF_MERGE"]
    names = sorted({spell(name) for name in [*base.UPPER_DEFAULT_SETTINGS, *more]})
    found = settings(Config(dict.fromkeys(names, evil) | {"theme": "dark"}), load_dotenv=False)
    for _ in range(2):
        assert found.theme == "dark"
        texts = warned(caplog)
        assert [name for name in names if not any(repr(name) in text for text in texts)] == []
        found.reload()
    assert not (secret / "ran").exists()
    assert "DHIS2KV_EVIL" not in found
    assert "DHIS2KV_EVIL" not in os.environ


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("ſettings_file_for_dynaconf", {}),  # its upper case is the switch
        ("s\N{KELVIN SIGN}ip_files_for_dynaconf", {}),  # its lower case is
        ("__core__", {"NESTED_SEPARATOR": False}),  # an attribute of dynaconf's own
        ("dynaconf-include", {"NESTED_SEPARATOR": "-"}),
        ("dynaconf_include___0", {"INDEX_SEPARATOR": "___"}),
    ],
)
def test_switches_in_disguise(store, secret, caplog, name, own):
    """A name that only dynaconf's own changes would make a switch does no harm either."""
    store["app"].update({name: "evil.py", "theme": "dark"})
    found = settings(store["app"], **own)
    found.reload()
    assert found.theme == "dark"
    assert not (secret / "ran").exists()


@pytest.mark.parametrize(
    "mark", ["_dynaconf_del", "_dynaconf_merge", "_dynaconf_insert", "_dynaconf_lazy_format", "_Dynaconf Reset"]
)
def test_members_that_dynaconf_looks_for_are_left_out(store, caplog, mark):
    """A member that would have dynaconf delete, merge or call a value is left out, at any depth, with a warning."""
    store["app"].update(db={mark: True, "port": 1, "list": [{mark: True, "in": {mark: 1}}]}, only={mark: True})
    found = settings(store["app"], DB={"host": "before"}, ONLY={"host": "before"})
    assert (raw(found.db), raw(found.only)) == ({"port": 1, "list": [{"in": {}}]}, {})
    assert sum(repr(mark) in text for text in warned(caplog)) == 4


@pytest.mark.parametrize("mark", ["dynaconf_merge", "dynaconf_merge_unique"])
def test_marks_to_merge_are_left_out(store, caplog, mark):
    """A value replaces the one from before, though a member or an item of it tells dynaconf to merge the two."""
    store["app"].update(db={"a": 1, mark: True}, all={mark: {"a": 1}}, hosts=["new", mark])
    found = settings(store["app"], DB={"b": 1}, ALL={"b": 1}, HOSTS=["old"])
    assert (raw(found.db), raw(found.all), raw(found.hosts)) == ({"a": 1}, {}, ["new"])
    assert sum(repr(mark) in text for text in warned(caplog)) == 3


def test_merging_is_the_program_s_choice(store):
    """Where the program merges all sources, what is stored is merged."""
    store["app"].update(db={"a": 1})
    assert raw(settings(store["app"], MERGE_ENABLED=True, DB={"b": 1}).db) == {"a": 1, "b": 1}


NAMES = {
    "config": {"a": 1},
    "config.json": 2,
    "my": {"key": 3},
    "my__key": 4,
    "text": "t",
    "text.x": 5,
    "list": [1],
    "list.0": 6,
    "list.x": 7,
    "list.9": 8,
    "list[0]": 9,
    "text__y__z": 10,
    ".a": 11,
    "a b": 12,
}


@pytest.mark.parametrize("own", [{}, {"MERGE_ENABLED": True}, {"DOTTED_LOOKUP": False}, {"INDEX_SEPARATOR": "___"}])
def test_no_name_destroys_another(store, caplog, own):
    """Names with dots, brackets and double underscores are names of their own, beside what is named like their first
    part, also after loading again; ``dotted_lookup=False`` looks them up."""
    store["app"].update(NAMES)
    found = settings(store["app"], **own)
    for _ in range(3):
        assert {name: raw(found.get(name, dotted_lookup=False)) for name in NAMES} == NAMES
        found.reload()
    del store["app"]["list.x"]
    found.reload()
    assert found.get("list.x", dotted_lookup=False) is None
    assert raw(found.list) == [1]
    assert warned(caplog) == []


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (["theme", "THEME"], {}),
        (["theme", "Theme"], {}),
        (["theme", " theme "], {}),
        (["my.key", "my__key"], {}),
        (["straße", "STRASSE"], {}),
        (["list[0]", "list___0"], {"INDEX_SEPARATOR": "___"}),
    ],
)
def test_names_that_dynaconf_cannot_tell_apart(store, caplog, names, own):
    """Two names that are one for dynaconf: a warning names both, and the one that it says counts."""
    store["app"].update({name: [name] for name in names})
    found = settings(store["app"], **own)
    value = raw(found.get(names[0], dotted_lookup=False))
    [text] = warned(caplog)
    assert text.startswith("dynaconf cannot tell the entries ")
    assert [text.index(repr(value[0])) < text.index(repr(name)) for name in names if [name] != value] == [True]


def test_a_value_too_deep_for_dynaconf_is_left_out(emulator, store, caplog):
    """A value that dynaconf would fail at, which goes through values by recursion, keeps the others from nobody."""
    deep = []
    for _ in range(400):
        deep = [deep]
    emulator.load({"app": {"deep": deep, "theme": "dark"}})
    found = settings(store["app"])
    assert found.theme == "dark"
    assert "deep" not in found
    [text] = warned(caplog)
    assert text.startswith("the entry 'deep' is left out")


@pytest.mark.parametrize(
    "text", ["@format {env[DHIS2KV_SECRET]}", "@read_file secret.txt", "@jinja x", "@get x", "@insert 0 x"]
)
def test_a_dict_with_tokens_is_refused(store, secret, text):
    """Of a dict that is given to dynaconf itself the tokens are obeyed before the loader is asked: it says so."""
    store["app"]["a"] = {"b": [text]}
    with pytest.raises(ValueError, match="a dict with texts that dynaconf obeys; give the namespace itself"):
        settings(store["app"].copy()).get("a")


def test_a_dynaconf_that_reads_texts_otherwise_is_refused(store, monkeypatch):
    """Should another version of dynaconf look for tokens in another way, nothing is loaded."""
    monkeypatch.setattr("dhis2kv.contrib.dynaconf._Text", str)
    store["app"]["a"] = "@note"
    with pytest.raises(RuntimeError, match="this version of dynaconf would obey stored texts"):
        settings(store["app"]).get("a")


def test_an_outage_is_raised(emulator):
    """An outage never looks like absent settings, although dynaconf is silent by default."""
    emulator.down = True
    with pytest.raises(Unreachable):
        settings(Config(connect(emulator, retries=0)["app"])).get("theme")


def test_the_setting_must_be_there():
    """Without the setting the error says what to set."""
    with pytest.raises(ValueError, match="set DHIS2KV_FOR_DYNACONF to the name of a namespace"):
        dynaconf.Dynaconf(loaders=["dhis2kv.contrib.dynaconf"]).get("theme")
