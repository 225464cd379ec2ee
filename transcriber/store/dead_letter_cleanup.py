"""Removes the dead letters of a deleted call, whichever webhook they belong to."""

import logging
from typing import Any

from redis.exceptions import NoPermissionError

from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client

log = logging.getLogger(__name__)
BATCH_LETTERS = 1000
"""Dead letters read in one step."""


class DeadLetterCleanup:
    """Of all webhooks. Errors of Redis come out as they are."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._found_older = False

    async def forget(self, call_sid: str) -> None:
        """Discard all dead letters of a call."""
        await self._find_older()
        names: Any = await self._client.smembers(self._keys.webhooks)
        for name in names:
            key = self._keys.dead_letters(name)
            async for field, _ in self._client.hscan_iter(key, match=f"{call_sid}:*", count=BATCH_LETTERS):
                await self._client.hdel(key, field)

    async def _find_older(self) -> None:
        """Once: webhooks of an older version, which left no name."""
        if self._found_older:
            return
        head, tail = self._keys.dead_letters("*").split("*")
        try:
            async for key in self._client.scan_iter(match=f"{head}*{tail}", count=BATCH_LETTERS):
                await self._client.sadd(self._keys.webhooks, key.removeprefix(head).removesuffix(tail))
        except NoPermissionError as error:
            log.warning("webhooks of an older version are not looked for: %s", error)
        self._found_older = True
