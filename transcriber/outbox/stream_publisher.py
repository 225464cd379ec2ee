"""Brings one stream's writes to Redis, in order and once, however long that takes.

A write is repeated until Redis says that it is there; its number makes repeats harmless. Should Redis turn out to have
lost or ended the stream, it is opened again and goes on. Meanwhile what waits is in the backlog. Should the sid be
another server's stream, this one is refused, if it has just begun, or goes on by another name.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from transcriber.errors import CallDeleted, StoreError, StreamStateMismatch, StreamTaken
from transcriber.events.schema import CallEnded, Event, Final, Partial, StreamStopped, iso_time
from transcriber.observability.metrics import Metrics
from transcriber.outbox.audio_journal import AudioJournal
from transcriber.outbox.dropped_events import DroppedEvents
from transcriber.outbox.pending_partials import PendingPartials
from transcriber.outbox.ports import Refusal, Refuse
from transcriber.outbox.spool import StreamSpool
from transcriber.outbox.stream_naming import duplicate_error, named, renamed
from transcriber.outbox.stream_writes import EventAppended, StreamClosed, Write, shifted
from transcriber.outbox.write_retry import WriteRetry, wait
from transcriber.store.event_log import RedisEventLog
from transcriber.store.leases import Lease, other_name

log = logging.getLogger(__name__)
E = TypeVar("E", bound=Event)
CLOSE_S = 10.0
"""How long an end may take to be written or saved before its stream's session lets go of it."""
LEAVE_S = 5.0
"""The same when the server goes, and Redis takes what is written."""


