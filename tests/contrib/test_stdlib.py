"""What the standard library reads settings with takes a namespace as it is."""

import configparser
import io
import logging
import logging.config
import string
from collections import ChainMap

import pytest

from tests.conftest import sent
from tests.contrib.conftest import HOSTILE


def test_a_chain_map_asks_for_what_it_is_asked_for(emulator, store, load):
    """A namespace is a layer of a ChainMap: a look-up that reaches it costs one request, one that does not none."""
    load(theme="dark")
    settings = ChainMap({"debug": True}, store["app"], {"theme": "light", "port": 80})
    assert settings["debug"] is True
    assert sent(emulator) == []
    assert settings["theme"] == "dark"
    assert sent(emulator) == [("GET", "/api/dataStore/app/theme")]
    assert settings["port"] == 80
    assert sent(emulator) == [("GET", "/api/dataStore/app/port")]


@pytest.mark.parametrize(
    "fill",
    [lambda ns: string.Template("$host:${port}").substitute(ns), "{host}:{port}".format_map],
    ids=["Template", "format_map"],
)
def test_texts_are_filled(emulator, store, load, fill):
    """A template asks for the names in it, one request each, and a name that is absent is a KeyError."""
    load(host="h", port=80, secret="not read")
    assert fill(store["app"]) == "h:80"
    assert sent(emulator) == [("GET", "/api/dataStore/app/host"), ("GET", "/api/dataStore/app/port")]
    del store["app"]["port"]
    with pytest.raises(KeyError):
        fill(store["app"])


def test_configparser_reads_sections(emulator, store, load):
    """Entries that hold objects are the sections; the namespace itself will do, for one request."""
    load(server={"host": "h", "port": 80}, log={"level": "INFO"})
    parser = configparser.ConfigParser()
    parser.read_dict(store["app"])
    assert parser.getint("server", "port") == 80
    assert parser["log"]["level"] == "INFO"
    assert len(sent(emulator)) == 1


@pytest.fixture
def logger():
    """A logger as it was before."""
    logger = logging.getLogger("tests.contrib.dict_config")
    yield logger
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize(("way", "requests"), [("copy", 1), ("as it is", 6)])
def test_logging_is_configured(emulator, store, load, logger, way, requests):
    """``dictConfig`` takes a copy, one request, and the namespace itself too, one request per key and one more."""
    load(
        version=1,
        disable_existing_loggers=False,
        formatters={"short": {"format": "%(levelname)s %(message)s"}},
        handlers={"console": {"class": "logging.StreamHandler", "formatter": "short"}},
        loggers={logger.name: {"level": "WARNING", "handlers": ["console"]}},
    )
    logging.config.dictConfig(store["app"].copy() if way == "copy" else store["app"])
    assert len(sent(emulator)) == requests
    assert logger.level == logging.WARNING
    assert logger.handlers[0].formatter._fmt == "%(levelname)s %(message)s"


# --- hostile values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*HOSTILE, "100%", "%", "[other]\nx = 1"])
def test_configparser_puts_nothing_into_a_text(store, load, text):
    """Without interpolation an option is the text that was stored, also written to a file and read again; with it,
    which is the default, ``100%`` is an error and ``%(password)s`` another option."""
    load(server={"password": "secret", "text": text})
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(store["app"])
    assert (parser["server"]["text"], parser.sections()) == (text, ["server"])
    file = io.StringIO()
    parser.write(file)
    again = configparser.ConfigParser(interpolation=None)
    again.read_string(file.getvalue())
    assert (again["server"]["text"], again.sections()) == (text, ["server"])


def test_configparser_interpolates_by_default(store, load):
    """With interpolation a stored text shows another option, and one with a lone ``%`` lets nothing be read."""
    load(server={"password": "secret", "text": "%(password)s"})
    parser = configparser.ConfigParser()
    parser.read_dict(store["app"])
    assert parser["server"]["text"] == "secret"
    load(server={"text": "100%"})
    with pytest.raises(ValueError, match="invalid interpolation syntax"):
        parser.read_dict(store["app"])


@pytest.mark.parametrize("text", [*HOSTILE, "$secret", "{secret}", "{0}"])
def test_what_is_filled_in_is_not_filled_again(store, load, text):
    """A stored text that looks like a template is put into the program's template as it is."""
    load(host=text, secret="secret")
    assert string.Template("<$host>").substitute(store["app"]) == f"<{text}>"
    assert "<{host}>".format_map(store["app"]) == f"<{text}>"


class User:
    def __init__(self, name):
        self.name = name


def test_a_stored_template(store, load):
    """A stored template reads the module's own variables through what ``format`` is handed; ``string.Template`` knows
    names alone."""
    load(hello="Hello {user.name} {user.__init__.__globals__[__name__]}", other="Hello $user.__init__ ${user}")
    user = User("Ana")
    assert store["app"]["hello"].format(user=user) == f"Hello Ana {__name__}"
    assert string.Template(store["app"]["other"]).substitute(user="Ana") == "Hello Ana.__init__ Ana"


EVIL = [
    {"handlers": {"h": {"class": f"{__name__}.Ran"}}},
    {"handlers": {"h": {"()": f"ext://{__name__}.ran"}}},
    {"formatters": {"f": {"()": f"{__name__}.ran"}}},
    {"filters": {"f": {"()": f"{__name__}.ran"}}},
]
calls = []


def ran(*arguments, **named):
    """What nothing that is stored should be able to call."""
    calls.append(named)
    return logging.NullHandler()


class Ran(logging.NullHandler):
    def __init__(self, **named):
        super().__init__()
        ran(**named)


@pytest.mark.parametrize("evil", EVIL)
def test_dict_config_is_a_trap(store, load, evil):
    """``dictConfig`` calls what a stored value names, in each of its places."""
    calls.clear()
    load(version=1, disable_existing_loggers=False, **evil)
    logging.config.dictConfig(store["app"].copy())
    assert calls


@pytest.mark.parametrize("evil", [*HOSTILE, f"ext://{__name__}.ran", "NONE", [], {"()": f"{__name__}.ran"}, 1.5, None])
def test_levels_are_levels(store, load, logger, evil):
    """A level from the store sets the level, by name or number; anything else is refused, and calls nothing."""
    calls.clear()
    load(**{logger.name: "ERROR", f"{logger.name}.number": 35})
    for name, level in store["app"].items():
        logging.getLogger(name).setLevel(level)
    assert (logger.level, logger.getChild("number").level) == (logging.ERROR, 35)
    load(**{logger.name: evil})
    with pytest.raises((ValueError, TypeError)):
        logger.setLevel(store["app"][logger.name])
    assert (logger.level, calls) == (logging.ERROR, [])
