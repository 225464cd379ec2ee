"""Sounds that stay as they are, made here: each is known for one, and speech after or over it is let through."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.recognition.test_endpointer import HUSH, VOICE, audio, joined, loud, play
from transcriber.audio.chunk import SAMPLE_RATE_HZ, AudioChunk
from transcriber.audio.g711 import compress, expand
from transcriber.recognition.endpointer import Endpointer
from transcriber.recognition.endpointer_state import EndpointerOutput

SECONDS = np.arange(20 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
NOISE = np.random.default_rng(7).normal(size=len(SECONDS))


def tones(*frequencies: float) -> NDArray[np.float64]:
    return np.asarray(sum(np.sin(2 * np.pi * each * SECONDS) for each in frequencies) / len(frequencies))


def on(off: float, seconds: float) -> NDArray[np.bool_]:
    """So many seconds of every `off`."""
    return np.asarray(SECONDS % off < seconds)


def keys() -> NDArray[np.float64]:
    """100 ms each, 100 ms apart."""
    every = [tones(row, column) for row, column in ((697, 1209), (770, 1477), (852, 1336), (941, 1633))]
    return np.choose((SECONDS * 5).astype(int) % 4, every) * on(0.2, 0.1)


def chords() -> NDArray[np.float64]:
    """Plucked, a new one every half second, of notes with harmonics."""
    every = [tones(*(note * h for note in chord for h in (1, 2, 3))) for chord in ((262, 330, 392), (220, 294, 349))]
    return np.choose((SECONDS * 2).astype(int) % 2, every) * np.exp(-3 * (SECONDS % 0.5))


def melody() -> NDArray[np.float64]:
    """Four notes a second."""
    notes = [tones(note, 2 * note, 3 * note) for note in (262, 392, 330, 494, 294)]
    return np.choose((SECONDS * 4).astype(int) % 5, notes) * np.exp(-3 * (SECONDS % 0.25))


SOUNDS = {
    "busy": tones(480, 620) * on(1, 0.5),
    "ringback": tones(440, 480) * on(6, 2),
    "ringback, twice": tones(400, 450) * on(3, 1) * on(0.6, 0.4),
    "dial": tones(350, 440),
    "dial, single": tones(425),
    "fax calls": tones(1100) * on(3.5, 0.5),
    "fax answers": tones(2100),
    "keys": keys(),
    "chords": chords(),
    "melody": melody(),
    "noise at -20 dB": 0.2 * NOISE,
    "noise at -30 dB": 0.06 * NOISE,
}


def heard(sound: str) -> bytes:
    return compress(np.clip(16_000 * SOUNDS[sound], -32_000, 32_000).astype(np.int16))


def noticing(pcm: bytes, strict: bool) -> bool:
    """A voice activity detector that any sound sets off."""
    return bool(np.abs(np.frombuffer(pcm, "<i2")).max() > 100)


def passed(results: Sequence[EndpointerOutput], since: int = 0) -> int:
    """Samples, from a position on."""
    chunks = [part for part in results if isinstance(part, AudioChunk)]
    return sum(max(0, chunk.end_sample - max(chunk.start_sample, since)) for chunk in chunks)


@pytest.mark.parametrize("sound", SOUNDS)
def test_a_sound_that_stays_as_it_is_is_passed_for_seconds_at_most(sound: str) -> None:
    results = play(Endpointer(noticing), heard(sound))
    bursts = 6 if sound == "fax calls" else 4  # half a second of 3.5, so it takes ten to be sure
    assert 0 < passed(results) < bursts * SAMPLE_RATE_HZ
    assert passed(results, since=12 * SAMPLE_RATE_HZ) == 0


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("hush_ms", [0, 100, 1000])
def test_a_short_word_after_it_is_passed_whole(sound: str, hush_ms: int) -> None:
    before = heard(sound) + audio((HUSH, hush_ms))
    word = audio((VOICE, 300))
    endpointer = Endpointer(noticing)
    results = [*play(endpointer, before + word + audio((HUSH, 1000))), *endpointer.finish()]
    assert passed(results, since=len(before)) >= len(word)


@pytest.mark.parametrize("sound", SOUNDS)
def test_a_voice_over_it_is_passed(sound: str) -> None:
    mixed = expand(heard(sound)).astype(np.int32) // 8
    voice = expand(audio((VOICE, 3000)))
    mixed[-len(voice) :] += voice
    begun = len(mixed) - len(voice)
    results = play(Endpointer(noticing), compress(np.clip(mixed, -32_000, 32_000).astype(np.int16)))
    assert passed(results, since=begun) > len(voice) - SAMPLE_RATE_HZ // 10


def test_minutes_of_it_hold_little_back() -> None:
    endpointer = Endpointer(loud)
    played = heard("dial")
    for number in range(15):
        play(endpointer, played, at=number * len(played))
    results = play(endpointer, audio((VOICE, 1000)), at=15 * len(played))
    assert 1000 * 8 <= passed(results) <= 3000 * 8


@settings(max_examples=15)
@given(
    sounds=st.lists(st.sampled_from(sorted(SOUNDS)), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 10**6), max_size=30),
)
def test_cuts_do_not_matter(sounds: list[str], cuts: list[int]) -> None:
    mulaw = b"".join(heard(sound)[: 5 * SAMPLE_RATE_HZ] + audio((VOICE, 500), (HUSH, 90)) for sound in sounds)
    whole, cut = Endpointer(noticing), Endpointer(noticing)
    assert joined(play(whole, mulaw)) == joined(play(cut, mulaw, cuts))
    assert whole.finish() == cut.finish()
