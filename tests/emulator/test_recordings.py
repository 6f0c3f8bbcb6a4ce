"""The emulator against the conversations recorded from real servers, each on every version it was recorded from."""

import pytest

from dhis2kv.emulator import PROFILES, RELEASES

from .conversations import Conversation, recordings
from .deviations import KNOWN

RECORDINGS = recordings()
SERVERS = (*PROFILES, *RELEASES)
CASES = [(version, name) for name, found in RECORDINGS.items() for version in SERVERS if version in found["servers"]]


@pytest.mark.parametrize(("version", "name"), CASES)
def test_conversation_is_answered_as_recorded(version: str, name: str) -> None:
    """A recorded conversation gets the recorded statuses, types, headers and bodies; a known deviation must persist."""
    found = list(Conversation(RECORDINGS[name], version).deviations())
    if (version, name) in KNOWN:
        assert found, f"{name} on {version} deviates no longer: take it off the list"
    else:
        assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "name", [name for name in RECORDINGS if name.startswith("user-") and name != "user-update-of-all"]
)
def test_a_release_before_the_mend_is_its_tip_in_all_else(name: str) -> None:
    """2.42.5 answers every recorded conversation of the user store as 2.42 does, but for updates of others' entries."""
    found = [text.split()[0] for text in Conversation(RECORDINGS[name], "2.42.5", replies_of="2.42").deviations()]
    assert found == (["[15]", "[21]"] if name == "user-other-accounts" else [])


def test_known_deviations_are_recorded_conversations() -> None:
    """The list of deviations names only conversations that exist, with a reason each."""
    assert set(KNOWN) <= set(CASES)
    assert all(KNOWN.values())


@pytest.mark.parametrize("version", PROFILES)
def test_comparison_notices_a_changed_reply(version: str) -> None:
    """The comparison is no rubber stamp: a conversation with one word changed in each recorded body deviates."""
    recording = {**RECORDINGS["global-basics"]}
    recording["exchanges"] = [
        {**exchange, "replies": [{**reply, "body": '{"other":1}'} for reply in exchange["replies"]]}
        for exchange in recording["exchanges"]
    ]
    asked = [exchange for exchange in recording["exchanges"] if exchange["request"]["method"] != "HEAD"]
    assert len(list(Conversation(recording, version).deviations())) == len(asked)
