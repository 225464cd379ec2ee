"""Shows other servers on which database this one is, so that two with the same prefix do not mix.

Keys belong to a database, channels to the whole Redis: servers with the same prefix on two databases would receive each
other's calls. Each one holds a subscription to `<prefix>:database:<n>`, and looks who else holds one. A Redis Cluster
has one database, so nothing is shown there.
"""

from redis.asyncio import Redis

from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures
from transcriber.store.redis.subscription import Subscription


class DatabaseGuard:
    """Belongs to the event loop's thread."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self.database = database(client)
        self._shown = Subscription(client, keys.database(self.database))

    async def announce(self) -> None:
        """Be seen from now on; `run` goes on with it. Raises StoreError."""
        await self._shown.begin()

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
        if isinstance(self._client, Redis):
            await self._shown.run()


def database(client: Client) -> int:
    """The number of the database that a client uses."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0) if isinstance(client, Redis) else 0
