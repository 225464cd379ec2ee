"""The sorted sets that list the calls: all of them, and the live ones. Redis's clock alone says what is old.

They lie in other Redis Cluster slots than the calls, so they are indexes: what they lack or have too much is found by
the calls' own keys (by `IndexRepair`, and by every walk through them).
"""

from collections.abc import Sequence
from typing import Any

from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client

MAX_CALL_S = 24 * 3600
"""Twilio ends calls after so long. A live call is kept as long after its last event, whatever the TTL: were its counter
to go in a long silence, `seq` would start again."""
CHECKED_CALLS = 20
"""So many of the oldest calls are checked when a new one comes."""

# KEYS: calls. ARGV: call sid, start ms, after how many ms a call must have expired (0 = never), how many to answer.
# Answers calls so old that their keys should be gone.
_ADD = """
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
if ARGV[3] == '0' then return {} end
local oldest = redis.call('TIME')[1] * 1000 - ARGV[3]
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', oldest), 'LIMIT', 0, ARGV[4])
"""


class CallList:
    """Errors of Redis come out as they are, unless something else is said."""

    def __init__(self, client: Client, keys: Keys, *, ttl_s: int) -> None:
        self._client = client
        self._keys = keys
        self._kept_ms = ttl_s and (ttl_s + MAX_CALL_S) * 1000
        self._add = client.register_script(_ADD)

    async def add(self, call_sid: str, started_ms: int) -> None:
        """List the call, and take some that have expired off the list."""
        old = await self._add(keys=[self._keys.calls], args=[call_sid, started_ms, self._kept_ms, CHECKED_CALLS])
        if old:
            await self.forget_expired(old)

    async def add_live(self, call_sid: str, started_ms: int) -> None:
        """List it as live."""
        await self._client.zadd(self._keys.live, {call_sid: started_ms})

    async def remove_live(self, call_sid: str) -> None:
        """The list lies in another slot of a cluster than the call, so a stream may open in between: look again."""
        await self._client.zrem(self._keys.live, call_sid)
        status, started_ms = await self._client.hmget(self._keys.call(call_sid), ["status", "started_at_ms"])
        if status == "live":
            await self.add_live(call_sid, int(started_ms or 0))

    async def remove(self, call_sid: str) -> bool:
        """The call is deleted; whether it was listed. A new stream of it may open in between, here too: look again."""
        listed = await self._client.zrem(self._keys.calls, call_sid)
        await self._client.zrem(self._keys.live, call_sid)
        started_ms = await self._client.hget(self._keys.call(call_sid), "started_at_ms")
        if started_ms is not None:
            await self.add(call_sid, int(started_ms))
            await self.add_live(call_sid, int(started_ms))
        return bool(listed)

    async def forget_expired(self, call_sids: Sequence[str]) -> None:
        """Take those off that have no key any more, whatever a clock says of their age."""
        pipeline = self._client.pipeline(transaction=False)
        for call_sid in call_sids:
            pipeline.exists(self._keys.call(call_sid))
        there: list[Any] = await pipeline.execute()
        expired = [call_sid for call_sid, exists in zip(call_sids, there, strict=True) if not exists]
        if expired:
            await self._client.zrem(self._keys.calls, *expired)
            await self._client.zrem(self._keys.live, *expired)
