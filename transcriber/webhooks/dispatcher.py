"""Finds the calls that have something to send and runs a deliverer for each.

Messages on the channels only wake it; what is to be sent is in the calls' streams.
"""

import asyncio
import logging
import time
from contextlib import suppress

from transcriber.errors import ReceiverGone, StoreError
from transcriber.runtime.cancellation import cancel
from transcriber.store.ports import Feed, PublishedEvent
from transcriber.webhooks.client import LeaseLost
from transcriber.webhooks.deliverer import CallDeliverer, DeliveryContext, Stopping

MAX_HELD_CALLS = 2_000
"""Calls held at once, those that wait for another try included; the others wait in Redis, where nothing is lost."""
MAX_READY_CALLS = 10_000
"""Calls known to have news; beyond it news are forgotten and looked for again."""
SWEEP_INTERVAL_S = 600.0
CLEANUP_INTERVAL_S = 3600.0
"""Between two looks for dead letters past their age limit."""
RETRY_S = 1.0
RENEWALS_PER_LEASE = 3
RENEW_BATCH_CALLS = 50

log = logging.getLogger(__name__)


class WebhookDispatcher:
    """Sends until stopped. Belongs to one event loop; any number of processes may share a webhook's name."""

    def __init__(self, context: DeliveryContext, feed: Feed) -> None:
        self._context = context
        self._feed = feed
        self._ready: dict[str, None] = {}
        """Calls to be served, in order."""
        self._deliverers: dict[str, CallDeliverer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._wake_up = asyncio.Event()
        self._has_room = asyncio.Event()
        self._sweep_now = asyncio.Event()
        self._overflowed = False
        self._redis_is_away = False
        self._cleaned_up_s = -CLEANUP_INTERVAL_S
        self._gone: ReceiverGone | None = None

    def stop(self) -> None:
        """Finish the requests under way, leave the rest to others, return from `run`."""
        self._context.stopping.set()
        self._wake_up.set()

    async def run(self) -> None:
        """Send. Raises ReceiverGone when the receiver says so, and whatever breaks the work in the background."""
        background = [asyncio.create_task(work()) for work in (self._follow, self._sweep_often, self._renew)]
        for task in background:
            task.add_done_callback(lambda _: self.stop())  # it has no end of its own
        try:
            await self._dispatch()
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for handle in self._timers.values():
                handle.cancel()
            await cancel(*background, *self._tasks)
        for task in background:
            if not task.cancelled():
                task.result()
        if self._gone is not None:
            raise self._gone

    async def _dispatch(self) -> None:
        while not self._context.stopping.is_set():
            self._wake_up.clear()
            while self._ready and len(self._tasks) < MAX_HELD_CALLS:
                call_sid = next(iter(self._ready))
                del self._ready[call_sid]
                self._start(call_sid)
            if len(self._ready) < MAX_READY_CALLS // 2:
                self._has_room.set()
                if self._overflowed:
                    self._overflowed = False
                    self._sweep_now.set()
            await self._wake_up.wait()

    def _start(self, call_sid: str) -> None:
        deliverer = self._deliverers.setdefault(call_sid, CallDeliverer(call_sid, self._context))
        deliverer.running = True  # at once: news that come before the task begins must not start another one
        task = asyncio.create_task(self._serve(deliverer))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        self._context.metrics.calls_held.set(len(self._tasks))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._context.metrics.calls_held.set(len(self._tasks))
        self._wake_up.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a deliverer failed", exc_info=error)

    def _wake(self, call_sid: str) -> None:
        """The call may have something to send."""
        if call_sid in self._deliverers and self._deliverers[call_sid].running:
            self._deliverers[call_sid].has_news = True
        elif len(self._ready) < MAX_READY_CALLS:
            self._ready[call_sid] = None
            self._wake_up.set()
        else:
            self._overflowed = True

    def _wake_later(self, call_sid: str, seconds: float) -> None:
        if earlier := self._timers.pop(call_sid, None):
            earlier.cancel()

        def wake() -> None:
            self._timers.pop(call_sid, None)
            self._wake(call_sid)

        self._timers[call_sid] = asyncio.get_running_loop().call_later(seconds, wake)

    async def _serve(self, deliverer: CallDeliverer) -> None:
        """One run of a deliverer; a call of which something is left is woken again."""
        again_s: float | None = None
        keep = False
        try:
            again_s = await deliverer.run()
        except StoreError as error:
            self._redis_away(error)
            again_s, keep = RETRY_S, True
        except LeaseLost:
            again_s, keep = 0.0, True
        except Stopping:
            pass
        except ReceiverGone as gone:
            self._gone = gone
            self.stop()
        finally:
            deliverer.running = False
            if not keep:
                self._deliverers.pop(deliverer.call_sid, None)
        if again_s is not None:
            self._wake_later(deliverer.call_sid, again_s)

    async def _follow(self) -> None:
        """Whatever is published wakes its call; whenever we begin to listen, what came before is looked for."""
        while True:
            try:
                async with self._feed.follow(partials=False) as messages:
                    self._sweep_now.set()
                    async for message in messages:
                        if _matters(message):
                            self._wake(message.call_sid)
            except StoreError as error:
                self._redis_away(error)
            await asyncio.sleep(RETRY_S)

    async def _sweep_often(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_INTERVAL_S):
                    await self._sweep_now.wait()
            self._sweep_now.clear()
            try:
                await self._sweep()
            except StoreError as error:
                self._redis_away(error)
                self._sweep_now.set()
                await asyncio.sleep(RETRY_S)

    async def _sweep(self) -> None:
        began, found = time.monotonic(), 0
        async for call_sid in self._context.queue.unsent():
            if len(self._ready) >= MAX_READY_CALLS - 1:
                self._has_room.clear()
                await self._has_room.wait()
            found += 1
            self._wake(call_sid)
        if self._redis_is_away:
            log.info("Redis is back")
        self._redis_is_away = False
        if began - self._cleaned_up_s >= CLEANUP_INTERVAL_S:
            self._cleaned_up_s = began
            if old := await self._context.dead_letters.forget_old(now_s=time.time()):
                log.warning("%d dead letters are past their age limit and go", old)
        self._context.metrics.dead_letters.set(await self._context.dead_letters.count())
        log.info("%d calls have events to send (looked for in %.2f s)", found, time.monotonic() - began)

    async def _renew(self) -> None:
        """Keep what is ours while it waits for another try."""
        while True:
            await asyncio.sleep(self._context.lease_s / RENEWALS_PER_LEASE)
            held = [deliverer for deliverer in self._deliverers.values() if deliverer.holds_lease]
            for start in range(0, len(held), RENEW_BATCH_CALLS):
                batch = held[start : start + RENEW_BATCH_CALLS]
                for outcome in await asyncio.gather(
                    *(deliverer.renew() for deliverer in batch), return_exceptions=True
                ):
                    if isinstance(outcome, StoreError):
                        self._redis_away(outcome)

    def _redis_away(self, error: StoreError) -> None:
        """Said once, not for every call; a sweep that succeeds ends it."""
        if not self._redis_is_away:
            log.warning("Redis is away, everything waits: %s", error)
            self._redis_is_away = True
            self._sweep_now.set()


def _matters(message: PublishedEvent) -> bool:
    return message.channel == "final" or '"call.ended"' in message.json
