"""The writing side: every event of a call numbered, kept and published in one atomic step of Redis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from transcriber.core.transcript import (
    CallEnded,
    CallStarted,
    Event,
    Final,
    Partial,
    StreamStarted,
    StreamStopped,
    around_seq,
    iso_time,
    to_json,
)
from transcriber.store.client import Client
from transcriber.store.failures import redis_failures
from transcriber.store.keys import Keys
from transcriber.store.search import SearchIndex
from transcriber.store.summary import Change, changes

Guard = Literal["always", "first", "resumed", "last"]
"""When an entry is written: always; the call has no events yet; it has, but no live stream; none is left after this."""
LONGEST_CALL_S = 24 * 3600
"""A live call is kept at least so long after its last event, whatever the TTL: were its counter to go in a long
silence, `seq` would start again."""

MOST_STREAMS = 1_000_000
"""More than a call can have: taken from the live ones, none is left."""

# KEYS: call hash. ARGV: epoch ms, seconds a claim lives that no write follows.
_CLAIM = """
if redis.call('HSETNX', KEYS[1], 'started_at_ms', ARGV[1]) == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return redis.call('HGET', KEYS[1], 'started_at_ms')
"""

# KEYS: events stream, call hash. ARGV: stream sid, write number, ttl s, ttl s while live, change of the live streams,
# number of entries; per entry guard, channel, head, tail, number of changes; per change command, field, value.
# Answers 1 if no live stream was left. Nothing is published before everything is kept.
_WRITE = """
local events, call = KEYS[1], KEYS[2]
local sid, number, ttl, live_ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local change, entries, at = tonumber(ARGV[5]), tonumber(ARGV[6]), 7
local known = redis.call('HMGET', call, 'seq', 'live_streams', 'written:' .. sid, 'was_last:' .. sid)
if known[3] and number <= tonumber(known[3]) then
  return tonumber(known[4] or 0)
