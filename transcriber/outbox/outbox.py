"""The way out of every stream of this server, and of those that dead servers have left in the data directory.

What lies in a dead server's folder is delivered, its streams end as interrupted, and the folder goes.
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
from transcriber.outbox.audio_journal import AudioJournal, opening_of
from transcriber.outbox.journal_recovery import JournalRecovery
from transcriber.outbox.ports import Refuse
from transcriber.outbox.server_directory import TRIED, ServerDirectory
from transcriber.outbox.spool import StreamSpool
from transcriber.outbox.stream_naming import renamed
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
        self, folder: ServerDirectory, outlet: RedisEventLog, metrics: Metrics, *, journals: bool = False
    ) -> None:
        self.recovery: asyncio.Future[JournalRecovery] = asyncio.get_running_loop().create_future()
        """Set as soon as speech can be recognised."""
        self.publishers: set[StreamPublisher] = set()
        self._folder = folder
        self._outlet = outlet
        self._metrics = metrics
        self._journals = journals
        self._adopted: dict[ServerDirectory, asyncio.Task[None]] = {}
        self._recovering: set[asyncio.Task[None]] = set()
        metrics.outbox_events.set_function(lambda: self.waiting)
        metrics.outbox_unsafe_events.set_function(lambda: sum(one.backlog.unsafe for one in self.publishers))
        metrics.outbox_age_seconds.set_function(
            lambda: max((one.backlog.age_s for one in self.publishers), default=0.0)
        )

    def begin(
        self, call: CallStarted, stream: StreamStarted, *, at_ms: int, refuse: Refuse | None = None
    ) -> StreamPublisher:
        """See `ports.Outbox`."""
        lease = Lease(self._folder.owner, call.call_sid, stream.stream_sid)
        opening = StreamOpened(call=call, stream=stream, at_ms=at_ms)
        journal = AudioJournal(self._folder.journal(stream.stream_sid), opening) if self._journals else None
        backlog = StreamSpool(self._folder.file(stream.stream_sid), opening)
        carrier = StreamPublisher(
            lease, backlog, self._outlet, metrics=self._metrics, others=self._others, journal=journal, refuse=refuse
        )
        return self._send(carrier)

    @property
    def waiting(self) -> int:
        """Events that are not in Redis yet."""
        return sum(carrier.backlog.waiting for carrier in self.publishers)

    @property
    def fails(self) -> bool:
        """Whether events of some stream can be brought nowhere: neither Redis nor the disk takes them."""
        return any(carrier.trouble and carrier.backlog.disk_fails for carrier in self.publishers)

    @property
    def trouble(self) -> str:
        """Why Redis does not take what some stream writes, in one word; empty when it takes everything."""
        return next((carrier.trouble for carrier in self.publishers if carrier.trouble), "")

    async def adopt(self) -> None:
        """Take over what dead servers of this data directory have left; it is brought to Redis in the background."""
        for folder in await asyncio.to_thread(lambda: list(self._folder.orphans())):
            task = asyncio.create_task(self._settle(folder), name=f"outbox-{folder.owner}")
            task.add_done_callback(self._report)
            self._adopted[folder] = task
        self._adopted = {folder: task for folder, task in self._adopted.items() if not task.done()}

    async def settled(self, *, within_s: float) -> bool:
        """Wait until all that was adopted is in Redis; False: not yet."""
        if self._adopted:
            await asyncio.wait(self._adopted.values(), timeout=within_s)
        return all(task.done() for task in self._adopted.values())

    async def aclose(self) -> None:
        """Deliver what Redis takes now; the rest stays in the folder for whoever comes next."""
        await asyncio.gather(*(carrier.leave() for carrier in list(self.publishers)))
        await cancel(*self._adopted.values(), *self._recovering)
        await asyncio.to_thread(self._folder.release)

    async def interrupt(self, lease: Lease) -> None:
        """The stream's server is dead. Raises StoreError."""
        if await self._outlet.interrupt(lease, at=iso_time(time.time())):
            self._metrics.streams_interrupted.inc()
            log.warning("stream %s was live when its server died: it ends as interrupted", lease.stream_sid)

    def _send(self, carrier: StreamPublisher) -> StreamPublisher:
        self.publishers.add(carrier)
        carrier.task.add_done_callback(self._report)
        carrier.task.add_done_callback(lambda _: self.publishers.discard(carrier))
        return carrier

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._recovering.add(task)
        task.add_done_callback(self._report)
        task.add_done_callback(self._recovering.discard)

    def _others(self, lease: Lease) -> list[StreamPublisher]:
        return [one for one in self.publishers if one.lease.call_sid == lease.call_sid and one.lease != lease]

    def _report(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("events stay in the outbox", exc_info=error)

    async def _settle(self, folder: ServerDirectory) -> None:
        """A dead server's streams: those with nothing left end at once, others when their rest is delivered."""
        rest: list[tuple[Lease, Path, StreamOpened]] = []
        try:
            journals = await asyncio.to_thread(_journals, folder)
            carriers = await self._deliver_left(folder)
            waiting = {lease for lease, _, _ in carriers}
            for lease in await self._insist(partial(self._leases, folder.owner)):
                if lease not in waiting and lease not in journals:
                    await self._insist(partial(self.interrupt, lease))
            for lease, carrier, closed in carriers:
                await asyncio.wait((carrier.task,))
                carrier.task.result()
                if carrier.backlog.waiting:
                    return  # we leave before it is delivered; the next start goes on
                if closed and lease in journals:
                    await asyncio.to_thread(journals.pop(lease)[0].unlink)
                elif not closed and lease not in journals:
                    await self._insist(partial(self.interrupt, carrier.lease))
            rest = [(lease, *found) for lease, found in journals.items()]
        finally:
            if not rest:
                await asyncio.to_thread(folder.release)
        if rest:
            self._keep(asyncio.create_task(self._recover(folder, rest), name=f"journals-{folder.owner}"))

    async def _deliver_left(self, folder: ServerDirectory) -> list[tuple[Lease, StreamPublisher, bool]]:
        """Carriers of what waits in the folder, by stream, and whether the stream's end is among it."""
        outlet = self._outlet.for_lease(folder.owner)
        carriers = []
        for path in folder.files():
            too_old = await asyncio.to_thread(folder.is_too_old, path)
            if (found := await asyncio.to_thread(StreamSpool.found, path)) is None:
                log.error("%s cannot be read", path)
                if too_old:
                    await asyncio.to_thread(path.unlink)
                continue
            backlog, last = found
            if too_old:
                log.error("%s is too old to be delivered: its %d events are lost", path, backlog.waiting)
                self._metrics.events_lost.inc(backlog.waiting)
                await backlog.discard()
                continue
            lease = _lease(folder, backlog.opening)
            carrier = StreamPublisher(lease, backlog, outlet, metrics=self._metrics, others=self._others, left=True)
            carriers.append((lease, self._send(carrier), isinstance(last, StreamClosed)))
        return carriers

    async def _recover(self, folder: ServerDirectory, rest: list[tuple[Lease, Path, StreamOpened]]) -> None:
        """Streams with a journal: what follows their last final is heard again, then they end."""
        outlet = self._outlet.for_lease(folder.owner)
        try:
            carriers = []
            for own, path, first in rest:
                lease = await self._insist(partial(outlet.streams.known_as, own))
                opening = renamed(first, lease.stream_sid)
                after = await self._insist(partial(outlet.streams.written, lease))
                if after is None:  # its server died between the stream's end and the journal's
                    await asyncio.to_thread(path.unlink)
                    continue
                backlog = StreamSpool(folder.file(lease.stream_sid), replace(opening, after=after))
                carrier = StreamPublisher(lease, backlog, outlet, metrics=self._metrics, others=self._others)
                carriers.append((self._send(carrier), path, opening))  # at once, so that their leases are renewed
            recovery = await asyncio.shield(self.recovery)
            for carrier, path, opening in carriers:
                await carrier.begun.wait()
                if carrier.refused:
                    await asyncio.to_thread(path.unlink)
                    continue
                await self._rehear(folder, path, partial(recovery.finals, opening), carrier)
                carrier.finish()
                await asyncio.wait((carrier.task,))
                carrier.task.result()
                await self._insist(partial(self.interrupt, carrier.lease))
        finally:
            await asyncio.to_thread(folder.release)

    async def _rehear(
        self,
        folder: ServerDirectory,
        path: Path,
        finals: Callable[[Path], Awaitable[list[Event]]],
        carrier: StreamPublisher,
    ) -> None:
        """Once: should it be this audio that brings servers down, the next start leaves it alone."""
        trying = path.with_name(path.name + TRIED)
        await asyncio.to_thread(path.rename, trying)
        try:
            for final in await self._insist(partial(finals, trying)):
                carrier.send(final)
            if carrier.backlog.waiting:
                carrier.backlog.spill()
                await carrier.backlog.safe.wait()
        except asyncio.CancelledError:
            trying.rename(path)
            raise
        except Exception:  # whatever recognition raises, the other streams are still to be heard
            log.exception("audio of a dead server cannot be heard again: %s", folder.set_aside(trying))
        else:
            await asyncio.to_thread(trying.unlink)

    async def _leases(self, owner: str) -> Sequence[Lease]:
        with redis_failures("cannot read the leases"):
            return await self._outlet.leases.of_owner(owner)

    async def _insist(self, doing: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await doing()
            except StoreError as error:
                log.debug("the streams of a dead server cannot be ended yet: %s", error)
                await asyncio.sleep(PAUSE_S)


def _lease(folder: ServerDirectory, opening: StreamOpened) -> Lease:
    return Lease(folder.owner, opening.call.call_sid, opening.stream.stream_sid)


def _journals(folder: ServerDirectory) -> dict[Lease, tuple[Path, StreamOpened]]:
    """The folder's journals by stream; one that does not even say whose it is goes."""
    found = {}
    for path in folder.tried():
        log.error("a server died while it heard %s again: it is left alone", folder.set_aside(path))
    for path in folder.journals():
        if (opening := opening_of(path)) is None:
            path.unlink()
        else:
            found[_lease(folder, opening)] = (path, opening)
    return found
