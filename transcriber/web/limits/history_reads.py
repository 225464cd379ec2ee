"""Reading histories at length: how many do it at once, in which turns, and what it costs those who ask."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from transcriber.errors import Busy
from transcriber.runtime.time_slices import TimeSlices

AT_ONCE = 4
MOST_WAITING = 32
WAIT_S = 10.0
SEARCH_COST = 10
EVENTS_FOR_ONE = 100
CALLS_FOR_ONE = 100
"""A request costs one, and one more for so many events or calls that it may make us read."""


class ReadLimits:
    """The places of those who read, and their turns on the loop. Belongs to one event loop."""

    def __init__(self, *, at_once: int = AT_ONCE, most_waiting: int = MOST_WAITING) -> None:
        self.turns = TimeSlices()
        self._most_waiting = most_waiting
        self._places = asyncio.Semaphore(at_once)
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Held while a history is read and written out, not while the answer is sent. Raises Busy: too many wait, or

        too long.
        """
        if self._waiting >= self._most_waiting:
            raise Busy("too many searches and transcripts are asked for at once")
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._places.acquire()
        except TimeoutError:
            raise Busy("too many searches and transcripts are asked for at once") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()


READING = web.AppKey("reading", ReadLimits)
