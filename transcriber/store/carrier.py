"""Brings one stream's writes to Redis, in order and once, however long that takes.

A write is repeated until Redis says that it is there; its number makes repeats harmless. Should Redis turn out to have
lost or ended the stream, it is opened again and goes on. Meanwhile what waits is in the backlog.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from transcriber.core.record import Addition, Closing, Write, shifted
from transcriber.core.transcript import CallEnded, Event, Final, Partial, StreamStopped
from transcriber.errors import OutOfStep, StoreError
from transcriber.metrics import Metrics
from transcriber.store.backlog import Backlog
from transcriber.store.journal import Journal
from transcriber.store.leases import Lease
from transcriber.store.outlet import RedisOutlet

log = logging.getLogger(__name__)
T = TypeVar("T")

PAUSES_S = (0.05, 0.2, 0.5, 1.0)
"""Between tries of one write; the last one repeats."""
UNCLEAR_S = 0.25
"""A write that has taken so long is saved before anything else happens."""
CLOSE_S = 10.0
"""How long an end may take to be written or saved before its stream's session lets go of it."""
LEAVE_S = 5.0
"""The same when the server goes, and Redis takes what is written."""


class Carrier:
    """Implements `ports.Delivery`. All methods belong to the event loop's thread.

    `lease`: whose stream it is. `others`: the carriers of its call's other streams. `left`: nothing will be added.
    """

    def __init__(
        self,
        lease: Lease,
        backlog: Backlog,
        outlet: RedisOutlet,
        *,
        metrics: Metrics,
        others: Callable[[Lease], Iterable["Carrier"]],
        journal: Journal | None = None,
        left: bool = False,
    ) -> None:
        self.lease = lease
        self.backlog = backlog
        self._outlet = outlet
        self._metrics = metrics
        self._others = others
        self._journal = journal
        self._left = left
        self._offset_ms = 0
        self._open = self._over = self._skip = self._ended = False
        self._begun = asyncio.Event()
        """Set once Redis knew of the stream, and when it never will from here."""
        self._lost = 0
        self.trouble = ""
        """Why Redis did not take the last write, in one word; empty when it did."""
        self._tries = self._strayed = 0
        """In a row: writes that failed, and those for which Redis was out of step."""
        self._partials: dict[str, Partial] = {}
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._leaving = asyncio.Event()
        self.task = asyncio.create_task(self._run(), name=f"carrier-{lease.stream_sid}")
        for event in (self._begun, self._idle):
            self.task.add_done_callback(partial(_set, event))

    def keep(self, event: Event) -> None:
        """See `ports.Delivery`. Over the bound, or after the end, it is dropped, counted and logged."""
        if isinstance(event, Final):
            self._partials.pop(event.track, None)
        if not self._ended and self.backlog.put(Addition(self.backlog.last + 1, _now_ms(), event)):
            self._idle.clear()
            self._news.set()
        else:
            self._lose(1)

    def show(self, draft: Partial) -> None:
        """See `ports.Delivery`."""
        self._partials[draft.track] = draft
        self._news.set()

    def hear(self, track: str, payload: bytes, at: int) -> None:
        """See `ports.Delivery`."""
        if self._journal is not None:
            self._journal.hear(track, payload, at)

    async def close(self, stream: StreamStopped, call: CallEnded) -> None:
        """See `ports.Delivery`."""
        self._ended = True
        self.backlog.put(Closing(self.backlog.last + 1, _now_ms(), stream, call))
        self._idle.clear()
        self._news.set()
        await _wait(self.backlog.safe, CLOSE_S)
        if self._journal is not None:
            await self._journal.remove()

    def finish(self) -> None:
        """Nothing will be added: over as soon as nothing waits."""
        self._left = True
        self._news.set()

    def doubt(self) -> None:
        """The lease was gone: see how the store holds the stream."""
        self._open = False
        self._news.set()

    async def leave(self) -> None:
        """Deliver what Redis takes without trouble, for a while; the rest stays in the file, or is lost."""
        if not self.trouble and self.backlog.waiting:
            await _wait(self._idle, LEAVE_S)
        self._leaving.set()
        self._news.set()
        await asyncio.wait((self.task,))
        await self.backlog.aclose()
        if self.backlog.unsafe:
            self._lose(self.backlog.unsafe)

    async def _run(self) -> None:
        while not (self._over or self._leaving.is_set()):
            self._news.clear()
            head = await self.backlog.head()
            try:
                if not self._open:
                    await self._begin(head)
                elif head is not None:
                    await self._deliver(head)
                elif self._partials:
                    await self._publish()
                elif self._left:
                    break
                else:
                    self._idle.set()
                    await self.backlog.forget()
                    await self._news.wait()
            except OutOfStep as error:
                self._go_back(error)
                if self._strayed > 1:
                    await self._fail(error)
            except StoreError as error:
                await self._fail(error)
        if not self._leaving.is_set():
            await self.backlog.forget()

    async def _begin(self, head: Write | None) -> None:
        opening = self.backlog.opening
        after = self.backlog.last if head is None else head.number - 1
        self._offset_ms = await self._try(
            self._outlet.open(
                opening.call,
                opening.stream,
                at_ms=opening.at_ms,
                call_ms=opening.call_ms,
                after=after,
                seq=opening.seq,
                skip=self._skip,
            )
        )
        self._open, self._skip = True, False
        self._begun.set()
        self.backlog.opening = replace(opening, call_ms=opening.at_ms - self._offset_ms)
        self._succeed()

    async def _deliver(self, write: Write) -> None:
        match write:
            case Addition(number, _, event):
                event = shifted(event, self._offset_ms)
                await self._try(self._outlet.append(self.lease.stream_sid, number, event))
                if isinstance(event, Final):
                    self._metrics.finals.inc()
                    self._metrics.words.inc(len(event.words))
            case Closing(number, _, stream, call):
                # A stream that came before this one's end keeps the call from ending, however slow Redis is.
                for other in self._others(self.lease):
                    await other._begun.wait()
                await self._try(self._outlet.close(number, stream, call))
                self._over = True
        self.backlog.delivered()
        self._strayed = 0
        self._succeed()

    async def _publish(self) -> None:
        newest = self._partials.pop(next(iter(self._partials)))
        try:
            await self._outlet.publish(shifted(newest, self._offset_ms))
            self._metrics.partials.inc()
        except StoreError:
            self._metrics.publish_failures.inc()

    async def _try(self, writing: Awaitable[T]) -> T:
        """Never cancelled: an answer would be left on the connection."""
        task = asyncio.ensure_future(writing)
        done, _ = await asyncio.wait((task,), timeout=UNCLEAR_S)
        if not done:
            self.backlog.spill()
        return await task

    def _succeed(self) -> None:
        if self._tries:
            log.info("Redis takes what is written again; %d events wait", self.backlog.waiting)
        self._tries, self.trouble = 0, ""
        self.backlog.opening = replace(self.backlog.opening, seq=self._outlet.seq(self.lease.call_sid))

    async def _fail(self, error: StoreError) -> None:
        self._metrics.publish_failures.inc()
        self.trouble = error.reason
        self.backlog.spill()
        if not self._tries:
            log.warning("Redis does not take what is written; trying on: %s", error)
        self._tries += 1
        await _wait(self._leaving, PAUSES_S[min(self._tries, len(PAUSES_S)) - 1])

    def _go_back(self, error: OutOfStep) -> None:
        self._open = False
        self._strayed += 1
        lacking = 0 if error.written is None else self.backlog.rewind(error.written)
        self._skip = lacking > 0
        log.warning("Redis knows the stream up to write %s; %d events are lost there", error.written, lacking)

    def _lose(self, count: int) -> None:
        self._lost += count
        self._metrics.events_lost.inc(count)
        if self._lost == count or self._leaving.is_set():
            log.error("%d events of this stream are lost so far: over the bound, or after its end", self._lost)


def _set(event: asyncio.Event, _: object) -> None:
    event.set()


async def _wait(event: asyncio.Event, within_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), within_s)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
