"""The way out of every stream of this server, and of those that dead servers have left in the data directory.

What lies in a dead server's directory is delivered, its streams end as interrupted, and the directory goes.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from transcriber.errors import StoreError
from transcriber.events.schema import CallStarted, Event, StreamStarted, iso_time
from transcriber.observability.metrics import Metrics
from transcriber.outbox.audio_journal import AudioJournal, read_header
from transcriber.outbox.journal_recovery import JournalRecovery
from transcriber.outbox.ports import OnRefused
from transcriber.outbox.server_directory import TRIED_SUFFIX, ServerDirectory
from transcriber.outbox.spool import StreamSpool
from transcriber.outbox.stream_naming import header_as
from transcriber.outbox.stream_publisher import StreamPublisher
from transcriber.outbox.stream_writes import StreamClosed, StreamOpened
from transcriber.runtime.cancellation import cancel
from transcriber.store.event_log import RedisEventLog
from transcriber.store.leases import Lease
from transcriber.store.redis.errors import redis_failures

log = logging.getLogger(__name__)
T = TypeVar("T")
PAUSE_S = 1.0


class Outbox:
    """Implements `ports.Outbox`. All methods belong to the event loop's thread."""

    def __init__(
        self, directory: ServerDirectory, event_log: RedisEventLog, metrics: Metrics, *, journals: bool = False
    ) -> None:
        self.recovery: asyncio.Future[JournalRecovery] = asyncio.get_running_loop().create_future()
        """Set as soon as speech can be recognised."""
        self.publishers: set[StreamPublisher] = set()
        self._directory = directory
        self._event_log = event_log
        self._metrics = metrics
        self._journals = journals
        self._adopted: dict[ServerDirectory, asyncio.Task[None]] = {}
        self._recovering: set[asyncio.Task[None]] = set()
        metrics.outbox_events.set_function(lambda: self.waiting)
        metrics.outbox_unsafe_events.set_function(lambda: sum(one.spool.unsafe for one in self.publishers))
        metrics.outbox_age_seconds.set_function(lambda: max((one.spool.age_s for one in self.publishers), default=0.0))

    def open_stream(
        self, call: CallStarted, stream: StreamStarted, *, at_ms: int, on_refused: OnRefused | None = None
    ) -> StreamPublisher:
        """See `ports.Outbox`."""
        lease = Lease(self._directory.owner, call.call_sid, stream.stream_sid)
        header = StreamOpened(call=call, stream=stream, at_ms=at_ms)
        journal = AudioJournal(self._directory.journal_path(stream.stream_sid), header) if self._journals else None
        spool = StreamSpool(self._directory.spool_path(stream.stream_sid), header)
        publisher = StreamPublisher(
            lease,
            spool,
            self._event_log,
            metrics=self._metrics,
            others=self._others,
            journal=journal,
            on_refused=on_refused,
        )
        return self._send(publisher)

    @property
    def waiting(self) -> int:
        """Events that are not in Redis yet."""
        return sum(publisher.spool.waiting for publisher in self.publishers)

    @property
    def fails(self) -> bool:
        """Whether events of some stream can be brought nowhere: neither Redis nor the disk takes them."""
        return any(publisher.failure and publisher.spool.disk_fails for publisher in self.publishers)

    @property
    def trouble(self) -> str:
        """Why Redis does not take what some stream writes, in one word; empty when it takes everything."""
        return next((publisher.failure for publisher in self.publishers if publisher.failure), "")

    async def adopt(self) -> None:
        """Take over what dead servers of this data directory have left; it is brought to Redis in the background."""
        for directory in await asyncio.to_thread(lambda: list(self._directory.orphans())):
            task = asyncio.create_task(self._settle(directory), name=f"outbox-{directory.owner}")
            task.add_done_callback(self._report)
            self._adopted[directory] = task
        self._adopted = {directory: task for directory, task in self._adopted.items() if not task.done()}

    async def settled(self, *, within_s: float) -> bool:
        """Wait until all that was adopted is in Redis; False: not yet."""
        if self._adopted:
            await asyncio.wait(self._adopted.values(), timeout=within_s)
        return all(task.done() for task in self._adopted.values())

    async def aclose(self) -> None:
        """Deliver what Redis takes now; the rest stays in the directory for whoever comes next."""
        await asyncio.gather(*(publisher.shut_down() for publisher in list(self.publishers)))
        await cancel(*self._adopted.values(), *self._recovering)
        await asyncio.to_thread(self._directory.release)

    async def interrupt(self, lease: Lease) -> None:
        """The stream's server is dead. Raises StoreError."""
        if await self._event_log.interrupt(lease, at=iso_time(time.time())):
            self._metrics.streams_interrupted.inc()
            log.warning("stream %s was live when its server died: it ends as interrupted", lease.stream_sid)

    def _send(self, publisher: StreamPublisher) -> StreamPublisher:
        self.publishers.add(publisher)
        publisher.task.add_done_callback(self._report)
        publisher.task.add_done_callback(lambda _: self.publishers.discard(publisher))
        return publisher

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._recovering.add(task)
        task.add_done_callback(self._report)
        task.add_done_callback(self._recovering.discard)

    def _others(self, lease: Lease) -> list[StreamPublisher]:
        return [one for one in self.publishers if one.lease.call_sid == lease.call_sid and one.lease != lease]

    def _report(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("events stay in the outbox", exc_info=error)

    async def _settle(self, directory: ServerDirectory) -> None:
        """A dead server's streams: those with nothing left end at once, others when their rest is delivered."""
        rest: list[tuple[Lease, Path, StreamOpened]] = []
        try:
            journals = await asyncio.to_thread(_journals, directory)
            publishers = await self._deliver_left(directory)
            waiting = {lease for lease, _, _ in publishers}
            for lease in await self._insist(partial(self._leases, directory.owner)):
                if lease not in waiting and lease not in journals:
                    await self._insist(partial(self.interrupt, lease))
            for lease, publisher, closed in publishers:
                await asyncio.wait((publisher.task,))
                publisher.task.result()
                if publisher.spool.waiting:
                    return  # we leave before it is delivered; the next start goes on
                if closed and lease in journals:
                    await asyncio.to_thread(journals.pop(lease)[0].unlink)
                elif not closed and lease not in journals:
                    await self._insist(partial(self.interrupt, publisher.lease))
            rest = [(lease, *found) for lease, found in journals.items()]
        finally:
            if not rest:
                await asyncio.to_thread(directory.release)
        if rest:
            self._keep(asyncio.create_task(self._recover(directory, rest), name=f"journals-{directory.owner}"))

    async def _deliver_left(self, directory: ServerDirectory) -> list[tuple[Lease, StreamPublisher, bool]]:
        """Carriers of what waits in the directory, by stream, and whether the stream's end is among it."""
        event_log = self._event_log.for_lease(directory.owner)
        publishers = []
        for path in directory.spool_paths():
            too_old = await asyncio.to_thread(directory.is_too_old, path)
            if (found := await asyncio.to_thread(StreamSpool.load, path)) is None:
                log.error("%s cannot be read", path)
                if too_old:
                    await asyncio.to_thread(path.unlink)
                continue
            spool, last = found
            if too_old:
                log.error("%s is too old to be delivered: its %d events are lost", path, spool.waiting)
                self._metrics.events_lost.inc(spool.waiting)
                await spool.discard()
                continue
            lease = _lease(directory, spool.header)
            publisher = StreamPublisher(
                lease, spool, event_log, metrics=self._metrics, others=self._others, finished=True
            )
            publishers.append((lease, self._send(publisher), isinstance(last, StreamClosed)))
        return publishers

    async def _recover(self, directory: ServerDirectory, rest: list[tuple[Lease, Path, StreamOpened]]) -> None:
        """Streams with a journal: what follows their last final is heard again, then they end."""
        event_log = self._event_log.for_lease(directory.owner)
        try:
            publishers = []
            for own, path, first in rest:
                lease = await self._insist(partial(event_log.streams.known_as, own))
                header = header_as(first, lease.stream_sid)
                after = await self._insist(partial(event_log.streams.written, lease))
                if after is None:  # its server died between the stream's end and the journal's
                    await asyncio.to_thread(path.unlink)
                    continue
                spool = StreamSpool(directory.spool_path(lease.stream_sid), replace(header, after=after))
                publisher = StreamPublisher(lease, spool, event_log, metrics=self._metrics, others=self._others)
                publishers.append((self._send(publisher), path, header))  # at once, so that their leases are renewed
            recovery = await asyncio.shield(self.recovery)
            for publisher, path, header in publishers:
                await publisher.opened.wait()
                if publisher.refused:
                    await asyncio.to_thread(path.unlink)
                    continue
                await self._retranscribe(directory, path, partial(recovery.missing_finals, header), publisher)
                publisher.finish()
                await asyncio.wait((publisher.task,))
                publisher.task.result()
                await self._insist(partial(self.interrupt, publisher.lease))
        finally:
            await asyncio.to_thread(directory.release)

    async def _retranscribe(
        self,
        directory: ServerDirectory,
        path: Path,
        finals: Callable[[Path], Awaitable[list[Event]]],
        publisher: StreamPublisher,
    ) -> None:
        """Once: should it be this audio that brings servers down, the next start leaves it alone."""
        trying = path.with_name(path.name + TRIED_SUFFIX)
        await asyncio.to_thread(path.rename, trying)
        try:
            for final in await self._insist(partial(finals, trying)):
                publisher.send(final)
            if publisher.spool.waiting:
                publisher.spool.spill()
                await publisher.spool.safe.wait()
        except asyncio.CancelledError:
            trying.rename(path)
            raise
        except Exception:  # whatever recognition raises, the other streams are still to be heard
            log.exception("audio of a dead server cannot be heard again: %s", directory.set_aside(trying))
        else:
            await asyncio.to_thread(trying.unlink)

    async def _leases(self, owner: str) -> Sequence[Lease]:
        with redis_failures("cannot read the leases"):
            return await self._event_log.leases.of_owner(owner)

    async def _insist(self, doing: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await doing()
            except StoreError as error:
                log.debug("the streams of a dead server cannot be ended yet: %s", error)
                await asyncio.sleep(PAUSE_S)


def _lease(directory: ServerDirectory, header: StreamOpened) -> Lease:
    return Lease(directory.owner, header.call.call_sid, header.stream.stream_sid)


def _journals(directory: ServerDirectory) -> dict[Lease, tuple[Path, StreamOpened]]:
    """The directory's journals by stream; one that does not even say whose it is goes."""
    found = {}
    for path in directory.tried_journal_paths():
        log.error("a server died while it heard %s again: it is left alone", directory.set_aside(path))
    for path in directory.journal_paths():
        if (header := read_header(path)) is None:
            path.unlink()
        else:
            found[_lease(directory, header)] = (path, header)
    return found
