"""What the standard library reads settings with takes a namespace as it is."""

import configparser
import logging
import logging.config
import string
from collections import ChainMap

import pytest

from tests.conftest import sent


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
