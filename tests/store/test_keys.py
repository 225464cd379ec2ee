"""The documented names."""

import pytest

from transcriber.store.keys import Keys

KEYS = Keys("transcripts")


def test_the_names_are_those_of_the_contract() -> None:
    assert KEYS.channel("CA1", "partial") == "transcripts:CA1:partial"
    assert KEYS.events("CA1") == "transcripts:{CA1}:events"
    assert KEYS.call("CA1") == "transcripts:{CA1}:call"
    assert KEYS.calls == "transcripts:calls"
    assert KEYS.patterns() == ("transcripts:*:partial", "transcripts:*:final", "transcripts:*:event")


def test_a_ticket_is_not_in_its_key() -> None:
    assert "secret" not in KEYS.ticket("secret")
    assert KEYS.ticket("secret") != KEYS.ticket("other")


@pytest.mark.parametrize("kind", ["partial", "final", "event"])
def test_a_channel_name_is_parsed_back(kind: str) -> None:
    assert KEYS.parse_channel(f"transcripts:CA1:{kind}") == ("CA1", kind)


@pytest.mark.parametrize(
    "name", ["", "transcripts", "transcripts:CA1", "transcripts::final", "others:CA1:final", "transcripts:CA1:words"]
)
def test_other_names_are_not_ours(name: str) -> None:
    assert KEYS.parse_channel(name) is None
