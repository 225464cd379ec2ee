"""Workers die in every way, and no track loses, repeats or changes a word; audio that ends workers ends its track."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import psutil
import pytest

from tests.models import demo
from tests.recognition.conftest import Tracks, TracksOf
from transcriber.audio.chunk import AudioChunk
from transcriber.errors import RecognitionError
from transcriber.recognition.results import FinalResult, PartialResult
from transcriber.recognition.supervisor import worker as worker_module
from transcriber.recognition.worker.protocol import ScriptedModel

STEP = 1600
SECOND = b"\xff" * 8000
POISON = b"\x01\x02\x03\x04\x05\x06\x07\x08" * 20
Results = list[PartialResult | FinalResult]


def finals(results: Results) -> list[FinalResult]:
    return [item for item in results if isinstance(item, FinalResult)]


def chunk(payload: bytes, start_sample: int) -> AudioChunk:
    return AudioChunk("inbound", payload, start_sample)


async def heard(within_s: float, told: Callable[[], bool]) -> None:
    async with asyncio.timeout(within_s):
        while not told():  # noqa: ASYNC110 - a queue tells what it heard, not when it rests
            await asyncio.sleep(0.002)


async def play(tracks: Tracks, mulaw: bytes, *, at: dict[int, Callable[[], Awaitable[None]]] | None = None) -> Results:
    """A track, step by step; `at` is what happens before a step, by its number."""
    results: Results = []
    queue = tracks.open(results.extend, gated=True)
    for number, start in enumerate(range(0, len(mulaw), STEP)):
        if at is not None and number in at:
            await at[number]()
        assert queue.offer(chunk(mulaw[start : start + STEP], start))
        await heard(20, lambda: queue.pending_samples < 2 * STEP)
    await queue.finish()
    return results


async def kill(tracks: Tracks, number: signal.Signals) -> None:
    """All workers, and wait until others are there."""
    for worker in tracks.model.workers:
        await heard(20, lambda: worker.pid > 0)  # noqa: B023 - used at once
        pid = worker.pid
        psutil.Process(pid).send_signal(number)
        await heard(20, lambda: worker.pid not in (0, pid))  # noqa: B023 - used at once


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGTERM])
async def test_finals_are_those_of_a_track_in_peace(
    tracks_of: TracksOf, sample: dict[str, bytes], number: signal.Signals
) -> None:
    tracks = await tracks_of(demo(), workers=1)
    mulaw = sample["outbound"]
    in_peace = await play(tracks, mulaw)
    assert len(finals(in_peace)) > 1
    steps = range(1, len(mulaw) // STEP, 7)
    results = await play(tracks, mulaw, at={step: lambda: kill(tracks, number) for step in steps})
    assert finals(results) == finals(in_peace)


async def test_partials_go_on_where_they_were(tracks_of: TracksOf, sample: dict[str, bytes]) -> None:
    tracks = await tracks_of(demo(), workers=1)
    steps = range(3, len(sample["inbound"]) // STEP, 5)
    results = await play(tracks, sample["inbound"], at={step: lambda: kill(tracks, signal.SIGKILL) for step in steps})
    stable: list[str] = []
    utterance = revision = 0
    for item in results:
        if isinstance(item, PartialResult):
            revision = revision + 1 if item.utterance == utterance else 1
            utterance = item.utterance
            assert item.revision == revision
            assert item.stable >= len(stable)
            assert item.text.split()[: len(stable)] == stable
            stable = item.text.split()[: item.stable]
        else:
            assert item.text.split()[: len(stable)] == stable
            stable = []


async def test_a_death_before_the_first_turn_and_one_at_the_end_cost_nothing(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(ScriptedModel(("one two",)), workers=1)
    results: Results = []
    queue = tracks.open(results.extend)
    await kill(tracks, signal.SIGKILL)
    for second in range(30):
        queue.offer(chunk(SECOND, 8000 * second))
    finishing = queue.finish()
    await kill(tracks, signal.SIGKILL)
    await finishing
    assert [item.text for item in finals(results)] == ["one two"] * 60
    assert [item.utterance for item in finals(results)] == list(range(1, 61))


@pytest.mark.parametrize(("fault", "named"), [("abort", "SIGABRT"), ("hang", "hang"), ("memory", "exit")])
async def test_audio_that_ends_two_workers_ends_its_track_alone(
    tracks_of: TracksOf, monkeypatch: pytest.MonkeyPatch, fault: str, named: str
) -> None:
    monkeypatch.setattr(worker_module, "ANSWER_WITHIN_S", 0.3)
    monkeypatch.setattr(worker_module, "STOPPED_WITHIN_S", 0.1)
    tracks = await tracks_of(ScriptedModel(("fine",), faults=((fault, POISON),)), workers=1)  # type: ignore[arg-type]
    told: list[RecognitionError] = []
    others: list[Results] = [[], [], []]
    queues = [tracks.open(results.extend) for results in others]
    poisoned = tracks.open(lambda results: None, on_failure=told.append)
    for second in range(4):
        for queue in queues:
            queue.offer(chunk(SECOND, 8000 * second))
        poisoned.offer(chunk(POISON if second == 2 else SECOND, 8000 * second))
    with pytest.raises(RecognitionError, match=named):
        await poisoned.finish()
    await asyncio.gather(*(queue.finish() for queue in queues))
    assert len(told) == 1
    assert not poisoned.offer(chunk(SECOND, 32_000))
    assert [[item.text for item in finals(results)] for results in others] == [["fine"] * 16] * 3


async def test_a_checkpoint_that_is_none_fails_its_track_and_no_worker(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(ScriptedModel(("one",)), workers=1)
    broken, healthy = tracks.open(lambda results: None), tracks.open(lambda results: None)
    broken._checkpoint = b"nothing of the kind"
    await kill(tracks, signal.SIGKILL)
    [worker] = tracks.model.workers
    pid = worker.pid
    for queue in (broken, healthy):
        queue.offer(chunk(SECOND, 0))
    with pytest.raises(RecognitionError, match="checkpoint"):
        await broken.finish()
    await healthy.finish()
    assert worker.pid == pid


async def test_a_stopped_worker_is_replaced(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(ScriptedModel(("one",)), workers=1)
    results: Results = []
    queue = tracks.open(results.extend)
    psutil.Process(tracks.model.workers[0].pid).suspend()
    queue.offer(chunk(SECOND, 0))
    await asyncio.wait_for(queue.finish(), 20)
    assert [item.text for item in finals(results)] == ["one"] * 4


async def test_the_death_of_the_model_process_costs_no_word(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(ScriptedModel(("one two",)), workers=2, keep=8)
    lists: list[Results] = [[], []]
    queues = [tracks.open(results.extend) for results in lists]
    for second in range(10):
        for queue in queues:
            queue.offer(chunk(SECOND, 8000 * second))
        if second == 5:
            psutil.Process(tracks.model.process.pid).kill()
    await asyncio.gather(*(queue.finish() for queue in queues))
    assert [[item.text for item in finals(results)] for results in lists] == [["one two"] * 20] * 2


async def test_many_deaths_leave_nothing(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(ScriptedModel(), workers=2, keep=8)
    files, model = len(os.listdir("/proc/self/fd")), psutil.Process(tracks.model.process.pid)
    queue = tracks.open(lambda results: None)
    for second in range(40):
        queue.offer(chunk(SECOND, 8000 * second))
        await kill(tracks, signal.SIGKILL)
        await heard(20, lambda: not queue.pending_samples)
    await queue.finish()
    assert len(os.listdir("/proc/self/fd")) == files
    assert {child.status() for child in model.children()} <= {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}
    assert len(model.children()) == 2
    assert model.num_fds() <= 8
