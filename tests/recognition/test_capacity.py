"""The room that a server says it has: what fits with the bursts of speech, and how calls correct it."""

import pytest

from transcriber.recognition.capacity import FORGET_S, TRUST_S, Capacity
from transcriber.recognition.load_monitor import RecognitionLoad


def spent(load: RecognitionLoad, *, audio_s: float, cores_a_track: float) -> None:
    load.group(1)[0].record(waited_s=0.0, cpu_s=audio_s * cores_a_track, audio_s=audio_s)


def capacity(load: RecognitionLoad, *, speech_cost: float = 0.05, gated: bool = True, cores: float = 2) -> Capacity:
    return Capacity(load, cores=cores, speech_cost=speech_cost, vad_enabled=gated)


def test_room_goes_with_the_cores_and_against_the_cost() -> None:
    usual = capacity(RecognitionLoad()).tracks()
    assert capacity(RecognitionLoad(), cores=4).tracks() > 2 * usual
    assert capacity(RecognitionLoad(), speech_cost=0.1).tracks() < usual
    assert capacity(RecognitionLoad(), gated=False).tracks() < usual


def test_a_quota_of_half_a_core_leaves_about_half_the_room_of_a_core() -> None:
    one = capacity(RecognitionLoad(), cores=1).tracks()
    assert 0.35 * one < capacity(RecognitionLoad(), cores=0.5).tracks() <= 0.5 * one


def test_few_dear_tracks_leave_more_to_spare_than_many_cheap_ones() -> None:
    """Of five speakers all may speak at once; of a hundred half do."""
    load, learnt = RecognitionLoad(), {}
    for cores_a_track in (0.2, 0.02):
        found = capacity(load)
        spent(load, audio_s=1000 * TRUST_S, cores_a_track=cores_a_track)
        learnt[cores_a_track] = found.tracks() * cores_a_track / 2
    assert learnt[0.2] < 0.55 < learnt[0.02] < 0.9


@pytest.mark.parametrize("cores_a_track", [0.01, 0.1])
def test_calls_correct_what_was_measured_at_start(cores_a_track: float) -> None:
    load = RecognitionLoad()
    found, ideal = capacity(load), capacity(RecognitionLoad(), speech_cost=cores_a_track / 0.69)
    before, aim = found.tracks(), ideal.tracks()
    assert before != pytest.approx(aim, rel=0.05)
    for _ in range(200):
        spent(load, audio_s=60, cores_a_track=cores_a_track)
        found.tracks()
    assert found.tracks() == pytest.approx(aim, rel=0.05, abs=1)


def test_what_was_learnt_is_forgotten_when_calls_change() -> None:
    load = RecognitionLoad()
    found = capacity(load)
    for _ in range(100):
        spent(load, audio_s=FORGET_S / 10, cores_a_track=0.1)
        dear = found.tracks()
    for _ in range(100):
        spent(load, audio_s=FORGET_S / 10, cores_a_track=0.01)
        cheap = found.tracks()
    assert cheap > 4 * dear


def test_another_model_begins_anew() -> None:
    load = RecognitionLoad()
    found = capacity(load)
    spent(load, audio_s=10 * TRUST_S, cores_a_track=0.5)
    assert found.tracks() < capacity(RecognitionLoad()).tracks()
    found.restart(speech_cost=0.05)
    assert found.tracks() == capacity(RecognitionLoad()).tracks()


def test_one_call_always_finds_room() -> None:
    assert capacity(RecognitionLoad(), speech_cost=100.0, cores=1).tracks() == 2
