"""Brings one stream's writes to Redis, in order and once, however long that takes.

A write is repeated until Redis says that it is there; its number makes repeats harmless. Should Redis turn out to have
lost or ended the stream, it is opened again and goes on. Meanwhile what waits is in the spool. Should the sid be
another server's stream, this one is refused, if it has just begun, or goes on by another name.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from transcriber.audio.chunk import AudioChunk
from transcriber.errors import CallDeleted, StoreError, StreamStateMismatch, StreamTaken
from transcriber.events.schema import CallEnded, Event, Final, Partial, Persisted, StreamStopped, iso_time
from transcriber.observability.metrics import Metrics
from transcriber.outbox.audio_journal import AudioJournal
from transcriber.outbox.dropped_events import DroppedEvents
from transcriber.outbox.pending_partials import PendingPartials
from transcriber.outbox.ports import OnFinal, OnRefused, Refusal
from transcriber.outbox.spool import StreamSpool
from transcriber.outbox.stream_naming import duplicate_error, event_as, header_as
from transcriber.outbox.stream_writes import EventAppended, StreamClosed, Write, shifted
from transcriber.outbox.write_retry import WriteRetry, wait_for
from transcriber.store.event_log import RedisEventLog
from transcriber.store.leases import Lease, renamed

log = logging.getLogger(__name__)
E = TypeVar("E", bound=Event)
CLOSE_S = 10.0
"""How long an end may take to be written or saved before its stream's session lets go of it."""
SHUT_DOWN_S = 5.0
"""The same when the server goes, and Redis takes what is written."""


