"""Calls that the bench plays at once are begun at different places, without a word being cut."""

import pytest

from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLES_PER_MS
from transcriber.audio.sample_calls import Turn
from transcriber.benchmark import material
from transcriber.benchmark.material import Call


def spoken(call: Call, turn: Turn) -> bytes:
    return call.recording.tracks[turn.track][turn.start_ms * SAMPLES_PER_MS : turn.end_ms * SAMPLES_PER_MS]


@pytest.mark.parametrize("name", sample_calls.names())
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_call_begun_elsewhere_says_the_same_in_another_order(name: str, share: float) -> None:
    call = material.from_recording(sample_calls.path(name))
    begun = call.rotated_to(share)
    assert begun.duration_ms == pytest.approx(call.duration_ms, abs=1)
    assert [turn.text for turn in begun.turns] != [turn.text for turn in call.turns]
    by_text = {turn.text: turn for turn in call.turns}
    assert {turn.text for turn in begun.turns} == set(by_text)
    for turn in begun.turns:
        assert spoken(begun, turn) == spoken(call, by_text[turn.text])
    assert abs(by_text[begun.turns[0].text].start_ms - share * call.duration_ms) < call.duration_ms / 3


def test_a_call_begun_at_its_beginning_or_without_a_pause_is_itself() -> None:
    call = material.from_recording(sample_calls.path(sample_calls.DEFAULT))
    assert call.rotated_to(0) is call
    assert call.rotated_to(0.999) is call
    endless = Call(
        name="endless",
        recording=call.recording,
        turns=(Turn("inbound", 0, call.duration_ms, "on and on"),),
        transcripts={},
        turns_by_energy=True,
    )
    assert endless.rotated_to(0.5) is endless
