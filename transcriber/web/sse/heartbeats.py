"""What keeps an event stream alive while there is nothing to send: heartbeats, and pauses between two tries."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

from aiohttp import web

from transcriber.runtime.cancellation import cancel
from transcriber.store.ports import PublishedEvent
from transcriber.web.sse.response import SseResponse

CLOSING = web.AppKey("closing", asyncio.Event)
"""Set when the server goes down: readers are let go then, to come back elsewhere with their Last-Event-ID."""
UNAVAILABLE = "live events are not available ({}); trying again"


async def with_heartbeats(
    messages: AsyncIterator[PublishedEvent], *, every_s: float, closing: asyncio.Event
) -> AsyncGenerator[PublishedEvent | None, None]:
    """The messages, None whenever none came for `every_s` seconds; ends with them or when the server closes."""

    async def following() -> PublishedEvent | None:
        return await anext(messages, None)

    closed = asyncio.create_task(closing.wait())
    upcoming = asyncio.create_task(following())
    try:
        while True:
            done, _ = await asyncio.wait({upcoming, closed}, timeout=every_s, return_when=asyncio.FIRST_COMPLETED)
            if closed in done:
                return
            if upcoming in done:
                message = upcoming.result()
                if message is None:
                    return
                upcoming = asyncio.create_task(following())
                yield message
            else:
                yield None
    finally:
        await cancel(upcoming, closed)


async def pause(answer: SseResponse, closing: asyncio.Event, pause_s: float) -> None:
    """Between two tries; a reader who left is noticed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(pause_s):
            await closing.wait()
    await answer.heartbeat()
