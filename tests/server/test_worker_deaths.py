"""Recognition workers die under live calls: history reads as in peace, and audio that ends workers ends its track."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from bench.process_tree import children, is_alive, workers
from tests.models import ProcessOf
from tests.phone import Phone, PhoneCall
from tests.process import process, wait_until_ready
from tests.sample_events import until
from tests.server.conftest import Event, Running, Serve, subscribed
from tests.server.test_calls import of
from tests.server.test_metrics import text_of
from transcriber.audio.wav import Recording
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.worker.protocol import Fault, ScriptedModel

SCRIPT = ScriptedModel(("one two",))
SECONDS = 6
SOUND = bytes(range(128, 256)) * (SECONDS * 8000 // 128)
POISON = bytes(range(1, 81)) * 2
"""A frame."""
DEATHS = re.compile(r'^transcriber_worker_deaths_total\{reason="(\w+)"\} (\S+)$', re.MULTILINE)
Trouble = Callable[[PhoneCall, Callable[[], Awaitable[None]]], Awaitable[None]]


def said(events: list[Event]) -> list[tuple[str, int, str, int, int]]:
    """The finals of a call by track."""
    return sorted(
        (final["track"], final["utterance"], final["text"], final["start_ms"], final["end_ms"])
        for final in of(events, "final")
    )


async def kill(model: ModelProcess, number: signal.Signals = signal.SIGKILL) -> None:
    """All workers that are there; wait until others are."""
    before = children(model.pid)
    for pid in before:
        psutil.Process(pid).send_signal(number)

    async def others_are_there() -> bool:
        now = [pid for pid in children(model.pid) if is_alive(pid)]
        return len(now) == len(before) and not set(now) & set(before)

    await until(others_are_there, within_s=30)


async def before_the_first_frame(call: PhoneCall, die: Callable[[], Awaitable[None]]) -> None:
    await die()
    await call.play()


async def in_speech(call: PhoneCall, die: Callable[[], Awaitable[None]]) -> None:
    for _ in range(3):
        await call.play(1300)
        await die()
    await call.play()


async def with_a_backlog(call: PhoneCall, die: Callable[[], Awaitable[None]]) -> None:
    await call.play(SECONDS * 900)
    await die()
    await call.play()


async def twice_within_the_replay(call: PhoneCall, die: Callable[[], Awaitable[None]]) -> None:
    await call.play(SECONDS * 500)
    await die()
    await die()
    await call.play()


async def at_the_last_frame(call: PhoneCall, die: Callable[[], Awaitable[None]]) -> None:
    await call.play()
    await die()


@pytest.mark.parametrize(
    ("trouble", "number"),
    [
        (before_the_first_frame, signal.SIGKILL),
        (in_speech, signal.SIGKILL),
        (with_a_backlog, signal.SIGKILL),
        (with_a_backlog, signal.SIGABRT),
        (twice_within_the_replay, signal.SIGKILL),
        (at_the_last_frame, signal.SIGKILL),
    ],
)
async def test_a_call_reads_as_in_peace(
    serve: Serve, process_of: ProcessOf, trouble: Trouble, number: signal.Signals
) -> None:
    model = process_of(SCRIPT)
    running = await serve(model=model, speech_gate=False)
    recording = Recording({"inbound": SOUND, "outbound": SOUND})

    async def peace(call: PhoneCall, die: Callable[[], Awaitable[None]]) -> None:
        await call.play()

    wanted = await _play(running, recording, peace, model, number)
    assert len(of(wanted, "final")) == 4 * SECONDS
    events = await _play(running, recording, trouble, model, number)
    assert said(events) == said(wanted)
    assert not of(events, "stream.error")


async def _play(
    running: Running, recording: Recording, trouble: Trouble, model: ModelProcess, number: signal.Signals
) -> list[Event]:
    async with running.phone.call(recording) as call:
        await trouble(call, lambda: kill(model, number))
        assert await call.hang_up() == 1000
        return await running.ended(call.call_sid)


async def test_a_death_at_each_end_of_an_utterance_changes_nothing(serve: Serve, process_of: ProcessOf) -> None:
    model = process_of(SCRIPT)
    running = await serve(model=model, workers=1, speech_gate=False)
    async with (
        running.phone.call(Recording({"inbound": SOUND}), speed=8) as call,
        subscribed(running, f"{call.call_sid}:final") as published,
    ):
        playing = asyncio.create_task(call.play())
        for _ in range(4):
            await asyncio.wait_for(published.get(), 30)
            await kill(model)
        await playing
        await call.hang_up()
        events = await running.ended(call.call_sid)
    assert [final["text"] for final in of(events, "final")] == ["one two"] * (2 * SECONDS)
    starts = [final["start_ms"] for final in of(events, "final")]
    assert [later - earlier for earlier, later in pairwise(starts)] == [500] * (2 * SECONDS - 1)


async def test_the_words_after_stop_survive_a_death(serve: Serve, process_of: ProcessOf) -> None:
    model = process_of(SCRIPT)
    running = await serve(model=model, workers=1, speech_gate=False)
    async with running.phone.call(Recording({"inbound": SOUND})) as call, _stopped(model):
        await call.play()
        await call.send(call.messages.stop())
        await kill(model)
        assert await call.closed() == 1000
        events = await running.ended(call.call_sid)
    assert [final["text"] for final in of(events, "final")] == ["one two"] * (2 * SECONDS)


async def test_a_worker_that_hangs_is_replaced_counted_and_logged(
    serve: Serve, process_of: ProcessOf, caplog: pytest.LogCaptureFixture
) -> None:
    model = process_of(SCRIPT)
    running = await serve(model=model, workers=1, speech_gate=False)
    async with running.phone.call(Recording({"inbound": SOUND})) as call, _stopped(model):
        await call.play()
        await call.hang_up()
        events = await running.ended(call.call_sid)
    assert [final["text"] for final in of(events, "final")] == ["one two"] * (2 * SECONDS)
    found = DEATHS.findall((await text_of(running.server.url + "/metrics"))[1])
    assert [death for death in found if death[1] != "0.0"] == [("hang", "1.0")]
    assert "a recognition worker died (hang)" in caplog.text


@pytest.mark.parametrize("fault", ["abort", "error"])
async def test_a_poisoned_track_ends_with_an_error_and_the_others_lose_nothing(
    serve: Serve, process_of: ProcessOf, fault: Fault
) -> None:
    model = process_of(ScriptedModel(SCRIPT.script, faults=((fault, POISON),)))
    running = await serve(model=model, workers=1, speech_gate=False)
    half = len(SOUND) // 2
    poisoned = Recording({"inbound": SOUND[:half] + POISON + SOUND[half:], "outbound": SOUND})
    async with (
        running.phone.call(poisoned) as call,
        running.phone.call(Recording({"inbound": SOUND, "outbound": SOUND})) as other,
    ):
        await asyncio.gather(call.play(), other.play())
        assert await call.hang_up() == 1000
        assert await other.hang_up() == 1000
        events, healthy = await running.ended(call.call_sid), await running.ended(other.call_sid)
    codes = [error["code"] for error in of(events, "stream.error")]
    assert codes[0] == "recognition_failed"
    assert codes[1:] in ([], ["audio_refused"])  # if there was audio of the track after that
    assert not of(healthy, "stream.error")
    texts = [final["text"] for final in of(events, "final") if final["track"] == "outbound"]
    assert texts[: 2 * SECONDS] == ["one two"] * (2 * SECONDS)
    assert len(of(healthy, "final")) == 4 * SECONDS
    assert any(final["track"] == "inbound" for final in of(events, "final"))


async def test_sigterm_while_the_workers_are_dead_ends_in_order(tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path), "--drain-s", "0") as child:
        url = await wait_until_ready(child)
        async with Phone(url).call() as call:
            await call.play(8000)
            below = psutil.Process(child.pid).children(recursive=True)
            for pid in workers(child.pid):
                psutil.Process(pid).kill()
            child.send_signal(signal.SIGTERM)
            assert await call.closed() == 1001
        assert await asyncio.wait_for(child.wait(), 20) == 0
        assert child.stdout is not None
        assert b"Traceback" not in await child.stdout.read()
        assert not [process for process in below if process.is_running() and process.status() != "zombie"]


@asynccontextmanager
async def _stopped(model: ModelProcess) -> AsyncIterator[None]:
    """All workers, which answer nothing until they are ended."""
    for pid in children(model.pid):
        psutil.Process(pid).suspend()
    yield
