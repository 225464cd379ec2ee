"""What is published today is what was recorded of an earlier version, byte for byte."""

import json
from typing import Any

import pytest

from tests.events import scripted_calls
from tests.events.recordings import calls, texts, timeless
from tests.models import ProcessOf
from tests.server.conftest import Serve

KINDS = {
    "partial",
    "final",
    "call.started",
    "stream.started",
    "stream.stopped",
    "call.ended",
    "dtmf",
    "gap",
    "stream.error",
}
[PARTIAL] = {tuple(json.loads(text)) for text in texts() if '"type":"partial"' in text}
"""The keys of a partial, in their order: in all recordings the same."""
MOMENTS = ("began:", "owner:", "started_at", "ended_at")
"""Fields of a call's hash whose value is of one time only."""


@pytest.mark.parametrize("name", scripted_calls.PLAYS)
async def test_the_same_call_is_told_as_it_was(serve: Serve, process_of: ProcessOf, name: str) -> None:
    [before] = [call for call in calls("scripted_calls") if call["name"] == name]
    now = await scripted_calls.record(await serve(model=process_of(scripted_calls.MODEL), speech_gate=False), name)
    later = name in scripted_calls.LATER_STREAMS
    assert _kept(now, later_stream=later) == _kept(before, later_stream=later)
    assert [number for number, _ in now["kept"]] == [f"{seq}-0" for seq in range(1, len(now["kept"]) + 1)]
    assert _published(now) == _published(before)
    assert _shapes(now) <= {(f"CA{name}:partial", *PARTIAL)}
    assert now["hash"].keys() == before["hash"].keys()
    for field, value in before["hash"].items():
        if not field.startswith(MOMENTS) and not (later and field.startswith(("talk", "written"))):
            assert now["hash"][field] == value, field


async def test_what_is_published_is_what_is_kept(serve: Serve, process_of: ProcessOf) -> None:
    now = await scripted_calls.record(await serve(model=process_of(scripted_calls.MODEL), speech_gate=False), "holes")
    published = [text for channel, text in now["published"] if not channel.endswith(":partial")]
    assert published == [text for _, text in now["kept"]]


def test_every_kind_of_event_was_recorded() -> None:
    assert {json.loads(text)["type"] for text in texts()} == KINDS


def _kept(call: dict[str, Any], *, later_stream: bool) -> list[str]:
    return sorted(timeless(text, later_stream=later_stream) for _, text in call["kept"])


def _published(call: dict[str, Any]) -> list[tuple[str, str]]:
    """The channel and the type of what is kept, too."""
    events = [(channel, str(json.loads(text)["type"])) for channel, text in call["published"]]
    return sorted(event for event in events if event[1] != "partial")


def _shapes(call: dict[str, Any]) -> set[tuple[str, ...]]:
    """The channel and the keys of partials, in their order; which of them are sent is a matter of timing."""
    return {(channel, *json.loads(text)) for channel, text in call["published"] if channel.endswith(":partial")}
