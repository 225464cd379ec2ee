"""Brings one stream's writes to Redis, in order and once, however long that takes.

A write is repeated until Redis says that it is there; its number makes repeats harmless. Should Redis turn out to have
lost or ended the stream, it is opened again and goes on. Meanwhile what waits is in the backlog.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from transcriber.core.record import Addition, Closing, Write, shifted
from transcriber.core.transcript import CallEnded, Event, Final, Partial, StreamStopped
from transcriber.errors import OutOfStep, StoreError
from transcriber.metrics import Metrics
from transcriber.store.backlog import Backlog
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
"""How long what is left may take to be written when the server goes and Redis is there."""


class Courier:
    """Implements `ports.Delivery`. All methods belong to the event loop's thread.

    `lease`: whose stream it is. `others`: the couriers of its call's other streams. `left`: its server is
    dead, nothing will be added.
    """

    def __init__(
        self,
        lease: Lease,
        backlog: Backlog,
        outlet: RedisOutlet,
        *,
        metrics: Metrics,
        others: Callable[[Lease], Iterable["Courier"]],
        left: bool = False,
    ) -> None:
        self.lease = lease
        self.backlog = backlog
        self._outlet = outlet
        self._metrics = metrics
        self._others = others
        self._left = left
        self._number = backlog.last
        """Of the last write taken."""
        self._offset_ms = 0
        self._open = self._over = self._skip = False
        self._begun = asyncio.Event()
        """Set once Redis knew of the stream, and when it never will from here."""
        self._lost = 0
        self._tries = self._strayed = 0
        """In a row: writes that failed, and those for which Redis was out of step."""
        self._partials: dict[str, Partial] = {}
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._leaving = asyncio.Event()
        self.task = asyncio.create_task(self._run(), name=f"courier-{lease.stream_sid}")
        self.task.add_done_callback(lambda _: self._begun.set())

    @property
    def in_trouble(self) -> bool:
        """Whether Redis did not take the last write."""
        return self._tries > 0

    def keep(self, event: Event) -> None:
        """See `ports.Delivery`. Over the bound it is dropped, counted and logged."""
        if isinstance(event, Final):
            self._partials.pop(event.track, None)
        if self.backlog.put(Addition(self._number + 1, _now_ms(), event)):
            self._number += 1
            self._idle.clear()
            self._news.set()
        else:
            self._lose(1)

    def show(self, partial: Partial) -> None:
        """See `ports.Delivery`."""
        self._partials[partial.track] = partial
        self._news.set()

    async def close(self, stream: StreamStopped, call: CallEnded) -> None:
        """See `ports.Delivery`."""
        self._number += 1
        self.backlog.put(Closing(self._number, _now_ms(), stream, call))
        self._idle.clear()
        self._news.set()
        safe = asyncio.create_task(self.backlog.safe.wait())
        await asyncio.wait((self.task, safe), timeout=CLOSE_S, return_when=asyncio.FIRST_COMPLETED)
        safe.cancel()

    def doubt(self) -> None:
        """The lease was gone: see how the store holds the stream."""
        self._open = False
        self._news.set()

    async def leave(self) -> None:
        """Deliver what Redis takes without trouble, for a while; the rest stays in the file, or is lost."""
        if not self.in_trouble and self.backlog.waiting:
            idle = asyncio.create_task(self._idle.wait())
            await asyncio.wait((self.task, idle), timeout=LEAVE_S, return_when=asyncio.FIRST_COMPLETED)
            idle.cancel()
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
                    await self._rest()
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
        after = self._number if head is None else head.number - 1
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
        self._succeed(call_ms=opening.at_ms - self._offset_ms)

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
        partial = self._partials.pop(next(iter(self._partials)))
        try:
            await self._outlet.publish(shifted(partial, self._offset_ms))
            self._metrics.partials.inc()
        except StoreError:
            self._metrics.publish_failures.inc()

    async def _rest(self) -> None:
        self._idle.set()
        if self.backlog.in_file:
            await self.backlog.forget()
        await self._news.wait()

    async def _try(self, writing: Awaitable[T]) -> T:
        """Never cancelled: an answer would be left on the connection."""
        task = asyncio.ensure_future(writing)
        done, _ = await asyncio.wait((task,), timeout=UNCLEAR_S)
        if not done:
            self.backlog.spill()
        return await task

    def _succeed(self, *, call_ms: int | None = None) -> None:
        if self._tries:
            log.info("Redis takes what is written again; %d events wait", self.backlog.waiting)
        self._tries = 0
        opening = self.backlog.opening
        self.backlog.opening = replace(
            opening,
            seq=self._outlet.seq(self.lease.call_sid),
            call_ms=opening.call_ms if call_ms is None else call_ms,
        )

    async def _fail(self, error: StoreError) -> None:
        self._metrics.publish_failures.inc()
        self.backlog.spill()
        if not self._tries:
            log.warning("Redis does not take what is written; trying on: %s", error)
        pause_s = PAUSES_S[min(self._tries, len(PAUSES_S) - 1)]
        self._tries += 1
        waiting = asyncio.create_task(self._leaving.wait())
        await asyncio.wait((waiting,), timeout=pause_s)
        waiting.cancel()

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
            log.error("%d events of this stream are lost so far: neither Redis nor the disk takes them", self._lost)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
