"""The speech gate on a scripted voice detector: what is passed, where utterances end, and that cuts do not matter."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transcriber.audio.g711 import compress
from transcriber.recognition import endpointer as rules
from transcriber.recognition import preroll
from transcriber.recognition.endpointer import STEP, Endpointer
from transcriber.recognition.endpointer_output import EndOfUtterance, EndpointerOutput, Speech
from transcriber.recognition.preroll import Beat

_SWEEP = np.arange(800) / 8000
VOICE = compress((9000 * np.cos(2 * np.pi * (200 + 14_000 * _SWEEP) * _SWEEP)).astype(np.int16))
"""100 ms of a sound that moves, as a voice does."""
HUSH = b"\xff"


def loud(pcm: bytes, strict: bool) -> bool:
    """The voice detector: anything but silence."""
    return any(pcm)


def audio(*parts: tuple[bytes, int]) -> bytes:
    """So many milliseconds of each."""
    return b"".join((sound * (ms * 8 // len(sound) + 1))[: ms * 8] for sound, ms in parts)


def play(gate: Endpointer, mulaw: bytes, cuts: Iterable[int] = (), at: int = 0) -> list[EndpointerOutput]:
    edges = [0, *sorted({cut % (len(mulaw) + 1) for cut in cuts}), len(mulaw)]
    return [passage for start, end in itertools.pairwise(edges) for passage in gate.push(mulaw[start:end], at + start)]


def joined(passages: Sequence[EndpointerOutput]) -> list[tuple[int, bytes] | None]:
    """Neighbouring speech as one; None is a pause."""
    told: list[tuple[int, bytes] | None] = []
    for passage in passages:
        if isinstance(passage, EndOfUtterance):
            told.append(None)
        elif told and (last := told[-1]) is not None and last[0] + len(last[1]) == passage.at:
            told[-1] = (last[0], last[1] + passage.payload)
        else:
            told.append((passage.at, passage.payload))
    return told


def ms(passages: Sequence[EndpointerOutput]) -> list[tuple[int, int] | None]:
    """From and to in milliseconds."""
    return [part and (part[0] // 8, (part[0] + len(part[1])) // 8) for part in joined(passages)]


def test_silence_is_not_passed() -> None:
    gate = Endpointer(loud)
    assert play(gate, audio((HUSH, 3_600_000 // 10))) == []
    assert gate.finish() == []


def test_an_utterance_has_a_pre_roll_a_tail_and_an_end() -> None:
    told = play(Endpointer(loud), audio((HUSH, 2000), (VOICE, 1000), (HUSH, 2000)))
    assert ms(told) == [(1740, 3520), None]  # 40 ms until it is noticed, 20 ms until it is missed


def test_the_pause_comes_when_the_endpoint_is_over() -> None:
    gate = Endpointer(loud, endpoint_ms=1000)
    assert EndOfUtterance() not in play(gate, audio((VOICE, 1000), (HUSH, 1000)))
    assert EndOfUtterance() in gate.push(audio((HUSH, 40)), 2000 * 8)


def test_a_short_pause_does_not_cut_and_loses_nothing() -> None:
    told = play(Endpointer(loud), audio((VOICE, 1000), (HUSH, 500), (VOICE, 1000), (HUSH, 1000)))
    assert ms(told) == [(0, 3020), None]


def test_a_long_endpoint_leaves_silence_out_inside_an_utterance() -> None:
    told = play(Endpointer(loud, endpoint_ms=3000), audio((VOICE, 1000), (HUSH, 2000), (VOICE, 1000), (HUSH, 4000)))
    assert ms(told) == [(0, 1520), (2720, 4520), None]


def test_an_endpoint_shorter_than_the_tail_is_filled_up_with_silence() -> None:
    told = play(Endpointer(loud, endpoint_ms=100), audio((VOICE, 1000), (HUSH, 1000)))
    assert told[-1] == EndOfUtterance()
    spoken = b"".join(part.payload for part in told if isinstance(part, Speech))
    assert len(spoken) == 8 * (1000 + 20) + rules.TAIL


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
    gate = Endpointer(loud)
    told = [*play(gate, mulaw), *gate.finish()]
    passed = {at for part in told if isinstance(part, Speech) for at in range(part.at, part.at + len(part.payload), 8)}
    sounds = audio(*((b"\x00" if sound == VOICE else HUSH, ms) for sound, ms in parts))
    steps = [sounds[start : start + STEP] == bytes(STEP) for start in range(0, len(sounds), STEP)]
    for number in range(len(steps) - 2):
        if all(steps[number : number + 3]):
            assert number * STEP in passed


def test_what_was_going_on_at_the_end_is_passed_without_a_pause() -> None:
    gate = Endpointer(loud)
    play(gate, audio((VOICE, 1005)))
    assert gate.finish() == [Speech(VOICE[:40], 8000)]


def test_a_long_utterance_ends_at_a_breath_and_at_last_anywhere() -> None:
    gate = Endpointer(loud)
    told: list[EndpointerOutput] = []
    for second in range(70):
        gate.heard_word()
        breath = second == 25
        told += gate.push(audio((VOICE, 700), (HUSH if breath else VOICE, 300)), second * 8000)
    ends = [
        part.at for before, part in itertools.pairwise(told) if before == EndOfUtterance() and isinstance(part, Speech)
    ]
    assert [round(at / 8000) for at in ends] == [26, 56]


def test_sound_without_words_is_only_looked_at_now_and_then() -> None:
    gate = Endpointer(loud)
    minutes = 10
    told = [part for second in range(60 * minutes) for part in gate.push(audio((VOICE, 1000)), second * 8000)]
    passed = sum(len(part.payload) for part in told if isinstance(part, Speech)) / 8000
    assert passed < 0.5 * 60 * minutes


def test_words_after_long_music_are_heard_again() -> None:
    gate = Endpointer(loud)
    play(gate, audio((VOICE, 60_000)))
    told = play(gate, audio((HUSH, 400), (VOICE, 3000)), at=60_000 * 8)
    assert isinstance(told[0], Speech)
    assert told[0].at <= 60_400 * 8 <= told[0].at + len(told[0].payload) - 1_500 * 8


def test_a_jump_of_the_clock_counts_as_silence() -> None:
    gate = Endpointer(loud)
    play(gate, audio((VOICE, 500)))
    told = play(gate, audio((HUSH, 40)), at=8 * 10_000)
    assert EndOfUtterance(4000) in told


TONE = compress((8000 * np.sin(2 * np.pi * 1000 * np.arange(800) / 8000)).astype(np.int16))


@given(
    parts=st.lists(st.tuples(st.sampled_from((VOICE, HUSH, TONE)), st.integers(1, 3000)), min_size=1, max_size=8),
    hole_ms=st.integers(rules.TAIL // 8, 10**6),
    lead_ms=st.integers(0, 700),
    endpoint_ms=st.sampled_from((100, 600, 10_000)),
    wordless=st.booleans(),
)
def test_nothing_reaches_over_a_jump_of_the_clock(
    parts: list[tuple[bytes, int]], hole_ms: int, lead_ms: int, endpoint_ms: int, wordless: bool
) -> None:
    """Whatever was going on (silence, speech, a pause, a doze, a steady sound in doubt), it ends on its side."""
    gate = Endpointer(loud, endpoint_ms=endpoint_ms)
    mulaw = audio(*parts)
    if wordless:
        mulaw = audio((VOICE, 10_100)) + mulaw
    before = play(gate, mulaw)
    here, there = len(mulaw), len(mulaw) + hole_ms * 8
    after = play(gate, audio((HUSH, lead_ms), (VOICE, 1000), (HUSH, 500 + endpoint_ms)), at=there)
    told = [*before, *after]
    spoken = [part for part in after if isinstance(part, Speech)]
    first = next(number for number, part in enumerate(told) if isinstance(part, Speech) and part.at >= there)
    assert first == 0 or isinstance(told[first - 1], EndOfUtterance)
    assert all(part.end <= here + rules.TAIL for part in told[:first] if isinstance(part, Speech))
    assert all(part.at >= there for part in told[first:] if isinstance(part, Speech))
    voiced = range(there + lead_ms * 8, there + (lead_ms + 900) * 8, 8)
    passed = {at for part in spoken for at in range(part.at, part.end)}
    assert all(at in passed for at in voiced), "a voice behind the hole is heard from its beginning"
    assert told[-1] == EndOfUtterance()


def test_a_steady_sound_in_doubt_that_turned_out_to_be_speech_is_not_lost_at_a_jump() -> None:
    """A flat voice was held back when the clock jumped: as at a pause, its blocks tell what it was."""
    gate = Endpointer(loud)
    play(gate, audio((TONE, 3000), (VOICE, 300)))
    told = list(gate.push(audio((HUSH, 20)), 8 * 60_000))
    passed = {at for part in told if isinstance(part, Speech) for at in range(part.at, part.end)}
    assert set(range(3040 * 8, 3300 * 8, 8)) <= passed
    assert told[-1] == EndOfUtterance(3300 * 8)


@given(
    parts=st.lists(st.tuples(st.sampled_from((VOICE, HUSH)), st.integers(1, 900)), min_size=1, max_size=12),
    cut=st.integers(0, 10**6),
)
def test_frames_that_stop_and_go_on_lose_no_voice(parts: list[tuple[bytes, int]], cut: int) -> None:
    mulaw = audio(*parts)
    cut = cut % len(mulaw) // STEP * STEP
    gate = Endpointer(loud)
    told = play(gate, mulaw[:cut])
    ceased = gate.cease()
    assert not gate.utterance_open
    assert gate.cease() == []
    told = [*told, *ceased, *play(gate, mulaw[cut:], at=cut), *gate.finish()]
    assert all(part.until == cut for part in ceased if isinstance(part, EndOfUtterance))
    passed = {at for part in told if isinstance(part, Speech) for at in range(part.at, part.end, 8)}
    voiced = [start for start in range(0, len(mulaw) - STEP + 1, STEP) if HUSH[0] not in mulaw[start : start + STEP]]
    for step in voiced:
        if (
            all(step + other * STEP in voiced for other in (-2, -1, 1, 2))
            and not cut <= step + 2 * STEP < cut + 2 * STEP
        ):
            assert step in passed


def test_after_sound_without_a_word_the_detector_is_strict_for_a_minute() -> None:
    """Noise that a lenient detector takes for a voice is heard once, not again and again."""
    gate = Endpointer(lambda pcm, strict: not strict and any(pcm))
    noise = audio((VOICE, 1000), (HUSH, 1000))
    opened = []
    for number in range(40):
        for passage in gate.push(noise, number * len(noise)):
            if isinstance(passage, EndOfUtterance):
                opened.append(2 * number)
                gate.heard_nothing()
    assert opened == [0, 62]


def test_what_was_found_counts_from_the_next_sample_on_however_the_audio_arrives() -> None:
    mulaw = audio((VOICE, 500), (HUSH, 900), (VOICE, 500), (HUSH, 900), (VOICE, 500), (HUSH, 900))
    told = []
    for cuts in ((), range(160, len(mulaw), 160)):
        gate = Endpointer(lambda pcm, strict: not strict and any(pcm))
        edges = [0, *cuts, len(mulaw)]
        heard: list[EndpointerOutput] = []
        for start, end in itertools.pairwise(edges):
            for passage in gate.push(mulaw[start:end], start):
                heard.append(passage)
                if passage == EndOfUtterance():
                    gate.heard_nothing()
        told.append(joined(heard))
    assert told[0] == told[1]
    assert told[0].count(None) == 1


@given(hush_ms=st.integers(1000, 4000), lacking=st.integers(1, 1920))
def test_with_a_beat_the_recognizer_moves_on_when_the_first_word_should_be_known(hush_ms: int, lacking: int) -> None:
    every = 1920
    gate = Endpointer(loud, beat=Beat(every, lambda: lacking))
    speech = play(gate, audio((HUSH, hush_ms), (VOICE, 1000)))[0]
    assert isinstance(speech, Speech)
    voice = hush_ms * 8 // STEP * STEP
    assert (voice + preroll.FIRST_WORD - speech.at - lacking) % every < preroll.GRID
    assert 0 <= voice - speech.at - preroll.LEAST_PRE_ROLL < every + preroll.GRID
    assert speech.at % preroll.GRID == 0


def test_patience_is_what_silence_may_still_last() -> None:
    gate = Endpointer(loud, endpoint_ms=1000)
    assert gate.samples_to_endpoint == 1000 * 8
    play(gate, audio((VOICE, 1000), (HUSH, 300)))
    assert gate.in_speech
    left = gate.samples_to_endpoint
    assert EndOfUtterance() not in play(gate, audio((HUSH, left // 8 - 20)), at=1300 * 8)
    assert not gate.in_speech
    assert EndOfUtterance() in play(gate, audio((HUSH, 20)), at=1300 * 8 + left - STEP)


@given(
    parts=st.lists(st.tuples(st.sampled_from((VOICE, HUSH)), st.integers(1, 2000)), max_size=12),
    begin=st.integers(0, 10**5),
    endpoint_ms=st.integers(100, 2000),
)
def test_what_is_left_out_is_whole_frames_of_the_acoustic_model(
    parts: list[tuple[bytes, int]], begin: int, endpoint_ms: int
) -> None:
    gate = Endpointer(loud, endpoint_ms=endpoint_ms)
    told = [*play(gate, audio(*parts), at=begin), *gate.finish()]
    fed = 0
    for part in (part for part in told if isinstance(part, Speech)):
        assert (part.at - begin - fed) % preroll.GRID == 0
        fed += len(part.payload)
