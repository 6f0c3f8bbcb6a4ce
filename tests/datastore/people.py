"""Servers with some accounts and groups on them, and what those can read."""

from dhis2kv import Forbidden, KeyNotFound, Sharing
from dhis2kv.emulator import PROFILES, RELEASES, Emulator
from tests.conftest import connect, sent

EVERYWHERE = [*PROFILES, *RELEASES]
ALICE, CAROL = ("alice", "Alice_pw_1!"), ("carol", "Carol_pw_1!")
PRIVATE = Sharing.private()
SECRET = "Not for everybody"


def people(release="2.42"):
    """A server with two accounts besides the superuser, and groups; some of their names contain others'."""
    emulator = Emulator(release)
    for name, password in (ALICE, CAROL, ("al", "Al_pw_12!"), ("alice.json", "Json_pw_1!")):
        emulator.add_user(name, password)
    emulator.add_group("Editors", ["alice"])
    emulator.add_group("Editors, regional", ["carol"])
    emulator.add_group("Senior editors", [])
    return emulator


def methods(emulator):
    return [method for method, _ in sent(emulator)]


def may_read(emulator, who, key="k"):
    """What an account gets of an entry, in whichever way: its value, or None."""
    store = connect(emulator, who)
    found = []
    for read in (lambda: store["app"][key], lambda: store["app"].copy().get(key)):
        try:
            found.append(read())
        except (Forbidden, KeyNotFound):
            found.append(None)
    return next((value for value in found if value is not None), None)


def heeds_sharing(emulator):
    return emulator.profile.sharing_on_reads
