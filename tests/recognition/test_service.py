"""The tracks on the bundled model: the words of bare Vosk, whatever the frames, fresh or recycled, nothing leaking."""

import asyncio
import json
from random import Random
from typing import Any

import pytest
import vosk

from tests.models import demo
from tests.recognition.conftest import Tracks, TracksOf
from transcriber.audio.chunk import AudioChunk, Band
from transcriber.audio.upsampling import upsample
from transcriber.recognition.results import FinalResult, PartialResult
from transcriber.recognition.supervisor.track_queue import TrackQueue


def bare(model: Any, mulaw: bytes, *, band: Band = "telephone") -> list[tuple[str, int, int]]:
    """(word, start_ms, end_ms) of the library alone on the same samples, fed 100 ms at a time."""
    recognizer = vosk.KaldiRecognizer(model, 16000)
    recognizer.SetWords(True)
    pcm = upsample(mulaw, band)
    blocks = (pcm[start : start + 3200] for start in range(0, len(pcm), 3200))
    answers = [json.loads(recognizer.Result()) for block in blocks if recognizer.AcceptWaveform(block)]
    answers.append(json.loads(recognizer.FinalResult()))
    return [
        (word["word"], round(word["start"] * 1000), round(word["end"] * 1000))
        for answer in answers
        for word in answer.get("result", [])
    ]


async def listen(
    tracks: Tracks, mulaw: bytes, *, frame: int = 160, at: int = 0, gated: bool = False
) -> list[PartialResult | FinalResult]:
    """Play a track into a queue, frame by frame, as fast as it goes."""
    results: list[PartialResult | FinalResult] = []
    queue = tracks.open(results.extend, gated=gated)
    for start in range(0, len(mulaw), frame):
        assert queue.offer(AudioChunk("inbound", mulaw[start : start + frame], at + start))
        if start % (frame * 50) == 0:
            await asyncio.sleep(0)
    await queue.finish()
    return results


async def settled(queue: TrackQueue) -> None:
    """Until all that was offered is recognised."""
    async with asyncio.timeout(10):
        while queue.pending_samples >= 800:  # noqa: ASYNC110 - a queue tells what it heard, not when it rests
            await asyncio.sleep(0.001)


def words(results: list[PartialResult | FinalResult]) -> list[tuple[str, int, int]]:
    spoken = [item for item in results if isinstance(item, FinalResult)]
    return [(word.word, word.start_ms, word.end_ms) for item in spoken for word in item.words]


async def test_words_and_times_are_those_of_bare_vosk(
    bare_model: Any, tracks_of: TracksOf, sample: dict[str, bytes]
) -> None:
    tracks = await tracks_of(demo(), workers=1, keep=1)
    expected = {track: bare(bare_model, mulaw) for track, mulaw in sample.items()}
    assert len(expected["inbound"]) > 20
    for frame in (160, 37, 999, 24_000):
        for track, mulaw in sample.items():
            assert words(await listen(tracks, mulaw, frame=frame)) == expected[track], (track, frame)
    assert tracks.recognizers == (0, 1)


async def test_times_lie_on_the_stream_clock(bare_model: Any, tracks_of: TracksOf, sample: dict[str, bytes]) -> None:
    expected = bare(bare_model, sample["inbound"])
    results = words(await listen(await tracks_of(demo()), sample["inbound"], at=155 * 8))
    assert results == [(word, start + 155, end + 155) for word, start, end in expected]


async def test_parallel_tracks_do_not_mix(bare_model: Any, tracks_of: TracksOf, sample: dict[str, bytes]) -> None:
    decoding = await tracks_of(demo())
    tracks = list(sample.items()) * 4
    results = await asyncio.gather(*(listen(decoding, mulaw) for _, mulaw in tracks))
    for (track, _), heard in zip(tracks, results, strict=True):
        assert words(heard) == bare(bare_model, sample[track])


async def test_partials_grow_number_and_never_break_their_stable_words(
    bare_model: Any, tracks_of: TracksOf, sample: dict[str, bytes]
) -> None:
    for mulaw in sample.values():
        stable: list[str] = []
        revision = number = stable_seen = 0
        results: list[PartialResult | FinalResult] = []
        queue = (await tracks_of(demo(), workers=1)).open(results.extend, partials=True)
        for start in range(0, len(mulaw), 800):
            queue.offer(AudioChunk("inbound", mulaw[start : start + 800], start))
            await settled(queue)
        await queue.finish()
        for item in results:
            if isinstance(item, PartialResult):
                revision = revision + 1 if item.utterance == number else 1
                assert item.revision == revision
                number = item.utterance
                assert item.text.split()[: len(stable)] == stable
                assert item.stable >= len(stable)
                stable = item.text.split()[: item.stable]
                stable_seen = max(stable_seen, item.stable)
                assert item.start_ms <= item.end_ms
            else:
                assert item.text.split()[: len(stable)] == stable
                stable = []
        assert stable_seen > 3


async def test_partials_can_be_switched_off(bare_model: Any, tracks_of: TracksOf, sample: dict[str, bytes]) -> None:
    results: list[PartialResult | FinalResult] = []
    queue = (await tracks_of(demo())).open(results.extend, partials=False)
    queue.offer(AudioChunk("inbound", sample["inbound"], 0))
    await queue.finish()
    assert results
    assert all(isinstance(item, FinalResult) for item in results)


@pytest.mark.parametrize("kind", [b"\xff", b"\x00", b"\x7f\xff", Random(3).randbytes(80_000)])
async def test_no_words_in_what_is_not_speech(tracks_of: TracksOf, kind: bytes) -> None:
    assert words(await listen(await tracks_of(demo()), kind * (80_000 // len(kind)))) == []


async def test_nothing_of_a_track_reaches_the_next_one(tracks_of: TracksOf, sample: dict[str, bytes]) -> None:
    """A track that ends in silence ends with a result; the library does not take what follows for an end."""
    fresh, recycled = await tracks_of(demo(), keep=0), await tracks_of(demo(), workers=1, keep=1)
    mulaw = sample["outbound"] + b"\xff" * 12_000
    expected = words(await listen(fresh, mulaw, gated=True))
    assert len(expected) > 20
    for _ in range(4):
        assert words(await listen(recycled, mulaw, gated=True)) == expected
