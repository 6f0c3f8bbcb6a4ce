"""File names: every name that a server can hold has one on every system, and comes back."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dhis2kv import wire
from dhis2kv.errors import InvalidKey
from dhis2kv.snapshot import filenames
from tests.conftest import NAMES

DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³")}


def holdable(name):
    try:
        wire.check_name(name)
    except InvalidKey:
        return False
    return True


characters = st.characters(exclude_categories=["Cs"]) | st.sampled_from('aA.: "*<>|?éÉßẞſıİKk ')
names = st.text(characters, min_size=1, max_size=255).filter(holdable)


def check(file_name):
    """What Linux, macOS and Windows ask of the name of a file or folder."""
    assert 0 < len(file_name.encode()) <= 200
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', file_name)
    assert file_name[-1] not in ". "
    assert file_name[0] not in "."
    assert file_name.partition(".")[0].rstrip().casefold() not in DEVICES
    assert unicodedata.normalize("NFC", file_name) == file_name


@given(names)
@example("🎉" * 255)
@example("CON")
@example("aux.json")
@example("nul .txt")
@example("a.")
@example(" a ")
@example(".hidden")
@example("e\u0301")
@example("x" * 150)
@example("x" * 151)
def test_every_name_has_a_file_name_and_comes_back(name):
    """The file name is one everywhere, also with .json after it, and means that name and no other."""
    for fold in (False, True):
        file_name = filenames.encode(name, fold=fold)
        check(file_name)
        check(f"{file_name}.json")
        if filenames.is_shortened(file_name):
            assert len(name.encode()) > 49  # each byte takes three characters at most
        else:
            assert filenames.decode(file_name) == name
            assert filenames.decode(unicodedata.normalize("NFD", file_name)) == name


@given(st.lists(names, max_size=8, unique=True))
@example(["cfg", "Cfg", "CFG"])
@example(["é", "e\u0301", "É", "E\u0301"])
@example(["straße", "strasse", "STRASSE", "STRAẞE"])
@example(["ı", "i", "I", "İ"])
@example(["k", "K", "\u212a"])
@example(["🎉" * 255, "🎉" * 254 + "x"])
def test_no_two_names_share_a_file_name(found):
    """On a file system that takes capitals for small letters, and forms of one character for the same, they differ."""
    file_names = filenames.encoded(found)
    assert file_names.keys() == set(found)
    seen = {unicodedata.normalize("NFD", name.casefold()) for name in file_names.values()}
    assert len(seen) == len({name.upper() for name in file_names.values()}) == len(found)


@pytest.mark.parametrize("name", [name for name in NAMES["works"] if holdable(name)])
def test_the_names_that_servers_were_asked_to_hold(name):
    """Each of the names that were tried has a file name, and comes back where that is not shortened."""
    file_name = filenames.encode(name)
    check(file_name)
    assert filenames.is_shortened(file_name) or filenames.decode(file_name) == name


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("cfg", "cfg"),
        ("camelCase", "camelCase"),
        ("config.json", "config.json"),
        ("zählung €", "zählung €"),
        ("a:b", "a%3Ab"),
        ("con", "%63on"),
        (".x", "%2Ex"),
    ],
)
def test_usual_names_stay_as_they_are(name, file_name):
    """What no file system minds is not encoded."""
    assert filenames.encode(name) == file_name


@pytest.mark.parametrize("file_name", ["100%", "%zz", "%FF", "a%", "%C3x"])
def test_what_is_no_encoding_is_refused(file_name):
    """A percent sign that begins no UTF-8 is an error, and not a name with a percent sign."""
    with pytest.raises(ValueError, match="percent"):
        filenames.decode(file_name)
