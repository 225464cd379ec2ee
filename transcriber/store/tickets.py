"""One-time tickets in Redis."""

import secrets

from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures

VALID_S = 300
RANDOM_BYTES = 24


class RedisTickets:
    """Implements `Tickets`. A ticket shown for the wrong call is spent as well."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def issue(self, call_sid: str) -> str:
        """A new ticket for that call, valid for five minutes. Raises StoreError."""
        ticket = secrets.token_urlsafe(RANDOM_BYTES)
        with redis_failures("cannot issue a ticket"):
            await self._client.set(self._keys.ticket(ticket), call_sid, ex=VALID_S)
        return ticket

    async def spend(self, ticket: str) -> str:
        """The call it is good for, empty if none. Raises StoreError; the ticket may then be spent or not."""
        with redis_failures("cannot check a ticket"):
            return str(await self._client.getdel(self._keys.ticket(ticket)) or "")

    async def redeem(self, ticket: str, call_sid: str) -> bool:
        """Whether the ticket is good for that call. Raises StoreError; the ticket may then be spent or not."""
        return await self.spend(ticket) == call_sid