class StreamPublisher:
    """Implements `ports.Delivery`. All methods belong to the event loop's thread.

    `lease`: whose stream it is. `others`: the carriers of its call's other streams. `left`: nothing will be added.
    `refuse`: see `ports.Outbox`.
    """

    def __init__(
        self,
        lease: Lease,
        backlog: StreamSpool,
        outlet: RedisEventLog,
        *,
        metrics: Metrics,
        others: Callable[[Lease], Iterable["StreamPublisher"]],
        journal: AudioJournal | None = None,
        left: bool = False,
        refuse: Refuse | None = None,
    ) -> None:
        self.lease = lease
        self.backlog = backlog
        self._outlet = outlet
        self._metrics = metrics
        self._others = others
        self._journal = journal
        self._left = left
        self._refuse = refuse
        self._offset_ms = 0
        self._open = self._over = self._skip = self._ended = False
        self.begun = asyncio.Event()
        """Set once Redis knew of the stream, and when it never will from here."""
        self._losses = DroppedEvents(metrics)
        self._patience = WriteRetry(backlog, metrics)
        self._strayed = 0
        """Writes in a row for which Redis was out of step."""
        self.refused: Refusal | None = None
        self._drafts = PendingPartials(outlet, metrics)
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._leaving = asyncio.Event()
        self.task = asyncio.create_task(self._run(), name=f"carrier-{lease.stream_sid}")
        for event in (self.begun, self._idle):
            self.task.add_done_callback(partial(_set, event))

    @property
    def trouble(self) -> str:
        """Why Redis did not take the last write, in one word; empty when it did."""
        return self._patience.trouble

    def send(self, event: Event) -> None:
        """See `ports.Delivery`. Over the bound, or after the end, it is dropped, counted and logged."""
        if self.refused:
            return
        if isinstance(event, Final):
            self._drafts.withdraw(event.track)
        if not self._ended and self.backlog.put(EventAppended(self.backlog.last + 1, _now_ms(), event)):
            self._idle.clear()
            self._news.set()
        else:
            self._losses.add(1)

    def send_partial(self, draft: Partial) -> None:
        """See `ports.Delivery`."""
        self._drafts.put(draft)
        self._news.set()

    def record_audio(self, track: str, payload: bytes, at: int) -> None:
        """See `ports.Delivery`."""
        if self._journal is not None:
            self._journal.record(track, payload, at)

    async def close(self, stream: StreamStopped, call: CallEnded) -> None:
        """See `ports.Delivery`."""
        self._ended = True
        if not self.refused:
            self.backlog.put(StreamClosed(self.backlog.last + 1, _now_ms(), stream, call))
            self._idle.clear()
            self._news.set()
            await wait(self.backlog.safe, CLOSE_S)
        if self._journal is not None:
            await self._journal.remove()

    def finish(self) -> None:
        """Nothing will be added: over as soon as nothing waits."""
        self._left = True
        self._news.set()

    def verify(self) -> None:
        """The lease was gone: see how the store holds the stream."""
        self._open = False
        self._news.set()

    async def leave(self) -> None:
        """Deliver what Redis takes without trouble, for a while; the rest stays in the file, or is lost."""
        if not self.trouble and self.backlog.waiting:
            await wait(self._idle, LEAVE_S)
        self._leaving.set()
        self._news.set()
        await asyncio.wait((self.task,))
        await self.backlog.aclose()
        if self.backlog.unsafe:
            self._losses.add(self.backlog.unsafe, last=True)

    async def _run(self) -> None:
        while not (self._over or self._leaving.is_set()):
            self._news.clear()
            try:
                await self._step(await self.backlog.head())
            except StreamStateMismatch as error:
                self._go_back(error)
                if self._strayed > 1:
                    await self._patience.failed(error, self._leaving)
            except StreamTaken:
                await self._give_way()
            except CallDeleted:
                await self._drop("deleted")
            except StoreError as error:
                await self._patience.failed(error, self._leaving)
        if not self._leaving.is_set():
            await self.backlog.forget()

    async def _step(self, head: Write | None) -> None:
        if not self._open:
            await self._begin(head)
        elif head is not None:
            await self._deliver(head)
        elif self._drafts:
            await self._drafts.publish(self._placed)
        elif self._left:
            self._over = True
        else:
            self._idle.set()
            await self.backlog.forget()
            await self._news.wait()

    async def _begin(self, head: Write | None) -> None:
        opening = self.backlog.opening
        after = self.backlog.last if head is None else head.number - 1
        begin = partial(self._outlet.open, opening.call, opening.stream, at_ms=opening.at_ms, call_ms=opening.call_ms)
        self._offset_ms = await self._patience.attempt(begin(after=after, seq=opening.seq, skip=self._skip))
        self._open, self._skip = True, False
        self.begun.set()
        self.backlog.opening = replace(opening, call_ms=opening.at_ms - self._offset_ms)
        self._succeed()

    async def _deliver(self, write: Write) -> None:
        match write:
            case EventAppended(number, _, event):
                placed = self._placed(event)
                await self._patience.attempt(self._outlet.append(self.lease.stream_sid, number, placed))
                if isinstance(event, Final):
                    self._metrics.finals.inc()
                    self._metrics.words.inc(len(event.words))
            case StreamClosed(number, _, stream, call):
                # A stream that came before this one's end keeps the call from ending, however slow Redis is.
                for other in self._others(self.lease):
                    await other.begun.wait()
                await self._patience.attempt(self._outlet.close(number, self._placed(stream), call))
                self._over = True
        self.backlog.delivered()
        self._strayed = 0
        self._succeed()

    def _placed(self, event: E) -> E:
        """The event on the call's clock, by the stream's name."""
        return named(shifted(event, self._offset_ms), self.lease.stream_sid)

    def _succeed(self) -> None:
        self._patience.succeeded()
        self.backlog.opening = replace(self.backlog.opening, seq=self._outlet.seq(self.lease.call_sid))

    def _go_back(self, error: StreamStateMismatch) -> None:
        self._open = False
        self._strayed += 1
        lacking = 0 if error.written is None else self.backlog.rewind(error.written)
        self._skip = lacking > 0
        log.warning("Redis knows the stream up to write %s; %d events are lost there", error.written, lacking)

    async def _give_way(self) -> None:
        """The sid is another server's stream: refuse ours if nothing of it was heard yet, else call it otherwise."""
        self._open = False
        if self._refuse is not None and not (self.begun.is_set() or self._patience.ever):
            self._metrics.duplicate_streams.labels("refused").inc()
            await self._drop("duplicate")
            return
        self.lease = other_name(self.lease)
        self.backlog.opening = renamed(self.backlog.opening, self.lease.stream_sid)
        self._metrics.duplicate_streams.labels("renamed").inc()
        log.error("another server has a stream of this sid: what was heard here is kept as %s", self.lease.stream_sid)
        if not (self._ended or self._left):
            self.send(duplicate_error(self.lease, at=iso_time(time.time())))

    async def _drop(self, why: Refusal) -> None:
        """Nothing of the stream is kept from here."""
        log.warning("the stream is refused (%s); %d events of it are dropped", why, self.backlog.waiting)
        self.refused, self._over = why, True
        self._drafts.clear()
        await self.backlog.discard()
        if self._refuse is not None:
            self._refuse(why)


def _set(event: asyncio.Event, _: object) -> None:
    event.set()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
