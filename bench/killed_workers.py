"""Recognition workers killed under live calls, for `bench.chaos`: in every way, and at the worst moments.

The process that holds the model is killed, too. The delay counts from the last trouble until all calls have ended.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bench.process_tree import is_alive, model_process, replaced, workers
from bench.stage import UNSAVED_S, Finals, Stage, Verdict, compare, kill, until

TIMES = 4
BEGUN_S = 0.1
Trouble = Callable[[int], Awaitable[None]]
"""To the processes of a server, by its pid."""


async def worker_killed(stage: Stage, wanted: Finals) -> Verdict:
    """Workers are killed with -9, one after the other."""
    return await _in_speech(stage, wanted, lambda server: _each_in_turn(stage, server, signal.SIGKILL))


async def worker_aborted(stage: Stage, wanted: Finals) -> Verdict:
    """Workers end as by an assertion in native code."""
    return await _in_speech(stage, wanted, lambda server: _each_in_turn(stage, server, signal.SIGABRT))


async def worker_stopped(stage: Stage, wanted: Finals) -> Verdict:
    """Workers are stopped with SIGSTOP: sockets stay open, nothing answers."""
    return await _in_speech(stage, wanted, lambda server: _each_in_turn(stage, server, signal.SIGSTOP))


async def worker_killed_twice(stage: Stage, wanted: Finals) -> Verdict:
    """The worker that hears the audio again is killed at once, and so is the next one."""

    async def trouble(server: int) -> None:
        for _ in range(TIMES):
            for _ in range(3):
                before = workers(server)
                for pid in before:
                    os.kill(pid, signal.SIGKILL)
                await replaced(server, before)
            await asyncio.sleep(stage.plan.outage_s / TIMES)

    return await _in_speech(stage, wanted, trouble)


async def model_process_killed(stage: Stage, wanted: Finals) -> Verdict:
    """The process that holds the model is killed, and its workers if they outlive it: the model is loaded again."""

    async def trouble(server: int) -> None:
        for _ in range(2):
            await _end_model_process(server, signal.SIGKILL)

    return await _in_speech(stage, wanted, trouble)


async def model_process_stopped(stage: Stage, wanted: Finals) -> Verdict:
    """The process that holds the model is stopped, and its workers are killed: it can give no other ones."""
    return await _in_speech(stage, wanted, lambda server: _end_model_process(server, signal.SIGSTOP))


async def _end_model_process(server: int, number: signal.Signals) -> None:
    """With its workers; until there is another one, with as many workers."""
    model, before = model_process(server), workers(server)
    assert model is not None
    os.kill(model, number)
    for pid in before:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await replaced(server, before)
    await until(lambda: _is_gone(model))


async def _is_gone(pid: int) -> bool:
    return not is_alive(pid)


async def worker_killed_at_the_end(stage: Stage, wanted: Finals) -> Verdict:
    """The workers are killed between a call's `stop` and its end, with its last words."""
    async with stage.server() as (server, url), stage.store() as store, stage.playing(url) as calls:
        await until(lambda: _played(stage, stage.recording.duration_s - BEGUN_S * stage.plan.speed))
        there = workers(server.pid)
        for pid in there:
            os.kill(pid, signal.SIGSTOP)  # so that they cannot be done before they are killed
        await until(lambda: _played(stage, stage.recording.duration_s))
        await asyncio.sleep(BEGUN_S)
        for pid in there:
            os.kill(pid, signal.SIGKILL)
        began_s = time.monotonic()
        _raise_first(await calls)
        await stage.ended(store)
        return compare([wanted] * stage.plan.calls, await stage.history(store), time.monotonic() - began_s)


async def worker_killed_in_recovery(stage: Stage, wanted: Finals) -> Verdict:
    """The server is killed, and while its next start transcribes the journal, the workers of that are killed, too."""
    async with stage.store() as store:
        async with stage.server("data", "--journal", "1") as (server, url), stage.playing(url) as calls:
            await stage.spoken(store)
            await asyncio.sleep(stage.plan.outage_s)
            kill(server)
            await calls
        expected = [
            [final for final in wanted if final[3] < stage.played_ms[ids.call] - UNSAVED_S * 1000 * stage.plan.speed]
            for ids in stage.ids
        ]
        async with stage.server() as (server, _):
            for _ in range(TIMES):
                for pid in workers(server.pid):
                    os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(BEGUN_S)
            began_s = time.monotonic()
            await stage.ended(store)
            return compare(expected, await stage.history(store), time.monotonic() - began_s)


async def _in_speech(stage: Stage, wanted: Finals, trouble: Trouble) -> Verdict:
    async with stage.server() as (server, url), stage.store() as store, stage.playing(url) as calls:
        await stage.spoken(store)
        await trouble(server.pid)
        began_s = time.monotonic()
        _raise_first(await calls)
        await stage.ended(store)
        return compare([wanted] * stage.plan.calls, await stage.history(store), time.monotonic() - began_s)


async def _each_in_turn(stage: Stage, server: int, number: signal.Signals) -> None:
    for turn in range(TIMES):
        before = workers(server)
        os.kill(before[turn % len(before)], number)
        await replaced(server, before)
        await asyncio.sleep(stage.plan.outage_s / TIMES)


async def _played(stage: Stage, seconds: float) -> bool:
    return all(played_ms >= seconds * 1000 for played_ms in stage.played_ms.values())


def _raise_first(ends: list[BaseException | None]) -> None:
    problems = [problem for problem in ends if problem is not None]
    if problems:
        raise problems[0]
