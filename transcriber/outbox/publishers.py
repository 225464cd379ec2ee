"""The publishers at work on this server: of its own streams, and of those that it took over from dead servers."""

import asyncio
import logging
from collections.abc import Iterator
from functools import partial

from transcriber.events.schema import Final
from transcriber.observability.metrics import Metrics
from transcriber.outbox.audio_journal import AudioJournal
from transcriber.outbox.ports import OnFinal, OnRefused
from transcriber.outbox.spool import StreamSpool
from transcriber.outbox.stream_publisher import StreamPublisher
from transcriber.store.event_log import RedisEventLog
from transcriber.store.leases import Lease

log = logging.getLogger(__name__)


class Publishers:
    """Belongs to the event loop's thread. A publisher leaves it when its task has ended."""

    def __init__(self, event_log: RedisEventLog, metrics: Metrics) -> None:
        self._event_log = event_log
        self._metrics = metrics
        self._running: set[StreamPublisher] = set()
        metrics.outbox_events.set_function(lambda: self.waiting)
        metrics.outbox_unsafe_events.set_function(lambda: sum(one.spool.unsafe for one in self._running))
        metrics.outbox_age_seconds.set_function(lambda: max((one.spool.age_s for one in self._running), default=0.0))

    def __iter__(self) -> Iterator[StreamPublisher]:
        return iter(list(self._running))

    def start(
        self,
        lease: Lease,
        spool: StreamSpool,
        *,
        journal: AudioJournal | None = None,
        finished: bool = False,
        on_refused: OnRefused | None = None,
        on_final: OnFinal | None = None,
    ) -> StreamPublisher:
        """One more; see `StreamPublisher`."""
        publisher = StreamPublisher(
            lease,
            spool,
            self._event_log,
            metrics=self._metrics,
            others=self._others,
            journal=journal,
            finished=finished,
            on_refused=on_refused,
            on_final=partial(self._count, on_final),
        )
        self._running.add(publisher)
        publisher.task.add_done_callback(report_failure)
        publisher.task.add_done_callback(lambda _: self._running.discard(publisher))
        return publisher

    def _count(self, on_final: OnFinal | None, final: Final) -> None:
        self._metrics.finals.inc()
        self._metrics.words.inc(len(final.words))
        if on_final is not None:
            on_final(final)

    @property
    def waiting(self) -> int:
        """Events that are not in Redis yet."""
        return sum(one.spool.waiting for one in self._running)

    def _others(self, lease: Lease) -> list[StreamPublisher]:
        return [one for one in self._running if one.lease.call_sid == lease.call_sid and one.lease != lease]


def report_failure(task: "asyncio.Task[None]") -> None:
    """Log what broke a task of the outbox."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("events stay in the outbox", exc_info=error)
