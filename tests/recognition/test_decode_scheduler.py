"""Tracks on a scripted engine: order, fairness, bounds, failures, and that recognizers always come back."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from tests.recognition.conftest import TracksOf
from transcriber.audio.chunk import AudioChunk
from transcriber.recognition.scripted_engine import ScriptedEngine, ScriptedRecognizer
from transcriber.recognition.utterance_tracker import FinalResult, PartialResult

SECOND = b"\xff" * 8000


def chunk(payload: bytes, start_sample: int) -> AudioChunk:
    return AudioChunk("inbound", payload, start_sample)


async def test_all_audio_is_recognised_in_order(tracks_of: TracksOf) -> None:
    tracks = tracks_of(ScriptedEngine(("one two", "three")))
    results: list[PartialResult | FinalResult] = []
    queue = tracks.open(results.extend, partials=True)
    for second in range(3):
        queue.offer(chunk(SECOND, second * 8000))
    await queue.finish()
    spoken = [item for item in results if isinstance(item, FinalResult)]
    assert [item.text for item in spoken] == ["one two", "three"] * 4
    assert [item.utterance for item in spoken] == list(range(1, 9))
    assert queue.pending_samples == 0


async def test_the_tail_shorter_than_a_block_is_heard(tracks_of: TracksOf) -> None:
    tracks = tracks_of(ScriptedEngine(("one",)))
    results: list[PartialResult | FinalResult] = []
    queue = tracks.open(results.extend, partials=False)
    queue.offer(chunk(b"\xff" * (2000 - 1), 0))
    queue.offer(chunk(b"\xff", 1999))
    await queue.finish()
    assert [item.text for item in results if isinstance(item, FinalResult)] == ["one"]


async def test_a_track_without_audio_borrows_no_recognizer(tracks_of: TracksOf) -> None:
    engine = ScriptedEngine()
    tracks = tracks_of(engine)
    await asyncio.gather(*(tracks.open(lambda results: None, partials=True).finish() for _ in range(20)))
    assert engine.created == 0


async def test_two_hundred_tracks_leave_nothing(tracks_of: TracksOf) -> None:
    engine = ScriptedEngine()
    tracks = tracks_of(engine, keep=4)
    threads = threading.active_count()
    for _ in range(20):
        batch = [tracks.open(lambda results: None, partials=True) for _ in range(10)]
        for queue in batch:
            queue.offer(chunk(SECOND, 0))
        await asyncio.gather(*(queue.finish() for queue in batch))
        assert not any(queue.pending_samples for queue in batch)
    assert tracks.pool.lent == 0
    assert tracks.pool.idle <= 4
    assert threading.active_count() == threads


async def test_a_long_backlog_does_not_starve_another_track(tracks_of: TracksOf) -> None:
    tracks = tracks_of(ScriptedEngine(("word",)), workers=1)
    order: list[str] = []
    long = tracks.open(lambda results: order.append("long"), partials=False)
    short = tracks.open(lambda results: order.append("short"), partials=False)
    long.offer(chunk(SECOND, 0))
    for second in range(1, 60):
        long.offer(chunk(SECOND, second * 8000))
    short.offer(chunk(SECOND, 0))
    await asyncio.gather(long.finish(), short.finish())
    assert order.index("short") <= 3
    assert order.count("long") >= 60


async def test_the_backlog_is_bounded(tracks_of: TracksOf) -> None:
    queue = tracks_of(ScriptedEngine(), longest_backlog_samples=16_000).open(lambda results: None, partials=False)
    assert queue.offer(chunk(SECOND, 0))
    assert queue.offer(chunk(SECOND, 8000))
    assert not queue.offer(chunk(b"\xff", 16_000))
    await queue.finish()


class Failing(ScriptedRecognizer):
    def accept(self, pcm: bytes) -> bool:
        raise RuntimeError("decoder broke")


class FailingEngine(ScriptedEngine):
    def create(self, grammar: Sequence[str] = ()) -> ScriptedRecognizer:
        return Failing([["x"]])


async def test_a_failure_ends_its_track_alone(tracks_of: TracksOf, caplog: pytest.LogCaptureFixture) -> None:
    tracks = tracks_of(FailingEngine(), workers=1)
    queue = tracks.open(lambda results: None, partials=True)
    queue.offer(chunk(SECOND, 0))
    with pytest.raises(RuntimeError, match="decoder broke"):
        await queue.finish()
    assert not queue.offer(chunk(SECOND, 8000))
    assert tracks.pool.lent == 0
    assert "recognition failed" in caplog.text
    tracks.pool.engine = ScriptedEngine(("fine",))
    results: list[PartialResult | FinalResult] = []
    healthy = tracks.open(results.extend, partials=False)
    healthy.offer(chunk(SECOND, 0))
    await healthy.finish()
    assert [item.text for item in results if isinstance(item, FinalResult)] == ["fine"] * 4
