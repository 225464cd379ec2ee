"""How one stream's writes are tried: saved when their fate is unclear, repeated with pauses, logged."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from transcriber.errors import StoreError
from transcriber.observability.metrics import Metrics
from transcriber.outbox.spool import StreamSpool

log = logging.getLogger(__name__)
T = TypeVar("T")
PAUSES_S = (0.05, 0.2, 0.5, 1.0)
"""Between tries of one write; the last one repeats."""
SLOW_WRITE_S = 0.25
"""A write that has taken so long is saved before anything else happens."""


class WriteRetry:
    """One stream's; its writes wait in the spool."""

    def __init__(self, spool: StreamSpool, metrics: Metrics) -> None:
        self._spool = spool
        self._metrics = metrics
        self._tries = 0
        self.failure = ""
        """Why the store did not take the last write, in one word; empty when it did."""
        self.has_failed = False
        """Whether any write ever failed."""

    async def attempt(self, writing: Awaitable[T]) -> T:
        """Never cancelled: an answer would be left on the connection."""
        began_s = time.monotonic()
        task = asyncio.ensure_future(writing)
        done, _ = await asyncio.wait((task,), timeout=SLOW_WRITE_S)
        if not done:
            self._spool.spill()
        answer = await task
        self._metrics.write_seconds.observe(time.monotonic() - began_s)
        return answer

    def succeeded(self) -> None:
        """The store took a write."""
        if self._tries:
            log.info("Redis takes what is written again; %d events wait", self._spool.waiting)
        self._tries, self.failure = 0, ""

    async def failed(self, error: StoreError, stopping: asyncio.Event) -> None:
        """It did not: return when it is time for the next try, or when we leave."""
        self._metrics.publish_failures.inc()
        self.failure = error.reason
        self._spool.spill()
        if not self._tries:
            log.warning("Redis does not take what is written; trying on: %s", error)
        self._tries += 1
        self.has_failed = True
        await wait_for(stopping, PAUSES_S[min(self._tries, len(PAUSES_S)) - 1])


async def wait_for(event: asyncio.Event, within_s: float) -> None:
    """Return when the event is set, at the latest after so long."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), within_s)
