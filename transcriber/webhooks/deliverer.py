"""One call's events, in order: taken, sent until they arrive or are given up, and acknowledged."""

import asyncio
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from transcriber.errors import ReceiverGone, StoreError
from transcriber.events.schema import iso_time, parse
from transcriber.webhooks import protocol
from transcriber.webhooks.client import Answer, LeaseLost, WebhookClient
from transcriber.webhooks.dead_letters import DeadLetter, DeadLetters
from transcriber.webhooks.metrics import WebhookMetrics
from transcriber.webhooks.queue import CallBusy, WebhookEvent, WebhookQueue

TYPES = frozenset({"final", "call.ended"})

log = logging.getLogger(__name__)


class Stopping(Exception):
    """The sender is told to stop; nothing more is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryContext:
    """What all couriers share. `attempts`: tries until an event is given up."""

    deliveries: WebhookQueue
    dead_letters: DeadLetters
    receiver: WebhookClient
    figures: WebhookMetrics
    stopping: asyncio.Event
    attempts: int
    lease_s: float


class CallDeliverer:
    """Of one call. Runs once at a time; may run again after it has ended, and then goes on where it was."""

    def __init__(self, call_sid: str, post: DeliveryContext) -> None:
        self.call_sid = call_sid
        self.again = False
        """Something new was published while it ran."""
        self.running = False
        self._post = post
        self._held_until = 0.0
        self._done: list[WebhookEvent] = []

    @property
    def holds(self) -> bool:
        """Whether the call is surely still ours."""
        return time.monotonic() < self._held_until

    async def run(self) -> float | None:
        """Send what there is. None: nothing is left; else seconds after which to look again, as another sender has it.

        Raises StoreError, LeaseLost, Stopping (the rest was left to others) and ReceiverGone.
        """
        try:
            while True:
                if self._post.stopping.is_set():
                    raise Stopping
                self.again = False
                batch = await self._take()
                if isinstance(batch, CallBusy):
                    return batch.again_s
                if not batch and not self.again:
                    return None
                for parcel in batch:
                    await self._settle(parcel)
                    self._done.append(parcel)
        except (Stopping, ReceiverGone):
            await self._leave()
            raise

    async def renew(self) -> None:
        """Keep the call; called by the sender in time."""
        asked = time.monotonic()
        ours = await self._post.deliveries.renew(self.call_sid)
        if self._held_until:
            self._held_until = asked + self._post.lease_s if ours else 0.0

    async def _take(self) -> CallBusy | list[WebhookEvent]:
        asked = time.monotonic()
        batch = await self._post.deliveries.take(self.call_sid, done=self._done)
        self._done.clear()
        self._held_until = asked + self._post.lease_s if batch and not isinstance(batch, CallBusy) else 0.0
        return batch

    async def _leave(self) -> None:
        """What is acknowledged, is; what is not, is free at once."""
        with suppress(StoreError):
            await self._post.deliveries.release(self.call_sid, done=self._done)
            self._done.clear()
        self._held_until = 0.0

    async def _settle(self, parcel: WebhookEvent) -> None:
        """Return when the event needs no more sending."""
        event = parse(parcel.json)
        if not event:
            log.warning("call %s event %d is no JSON and not sent", parcel.call_sid, parcel.seq)
        if event.get("type") not in TYPES:
            return
        if self._done:  # delivered ones: should we die now, they are not sent again
            await self._post.deliveries.acknowledge(self._done)
            self._done.clear()
        attempts = parcel.attempts
        while True:
            answer = await self._try(parcel)
            if answer.verdict == "delivered":
                self._arrived(event)
                return
            attempts += 1
            if answer.verdict == "refused" or attempts >= self._post.attempts:
                if await self._given_up(parcel, answer, attempts):
                    return
                answer = Answer("failed", answer.said, protocol.LONGEST_DELAY_S)
            else:
                await self._post.deliveries.failed(parcel, attempts=attempts)
            # Jitter scatters the calls of a receiver that was away, it is no secret.
            await self._wait(max(protocol.delay_s(attempts, chance=random.random()), answer.asked_delay_s))  # noqa: S311

    async def _try(self, parcel: WebhookEvent) -> Answer:
        while quiet_s := self._post.receiver.quiet_s:
            await self._wait(quiet_s * (1 + random.random() / 10))  # noqa: S311
        stopping = self._post.stopping.is_set
        try:
            answer = await self._post.receiver.post(parcel, ours=lambda: self.holds and not stopping())
        except LeaseLost:
            if stopping():
                raise Stopping from None
            raise
        self._post.figures.attempts.labels(status=answer.said).inc()
        log.debug("call %s event %d: %s", parcel.call_sid, parcel.seq, answer.said)
        if answer.verdict == "gone":
            raise ReceiverGone("the receiver answered 410: it wants no more events; nothing unsent is lost")
        return answer

    def _arrived(self, event: dict[str, Any]) -> None:
        self._post.figures.events.labels(outcome="delivered").inc()
        waited_s = protocol.wait_s(str(event.get("at")), now_s=time.time())
        if waited_s is not None:
            self._post.figures.delay_seconds.observe(waited_s)

    async def _given_up(self, parcel: WebhookEvent, answer: Answer, attempts: int) -> bool:
        letter = DeadLetter(parcel.call_sid, parcel.seq, answer.said, attempts, iso_time(time.time()))
        if not await self._post.dead_letters.add(letter):
            log.error("dead letters are full: call %s waits with event %d", parcel.call_sid, parcel.seq)
            return False
        outcome = "refused" if answer.verdict == "refused" else "exhausted"
        self._post.figures.events.labels(outcome=outcome).inc()
        self._post.figures.dead_letters.inc()
        log.warning(
            "call %s event %d is a dead letter after %d tries, the last: %s",
            *(parcel.call_sid, parcel.seq, attempts, answer.said),
        )
        return True

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._post.stopping.wait()
            raise Stopping
