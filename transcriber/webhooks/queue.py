"""What is to be sent: a consumer group on every call's stream, and the calls that still have something to send.

A call is one consumer's at a time: while an entry is pending with one, no other gets the next, and an entry that was
idle for `lease_ms` is anybody's. So events leave in order, several senders share the calls, and what a
dead one held is taken over. Attempts are the group's delivery counts. All this lies in the call's own stream, hence in
its Redis Cluster slot, and goes with the call. Besides there is one hash, `<prefix>:webhook:<name>`: `born_ms` (calls
that ended before are not sent) and `settled_ms` (calls that began before have been sent), both by Redis's clock.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis.exceptions import ResponseError

from transcriber.store.call_list import MAX_CALL_S
from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures

BATCH_EVENTS = 10
"""Events of a call taken in one step."""
BATCH_CALLS = 500
GROUP_PREFIX = "webhook:"
MAX_CONCURRENT_COMMANDS = 16
"""Commands under way at once, half of what the client has: thousands of calls queue here, where no deadline runs."""
RESUMABLE_S = MAX_CALL_S + 3600
"""So long after its start a call may still get events: an hour for what is written late, and for clocks that differ."""

# KEYS: events stream. ARGV: group, consumer, lease ms, how many, done ids (acknowledged first).
# Answers {'busy', ms left} or {'yours', id, attempts, json, id, attempts, json, …}, empty when there is nothing.
_TAKE = """
local key, group, me, lease, count = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('EXISTS', key) == 0 then return {'yours'} end
for i = 5, #ARGV do redis.call('XACK', key, group, ARGV[i]) end
local pending = redis.pcall('XPENDING', key, group, '-', '+', count)
if pending.err then
  redis.call('XGROUP', 'CREATE', key, group, '0')
  pending = {}
end
local answer = {'yours'}
for _, row in ipairs(pending) do
  if row[2] ~= me and row[3] < lease then return {'busy', lease - row[3]} end
