"""Shows other servers on which database this one is, so that two with the same prefix do not mix.

Keys belong to a database, channels to the whole Redis: servers with the same prefix on two databases would receive each
other's calls. Each one holds a subscription to `<prefix>:database:<n>`, and looks who else holds one. A Redis Cluster
has one database, so nothing is shown there.
"""

import asyncio
import logging
from contextlib import suppress

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from transcriber.errors import StoreError
from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures

log = logging.getLogger(__name__)
CONFIRM_S = 5.0
HEARTBEAT_S = 15.0
RETRY_S = 5.0


class DatabaseGuard:
    """Belongs to the event loop's thread."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self.database = database(client)
        self._pubsub: PubSub | None = None

    async def announce(self) -> PubSub:
        """Be seen from now on; `run` goes on with it. Raises StoreError."""
        pubsub = self._pubsub = self._client.pubsub()
        with redis_failures("cannot show the database"):
            await pubsub.subscribe(self._keys.database(self.database))
            if await pubsub.get_message(timeout=CONFIRM_S) is None:
                raise StoreError("Redis did not confirm the subscription", reason="away")
        return pubsub

    async def other_databases(self) -> list[int]:
        """Other databases on which servers with our prefix are. Raises StoreError."""
        if not isinstance(self._client, Redis):
            return []
        with redis_failures("cannot look for other databases"):
            channels = await self._client.pubsub_channels(self._keys.database("*"))
        numbers = {str(name).rpartition(":")[2] for name in channels} - {str(self.database)}
        return sorted(int(number) for number in numbers if number.isdecimal())

    async def run(self) -> None:
        """Be seen for ever, also after Redis was away."""
        try:
            while isinstance(self._client, Redis):
                try:
                    await _hold(self._pubsub or await self.announce())
                except StoreError as error:
                    log.debug("other databases cannot see us: %s", error)
                await self._withdraw()
                await asyncio.sleep(RETRY_S)
        finally:
            await self._withdraw()

    async def _withdraw(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(StoreError), redis_failures("cannot unsubscribe"):
                await pubsub.aclose()  # type: ignore[no-untyped-call]


def database(client: Client) -> int:
    """The number of the database that a client uses."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0) if isinstance(client, Redis) else 0


async def _hold(pubsub: PubSub) -> None:
    """Until the subscription is lost: StoreError."""
    asked = False
    with redis_failures("the subscription was lost"):
        while True:
            message = await pubsub.get_message(timeout=HEARTBEAT_S)
            if message is None and asked:
                raise StoreError("Redis has gone silent", reason="away")
            asked = message is None
            if asked:
                await pubsub.ping()
