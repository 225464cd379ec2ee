"""Delivers one call's events in order: taken from the queue, sent until delivered or given up, then acknowledged."""

import asyncio
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from transcriber.errors import ReceiverGone, StoreError
from transcriber.events.schema import CallEnded, Final, event_type, iso_time, parse
from transcriber.webhooks import retry_policy
from transcriber.webhooks.client import DeliveryResult, LeaseLost, WebhookClient
from transcriber.webhooks.dead_letters import DeadLetter, DeadLetters
from transcriber.webhooks.metrics import WebhookMetrics
from transcriber.webhooks.queue import CallBusy, WebhookEvent, WebhookQueue

DELIVERED_TYPES = frozenset({event_type(Final), event_type(CallEnded)})

log = logging.getLogger(__name__)


class Stopping(Exception):
    """The dispatcher was told to stop: nothing more is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryContext:
    """What the deliverers of all calls share.

    `max_attempts`: tries until an event is given up. `lease_s`: how long a call stays a
    dispatcher's without renewal.
    """

    queue: WebhookQueue
    dead_letters: DeadLetters
    client: WebhookClient
    metrics: WebhookMetrics
    stopping: asyncio.Event
    max_attempts: int
    lease_s: float
    first_delay_s: float = retry_policy.FIRST_DELAY_S


class CallDeliverer:
    """Of one call. `run` is awaited once at a time; called again, it goes on where it was."""

    def __init__(self, call_sid: str, context: DeliveryContext) -> None:
        self.call_sid = call_sid
        self.has_news = False
        """Whether something was published while it ran."""
        self.running = False
        self._context = context
        self._held_until = 0.0
        self._done: list[WebhookEvent] = []

    @property
    def holds_lease(self) -> bool:
        """Whether the call is surely still ours."""
        return time.monotonic() < self._held_until

    async def run(self) -> float | None:
        """Send what there is. None: nothing is left; else seconds until another try: another process has the call.

        Raises StoreError, LeaseLost, Stopping (the rest was left to others) and ReceiverGone.
        """
        try:
            while True:
                if self._context.stopping.is_set():
                    raise Stopping
                self.has_news = False
                batch = await self._take()
                if isinstance(batch, CallBusy):
                    return batch.again_s
                if not batch and not self.has_news:
                    return None
                for event in batch:
                    await self._deliver(event)
                    self._done.append(event)
        except (Stopping, ReceiverGone):
            await self._release()
            raise

    async def renew(self) -> None:
        """Extend the lease of the call; to be called often enough by the dispatcher."""
        asked = time.monotonic()
        ours = await self._context.queue.renew(self.call_sid)
        if self._held_until:
            self._held_until = asked + self._context.lease_s if ours else 0.0

    async def _take(self) -> CallBusy | list[WebhookEvent]:
        asked = time.monotonic()
        batch = await self._context.queue.take(self.call_sid, done=self._done)
        self._done.clear()
        self._held_until = asked + self._context.lease_s if batch and not isinstance(batch, CallBusy) else 0.0
        return batch

    async def _release(self) -> None:
        """What is acknowledged, is; what is not, is free at once."""
        with suppress(StoreError):
            await self._context.queue.release(self.call_sid, done=self._done)
            self._done.clear()
        self._held_until = 0.0

    async def _deliver(self, event: WebhookEvent) -> None:
        """Return when the event needs no more sending."""
        content = parse(event.json)
        if not content:
            log.warning("call %s event %d is no JSON and not sent", event.call_sid, event.seq)
        if content.get("type") not in DELIVERED_TYPES:
            return
        if self._done:  # delivered ones: should we die now, they are not sent again
            await self._context.queue.acknowledge(self._done)
            self._done.clear()
        attempts = event.attempts
        while True:
            result = await self._attempt(event)
            if result.verdict == "delivered":
                self._count_delivered(content)
                return
            attempts += 1
            if result.verdict == "refused" or attempts >= self._context.max_attempts:
                if await self._give_up(event, result, attempts):
                    return
                result = DeliveryResult("failed", result.status, retry_policy.MAX_DELAY_S)
            else:
                await self._context.queue.count_attempt(event, attempts=attempts)
            # Jitter spreads the calls of a receiver that was away; it is no secret.
            delay_s = retry_policy.retry_delay_s(attempts, chance=random.random(), first_s=self._context.first_delay_s)  # noqa: S311
            await self._wait(max(delay_s, result.asked_delay_s))

    async def _attempt(self, event: WebhookEvent) -> DeliveryResult:
        while quiet_s := self._context.client.quiet_s:
            await self._wait(quiet_s * (1 + random.random() / 10))  # noqa: S311
        stopping = self._context.stopping.is_set
        try:
            result = await self._context.client.post(event, ours=lambda: self.holds_lease and not stopping())
        except LeaseLost:
            if stopping():
                raise Stopping from None
            raise
        self._context.metrics.attempts.labels(status=result.status).inc()
        log.debug("call %s event %d: %s", event.call_sid, event.seq, result.status)
        if result.verdict == "gone":
            raise ReceiverGone("the receiver answered 410: it wants no more events; nothing unsent is lost")
        return result

    def _count_delivered(self, content: dict[str, Any]) -> None:
        self._context.metrics.events.labels(outcome="delivered").inc()
        waited_s = retry_policy.wait_s(str(content.get("at")), now_s=time.time())
        if waited_s is not None:
            self._context.metrics.delay_seconds.observe(waited_s)

    async def _give_up(self, event: WebhookEvent, result: DeliveryResult, attempts: int) -> bool:
        """Make it a dead letter. False: there are too many of these, so the event has to wait."""
        letter = DeadLetter(event.call_sid, event.seq, result.status, attempts, iso_time(time.time()))
        if not await self._context.dead_letters.add(letter):
            log.error("dead letters are full: call %s waits with event %d", event.call_sid, event.seq)
            return False
        outcome = "refused" if result.verdict == "refused" else "exhausted"
        self._context.metrics.events.labels(outcome=outcome).inc()
        self._context.metrics.dead_letters.inc()
        log.warning(
            "call %s event %d is a dead letter after %d tries, the last: %s",
            *(event.call_sid, event.seq, attempts, result.status),
        )
        return True

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._context.stopping.wait()
            raise Stopping
