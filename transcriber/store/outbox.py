"""The way out of every stream of this server, and of those that dead servers have left in the data directory.

What lies in a dead server's folder is delivered, its streams end as interrupted, and the folder goes.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from transcriber.core.record import Closing, Opening
from transcriber.core.transcript import CallStarted, StreamStarted, iso_time
from transcriber.errors import StoreError
from transcriber.metrics import Metrics
from transcriber.store.backlog import Backlog
from transcriber.store.courier import Courier
from transcriber.store.failures import redis_failures
from transcriber.store.folder import Folder
from transcriber.store.leases import Lease
from transcriber.store.outlet import RedisOutlet

log = logging.getLogger(__name__)
T = TypeVar("T")
PAUSE_S = 1.0


class Outbox:
    """Implements `ports.Outbox`. All methods belong to the event loop's thread."""

    def __init__(self, folder: Folder, outlet: RedisOutlet, metrics: Metrics) -> None:
        self.couriers: set[Courier] = set()
        self._folder = folder
        self._outlet = outlet
        self._metrics = metrics
        self._adopted: dict[Folder, asyncio.Task[None]] = {}
        metrics.outbox_events.set_function(lambda: self.waiting)
        metrics.outbox_unsafe_events.set_function(lambda: sum(one.backlog.unsafe for one in self.couriers))
        metrics.outbox_age_seconds.set_function(lambda: max((one.backlog.age_s for one in self.couriers), default=0.0))

    def begin(self, call: CallStarted, stream: StreamStarted, *, at_ms: int) -> Courier:
        """See `ports.Outbox`."""
        lease = Lease(self._folder.owner, call.call_sid, stream.stream_sid)
        backlog = Backlog(self._folder.file(stream.stream_sid), Opening(call=call, stream=stream, at_ms=at_ms))
        return self._send(Courier(lease, backlog, self._outlet, metrics=self._metrics, others=self._others))

    @property
    def waiting(self) -> int:
        """Events that are not in Redis yet."""
        return sum(courier.backlog.waiting for courier in self.couriers)

    @property
    def fails(self) -> bool:
        """Whether events of some stream can be brought nowhere: neither Redis nor the disk takes them."""
        return any(courier.in_trouble and courier.backlog.disk_fails for courier in self.couriers)

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
        await asyncio.gather(*(courier.leave() for courier in list(self.couriers)))
        for task in self._adopted.values():
            task.cancel()
        await asyncio.gather(*self._adopted.values(), return_exceptions=True)
        await asyncio.to_thread(self._folder.release)

    async def interrupt(self, lease: Lease) -> None:
        """The stream's server is dead. Raises StoreError."""
        if await self._outlet.interrupt(lease, at=iso_time(time.time())):
            self._metrics.streams_interrupted.inc()
            log.warning("stream %s was live when its server died: it ends as interrupted", lease.stream_sid)

    def _send(self, courier: Courier) -> Courier:
        self.couriers.add(courier)
        courier.task.add_done_callback(self._report)
        courier.task.add_done_callback(lambda _: self.couriers.discard(courier))
        return courier

    def _others(self, lease: Lease) -> list[Courier]:
        return [one for one in self.couriers if one.lease.call_sid == lease.call_sid and one.lease != lease]

    def _report(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("events stay in the outbox", exc_info=error)

    async def _settle(self, folder: Folder) -> None:
        """A dead server's streams: those without a file end at once, the others when their rest is delivered."""
        try:
            left = [found for path in folder.files() if (found := await asyncio.to_thread(Backlog.found, path))]
            outlet = self._outlet.of(folder.owner)
            couriers = {}
            for backlog, last in left:
                lease = Lease(folder.owner, backlog.opening.call.call_sid, backlog.opening.stream.stream_sid)
                courier = self._send(
                    Courier(lease, backlog, outlet, metrics=self._metrics, others=self._others, left=True)
                )
                couriers[lease] = (courier, isinstance(last, Closing))
            for lease in await self._insist(partial(self._leases, folder.owner)):
                if lease not in couriers:
                    await self._insist(partial(self.interrupt, lease))
            for lease, (courier, closed) in couriers.items():
                await asyncio.wait((courier.task,))
                courier.task.result()
                if not closed:
                    await self._insist(partial(self.interrupt, lease))
        finally:
            await asyncio.to_thread(folder.release)

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
