"""Long reads of the history: how many go on at once, in which time slices, and how many rate tokens they take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from transcriber.errors import Busy
from transcriber.runtime.time_slices import SLICE_S, TimeSlices

MAX_CONCURRENT = 4
MAX_WAITING = 32
WAIT_S = 10.0
SEARCH_TOKENS = 10
EVENTS_PER_CHARGE = 100
CALLS_PER_CHARGE = 100
"""A request takes one token, and one more for so many events or calls that it may make us read."""


class ReadLimits:
    """The slots of long reads, and their time slices on the event loop. Belongs to one event loop."""

    def __init__(
        self, *, most_concurrent: int = MAX_CONCURRENT, most_waiting: int = MAX_WAITING, slice_s: float = SLICE_S
    ) -> None:
        self.time_slices = TimeSlices(slice_s=slice_s)
        self._most_waiting = most_waiting
        self._slots = asyncio.Semaphore(most_concurrent)
        self._waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One of the places for reading a history, held while it is read and written out, not while the answer is sent.

        Raises Busy: too many wait, or too long.
        """
        if self._waiting >= self._most_waiting:
            raise Busy("too many searches and transcripts are asked for at once")
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._slots.acquire()
        except TimeoutError:
            raise Busy("too many searches and transcripts are asked for at once") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()
