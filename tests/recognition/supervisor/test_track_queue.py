"""Tracks on a scripted model in real workers: order, fairness, bounds, failures, and that recognizers come back."""

import asyncio

import pytest

from tests.recognition.conftest import TracksOf
from transcriber.audio.chunk import AudioChunk
from transcriber.errors import RecognitionError
from transcriber.recognition.load_monitor import LoadMonitor
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.results import FinalResult, PartialResult
from transcriber.recognition.supervisor.track_queue import TrackQueue
from transcriber.recognition.worker.protocol import Answer, ScriptedModel

SECOND = b"\xff" * 8000
BROKEN = b"\x01\x02\x03\x04\x05\x06\x07\x08" * 20


def chunk(payload: bytes, start_sample: int) -> AudioChunk:
    return AudioChunk("inbound", payload, start_sample)


async def test_all_audio_is_recognised_in_order(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(ScriptedModel(("one two", "three")))
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
    tracks = await tracks_of(ScriptedModel(("one",)))
    results: list[PartialResult | FinalResult] = []
    queue = tracks.open(results.extend, partials=False)
    queue.offer(chunk(b"\xff" * (2000 - 1), 0))
    queue.offer(chunk(b"\xff", 1999))
    await queue.finish()
    assert [item.text for item in results if isinstance(item, FinalResult)] == ["one"]


async def test_tracks_without_audio_borrow_no_recognizer(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(ScriptedModel(), workers=1)
    queues = [tracks.open(lambda results: None, partials=True) for _ in range(20)]
    await queues[0].finish()
    assert tracks.recognizers == (0, 2)
    await asyncio.gather(*(queue.finish() for queue in queues))
    assert tracks.recognizers == (0, 2)


async def test_two_hundred_tracks_leave_nothing(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(ScriptedModel(), keep=4)
    for _ in range(20):
        batch = [tracks.open(lambda results: None, partials=True) for _ in range(10)]
        for queue in batch:
            queue.offer(chunk(SECOND, 0))
        await asyncio.gather(*(queue.finish() for queue in batch))
        assert not any(queue.pending_samples for queue in batch)
    assert tracks.model.open_tracks == 0
    lent, idle = tracks.recognizers
    assert lent == 0
    assert idle <= 2 * 4


async def test_tracks_are_spread_over_the_workers(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(ScriptedModel(), workers=3)
    queues = [tracks.open(lambda results: None) for _ in range(9)]
    assert [worker.tracks for worker in tracks.model.workers] == [3, 3, 3]
    await asyncio.gather(*(queue.finish() for queue in queues))


async def test_a_long_backlog_does_not_starve_another_track(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(ScriptedModel(("word",)), workers=1)
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
    tracks = await tracks_of(ScriptedModel(), longest_backlog_samples=16_000)
    queue = tracks.open(lambda results: None, partials=False)
    assert queue.offer(chunk(SECOND, 0))
    assert queue.offer(chunk(SECOND, 8000))
    assert not queue.offer(chunk(b"\xff", 16_000))
    await queue.finish()


async def test_a_failure_ends_its_track_alone(tracks_of: TracksOf, capfd: pytest.CaptureFixture[str]) -> None:
    tracks = await tracks_of(ScriptedModel(("fine",), faults=(("error", BROKEN),)), workers=1)
    told: list[RecognitionError] = []
    queue = tracks.open(lambda results: None, on_failure=told.append)
    queue.offer(chunk(SECOND + BROKEN, 0))
    with pytest.raises(RecognitionError, match="a fault that was asked for"):
        await queue.finish()
    assert len(told) == 1
    assert not queue.offer(chunk(SECOND, 8000))
    results: list[PartialResult | FinalResult] = []
    healthy = tracks.open(results.extend, partials=False)
    healthy.offer(chunk(SECOND, 0))
    await healthy.finish()
    assert [item.text for item in results if isinstance(item, FinalResult)] == ["fine"] * 4
    assert tracks.recognizers[0] == 0
    assert "recognition failed" in capfd.readouterr().err


class Turns:
    """A worker of which a test says what it answers, and when it dies."""

    def __init__(self) -> None:
        self.load = LoadMonitor()
        self.lined_up = 0

    def line_up(self, track: TrackQueue) -> None:
        self.lined_up += 1

    def close_track(self, track: TrackQueue) -> None:
        """Nothing is to be done."""


def said(text: str, *, stable: int) -> Answer:
    partial = PartialResult(utterance=1, revision=1, text=text, stable=stable, start_ms=0, end_ms=0)
    return Answer(0, [partial], utterance_open=True, due_samples=800, began_at=0, cpu_s=0, idle=0, lent=1)


async def test_a_partial_takes_nothing_back_when_workers_die_within_the_replay() -> None:
    results: list[PartialResult | FinalResult] = []
    queue = TrackQueue(
        Turns(),
        0,
        RecognitionOptions(),
        on_results=results.extend,
        on_failure=lambda error: None,
        expected_cost=0.01,
    )
    for second, answer in enumerate(
        (said("one", stable=0), said("one two", stable=1), said("one two three", stable=2))
    ):
        queue.offer(chunk(SECOND, 8000 * second))
        queue.next_turn()
        queue.take_answer(answer)
    for answers in ((said("one", stable=0),), (said("one", stable=0), said("one two", stable=1))):
        queue.reopen()
        queue.go_on()
        for answer in answers:
            queue.next_turn()
            queue.take_answer(answer)
        queue.next_turn()  # and in this one the next worker dies
    queue.reopen()
    queue.go_on()
    queue.offer(chunk(SECOND, 24_000))
    for text in ("one", "one two", "one two three", "one two three four"):
        queue.next_turn()
        queue.take_answer(said(text, stable=0))
    partials = [(item.text, item.revision, item.stable) for item in results if isinstance(item, PartialResult)]
    assert partials == [("one", 1, 0), ("one two", 2, 1), ("one two three", 3, 2), ("one two three four", 4, 2)]
    assert queue.pending_samples == 0
