"""Events that a webhook gave up: references to them, no content. They are removed with their call, or with age.

`<prefix>:webhook:<name>:dead` is a hash, `<call_sid>:<seq>` to the rest of a `DeadLetter` as JSON. It lies in another
Redis Cluster slot than the calls: a letter is kept first and its event acknowledged then; both may be repeated.
"""

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures
from transcriber.webhooks.queue import RESUMABLE_S, WebhookEvent

log = logging.getLogger(__name__)
MAX_LETTERS = 100_000
"""When there are so many, events wait instead of being given up."""
KEPT_S = 90 * 86_400
"""The age limit where history has none, or a higher one."""
BATCH_LETTERS = 1000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up. `reason`: the last answer; `at`: when, ISO 8601."""

    call_sid: str
    seq: int
    reason: str
    attempts: int
    at: str


class DeadLetters:
    """Those of one webhook by its name. Every method raises StoreError."""

    def __init__(self, client: Client, keys: Keys, *, name: str, ttl_s: int) -> None:
        self._client = client
        self._keys = keys
        self._name = name
        self._key = keys.dead_letters(name)
        self._kept_s = min(ttl_s or KEPT_S, KEPT_S)

    async def add(self, letter: DeadLetter) -> bool:
        """Keep a dead letter. False: there are too many already."""
        with redis_failures("cannot keep a dead letter"):
            if await self._client.hlen(self._key) >= MAX_LETTERS:
                return False
            content = {"reason": letter.reason, "attempts": letter.attempts, "at": letter.at}
            await self._client.hset(self._key, f"{letter.call_sid}:{letter.seq}", json.dumps(content))
            await self._client.expire(self._key, self._kept_s + RESUMABLE_S)
            await self._client.sadd(self._keys.webhooks, self._name)
            deleted = await self._client.exists(self._keys.deleted(letter.call_sid))
            if deleted and not await self._client.exists(self._keys.call(letter.call_sid)):
                await self._client.hdel(
                    self._key, f"{letter.call_sid}:{letter.seq}"
                )  # while its event was being delivered
        return True

    async def all(self) -> list[DeadLetter]:
        """All of them, by call and number."""
        with redis_failures("cannot read the dead letters"):
            stored: Any = await self._client.hgetall(self._key)
        letters = []
        for field, content in stored.items():
            call_sid, _, seq = field.rpartition(":")
            letters.append(DeadLetter(call_sid, int(seq), **json.loads(content)))
        return sorted(letters, key=lambda letter: (letter.call_sid, letter.seq))

    async def count(self) -> int:
        """How many there are."""
        with redis_failures("cannot count the dead letters"):
            return int(await self._client.hlen(self._key))

    async def load_event(self, letter: DeadLetter) -> WebhookEvent | None:
        """A dead letter's event; None when its call was deleted or has expired."""
        with redis_failures("cannot read a dead letter's event"):
            entry = f"{letter.seq}-0"
            rows: Any = await self._client.xrange(self._keys.events(letter.call_sid), min=entry, max=entry)
        return WebhookEvent(letter.call_sid, letter.seq, rows[0][1]["event"], letter.attempts) if rows else None

    async def discard(self, letter: DeadLetter) -> None:
        """Forget one."""
        with redis_failures("cannot discard a dead letter"):
            await self._client.hdel(self._key, f"{letter.call_sid}:{letter.seq}")

    async def forget_old(self, *, now_s: float) -> int:
        """Discard those past the age limit; returns how many."""
        count = 0
        with redis_failures("cannot discard old dead letters"):
            async for field, content in self._client.hscan_iter(self._key, count=BATCH_LETTERS):
                at = datetime.fromisoformat(json.loads(content)["at"])
                if now_s - at.timestamp() > self._kept_s:
                    count += await self._client.hdel(self._key, field)
        return count