class StreamPublisher:
    """Implements `EventSink`. All methods belong to the event loop's thread.

    `lease`: whose stream it is. `others`: the publishers of its call's other streams. `finished`: nothing will be sent
    any more. `on_refused`, `on_final`: see `ports`.
    """

    def __init__(
        self,
        lease: Lease,
        spool: StreamSpool,
        event_log: RedisEventLog,
        *,
        metrics: Metrics,
        others: Callable[[Lease], Iterable["StreamPublisher"]],
        on_final: OnFinal,
        journal: AudioJournal | None = None,
        finished: bool = False,
        on_refused: OnRefused | None = None,
    ) -> None:
        self.lease = lease
        self.spool = spool
        self._event_log = event_log
        self._metrics = metrics
        self._others, self._on_final = others, on_final
        self._journal = journal
        self._finished = finished
        self._on_refused = on_refused
        self._is_open_in_redis = self._is_done = self._skip_lost = self._has_ended = False
        self.opened = asyncio.Event()
        """Set once Redis knew of the stream, and when it never will from here."""
        self._dropped = DroppedEvents(metrics)
        self._retry = WriteRetry(spool, metrics)
        self._offset_ms = self._mismatches = 0
        """Writes in a row for which Redis did not hold the stream as it was left."""
        self.refused: Refusal | None = None
        self._partials = PendingPartials(event_log, metrics)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._stopping = asyncio.Event()
        self.task = asyncio.create_task(self._run(), name=f"publisher-{lease.stream_sid}")
        self.task.add_done_callback(lambda _: self.opened.set())
        self.task.add_done_callback(lambda _: self._idle.set())

    @property
    def failure(self) -> str:
        """Why Redis did not take the last write, in one word; empty when it did."""
        return self._retry.failure

    def send(self, event: Persisted) -> None:
        """See `EventSink`. Over the bound, or after the end, it is dropped, counted and logged."""
        if self.refused:
            return
        if isinstance(event, Final):
            self._partials.withdraw(event.track)
        at_ms = time.time_ns() // 1_000_000
        if not self._has_ended and self.spool.put(EventAppended(self.spool.last_number + 1, at_ms, event)):
            self._idle.clear()
            self._wake.set()
        else:
            self._dropped.add(1)

    def send_partial(self, partial: Partial) -> None:
        """See `EventSink`."""
        self._partials.put(partial)
        self._wake.set()

    def record_audio(self, chunk: AudioChunk) -> None:
        """See `EventSink`."""
        if self._journal is not None:
            self._journal.record(chunk)

    def set_audio_aside(self) -> None:
        """See `EventSink`."""
        if self._journal is not None:
            self._journal.set_aside()

    async def close(self, stream: StreamStopped, call: CallEnded) -> None:
        """See `EventSink`."""
        self._has_ended = True
        if not self.refused:
            self.spool.put(StreamClosed(self.spool.last_number + 1, time.time_ns() // 1_000_000, stream, call))
            self._idle.clear()
            self._wake.set()
            await wait_for(self.spool.safe, CLOSE_S)
        if self._journal is not None:
            await self._journal.close()

    def finish(self) -> None:
        """Nothing will be sent any more: done as soon as nothing waits."""
        self._finished = True
        self._wake.set()

    def verify(self) -> None:
        """The lease was gone: see how the store holds the stream."""
        self._is_open_in_redis = False
        self._wake.set()

    async def shut_down(self) -> None:
        """Deliver what Redis takes without trouble, for a while; the rest stays in the file, or is lost."""
        if not self.failure and self.spool.waiting:
            await wait_for(self._idle, SHUT_DOWN_S)
        self._stopping.set()
        self._wake.set()
        await asyncio.wait((self.task,))
        await self.spool.aclose()
        if self.spool.unsafe:
            self._dropped.add(self.spool.unsafe, last=True)

    async def _run(self) -> None:
        while not (self._is_done or self._stopping.is_set()):
            self._wake.clear()
            try:
                await self._step(await self.spool.head())
            except StreamStateMismatch as error:
                self._rewind(error)
                if self._mismatches > 1:
                    await self._retry.failed(error, self._stopping)
            except StreamTaken:
                await self._leave_sid()
            except CallDeleted:
                await self._refuse_stream("deleted")
            except StoreError as error:
                await self._retry.failed(error, self._stopping)
        if not self._stopping.is_set():
            await self.spool.remove_if_delivered()

    async def _step(self, head: Write | None) -> None:
        if not self._is_open_in_redis:
            await self._open_stream(head)
        elif head is not None:
            await self._deliver(head)
        elif self._partials:
            await self._partials.publish(self._on_call_clock)
        elif self._finished:
            self._is_done = True
        else:
            self._idle.set()
            await self.spool.remove_if_delivered()
            await self._wake.wait()

    async def _open_stream(self, head: Write | None) -> None:
        header = self.spool.header
        after = self.spool.last_number if head is None else head.number - 1
        opening = self._event_log.open(
            self.lease,
            header.call,
            header.stream,
            at_ms=header.at_ms,
            call_ms=header.call_ms,
            after=after,
            seq=header.seq,
            skip=self._skip_lost,
        )
        self._offset_ms = await self._retry.attempt(opening)
        self._is_open_in_redis, self._skip_lost = True, False
        self.opened.set()
        self.spool.header = replace(header, call_ms=header.at_ms - self._offset_ms)
        self._succeed()

    async def _deliver(self, write: Write) -> None:
        match write:
            case EventAppended(number, _, event):
                await self._retry.attempt(self._event_log.append(self.lease, number, self._on_call_clock(event)))
                if isinstance(event, Final):
                    self._on_final(event)
            case StreamClosed(number, _, stream, call):
                # A stream that came before this one's end keeps the call from ending, however slow Redis is.
                for other in self._others(self.lease):
                    await other.opened.wait()
                await self._retry.attempt(self._event_log.close(self.lease, number, self._on_call_clock(stream), call))
                self._is_done = True
        self.spool.mark_delivered()
        self._mismatches = 0
        self._succeed()

    def _on_call_clock(self, event: E) -> E:
        """The event on the call's clock, by the stream's name."""
        return event_as(shifted(event, self._offset_ms), self.lease.stream_sid)

    def _succeed(self) -> None:
        self._retry.succeeded()
        self.spool.header = replace(self.spool.header, seq=self._event_log.seq(self.lease.call_sid))

    def _rewind(self, error: StreamStateMismatch) -> None:
        self._is_open_in_redis = False
        self._mismatches += 1
        lacking = 0 if error.written is None else self.spool.rewind(error.written)
        self._skip_lost = lacking > 0
        log.warning("Redis knows the stream up to write %s; %d events are lost there", error.written, lacking)

    async def _leave_sid(self) -> None:
        """The sid is another server's stream: refuse ours if Redis knows nothing of it yet, else rename it."""
        self._is_open_in_redis = False
        if self._on_refused is not None and not (self.opened.is_set() or self._retry.has_failed):
            self._metrics.duplicate_streams.labels("refused").inc()
            await self._refuse_stream("duplicate")
            return
        self.lease = renamed(self.lease)
        self.spool.header = header_as(self.spool.header, self.lease.stream_sid)
        self._metrics.duplicate_streams.labels("renamed").inc()
        log.error("another server has a stream of this sid: this one is kept as %s", self.lease.stream_sid)
        if not (self._has_ended or self._finished):
            self.send(duplicate_error(self.lease.call_sid, self.lease.stream_sid, at=iso_time(time.time())))

    async def _refuse_stream(self, why: Refusal) -> None:
        """Nothing of the stream is kept from here."""
        log.warning("the stream is refused (%s); %d events of it are dropped", why, self.spool.waiting)
        self.refused, self._is_done = why, True
        self._partials.clear()
        await self.spool.discard()
        if self._on_refused is not None:
            self._on_refused(why)
