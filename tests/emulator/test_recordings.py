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
