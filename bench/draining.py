"""SIGTERM under live calls, for `bench.chaos`: compared with the audio that was received, played without trouble."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence

import aiohttp

from bench.dialling import REFUSED, try_to_dial
from bench.stage import Event, Finals, Stage, Verdict, compare, finals, until
from transcriber.errors import CallNotFound
from transcriber.runtime import child_process
from transcriber.store.redis_store import RedisStore
from transcriber.telephony.simulator import CallIds, MessageBuilder, Target, connect, frames

STOPPING = re.compile(r"stopping: \d+ live streams")
SAID_S = 10.0
LONG_S = 3600
"""A drain that nobody waits for to its end."""


async def sigterm(stage: Stage, _: Finals) -> Verdict:
    """SIGTERM: every other call goes on to its end, the rest until the drain is over. Delay: from there to the exit."""
    return await _terminated(stage, max(1, round(stage.plan.outage_s / 2)))


async def sigterm_twice(stage: Stage, _: Finals) -> Verdict:
    """The same with an hour to drain, and a second SIGTERM. Delay: from that to the exit."""
    return await _terminated(stage, LONG_S)


async def _terminated(stage: Stage, drain_s: int) -> Verdict:
    async with stage.store() as store:
        async with stage.server("data", "--drain-s", str(drain_s)) as (server, url), stage.playing(url) as calls:
            await stage.spoken(store)
            over_s = _terminate(server) + drain_s
            asked_ms = dict(stage.played_ms)
            await server.wait_for_line(STOPPING, within_s=SAID_S)
            answer = await _answer(url)
            await asyncio.sleep(stage.plan.outage_s / 4)
            for ids in stage.ids[::2]:
                stage.leaving[ids.call].set()
            if drain_s == LONG_S:
                await until(lambda: _closed(store, stage.ids[::2]))
                over_s = _terminate(server)
            ends = await calls
            await until(lambda: _gone(server))
            delay_s = time.monotonic() - over_s
        history = await stage.history(store)
        expected = await _said_alone(stage, store, history)
        problems = _problems(ends, history, asked_ms)
        if answer != REFUSED:
            problems.append(f"a new call was answered with {answer}")
        if server.exit_status != 0:
            problems.append(f"exit status {server.exit_status}")
        return compare(expected, history, delay_s, problems)


def _terminate(server: child_process.ChildProcess) -> float:
    os.kill(server.pid, signal.SIGTERM)
    return time.monotonic()


async def _answer(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        return await try_to_dial(session, Target(url=url))


async def _gone(server: child_process.ChildProcess) -> bool:
    return server.exit_status is not None


async def _closed(store: RedisStore, calls: Sequence[CallIds]) -> bool:
    try:
        return all([(await store.history.call(ids.call))["status"] == "ended" for ids in calls])
    except CallNotFound:
        return False


def _problems(
    ends: Sequence[BaseException | None], history: Sequence[Sequence[Event]], asked_ms: Mapping[str, int]
) -> list[str]:
    """What is amiss: who hangs up gets 1000 and `stop`, the others 1001 and `shutdown`; all go on after the signal."""
    found = []
    for number, (end, events) in enumerate(zip(ends, history, strict=True)):
        hung_up = number % 2 == 0
        if (end is None) != hung_up or (end is not None and "close code 1001" not in str(end)):
            found.append(f"call {number}: {end or 'closed with 1000'}")
        reason = events[-1].get("reason", events[-1]["type"])
        if reason != ("stop" if hung_up else "shutdown"):
            found.append(f"call {number} ended with {reason}")
        if min(_received_ms(events).values(), default=0) <= asked_ms[events[0]["call_sid"]]:
            found.append(f"call {number} did not go on after the signal")
    return found


def _received_ms(events: Sequence[Event]) -> Mapping[str, int]:
    """Audio of the stream by track, as the server counted it; empty if the stream's end is missing."""
    return next((event["audio_ms"] for event in events if event["type"] == "stream.stopped"), {})


async def _said_alone(stage: Stage, store: RedisStore, history: Sequence[Sequence[Event]]) -> list[Finals]:
    """What each call says when the very audio that was received is played to a server that nobody stops."""
    again = [CallIds() for _ in history]
    async with stage.server("reference") as (_, url):
        received = [_received_ms(events) for events in history]
        await asyncio.gather(*(_repeat(stage, url, ids, ms) for ids, ms in zip(again, received, strict=True)))
        await until(lambda: _closed(store, again))
        return [finals(await _events(store, ids)) for ids in again]


async def _repeat(stage: Stage, url: str, ids: CallIds, received_ms: Mapping[str, int]) -> None:
    messages = MessageBuilder(ids, list(stage.recording.tracks))
    async with connect(Target(url=url)) as client:
        await client.send(messages.connected())
        await client.send(messages.start())
        for frame in frames(stage.recording):
            if frame.end_ms <= received_ms.get(frame.track, 0):
                await client.send(messages.media(frame))
        await client.send(messages.stop())
        await client.closed(within_s=60)


async def _events(store: RedisStore, ids: CallIds) -> list[Event]:
    return [json.loads(text) for text in await store.history.events(ids.call)]
