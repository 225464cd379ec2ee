"""Endpointing on a scripted detector: what is passed, where utterances end, and that cuts do not matter."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transcriber.audio.chunk import AudioChunk
from transcriber.audio.g711 import compress
from transcriber.recognition import pre_roll
from transcriber.recognition.chunk_schedule import ChunkSchedule
from transcriber.recognition.endpointer import Endpointer
from transcriber.recognition.endpointer_parameters import DEFAULTS, EndpointerParameters
from transcriber.recognition.endpointer_state import EndOfUtterance, EndpointerOutput, EndpointerState
from transcriber.recognition.pre_roll import PreRoll
from transcriber.recognition.stationary_sound import STEP_SAMPLES

_SWEEP = np.arange(800) / 8000
VOICE = compress((9000 * np.cos(2 * np.pi * (200 + 14_000 * _SWEEP) * _SWEEP)).astype(np.int16))
"""100 ms of a sound that moves, as a voice does."""
HUSH = b"\xff"


def loud(pcm: bytes, strict: bool) -> bool:
    """The voice activity detector: anything but silence."""
    return any(pcm)


def ending_after(endpoint_ms: int) -> EndpointerParameters:
    return EndpointerParameters(endpoint_samples=endpoint_ms * 8)


def audio(*parts: tuple[bytes, int]) -> bytes:
    """So many milliseconds of each."""
    return b"".join((sound * (ms * 8 // len(sound) + 1))[: ms * 8] for sound, ms in parts)


def chunk(payload: bytes, start_sample: int) -> AudioChunk:
    return AudioChunk("inbound", payload, start_sample)


def play(endpointer: Endpointer, mulaw: bytes, cuts: Iterable[int] = (), at: int = 0) -> list[EndpointerOutput]:
    edges = [0, *sorted({cut % (len(mulaw) + 1) for cut in cuts}), len(mulaw)]
    return [
        output
        for start, end in itertools.pairwise(edges)
        for output in endpointer.push(chunk(mulaw[start:end], at + start))
    ]


def joined(outputs: Sequence[EndpointerOutput]) -> list[tuple[int, bytes] | None]:
    """Neighbouring speech as one; None is an end of utterance."""
    results: list[tuple[int, bytes] | None] = []
    for output in outputs:
        if isinstance(output, EndOfUtterance):
            results.append(None)
        elif results and (last := results[-1]) is not None and last[0] + len(last[1]) == output.start_sample:
            results[-1] = (last[0], last[1] + output.payload)
        else:
            results.append((output.start_sample, output.payload))
    return results


def ms(outputs: Sequence[EndpointerOutput]) -> list[tuple[int, int] | None]:
    """From and to in milliseconds."""
    return [part and (part[0] // 8, (part[0] + len(part[1])) // 8) for part in joined(outputs)]


def test_silence_is_not_passed() -> None:
    endpointer = Endpointer(loud)
    assert play(endpointer, audio((HUSH, 3_600_000 // 10))) == []
    assert endpointer.finish() == []


def test_an_utterance_has_a_pre_roll_a_tail_and_an_end() -> None:
    results = play(Endpointer(loud), audio((HUSH, 2000), (VOICE, 1000), (HUSH, 2000)))
    assert ms(results) == [(1740, 3520), None]  # 40 ms until it is noticed, 20 ms until it is missed


def test_states_follow_the_voice_and_the_words() -> None:
    endpointer = Endpointer(loud, ending_after(1000))
    seen = [endpointer.state]
    sounds = audio((HUSH, 500), (VOICE, 1000), (HUSH, 700), (VOICE, 1000), (HUSH, 2000), (VOICE, 14_000), (HUSH, 500))
    for at in range(0, len(sounds), STEP_SAMPLES):
        list(endpointer.push(chunk(sounds[at : at + STEP_SAMPLES], at)))
        if endpointer.state is not seen[-1]:
            seen.append(endpointer.state)
    utterance = [EndpointerState.WAITING, EndpointerState.SPEECH, EndpointerState.PAUSE]
    assert seen == [
        *utterance,
        EndpointerState.SPEECH,
        EndpointerState.PAUSE,
        EndpointerState.WAITING,
        EndpointerState.SPEECH,
        EndpointerState.SUSPENDED,
        EndpointerState.WAITING,
    ]


def test_the_utterance_ends_when_the_endpoint_is_over() -> None:
    endpointer = Endpointer(loud, ending_after(1000))
    assert EndOfUtterance() not in play(endpointer, audio((VOICE, 1000), (HUSH, 1000)))
    assert EndOfUtterance() in endpointer.push(chunk(audio((HUSH, 40)), 2000 * 8))


def test_a_short_pause_does_not_cut_and_loses_nothing() -> None:
    results = play(Endpointer(loud), audio((VOICE, 1000), (HUSH, 500), (VOICE, 1000), (HUSH, 1000)))
    assert ms(results) == [(0, 3020), None]


def test_a_long_endpoint_leaves_silence_out_inside_an_utterance() -> None:
    results = play(
        Endpointer(loud, ending_after(3000)), audio((VOICE, 1000), (HUSH, 2000), (VOICE, 1000), (HUSH, 4000))
    )
    assert ms(results) == [(0, 1520), (2720, 4520), None]


def test_an_endpoint_shorter_than_the_tail_is_filled_up_with_silence() -> None:
    results = play(Endpointer(loud, ending_after(100)), audio((VOICE, 1000), (HUSH, 1000)))
    assert results[-1] == EndOfUtterance()
    spoken = b"".join(part.payload for part in results if isinstance(part, AudioChunk))
    assert len(spoken) == 8 * (1000 + 20) + DEFAULTS.tail_samples


@given(
    parts=st.lists(st.tuples(st.sampled_from((VOICE, HUSH)), st.integers(1, 900)), max_size=12),
    cuts=st.lists(st.integers(0, 10**6), max_size=30),
)
def test_cuts_do_not_matter(parts: list[tuple[bytes, int]], cuts: list[int]) -> None:
    mulaw = audio(*parts)
    whole, cut = Endpointer(loud), Endpointer(loud)
    assert joined(play(whole, mulaw)) == joined(play(cut, mulaw, cuts))
    assert whole.finish() == cut.finish()


@given(parts=st.lists(st.tuples(st.sampled_from((VOICE, HUSH)), st.integers(1, 900)), max_size=12))
def test_voice_is_never_lost_while_it_has_words(parts: list[tuple[bytes, int]]) -> None:
    mulaw = audio(*parts)
    endpointer = Endpointer(loud)
    results = [*play(endpointer, mulaw), *endpointer.finish()]
    passed = {
        at
        for part in results
        if isinstance(part, AudioChunk)
        for at in range(part.start_sample, part.start_sample + len(part.payload), 8)
    }
    sounds = audio(*((b"\x00" if sound == VOICE else HUSH, ms) for sound, ms in parts))
    steps = [
        sounds[start : start + STEP_SAMPLES] == bytes(STEP_SAMPLES) for start in range(0, len(sounds), STEP_SAMPLES)
    ]
    for number in range(len(steps) - 2):
        if all(steps[number : number + 3]):
            assert number * STEP_SAMPLES in passed


def test_what_was_going_on_at_the_end_is_passed_without_an_end() -> None:
    endpointer = Endpointer(loud)
    play(endpointer, audio((VOICE, 1005)))
    assert endpointer.finish() == [chunk(VOICE[:40], 8000)]


def test_a_long_utterance_ends_at_a_short_pause_and_at_last_anywhere() -> None:
    endpointer = Endpointer(loud)
    results: list[EndpointerOutput] = []
    for second in range(70):
        endpointer.on_word()
        breath = second == 25
        results += endpointer.push(chunk(audio((VOICE, 700), (HUSH if breath else VOICE, 300)), second * 8000))
    ends = [
        part.start_sample
        for before, part in itertools.pairwise(results)
        if before == EndOfUtterance() and isinstance(part, AudioChunk)
    ]
    assert [round(at / 8000) for at in ends] == [26, 56]


def test_sound_without_words_is_only_looked_at_now_and_then() -> None:
    endpointer = Endpointer(loud)
    minutes = 10
    results = [
        part for second in range(60 * minutes) for part in endpointer.push(chunk(audio((VOICE, 1000)), second * 8000))
    ]
    passed = sum(len(part.payload) for part in results if isinstance(part, AudioChunk)) / 8000
    assert passed < 0.5 * 60 * minutes


def test_words_after_long_music_are_heard_again() -> None:
    endpointer = Endpointer(loud)
    play(endpointer, audio((VOICE, 60_000)))
    results = play(endpointer, audio((HUSH, 400), (VOICE, 3000)), at=60_000 * 8)
    assert isinstance(results[0], AudioChunk)
    assert results[0].start_sample <= 60_400 * 8 <= results[0].start_sample + len(results[0].payload) - 1_500 * 8


def test_a_jump_of_the_clock_counts_as_silence() -> None:
    endpointer = Endpointer(loud)
    play(endpointer, audio((VOICE, 500)))
    results = play(endpointer, audio((HUSH, 40)), at=8 * 10_000)
    assert EndOfUtterance(4000) in results


TONE = compress((8000 * np.sin(2 * np.pi * 1000 * np.arange(800) / 8000)).astype(np.int16))


@given(
    parts=st.lists(st.tuples(st.sampled_from((VOICE, HUSH, TONE)), st.integers(1, 3000)), min_size=1, max_size=8),
    hole_ms=st.integers(DEFAULTS.tail_samples // 8, 10**6),
    lead_ms=st.integers(0, 700),
    endpoint_ms=st.sampled_from((100, 600, 10_000)),
    wordless=st.booleans(),
)
def test_nothing_reaches_over_a_jump_of_the_clock(
    parts: list[tuple[bytes, int]], hole_ms: int, lead_ms: int, endpoint_ms: int, wordless: bool
) -> None:
    """Whatever was going on (silence, speech, a pause, suspension, a sound in doubt), it ends on its side."""
    endpointer = Endpointer(loud, ending_after(endpoint_ms))
    mulaw = audio(*parts)
    if wordless:
        mulaw = audio((VOICE, 10_100)) + mulaw
    before = play(endpointer, mulaw)
    here, there = len(mulaw), len(mulaw) + hole_ms * 8
    after = play(endpointer, audio((HUSH, lead_ms), (VOICE, 1000), (HUSH, 500 + endpoint_ms)), at=there)
    results = [*before, *after]
    spoken = [part for part in after if isinstance(part, AudioChunk)]
    first = next(
        number for number, part in enumerate(results) if isinstance(part, AudioChunk) and part.start_sample >= there
    )
    assert first == 0 or isinstance(results[first - 1], EndOfUtterance)
    assert all(
        part.end_sample <= here + DEFAULTS.tail_samples for part in results[:first] if isinstance(part, AudioChunk)
    )
    assert all(part.start_sample >= there for part in results[first:] if isinstance(part, AudioChunk))
    voiced = range(there + lead_ms * 8, there + (lead_ms + 900) * 8, 8)
    passed = {at for part in spoken for at in range(part.start_sample, part.end_sample)}
    assert all(at in passed for at in voiced), "a voice behind the hole is heard from its beginning"
    assert results[-1] == EndOfUtterance()


def test_a_stationary_sound_in_doubt_that_turned_out_to_be_speech_is_not_lost_at_a_jump() -> None:
    """A flat voice was held back when the clock jumped: as at a pause, its blocks tell what it was."""
    endpointer = Endpointer(loud)
    play(endpointer, audio((TONE, 3000), (VOICE, 300)))
    results = list(endpointer.push(chunk(audio((HUSH, 20)), 8 * 60_000)))
    passed = {
        at for part in results if isinstance(part, AudioChunk) for at in range(part.start_sample, part.end_sample)
    }
    assert set(range(3040 * 8, 3300 * 8, 8)) <= passed
    assert results[-1] == EndOfUtterance(3300 * 8)


@given(
    parts=st.lists(st.tuples(st.sampled_from((VOICE, HUSH)), st.integers(1, 900)), min_size=1, max_size=12),
    cut=st.integers(0, 10**6),
)
def test_frames_that_stop_and_go_on_lose_no_voice(parts: list[tuple[bytes, int]], cut: int) -> None:
    mulaw = audio(*parts)
    cut = cut % len(mulaw) // STEP_SAMPLES * STEP_SAMPLES
    endpointer = Endpointer(loud)
    results = play(endpointer, mulaw[:cut])
    ceased = endpointer.end_utterance()
    assert not endpointer.utterance_open
    assert endpointer.end_utterance() == []
    results = [*results, *ceased, *play(endpointer, mulaw[cut:], at=cut), *endpointer.finish()]
    assert all(part.until_sample == cut for part in ceased if isinstance(part, EndOfUtterance))
    passed = {
        at for part in results if isinstance(part, AudioChunk) for at in range(part.start_sample, part.end_sample, 8)
    }
    voiced = [
        start
        for start in range(0, len(mulaw) - STEP_SAMPLES + 1, STEP_SAMPLES)
        if HUSH[0] not in mulaw[start : start + STEP_SAMPLES]
    ]
    for step in voiced:
        if (
            all(step + other * STEP_SAMPLES in voiced for other in (-2, -1, 1, 2))
            and not cut <= step + 2 * STEP_SAMPLES < cut + 2 * STEP_SAMPLES
        ):
            assert step in passed


def test_after_sound_without_a_word_the_detector_is_strict_for_a_minute() -> None:
    """Noise that a lenient detector takes for a voice is heard once, not again and again."""
    endpointer = Endpointer(lambda pcm, strict: not strict and any(pcm))
    noise = audio((VOICE, 1000), (HUSH, 1000))
    opened = []
    for number in range(40):
        for output in endpointer.push(chunk(noise, number * len(noise))):
            if isinstance(output, EndOfUtterance):
                opened.append(2 * number)
                endpointer.on_empty_utterance()
    assert opened == [0, 62]


def test_what_was_found_counts_from_the_next_sample_on_however_the_audio_arrives() -> None:
    mulaw = audio((VOICE, 500), (HUSH, 900), (VOICE, 500), (HUSH, 900), (VOICE, 500), (HUSH, 900))
    results = []
    for cuts in ((), range(160, len(mulaw), 160)):
        endpointer = Endpointer(lambda pcm, strict: not strict and any(pcm))
        edges = [0, *cuts, len(mulaw)]
        heard: list[EndpointerOutput] = []
        for start, end in itertools.pairwise(edges):
            for output in endpointer.push(chunk(mulaw[start:end], start)):
                heard.append(output)
                if output == EndOfUtterance():
                    endpointer.on_empty_utterance()
        results.append(joined(heard))
    assert results[0] == results[1]
    assert results[0].count(None) == 1


@given(hush_ms=st.integers(1000, 4000), lacking=st.integers(1, 1920))
def test_with_a_schedule_the_recognizer_moves_on_when_the_first_word_should_be_known(
    hush_ms: int, lacking: int
) -> None:
    every = 1920
    schedule = ChunkSchedule(every, lacking)
    endpointer = Endpointer(loud, pre_roll=PreRoll(schedule))
    speech = play(endpointer, audio((HUSH, hush_ms), (VOICE, 1000)))[0]
    assert isinstance(speech, AudioChunk)
    voice = hush_ms * 8 // STEP_SAMPLES * STEP_SAMPLES
    assert (voice + pre_roll.FIRST_WORD_SAMPLES - speech.start_sample - lacking) % every < pre_roll.GRID_SAMPLES
    assert 0 <= voice - speech.start_sample - pre_roll.MIN_PRE_ROLL_SAMPLES < every + pre_roll.GRID_SAMPLES
    assert speech.start_sample % pre_roll.GRID_SAMPLES == 0


def test_silence_may_still_last_for_the_samples_to_the_endpoint() -> None:
    endpointer = Endpointer(loud, ending_after(1000))
    assert endpointer.samples_to_endpoint == 1000 * 8
    play(endpointer, audio((VOICE, 1000), (HUSH, 300)))
    assert endpointer.in_speech
    left = endpointer.samples_to_endpoint
    assert EndOfUtterance() not in play(endpointer, audio((HUSH, left // 8 - 20)), at=1300 * 8)
    assert not endpointer.in_speech
    assert EndOfUtterance() in play(endpointer, audio((HUSH, 20)), at=1300 * 8 + left - STEP_SAMPLES)


@given(
    parts=st.lists(st.tuples(st.sampled_from((VOICE, HUSH)), st.integers(1, 2000)), max_size=12),
    begin=st.integers(0, 10**5),
    endpoint_ms=st.integers(100, 2000),
)
def test_what_is_left_out_is_whole_frames_of_the_acoustic_model(
    parts: list[tuple[bytes, int]], begin: int, endpoint_ms: int
) -> None:
    endpointer = Endpointer(loud, ending_after(endpoint_ms))
    results = [*play(endpointer, audio(*parts), at=begin), *endpointer.finish()]
    fed = 0
    for part in (part for part in results if isinstance(part, AudioChunk)):
        assert (part.start_sample - begin - fed) % pre_roll.GRID_SAMPLES == 0
        fed += len(part.payload)
