"""The way out of every stream of this server: from its session, over a spool on disk if need be, into Redis."""

import asyncio

from transcriber.events.schema import CallStarted, StreamStarted
from transcriber.observability.metrics import Metrics
from transcriber.outbox.audio_journal import AudioJournal
from transcriber.outbox.ports import OnFinal, OnRefused
from transcriber.outbox.publishers import Publishers
from transcriber.outbox.server_directory import ServerDirectory
from transcriber.outbox.spool import MAX_FILE_BYTES, StreamSpool
from transcriber.outbox.stream_publisher import StreamPublisher
from transcriber.outbox.stream_writes import StreamOpened
from transcriber.outbox.takeover import Takeover
from transcriber.store.event_log import RedisEventLog
from transcriber.store.leases import Lease


class Outbox:
    """Implements `ports.Outbox`. All methods belong to the event loop's thread.

    `directory`: where spools and journals of this server lie. `journals`: whether audio is kept there while a stream
    lives. `max_spool_bytes`: of one stream. `takeover`: what dead servers of the same data directory have left.
    """

    def __init__(
        self,
        directory: ServerDirectory,
        event_log: RedisEventLog,
        metrics: Metrics,
        *,
        journals: bool = False,
        transcribes: bool = True,
        max_spool_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self.publishers = Publishers(event_log, metrics)
        self.takeover = Takeover(directory, self.publishers, event_log, metrics, transcribes=transcribes)
        self._directory = directory
        self._journals = journals
        self._max_spool_bytes = max_spool_bytes

    def open_stream(
        self,
        call: CallStarted,
        stream: StreamStarted,
        *,
        at_ms: int,
        on_refused: OnRefused | None = None,
        on_final: OnFinal | None = None,
    ) -> StreamPublisher:
        """See `ports.Outbox`."""
        lease = Lease(self._directory.owner, call.call_sid, stream.stream_sid)
        header = StreamOpened(call=call, stream=stream, at_ms=at_ms)
        journal = self._new_journal(header) if self._journals else None
        spool = StreamSpool(self._directory.spool_path(stream.stream_sid), header, max_bytes=self._max_spool_bytes)
        return self.publishers.start(lease, spool, journal=journal, on_refused=on_refused, on_final=on_final)

    def _new_journal(self, header: StreamOpened) -> AudioJournal:
        path = self._directory.journal_path(header.stream.stream_sid)
        return AudioJournal(path, header, aside_path=self._directory.aside_path(path))

    @property
    def waiting(self) -> int:
        """Events that are not in Redis yet."""
        return self.publishers.waiting

    @property
    def is_blocked(self) -> bool:
        """Whether events of some stream can be brought nowhere: neither Redis nor the disk takes them."""
        return any(publisher.failure and publisher.spool.disk_fails for publisher in self.publishers)

    @property
    def failure(self) -> str:
        """Why Redis does not take what some stream writes, in one word; empty when it takes everything."""
        return next((publisher.failure for publisher in self.publishers if publisher.failure), "")

    async def aclose(self) -> None:
        """Deliver what Redis takes now; the rest stays in the directory for whoever comes next."""
        await asyncio.gather(*(publisher.shut_down() for publisher in self.publishers))
        await self.takeover.aclose()
        await asyncio.to_thread(self._directory.release)
