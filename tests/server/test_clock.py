"""Clocks that jump: whatever the sender's clock does, a word lies where it was said, and nowhere else."""

import numpy as np
import pytest

from tests.server.conftest import Serve
from tests.server.test_calls import get, of
from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ, SAMPLES_PER_MS
from transcriber.audio.g711 import expand
from transcriber.audio.wav import Recording, read_recording
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.telephony.simulator.message_builder import FIRST_TIMESTAMP_MS
from transcriber.telephony.track_clock import MAX_FILLED_GAP_SAMPLES

SLACK_MS = 200
"""A word that was cut is heard a little into the silence behind it."""


def caller_speech() -> bytes:
    """The caller's side of a sample call from its first loud sample on."""
    track = read_recording(sample_calls.path("08_short_wrong_department")).tracks["inbound"]
    first = int(np.flatnonzero(np.abs(expand(track)) > 800)[0])
    return track[first : first + 9 * SAMPLE_RATE_HZ]


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("gap_ms", [1900, 2100, 3500, 120_000])
@pytest.mark.parametrize("at_ms", [700, 1300, 2900])
async def test_a_word_never_lies_in_a_hole(
    serve: Serve, demo_model: ModelProcess, at_ms: int, gap_ms: int, gate: bool
) -> None:
    """The sender's clock leaps within speech, and the next frame is speech."""
    recording = Recording({"inbound": caller_speech()})
    running = await serve(model=demo_model, speech_gate=gate)
    async with running.phone.call(recording) as call:
        await call.play(at_ms)
        call.skip(gap_ms)
        await call.play()
        played_ms = call.at_ms
        await call.hang_up()
        events = await running.ended(call.call_sid)
        summary = await get(running, f"/v1/calls/{call.call_sid}")
    hole = (FIRST_TIMESTAMP_MS + at_ms, FIRST_TIMESTAMP_MS + at_ms + gap_ms)
    finals = of(events, "final")
    words = [word for final in finals for word in final["words"]]
    assert len(words) > 15
    for word in words:
        inside = min(word["end_ms"], hole[1]) - max(word["start_ms"], hole[0])
        assert inside <= SLACK_MS, (word, hole)
    for final in finals:
        if gap_ms * SAMPLES_PER_MS > MAX_FILLED_GAP_SAMPLES:
            assert not (final["start_ms"] < hole[0] and final["end_ms"] > hole[1]), (final["text"], hole)
    assert summary["tracks"]["inbound"]["talk_ms"] <= played_ms + min(gap_ms, MAX_FILLED_GAP_SAMPLES // SAMPLES_PER_MS)
