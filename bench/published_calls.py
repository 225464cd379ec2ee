"""Live calls in real time, and all that is published of them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.audio.wav import Recording, read_recording
from transcriber.store.feed import RedisFeed
from transcriber.store.ports import PublishedEvent
from transcriber.store.redis_store import RedisStore
from transcriber.telephony.simulator import CallIds, Target, dial

START_EVERY_S = 0.37
"""Calls begin that far apart, so that their frames and chunks are spread in the same way each time."""
OFFSET_S = 6.1
"""A call that plays a sample that another one plays too begins so much later in it."""
ENDED_WITHIN_S = 60
MAX_WAITING = 100_000


@dataclass(slots=True)
class PublishedCall:
    """What was published of one call, in order, each with its moment on the monotonic clock."""

    recording: Recording
    ids: CallIds = field(default_factory=CallIds)
    began_s: float = 0.0
    """When its audio began."""
    late_s: float = 0.0
    """How late a frame of it was sent at most."""
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    """Its events in history, in the end."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


def recordings(calls: int, seconds: float) -> list[Recording]:
    """The sample calls in turn, each over and over, as long as is asked for."""
    samples = [read_recording(sample_calls.path(name)) for name in sample_calls.names()]
    found = []
    for number in range(calls):
        sample = samples[number % len(samples)]
        begin = round(OFFSET_S * (number // len(samples)) * SAMPLE_RATE_HZ) % round(sample.duration_s * SAMPLE_RATE_HZ)
        length = round(seconds * SAMPLE_RATE_HZ)
        times = -(-(begin + length) // min(map(len, sample.tracks.values())))
        found.append(
            Recording({name: (mulaw * times)[begin : begin + length] for name, mulaw in sample.tracks.items()})
        )
    return found


async def play(url: str, store: RedisStore, calls: Sequence[PublishedCall], *, speed: float = 1.0) -> None:
    """All of them, until all have ended. Raises ServerUnreachable when one is cut, TimeoutError when one has no end."""
    feed = RedisFeed(store.client, store.keys, max_waiting=MAX_WAITING)
    try:
        async with feed.follow() as messages:
            listening = asyncio.create_task(_listen(messages, {call.ids.call: call for call in calls}))
            async with asyncio.TaskGroup() as group:
                for number, call in enumerate(calls):
                    group.create_task(_dial(url, call, number * START_EVERY_S, speed))
            async with asyncio.timeout(ENDED_WITHIN_S):
                for call in calls:
                    await call.ended.wait()
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
    finally:
        await feed.aclose()
    for call in calls:
        call.kept = [json.loads(text) for text in await store.history.events(call.ids.call)]


async def _dial(url: str, call: PublishedCall, after_s: float, speed: float) -> None:
    await asyncio.sleep(after_s)

    def at(position_ms: int) -> None:
        if not call.began_s:
            call.began_s = time.monotonic() - position_ms / 1000 / speed
        call.late_s = max(call.late_s, time.monotonic() - call.began_s - position_ms / 1000 / speed)

    await dial(Target(url=url), call.recording, ids=call.ids, speed=speed, on_position=at)


async def _listen(messages: AsyncIterator[PublishedEvent], calls: dict[str, PublishedCall]) -> None:
    async for message in messages:
        if (call := calls.get(message.call_sid)) is not None:
            event = json.loads(message.json)
            call.events.append((time.monotonic(), event))
            if event["type"] == "call.ended":
                call.ended.set()
