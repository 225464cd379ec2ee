"""One channel that is listened to for as long as the server runs, also after Redis was away."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from redis.asyncio.client import PubSub

from transcriber.errors import StoreError
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures

log = logging.getLogger(__name__)
CONFIRM_S = 5.0
HEARTBEAT_S = 15.0
"""Silence after which the connection must answer a PING within as long again: a cut cable sends no goodbye."""
RETRY_S = 5.0


def _ignore(_: str) -> None:
    pass


class Subscription:
    """Belongs to the event loop's thread. What is published while Redis is away is missed."""

    def __init__(self, client: Client, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._pubsub: PubSub | None = None

    async def begin(self) -> None:
        """Be subscribed from now on; `run` goes on with it. Raises StoreError."""
        pubsub = self._pubsub = self._client.pubsub()
        with redis_failures(f"cannot subscribe to {self._channel}"):
            await pubsub.subscribe(self._channel)
            if await pubsub.get_message(timeout=CONFIRM_S) is None:
                raise StoreError("Redis did not confirm the subscription", reason="away")

    async def run(self, take: Callable[[str], None] = _ignore) -> None:
        """Be subscribed for ever. `take` is given each message; whatever it raises is logged."""
        try:
            while True:
                try:
                    if self._pubsub is None:
                        await self.begin()
                    await self._read(take)
                except StoreError as error:
                    log.debug("not subscribed to %s: %s", self._channel, error)
                await self._end()
                await asyncio.sleep(RETRY_S)
        finally:
            await self._end()

    async def _read(self, take: Callable[[str], None]) -> None:
        """Until the subscription is lost: StoreError."""
        asked, pubsub = False, self._pubsub
        with redis_failures("the subscription was lost"):
            while pubsub is not None:
                message = await pubsub.get_message(timeout=HEARTBEAT_S)
                if message is None and asked:
                    raise StoreError("Redis has gone silent", reason="away")
                asked = message is None
                if message is None:
                    await pubsub.ping()
                elif message["type"] == "message":
                    try:
                        take(message["data"])
                    except Exception:  # whoever publishes there must not end what is published later
                        log.exception("a message on %s could not be used", self._channel)

    async def _end(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(StoreError), redis_failures("cannot unsubscribe"):
                await pubsub.aclose()  # type: ignore[no-untyped-call]
