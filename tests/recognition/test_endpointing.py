"""Endpointing on the bundled model: words depend neither on frames nor on partials, music does not keep it open."""

import tracemalloc

import numpy as np
import pytest

from tests.models import demo
from tests.recognition.conftest import TracksOf
from tests.recognition.test_service import listen, settled, words
from transcriber.audio.chunk import SAMPLE_RATE_HZ, AudioChunk
from transcriber.audio.g711 import compress, expand
from transcriber.recognition.results import FinalResult, PartialResult
from transcriber.recognition.word_errors import word_errors

STEP = SAMPLE_RATE_HZ // 50


def breathless(mulaw: bytes) -> bytes:
    """The louder part of a track, four times: speech without a pause for half a minute."""
    steps = [mulaw[at : at + STEP] for at in range(0, len(mulaw), STEP)]
    return 4 * b"".join(step for step in steps if np.abs(expand(step)).max() > 1500)


def plucked(seconds: int, *, bent: float = 0.0) -> bytes:
    """Music of a kind: chords of plucked notes, a new one every half second, `bent`: that glide up by so much."""
    at = np.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ
    decay = np.exp(-3 * at)
    at += bent * at**2
    chords = [(262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294)]
    waves = [
        sum(np.sin(2 * np.pi * note * harmonic * at) / harmonic for note in chord for harmonic in (1, 2, 3, 4)) * decay
        for chord in chords
        for _ in range(4)
    ]
    wave = np.tile(np.concatenate(waves), seconds // 8 + 1)[: seconds * SAMPLE_RATE_HZ]
    return compress((3000 * wave).astype(np.int16))


async def test_words_do_not_depend_on_frames(tracks_of: TracksOf, sample: dict[str, bytes]) -> None:
    tracks = await tracks_of(demo(), workers=1, keep=0)
    results = [
        words(await listen(tracks, sample["inbound"], frame=frame, gated=True)) for frame in (160, 37, 999, 24_000)
    ]
    assert len(results[0]) > 20
    assert all(other == results[0] for other in results)


async def test_a_long_breath_is_heard_to_its_end_without_partials(
    tracks_of: TracksOf, sample: dict[str, bytes]
) -> None:
    """The endpointer must know of words that nobody else asked for, or it takes long speech for music."""
    mulaw = breathless(sample["outbound"])
    assert len(mulaw) > 25 * SAMPLE_RATE_HZ
    heard = []
    for partials in (True, False):
        results: list[PartialResult | FinalResult] = []
        queue = (await tracks_of(demo(), keep=0)).open(results.extend, gated=True, partials=partials)
        for start in range(0, len(mulaw), STEP):
            assert queue.offer(AudioChunk("inbound", mulaw[start : start + STEP], start))
        await queue.finish()
        heard.append([word for word, _, _ in words(results)])
    assert heard[0] == heard[1]
    assert len(heard[0]) > 60


@pytest.mark.parametrize(("bent", "most"), [(0.0, 0.1), (0.3, 0.7)])
async def test_music_is_not_heard_out(tracks_of: TracksOf, bent: float, most: float) -> None:
    """Notes that stand still are no voice; of those that glide the model makes one word over and over."""
    tracks = await tracks_of(demo())
    mulaw = plucked(40, bent=bent)
    everything, gated = [len(words(await listen(tracks, mulaw, gated=gated))) for gated in (False, True)]
    assert everything > 40
    assert gated < most * everything


@pytest.mark.parametrize("frequencies", [(440, 480), (480, 620), (1100,)])
async def test_a_tone_gives_hardly_a_word_and_what_is_said_after_it_is_heard(
    tracks_of: TracksOf, sample: dict[str, bytes], frequencies: tuple[int, ...]
) -> None:
    at = np.arange(20 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    beeps = sum(np.sin(2 * np.pi * each * at) for each in frequencies) * (at % 1 < 0.5)
    before = compress((4000 * beeps).astype(np.int16))
    for track in sample.values():
        loud = np.flatnonzero(np.abs(expand(track)) > 800)
        said = track[loud[0] // STEP * STEP :][: 10 * SAMPLE_RATE_HZ]
        alone = [word for word, _, _ in words(await listen(await tracks_of(demo()), said, gated=True))]
        both = words(await listen(await tracks_of(demo()), before + said, gated=True))
        after = [word for word, start_ms, _ in both if start_ms >= 19_500]
        assert len(alone) > 10
        assert word_errors(alone, after).total <= 1
        assert len(both) - len(after) <= 2


async def test_an_hour_of_silence_takes_no_recognizer_and_leaves_nothing(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(demo(), workers=1)
    results: list[PartialResult | FinalResult] = []
    queue = tracks.open(results.extend, gated=True)
    minute = b"\xff" * 60 * SAMPLE_RATE_HZ
    held = []
    tracemalloc.start()
    try:
        for number in range(60):
            assert queue.offer(AudioChunk("inbound", minute, number * len(minute)))
            await settled(queue)
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    await queue.finish()
    assert results == []
    assert tracks.recognizers == (0, 2)
    assert held[-1] - held[4] < 2 * len(minute)