end
for _, row in ipairs(pending) do
  redis.call('XCLAIM', key, group, me, 0, row[1], 'JUSTID')
  local found = redis.call('XRANGE', key, row[1], row[1])
  if found[1] then
    for _, part in ipairs({row[1], row[4] - 1, found[1][2][2]}) do answer[#answer + 1] = part end
  else
    redis.call('XACK', key, group, row[1])
  end
end
if #answer > 1 then return answer end
local fresh = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', count, 'STREAMS', key, '>')
if fresh then
  for _, entry in ipairs(fresh[1][2]) do
    for _, part in ipairs({entry[1], 0, entry[2][2]}) do answer[#answer + 1] = part end
  end
end
return answer
"""

# KEYS: events stream. ARGV: group, consumer, how many, idle ms to leave behind. Answers how many are the consumer's.
_TOUCH = """
local key, group, me = KEYS[1], ARGV[1], ARGV[2]
local pending = redis.pcall('XPENDING', key, group, '-', '+', ARGV[3], me)
if pending.err then return 0 end
for _, row in ipairs(pending) do
  redis.call('XCLAIM', key, group, me, 0, row[1], 'IDLE', ARGV[4], 'JUSTID')
end
return #pending
"""


# KEYS: any, for the cluster's sake. Answers epoch ms.
_NOW = """
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)
"""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One event to be sent; `attempts`: how often it failed already."""

    call_sid: str
    seq: int
    json: str
    attempts: int

    @property
    def entry_id(self) -> str:
        """Its id in the call's stream."""
        return f"{self.seq}-0"


@dataclass(frozen=True, slots=True)
class CallBusy:
    """Another sender has the call; look again after so many seconds."""

    again_s: float


class WebhookQueue:
    """The Redis side of one webhook by its name. Every method raises StoreError."""

    def __init__(self, client: Client, keys: Keys, *, name: str, consumer: str, lease_s: float) -> None:
        self._client = client
        self._keys = keys
        self._group = f"{GROUP_PREFIX}{name}"
        self._consumer = consumer
        self._lease_ms = round(lease_s * 1000)
        self._state = keys.webhook(name)
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_COMMANDS)
        self._take = client.register_script(_TAKE)
        self._touch = client.register_script(_TOUCH)
        self._now = client.register_script(_NOW)

    async def register(self, *, born_ms: int | None = None) -> bool:
        """Begin a webhook of this name, with the calls that end after `born_ms` (None: now). False: begun before."""
        with redis_failures("cannot register the webhook"):
            await self._client.sadd(self._keys.webhooks, self._group.removeprefix(GROUP_PREFIX))
            if born_ms is None:
                born_ms = int(await self._now(keys=[self._state]))
            return bool(await self._client.hsetnx(self._state, "born_ms", str(born_ms)))

    async def take(self, call_sid: str, *, done: Sequence[WebhookEvent] = ()) -> CallBusy | list[WebhookEvent]:
        """The call's next events, ours until they are done or the lease runs out; `done` are acknowledged first."""
        async with self._command("cannot take events"):
            arguments: list[Any] = [
                self._group,
                self._consumer,
                self._lease_ms,
                BATCH_EVENTS,
                *(event.entry_id for event in done),
            ]
            word, *rest = await self._take(keys=[self._keys.events(call_sid)], args=arguments)
        if word == "busy":
            return CallBusy(int(rest[0]) / 1000)
        rows = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        return [WebhookEvent(call_sid, int(entry.partition("-")[0]), text, int(count)) for entry, count, text in rows]

    async def renew(self, call_sid: str) -> bool:
        """Whether what we took is still ours; its lease begins anew."""
        return await self._leave(call_sid, idle_ms=0)

    async def acknowledge(self, done: Sequence[WebhookEvent]) -> None:
        """These events of one call need no more sending."""
        async with self._command("cannot acknowledge events"):
            entries = [event.entry_id for event in done]
            await self._client.xack(self._keys.events(done[0].call_sid), self._group, *entries)

    async def release(self, call_sid: str, *, done: Sequence[WebhookEvent] = ()) -> None:
        """Acknowledge what is done and leave the rest to the next who asks."""
        if done:
            await self.acknowledge(done)
        await self._leave(call_sid, idle_ms=self._lease_ms)

    async def count_attempt(self, event: WebhookEvent, *, attempts: int) -> None:
        """Remember how often the event was tried."""
        async with self._command("cannot count a try"):
            key, ids = self._keys.events(event.call_sid), (event.entry_id,)
            with suppress(ResponseError):  # the call was deleted
                await self._client.xclaim(
                    key, self._group, self._consumer, 0, ids, retrycount=attempts + 1, justid=True
                )

    async def unsent(self) -> AsyncIterator[str]:
        """CallSids of the calls that may have something to send; at the end it is remembered how far all is sent."""
        with redis_failures("cannot look for calls"):
            born, settled = await self._client.hmget(self._state, ["born_ms", "settled_ms"])
            born_ms = int(born or 0)
            oldest_ms = int(await self._now(keys=[self._state])) - RESUMABLE_S * 1000
            # A sender whose clock was ahead may have left a moment that is still to come.
            known_ms = int(settled or max(0, born_ms - RESUMABLE_S * 1000))
            settled_ms = min(oldest_ms, known_ms)
            live = await self._page(self._keys.live, 0, count=-1)
            for start in range(0, len(live), BATCH_CALLS):
                for call_sid, _ in await self._having_news(live[start : start + BATCH_CALLS], born_ms):
                    yield call_sid
            from_ms, offset = settled_ms, 0
            while page := await self._page(self._keys.calls, from_ms, offset=offset):
                for call_sid, started_ms in await self._having_news(page, born_ms):
                    oldest_ms = min(oldest_ms, started_ms)
                    yield call_sid
                last_ms = page[-1][1]
                offset = offset + len(page) if last_ms == from_ms else sum(ms == last_ms for _, ms in page)
                from_ms = last_ms
            if oldest_ms > settled_ms or settled_ms < known_ms:
                await self._client.hset(self._state, "settled_ms", str(oldest_ms))

    async def _page(
        self, key: str, from_ms: int, *, offset: int = 0, count: int = BATCH_CALLS
    ) -> list[tuple[str, int]]:
        rows: Any = await self._client.zrangebyscore(key, from_ms, "+inf", start=offset, num=count, withscores=True)
        return [(str(call_sid), int(score)) for call_sid, score in rows]

    async def _having_news(self, calls: Sequence[tuple[str, int]], born_ms: int) -> list[tuple[str, int]]:
        """Those with events the group has not seen or not acknowledged."""
        pipeline = self._client.pipeline(transaction=False)
        for call_sid, _ in calls:
            pipeline.hmget(self._keys.call(call_sid), ["seq", "ended_at"])
            pipeline.xinfo_groups(self._keys.events(call_sid))
        answers = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and "no such key" not in str(answer):
                raise answer
        return [
            call
            for call, (seq, ended_at), groups in zip(calls, answers[::2], answers[1::2], strict=True)
            if self._has_news(int(seq or 0), ended_at, groups, born_ms)
        ]

    def _has_news(self, seq: int, ended_at: str | None, groups: Any, born_ms: int) -> bool:
        if not seq or isinstance(groups, Exception):  # expired or deleted
            return False
        for group in groups:
            if group["name"] == self._group:
                return bool(group["pending"] or int(group["last-delivered-id"].partition("-")[0]) < seq)
        return ended_at is None or datetime.fromisoformat(ended_at).timestamp() * 1000 >= born_ms

    @asynccontextmanager
    async def _command(self, doing: str) -> AsyncIterator[None]:
        async with self._slots:
            with redis_failures(doing):
                yield

    async def _leave(self, call_sid: str, *, idle_ms: int) -> bool:
        async with self._command("cannot hold a call"):
            arguments: list[Any] = [self._group, self._consumer, BATCH_EVENTS, idle_ms]
            return bool(await self._touch(keys=[self._keys.events(call_sid)], args=arguments))
