"""Frames that stop: a muted leg, one that left, a network that stalls. What was said becomes a final all the same."""

import asyncio
import json

import pytest

from tests.server.conftest import Event, Serve, subscribed
from tests.server.test_calls import of
from tests.server.test_clock import caller_speech
from transcriber.audio.chunk import SILENCE
from transcriber.audio.wav import Recording
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.telephony.simulator.message_builder import FIRST_TIMESTAMP_MS
from transcriber.telephony.track_clock import MAX_FILLED_GAP_SAMPLES

SPEECH_MS = 4000
"""Of the caller's speech: it ends within a sentence."""


async def next_final(published: asyncio.Queue[Event]) -> Event:
    async with asyncio.timeout(30):
        event: Event = json.loads((await published.get())["json"])
        return event


def said(events: list[Event], track: str = "inbound") -> list[str]:
    return [word["word"] for final in of(events, "final") if final["track"] == track for word in final["words"]]


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("partials", ["true", "false"])
async def test_when_frames_stop_the_last_final_comes_without_a_stop(
    serve: Serve, demo_model: ModelProcess, gate: bool, partials: str
) -> None:
    running = await serve(model=demo_model, speech_gate=gate)
    recording = Recording({"inbound": caller_speech()[: SPEECH_MS * 8] + bytes([SILENCE]) * 24_000})
    async with running.phone.call(recording) as call:
        await call.play()
        await call.hang_up()
        whole = of(await running.ended(call.call_sid), "final")
    async with (
        running.phone.call(recording, parameters={"partials": partials}) as call,
        subscribed(running, f"{call.call_sid}:final") as published,
    ):
        await call.play(SPEECH_MS)
        finals = [await next_final(published) for _ in whole]
        assert running.server.sessions.live_streams == 1
        await call.hang_up()
        events = await running.ended(call.call_sid)
    assert [final["text"] for final in finals] == [final["text"] for final in whole]
    assert of(events, "final") == finals
    assert finals[-1]["end_ms"] <= FIRST_TIMESTAMP_MS + SPEECH_MS + 200


async def test_a_leg_that_is_muted_and_comes_back_is_heard_and_the_other_one_all_along(
    serve: Serve, demo_model: ModelProcess
) -> None:
    running = await serve(model=demo_model)
    speech = caller_speech()
    recording = Recording({"inbound": speech[: SPEECH_MS * 8] + speech[: SPEECH_MS * 8], "outbound": 2 * speech})
    async with running.phone.call(recording) as call, subscribed(running, f"{call.call_sid}:final") as published:
        await call.play(SPEECH_MS)
        await call.mute("inbound", 3000)
        spoken = await next_final(published)
        while spoken["track"] != "inbound" or spoken["end_ms"] < SPEECH_MS - 1000:
            spoken = await next_final(published)
        await call.play()
        await call.hang_up()
        events = await running.ended(call.call_sid)
    hole = (FIRST_TIMESTAMP_MS + SPEECH_MS, FIRST_TIMESTAMP_MS + SPEECH_MS + 3000)
    words = [word for final in of(events, "final") if final["track"] == "inbound" for word in final["words"]]
    assert [word for word in words if word["start_ms"] >= hole[1] - 100]
    assert not [
        word
        for word in words
        if hole[0] + MAX_FILLED_GAP_SAMPLES // 8 < word["end_ms"] and word["start_ms"] < hole[1] - 100
    ]
    async with running.phone.call(recording, tracks=["outbound"]) as call:
        await call.play()
        await call.hang_up()
        alone = await running.ended(call.call_sid)
    assert said(events, "outbound") == said(alone, "outbound")


async def test_a_burst_after_a_long_stall_loses_no_word_and_moves_none(serve: Serve, demo_model: ModelProcess) -> None:
    running = await serve(model=demo_model)
    recording = Recording({"inbound": caller_speech()})
    async with running.phone.call(recording) as call:
        await call.play()
        await call.hang_up()
        smooth = await running.ended(call.call_sid)
    async with running.phone.call(recording) as call, subscribed(running, f"{call.call_sid}:final") as published:
        first = of(smooth, "final")[0]
        await call.play(first["end_ms"] - FIRST_TIMESTAMP_MS + 200)
        async with call.stall(1500):
            assert (await next_final(published))["text"] == first["text"]
        await call.play()
        await call.hang_up()
        events = await running.ended(call.call_sid)
    assert said(events) == said(smooth)
    for here, there in zip(of(events, "final"), of(smooth, "final"), strict=False):
        assert abs(here["start_ms"] - there["start_ms"]) <= 60


async def test_a_short_stall_within_a_word_changes_nothing(serve: Serve, demo_model: ModelProcess) -> None:
    running = await serve(model=demo_model)
    recording = Recording({"inbound": caller_speech()})
    texts = []
    for stalled in (False, True):
        async with running.phone.call(recording) as call, running.phone.call(speed=1) as other:
            await call.play(2900)
            async with call.stall(1000):
                await other.play(1200 if stalled else 0)
            await call.play()
            await call.hang_up()
            texts.append([final["text"] for final in of(await running.ended(call.call_sid), "final")])
            await other.hang_up()
    assert texts[0] == texts[1]