end
local seq, before = tonumber(known[1] or 0), tonumber(known[2] or 0)
local live = math.max(0, before + change)
local holds = {always = true, first = seq == 0, resumed = seq > 0 and before == 0, last = live == 0}
local messages = {}
for _ = 1, entries do
  local guard, channel, head, tail, changes = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  at = at + 5
  if holds[guard] then
    seq = seq + 1
    local json = head .. seq .. tail
    redis.call('XADD', events, seq .. '-0', 'event', json)
    messages[#messages + 1] = {channel, json}
    for i = at, at + 3 * (changes - 1), 3 do
      if ARGV[i] == 'HDEL' then
        redis.call('HDEL', call, ARGV[i + 1])
      else
        redis.call(ARGV[i], call, ARGV[i + 1], ARGV[i + 2])
      end
    end
  end
  at = at + 3 * changes
end
local was_last = live == 0 and 1 or 0
redis.call('HSET', call, 'seq', seq, 'live_streams', live, 'written:' .. sid, number)
if change < 0 then
  redis.call('HSET', call, 'was_last:' .. sid, was_last)
end
for _, key in ipairs(KEYS) do
  if ttl == 0 then
    redis.call('PERSIST', key)
  else
    redis.call('EXPIRE', key, live > 0 and live_ttl or ttl)
  end
end
for _, message in ipairs(messages) do
  redis.call('PUBLISH', message[1], message[2])
end
return was_last
"""


@dataclass(frozen=True, slots=True)
class _Entry:
    guard: Guard
    event: Event
    more: tuple[Change, ...] = ()


class RedisOutlet:
    """Implements `ports.Outlet`: any number of servers may write streams of one call at once."""

    def __init__(self, client: Client, keys: Keys, index: SearchIndex, *, ttl_s: int) -> None:
        self._client = client
        self._keys = keys
        self._index = index
        self._ttl_s = ttl_s
        self._claim = client.register_script(_CLAIM)
        self._write = client.register_script(_WRITE)

    async def open(self, call: CallStarted, stream: StreamStarted, *, at_ms: int) -> int:
        """Begin a stream; see `ports.Outlet`. The call is listed before its first event is published."""
        with redis_failures("cannot open the stream"):
            key = self._keys.call(call.call_sid)
            started_ms = int(await self._claim(keys=[key], args=[at_ms, LONGEST_CALL_S]))
            await self._list(call.call_sid, started_ms, now_ms=at_ms)
            offset_ms = max(0, at_ms - started_ms)
            started = (
                Change("HSET", "started_at_ms", started_ms),
                Change("HSET", "started_at", iso_time(started_ms / 1000)),
            )
            entries = [
                _Entry("first", replace(call, resumed=False)),
                _Entry("resumed", replace(call, resumed=True)),
                _Entry("always", replace(stream, start_ms=offset_ms), started),
            ]
            await self._run(stream.stream_sid, 0, entries, live=1)
            # Again: another stream's end may have unlisted the call in between.
            await self._client.zadd(self._keys.live, {call.call_sid: started_ms})
        self._index.begin(call.call_sid, started_ms)
        return offset_ms

    async def append(self, stream_sid: str, number: int, event: Event) -> None:
        """Persist and publish one event; see `ports.Outlet`."""
        with redis_failures("cannot write an event"):
            await self._run(stream_sid, number, [_Entry("always", event)])
            if isinstance(event, Final):
                await self._index_texts(event.call_sid, [event.text])

    async def close(self, number: int, stream: StreamStopped, call: CallEnded) -> bool:
        """End a stream; see `ports.Outlet`."""
        with redis_failures("cannot close the stream"):
            entries = [_Entry("always", stream), _Entry("last", call)]
            was_last = await self._run(stream.stream_sid, number, entries, live=-1)
            if was_last:
                await self._unlist_live(stream.call_sid)
                self._index.forget(stream.call_sid)
        return was_last

    async def publish(self, partial: Partial) -> None:
        """Publish without keeping. Raises StoreError."""
        with redis_failures("cannot publish a partial"):
            await self._client.publish(self._keys.channel(partial.call_sid, partial.channel), to_json(partial))

    async def interrupt_all(self, *, at: str) -> int:
        """End every live call as `interrupted`: after a crash, on a Redis that nobody but us uses. Returns how many."""
        interrupted = 0
        with redis_failures("cannot end the calls of an earlier server"):
            for call_sid in map(str, await self._client.zrange(self._keys.live, 0, -1)):
                if await self._client.hget(self._keys.call(call_sid), "status") == "live":
                    ended = CallEnded(call_sid=call_sid, reason="interrupted", at=at)
                    entry = _Entry("last", ended, (Change("HSET", "status", "interrupted"),))
                    await self._run(f"interrupted:{at}", 1, [entry], live=-MOST_STREAMS)
                    interrupted += 1
                await self._unlist_live(call_sid)
        return interrupted

    async def _index_texts(self, call_sid: str, texts: Sequence[str]) -> None:
        """After the final, in another slot of a cluster: a failure makes the caller repeat both."""
        started_ms = self._index.started_ms(call_sid)
        if started_ms is None:
            started_ms = int(await self._client.hget(self._keys.call(call_sid), "started_at_ms") or 0)
        await self._index.add(call_sid, started_ms, texts)

    async def _list(self, call_sid: str, started_ms: int, *, now_ms: int) -> None:
        for key in (self._keys.calls, self._keys.live):
            await self._client.zadd(key, {call_sid: started_ms})
        if self._ttl_s > 0:
            oldest_ms = now_ms - (self._ttl_s + LONGEST_CALL_S) * 1000
            await self._client.zremrangebyscore(self._keys.calls, "-inf", f"({oldest_ms}")

    async def _unlist_live(self, call_sid: str) -> None:
        """The index lies in another slot of a cluster than the call, so a stream may open in between: look again."""
        await self._client.zrem(self._keys.live, call_sid)
        status, started_ms = await self._client.hmget(self._keys.call(call_sid), ["status", "started_at_ms"])
        if status == "live":
            await self._client.zadd(self._keys.live, {call_sid: int(started_ms or 0)})

    async def _run(self, stream_sid: str, number: int, entries: Sequence[_Entry], *, live: int = 0) -> bool:
        call_sid = entries[0].event.call_sid
        live_ttl_s = max(self._ttl_s, LONGEST_CALL_S)
        args = [stream_sid, number, self._ttl_s, live_ttl_s, live, len(entries), *self._arguments(entries)]
        return bool(await self._write(keys=[self._keys.events(call_sid), self._keys.call(call_sid)], args=args))

    def _arguments(self, entries: Sequence[_Entry]) -> Iterator[str | int]:
        for entry in entries:
            event = entry.event
            made = [*changes(event), *entry.more]
            yield from (entry.guard, self._keys.channel(event.call_sid, event.channel), *around_seq(event), len(made))
            for change in made:
                yield from (change.command, change.field, change.value)
