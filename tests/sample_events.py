"""Events of an invented call, for the tests of the store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from redis.asyncio.client import PubSub

from transcriber.events.schema import (
    CallEnded,
    CallStarted,
    Dtmf,
    Event,
    Final,
    Gap,
    Partial,
    StreamStarted,
    StreamStopped,
    Word,
)
from transcriber.store.leases import Lease
from transcriber.store.redis_store import RedisStore

AT = "2026-11-23T05:20:00.123Z"
STARTED_MS = 1_795_411_200_123
"""AT in epoch milliseconds."""


def call_started(call_sid: str) -> CallStarted:
    return CallStarted(call_sid=call_sid, account_sid="AC1", resumed=False, at=AT)


def stream_started(call_sid: str, stream_sid: str = "MZ1", *, track: str = "inbound") -> StreamStarted:
    return StreamStarted(
        call_sid=call_sid,
        stream_sid=stream_sid,
        tracks=(track,),
        speakers={track: f"{track} speaker"},
        start_ms=0,
        language="en",
        model="en-demo",
        parameters={f"asked_by_{track}": "yes"},
        at=AT,
    )


def final(call_sid: str, text: str = "two words", *, stream_sid: str = "MZ1", track: str = "inbound") -> Final:
    words = tuple(Word(word, 100, 200, 0.9) for word in text.split())
    return Final(
        call_sid=call_sid,
        stream_sid=stream_sid,
        track=track,
        speaker="caller",
        utterance=1,
        text=text,
        start_ms=100,
        end_ms=1100,
        confidence=0.9,
        words=words,
        language="en",
        model="en-demo",
        at=AT,
    )


def partial(call_sid: str, text: str = "two") -> Partial:
    return Partial(
        call_sid=call_sid,
        stream_sid="MZ1",
        track="inbound",
        speaker="caller",
        utterance=1,
        revision=1,
        text=text,
        stable=0,
        start_ms=100,
        end_ms=500,
        language="en",
        model="en-demo",
        at=AT,
    )


def dtmf(call_sid: str) -> Dtmf:
    return Dtmf(call_sid=call_sid, stream_sid="MZ1", track="inbound", digit="5", start_ms=10, at=AT)


def gap(call_sid: str) -> Gap:
    return Gap(call_sid=call_sid, stream_sid="MZ1", track="inbound", from_ms=100, to_ms=340, at=AT)


def stream_stopped(call_sid: str, stream_sid: str = "MZ1", *, track: str = "inbound") -> StreamStopped:
    return StreamStopped(
        call_sid=call_sid,
        stream_sid=stream_sid,
        reason="stop",
        audio_ms={track: 2000},
        errors={"bad_base64": 2, "unknown_event": 1},
        at=AT,
    )


def call_ended(call_sid: str, *, at: str = "2026-11-23T05:20:05.123Z") -> CallEnded:
    return CallEnded(call_sid=call_sid, reason="stop", at=at)


def lease_of(store: RedisStore, call_sid: str, stream_sid: str = "MZ1") -> Lease:
    """Of a stream that this store's server writes."""
    return Lease(store.owner, call_sid, stream_sid)


async def opened(store: RedisStore, call_sid: str, stream_sid: str = "MZ1", *, at_ms: int = STARTED_MS) -> int:
    call, stream = call_started(call_sid), stream_started(call_sid, stream_sid)
    return await store.event_log.open(lease_of(store, call_sid, stream_sid), call, stream, at_ms=at_ms)


async def append(store: RedisStore, number: int, event: Event, *, stream_sid: str = "MZ1") -> None:
    await store.event_log.append(lease_of(store, event.call_sid, stream_sid), number, event)


async def closed(store: RedisStore, call_sid: str, stream_sid: str = "MZ1", *, number: int = 1) -> bool:
    lease = lease_of(store, call_sid, stream_sid)
    return await store.event_log.close(lease, number, stream_stopped(call_sid, stream_sid), call_ended(call_sid))


async def ended_call(store: RedisStore, call_sid: str, *, at_ms: int = STARTED_MS) -> None:
    await opened(store, call_sid, at_ms=at_ms)
    await closed(store, call_sid)


@asynccontextmanager
async def subscribed(store: RedisStore, pattern: str) -> AsyncIterator[PubSub]:
    """A confirmed PSUBSCRIBE of somebody who knows only the documented names."""
    pubsub = store.client.pubsub()
    await pubsub.psubscribe(pattern)
    assert (await pubsub.get_message(timeout=5))["type"] == "psubscribe"
    yield pubsub
    await pubsub.aclose()  # type: ignore[no-untyped-call]


async def received(pubsub: PubSub, count: int) -> list[tuple[str, str]]:
    """The next messages as (channel, data)."""
    found: list[tuple[str, str]] = []
    while len(found) < count:
        message = await pubsub.get_message(timeout=5)
        assert message is not None, f"only {len(found)} of {count} messages came"
        found.append((message["channel"], message["data"]))
    return found


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 10.0) -> None:
    """Return as soon as the condition holds; TimeoutError if it never does."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110  what is waited for happens in another process
            await asyncio.sleep(0.01)
