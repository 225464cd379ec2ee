"""Takes over what dead servers have left in the data directory.

What lies in a dead server's directory is delivered, what its journals hold beyond history is transcribed once more, its
streams end as interrupted, and the directory goes.
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
from transcriber.events.schema import Persisted, iso_time
from transcriber.observability.metrics import Metrics
from transcriber.outbox.audio_journal import read_header
from transcriber.outbox.journal_recovery import JournalRecovery
from transcriber.outbox.publishers import Publishers, report_failure
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
RETRY_S = 1.0


class Takeover:
    """All methods belong to the event loop's thread. `own`: this server's directory, beside which others lie.

    `transcribes`: whether audio is taken over, too; if not, directories that hold some are left to other servers.
    """

    def __init__(
        self,
        own: ServerDirectory,
        publishers: Publishers,
        event_log: RedisEventLog,
        metrics: Metrics,
        *,
        transcribes: bool = True,
    ) -> None:
        self.recovery: asyncio.Future[JournalRecovery] = asyncio.get_running_loop().create_future()
        """Set as soon as speech can be recognised."""
        self._own = own
        self._transcribes = transcribes
        self._publishers = publishers
        self._event_log = event_log
        self._metrics = metrics
        self._settling: dict[ServerDirectory, asyncio.Task[None]] = {}
        self._recovering: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """Take over the directories of servers that died; what they hold goes to Redis in the background."""
        for directory in await asyncio.to_thread(self._orphans):
            task = asyncio.create_task(self._settle(directory), name=f"takeover-{directory.owner}")
            task.add_done_callback(report_failure)
            self._settling[directory] = task
        self._settling = {directory: task for directory, task in self._settling.items() if not task.done()}

    def _orphans(self) -> list[ServerDirectory]:
        """The dead servers' directories that this one takes over. Blocks."""
        found = []
        for directory in self._own.orphans():
            if self._transcribes or not directory.journal_paths():
                found.append(directory)
            else:
                directory.release()
        return found

    async def settled(self, *, within_s: float) -> bool:
        """Wait until all spools that were taken over are in Redis; False: not yet."""
        if self._settling:
            await asyncio.wait(self._settling.values(), timeout=within_s)
        return all(task.done() for task in self._settling.values())

    async def aclose(self) -> None:
        """Break off what is not done; it stays for the next start. Call it when the publishers are shut down."""
        await cancel(*self._settling.values(), *self._recovering)

    async def interrupt(self, lease: Lease) -> None:
        """End the stream of a server that is dead. Raises StoreError."""
        if await self._event_log.interrupt(lease, at=iso_time(time.time())):
            self._metrics.streams_interrupted.inc()
            log.warning("stream %s was live when its server died: it ends as interrupted", lease.stream_sid)

    async def _settle(self, directory: ServerDirectory) -> None:
        """A dead server's streams: those with nothing left end at once, others when their rest is delivered."""
        rest: list[tuple[Lease, Path, StreamOpened]] = []
        try:
            journals = await asyncio.to_thread(_journals, directory)
            publishers = await self._deliver_spools(directory)
            waiting = {lease for lease, _, _ in publishers}
            for lease in await self._until_done(partial(self._leases_of, directory.owner)):
                if lease not in waiting and lease not in journals:
                    await self._until_done(partial(self.interrupt, lease))
            for lease, publisher, closed in publishers:
                await asyncio.wait((publisher.task,))
                publisher.task.result()
                if publisher.spool.waiting:
                    return  # we leave before it is delivered; the next start goes on
                if closed and lease in journals:
                    await asyncio.to_thread(journals.pop(lease)[0].unlink)
                elif not closed and lease not in journals:
                    await self._until_done(partial(self.interrupt, publisher.lease))
            rest = [(lease, *found) for lease, found in journals.items()]
        finally:
            if not rest:
                await asyncio.to_thread(directory.release)
        if rest:
            task = asyncio.create_task(self._recover(directory, rest), name=f"journals-{directory.owner}")
            self._recovering.add(task)
            task.add_done_callback(report_failure)
            task.add_done_callback(self._recovering.discard)

    async def _deliver_spools(self, directory: ServerDirectory) -> list[tuple[Lease, StreamPublisher, bool]]:
        """Publishers of what waits in the directory, by stream, and whether the stream's end is among it."""
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
            publisher = self._publishers.start(lease, spool, finished=True)
            publishers.append((lease, publisher, isinstance(last, StreamClosed)))
        return publishers

    async def _recover(self, directory: ServerDirectory, rest: list[tuple[Lease, Path, StreamOpened]]) -> None:
        """Streams with a journal: what follows their last final is transcribed again, then they end."""
        try:
            publishers = []
            for own, path, first in rest:
                lease = await self._until_done(partial(self._event_log.streams.current_identity, own))
                header = header_as(first, lease.stream_sid)
                after = await self._until_done(partial(self._event_log.streams.last_write_number, lease))
                if after is None:  # its server died between the stream's end and the journal's
                    await asyncio.to_thread(path.unlink)
                    continue
                spool = StreamSpool(directory.spool_path(lease.stream_sid), replace(header, after=after))
                publishers.append((self._publishers.start(lease, spool), path, header))  # at once: leases are renewed
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
                await self._until_done(partial(self.interrupt, publisher.lease))
        finally:
            await asyncio.to_thread(directory.release)

    async def _retranscribe(
        self,
        directory: ServerDirectory,
        path: Path,
        finals: Callable[[Path], Awaitable[list[Persisted]]],
        publisher: StreamPublisher,
    ) -> None:
        """Once: should it be this audio that brings servers down, the next start leaves it alone."""
        trying = path.with_name(path.name + TRIED_SUFFIX)
        await asyncio.to_thread(path.rename, trying)
        try:
            for final in await self._until_done(partial(finals, trying)):
                publisher.send(final)
            if publisher.spool.waiting:
                publisher.spool.spill()
                await publisher.spool.safe.wait()
        except asyncio.CancelledError:
            trying.rename(path)
            raise
        except Exception:  # whatever recognition raises, the other streams are still to be transcribed
            log.exception("audio of a dead server cannot be transcribed again: %s", directory.set_aside(trying))
        else:
            await asyncio.to_thread(trying.unlink)

    async def _leases_of(self, owner: str) -> Sequence[Lease]:
        with redis_failures("cannot read the leases"):
            return await self._event_log.leases.of_owner(owner)

    async def _until_done(self, doing: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await doing()
            except StoreError as error:
                log.debug("the streams of a dead server cannot be ended yet: %s", error)
                await asyncio.sleep(RETRY_S)


def _lease(directory: ServerDirectory, header: StreamOpened) -> Lease:
    return Lease(directory.owner, header.call.call_sid, header.stream.stream_sid)


def _journals(directory: ServerDirectory) -> dict[Lease, tuple[Path, StreamOpened]]:
    """The directory's journals by stream; one that does not even say whose it is goes."""
    found = {}
    for path in directory.tried_journal_paths():
        log.error("a server died while it transcribed %s again: it is left alone", directory.set_aside(path))
    for path in directory.journal_paths():
        if (header := read_header(path)) is None:
            path.unlink()
        else:
            found[_lease(directory, header)] = (path, header)
    return found
