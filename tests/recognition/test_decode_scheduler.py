"""The lanes on a scripted engine: order, fairness, bounds, failures, and that recognizers always come back."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from tests.recognition.conftest import LanesOf
from transcriber.audio.chunk import AudioChunk
from transcriber.recognition import decode_scheduler as lanes_module
from transcriber.recognition.scripted_engine import ScriptedEngine, ScriptedRecognizer
from transcriber.recognition.utterance_tracker import FinalResult, PartialResult

SECOND = b"\xff" * 8000


def chunk(payload: bytes, start_sample: int) -> AudioChunk:
    return AudioChunk("inbound", payload, start_sample)


async def test_all_audio_is_recognised_in_order(lanes_of: LanesOf) -> None:
    lanes = lanes_of(ScriptedEngine(("one two", "three")))
    told: list[PartialResult | FinalResult] = []
    lane = lanes.open(told.extend, partials=True)
    for second in range(3):
        lane.offer(chunk(SECOND, second * 8000))
    await lane.finish()
    spoken = [item for item in told if isinstance(item, FinalResult)]
    assert [item.text for item in spoken] == ["one two", "three"] * 4
    assert [item.utterance for item in spoken] == list(range(1, 9))
    assert lane.pending == 0


async def test_the_tail_shorter_than_a_block_is_heard(lanes_of: LanesOf) -> None:
    lanes = lanes_of(ScriptedEngine(("one",)))
    told: list[PartialResult | FinalResult] = []
    lane = lanes.open(told.extend, partials=False)
    lane.offer(chunk(b"\xff" * (2000 - 1), 0))
    lane.offer(chunk(b"\xff", 1999))
    await lane.finish()
    assert [item.text for item in told if isinstance(item, FinalResult)] == ["one"]


async def test_a_lane_without_audio_borrows_no_recognizer(lanes_of: LanesOf) -> None:
    engine = ScriptedEngine()
    lanes = lanes_of(engine)
    await asyncio.gather(*(lanes.open(lambda heard: None, partials=True).finish() for _ in range(20)))
    assert engine.created == 0


async def test_two_hundred_tracks_leave_nothing(lanes_of: LanesOf) -> None:
    engine = ScriptedEngine()
    lanes = lanes_of(engine, keep=4)
    threads = threading.active_count()
    for _ in range(20):
        batch = [lanes.open(lambda heard: None, partials=True) for _ in range(10)]
        for lane in batch:
            lane.offer(chunk(SECOND, 0))
        await asyncio.gather(*(lane.finish() for lane in batch))
        assert not any(lane.pending for lane in batch)
    assert lanes.pool.lent == 0
    assert lanes.pool.idle <= 4
    assert threading.active_count() == threads


async def test_a_long_backlog_does_not_starve_another_lane(lanes_of: LanesOf) -> None:
    lanes = lanes_of(ScriptedEngine(("word",)), workers=1)
    order: list[str] = []
    long = lanes.open(lambda heard: order.append("long"), partials=False)
    short = lanes.open(lambda heard: order.append("short"), partials=False)
    long.offer(chunk(SECOND, 0))
    for second in range(1, 60):
        long.offer(chunk(SECOND, second * 8000))
    short.offer(chunk(SECOND, 0))
    await asyncio.gather(long.finish(), short.finish())
    assert order.index("short") <= 3
    assert order.count("long") >= 60


async def test_the_backlog_is_bounded(lanes_of: LanesOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "LONGEST_BACKLOG", 16_000)
    lane = lanes_of(ScriptedEngine()).open(lambda heard: None, partials=False)
    assert lane.offer(chunk(SECOND, 0))
    assert lane.offer(chunk(SECOND, 8000))
    assert not lane.offer(chunk(b"\xff", 16_000))
    await lane.finish()


class Failing(ScriptedRecognizer):
    def accept(self, pcm: bytes) -> bool:
        raise RuntimeError("decoder broke")


class FailingEngine(ScriptedEngine):
    def create(self, grammar: Sequence[str] = ()) -> ScriptedRecognizer:
        return Failing([["x"]])


async def test_a_failure_ends_its_lane_alone(lanes_of: LanesOf, caplog: pytest.LogCaptureFixture) -> None:
    lanes = lanes_of(FailingEngine(), workers=1)
    lane = lanes.open(lambda heard: None, partials=True)
    lane.offer(chunk(SECOND, 0))
    with pytest.raises(RuntimeError, match="decoder broke"):
        await lane.finish()
    assert not lane.offer(chunk(SECOND, 8000))
    assert lanes.pool.lent == 0
    assert "recognition failed" in caplog.text
    lanes.pool.engine = ScriptedEngine(("fine",))
    told: list[PartialResult | FinalResult] = []
    healthy = lanes.open(told.extend, partials=False)
    healthy.offer(chunk(SECOND, 0))
    await healthy.finish()
    assert [item.text for item in told if isinstance(item, FinalResult)] == ["fine"] * 4
