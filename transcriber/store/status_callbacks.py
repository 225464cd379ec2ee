"""Passes Twilio's status callbacks on to the server that has the stream: of several, any one may be asked."""

import logging
from collections.abc import Callable

import msgspec

from transcriber.store.keys import Keys
from transcriber.store.ports import StatusCallback
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures
from transcriber.store.redis.subscription import Subscription

log = logging.getLogger(__name__)
_parse = msgspec.json.Decoder(StatusCallback).decode


class RedisStatusCallbacks:
    """Implements `StatusCallbacks`, over a channel that all servers listen to. Kept nowhere."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._channel = keys.status_callbacks
        self._subscription = Subscription(client, self._channel)

    async def pass_on(self, callback: StatusCallback) -> None:
        """Tell all servers, this one too. Raises StoreError."""
        with redis_failures("cannot pass a status callback on"):
            await self._client.publish(self._channel, msgspec.json.encode(callback))

    async def run(self, take: Callable[[StatusCallback], object]) -> None:
        """Give `take` what is passed on, for ever."""

        def parse_and_take(text: str) -> None:
            try:
                callback = _parse(text)
            except msgspec.MsgspecError as error:
                log.warning("no status callback on %s: %s", self._channel, error)
            else:
                take(callback)

        await self._subscription.run(parse_and_take)
