"""Writes one stream's story, in order: what was noted becomes events, and events go to the outlet.

One task writes; whoever notes never waits. The outlet says where the stream lies on the call's clock. No partial passes
by what must be kept, and of the partials only a track's newest waits.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from transcriber.core.identity import Fact, Identity
from transcriber.core.transcript import Event, Final, iso_time
from transcriber.core.utterance import Draft, Utterance
from transcriber.errors import StoreError
from transcriber.metrics import Metrics
from transcriber.ports import Outlet

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_WAITING = 10_000
"""Facts that wait for Redis, per stream. Beyond it new ones are dropped, counted and logged as an error."""
RETRY_S = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Pauses between tries of one write; the last one repeats."""


class Scribe:
    """The writer of one stream. All methods belong to the event loop's thread."""

    def __init__(self, identity: Identity, outlet: Outlet, *, metrics: Metrics) -> None:
        self.lost = 0
        """Facts that were not written: dropped over the bound, or left when time was up."""
        self._identity = identity
        self._outlet = outlet
        self._metrics = metrics
        self._started_ms = time.time_ns() // 1_000_000
        self._facts: deque[tuple[Fact, str, str]] = deque()
        self._drafts: dict[str, Draft] = {}
        self._news = asyncio.Event()
        self._ending: tuple[str, Mapping[str, int], Mapping[str, int]] | None = None
        self._given_up = False
        self._offset_ms = 0
        self._written = 0
        self._task = asyncio.create_task(self._write(), name=f"scribe-{identity.start.stream_sid}")

    def note(self, fact: Fact, track: str = "") -> None:
        """Something to be kept and published. It makes the track's waiting draft stale if it is an utterance."""
        if isinstance(fact, Utterance):
            self._drafts.pop(track, None)
        if len(self._facts) >= MOST_WAITING:
            self._lose(1)
            return
        self._facts.append((fact, track, _now()))
        self._news.set()

    def sketch(self, draft: Draft, track: str) -> None:
        """Something to be published only; replaces what waits of the same track."""
        self._drafts[track] = draft
        self._news.set()

    async def close(self, reason: str, *, audio_ms: Mapping[str, int], faults: Mapping[str, int]) -> None:
        """Write what is left and the end of the stream."""
        self._ending = (reason, audio_ms, faults)
        self._news.set()
        await self._task

    def abandon(self) -> None:
        """Time is up: what was not written is counted and logged."""
        self._given_up = True
        self._task.cancel()
        self._lose(len(self._facts) + 1)

    async def _write(self) -> None:
        self._offset_ms = await self._persist(self._open)
        while self._ending is None or self._facts:
            await self._news.wait()
            self._news.clear()
            await self._write_facts()
            await self._write_drafts()
        await self._persist(self._close)

    async def _write_facts(self) -> None:
        while self._facts:
            fact, track, at = self._facts[0]
            event = self._identity.event(fact, track, at=at, offset_ms=self._offset_ms)
            number = self._written + 1

            async def append(event: Event = event, number: int = number) -> None:
                await self._outlet.append(self._identity.start.stream_sid, number, event)

            await self._persist(append)
            self._written = number
            self._facts.popleft()
            if isinstance(event, Final):
                self._metrics.finals.inc()
                self._metrics.words.inc(len(event.words))

    async def _write_drafts(self) -> None:
        while self._drafts and not self._facts:
            track = next(iter(self._drafts))
            draft = self._drafts.pop(track)
            partial = self._identity.partial(draft, track, at=_now(), offset_ms=self._offset_ms)
            try:
                await self._outlet.publish(partial)
                self._metrics.partials.inc()
            except StoreError:
                self._metrics.publish_failures.inc()

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Repeat a write until it succeeds or time is up. A cancellation alone can be lost inside a command."""
        tries = 0
        while not self._given_up:
            try:
                return await write()
            except StoreError as error:
                self._metrics.publish_failures.inc()
                if tries == 0:
                    log.warning("Redis does not take what is written; trying on: %s", error)
                await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
        raise asyncio.CancelledError

    def _lose(self, count: int) -> None:
        first = not self.lost
        self.lost += count
        self._metrics.events_lost.inc(count)
        if first or self._given_up:
            log.error("%d events of this stream are lost so far: Redis is away too long", self.lost)

    async def _open(self) -> int:
        call, stream = self._identity.started(_now())
        return await self._outlet.open(call, stream, at_ms=self._started_ms)

    async def _close(self) -> None:
        reason, audio_ms, faults = self._ending or ("", {}, {})
        stream, call = self._identity.stopped(reason, audio_ms=audio_ms, errors=faults, at=_now())
        await self._outlet.close(self._written + 1, stream, call)


def _now() -> str:
    return iso_time(time.time())
