"""Writes into the indexes what they lack, from the calls' own keys: they are the record, the indexes only lead to it.

Calls of which an index write failed are marked: in memory, and as soon as Redis takes it in `<prefix>:unindexed`, where
any server finds them. All indexes can be made anew from the calls.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress

from transcriber.errors import StoreError
from transcriber.store.call_list import CallList
from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures
from transcriber.store.search.index import IndexedCall, SearchIndex
from transcriber.store.secondary_write_health import SecondaryWriteHealth
from transcriber.store.stored_events import StoredEvents

log = logging.getLogger(__name__)
MAX_MARKED_CALLS = 10_000
"""Calls marked in memory, while Redis does not take the mark."""
MAX_UNINDEXED_CALLS = 100_000
"""Calls marked in Redis."""
BATCH_CALLS = 100
SCAN_BATCH_KEYS = 500
REPAIR_INTERVAL_S = 5.0
LEASES = "leases"
REPAIRED = ("calls", "live", "search")

# KEYS: unindexed. ARGV: how many at most, then score and call sid of each. Answers how many found no room.
_NOTE = """
local refused = 0
for i = 2, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i + 1]) or redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1])
  else
    refused = refused + 1
  end
end
return refused
"""

# KEYS: unindexed. ARGV: how many. Answers call sid, score, call sid, score, …
_NEXT = "return redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1, 'WITHSCORES')"

# KEYS: unindexed. ARGV: call sid, its score when it was read: one that was noted again since stays.
_DONE = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('ZREM', KEYS[1], ARGV[1]) end
"""


class IndexRepair:
    """Belongs to the event loop's thread."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        index: SearchIndex,
        calls: CallList,
        secondary_writes: SecondaryWriteHealth,
        events: StoredEvents,
    ) -> None:
        self._client = client
        self._keys = keys
        self._index = index
        self._calls = calls
        self._secondary_writes = secondary_writes
        self._events = events
        self._marked: dict[str, None] = {}
        self._full = False
        self._note = client.register_script(_NOTE)
        self._first = client.register_script(_NEXT)
        self._done = client.register_script(_DONE)

    async def write(self, index: str, call_sids: Sequence[str], write: Callable[[], Awaitable[object]]) -> None:
        """An index's write. Should it fail, that is logged, the record goes on, and the calls are indexed later.

        While an index fails, its writes are not tried with every event.
        """
        if index not in self._secondary_writes.problems or index == LEASES:
            try:
                with redis_failures("cannot write"):
                    await write()
                return
            except StoreError as error:
                self._secondary_writes.failed(index, error)
        if index != LEASES:  # the lease monitor renews what is lacking
            for call_sid in call_sids:
                self.mark(call_sid)

    def mark(self, call_sid: str) -> None:
        """An index lacks something of this call. Over the bound it is left to `rebuild`, which is logged once."""
        if call_sid in self._marked or len(self._marked) < MAX_MARKED_CALLS:
            self._marked[call_sid] = None
        elif not self._full:
            self._full = True
            log.error("more than %d calls wait to be indexed: run `transcriber reindex` afterwards", MAX_MARKED_CALLS)

    async def run(self, *, interval_s: float = REPAIR_INTERVAL_S) -> None:
        """`run_once` every `interval_s`, for ever; where nothing is listed, the list is made anew first."""
        try:
            await self._rebuild_if_empty()
            while True:
                try:
                    await self.run_once()
                except StoreError as error:
                    log.debug("the indexes cannot be repaired yet: %s", error)
                await asyncio.sleep(interval_s)
        finally:
            with suppress(StoreError):
                await self._flush_marked()

    async def run_once(self) -> int:
        """Index what is marked, here or by others; how many calls. Raises StoreError at the first that fails."""
        await self._flush_marked()
        repaired = 0
        while rows := await self._next():
            for call_sid, score in rows:
                try:
                    await self.restore(call_sid)
                except StoreError as error:
                    if error.reason != "error":
                        raise
                    log.error("call %s cannot be indexed: %s", call_sid, error)  # its own keys are not what they were
                with redis_failures("cannot cross a call off"):
                    await self._done(keys=[self._keys.unindexed], args=[call_sid, score])
                repaired += 1
        if not self._marked:
            for index in REPAIRED:
                self._secondary_writes.succeeded(index)
        return repaired

    async def restore(self, call_sid: str) -> None:
        """All index entries of one call, from its hash and its stream. Raises StoreError."""
        with redis_failures("cannot read a call"):
            status, started = await self._client.hmget(self._keys.call(call_sid), ["status", "started_at_ms"])
        if status is None:
            return
        started_ms = int(started or 0)
        with redis_failures("cannot list a call"):
            await self._calls.add(call_sid, started_ms)
            if status == "live":
                await self._calls.add_live(call_sid, started_ms)
            else:
                await self._calls.remove_live(call_sid)
        indexed: list[str] = []
        with redis_failures("cannot index a call"):
            async for texts in self._events.texts(call_sid):
                indexed += texts
                await self._index.restore(IndexedCall(call_sid, started_ms), texts)
            if not await self._client.exists(self._keys.call(call_sid)):  # deleted meanwhile: no word of it stays
                await self._index.remove(IndexedCall(call_sid, started_ms), indexed)
                await self._calls.forget_expired([call_sid])

    async def rebuild(self) -> AsyncIterator[int]:
        """Restore every call that has keys, in slices; yields how many were done so far. Raises StoreError."""
        done = 0
        async for call_sids in self._all_call_sids():
            for call_sid in call_sids:
                await self.restore(call_sid)
            done += len(call_sids)
            yield done

    async def _rebuild_if_empty(self) -> None:
        """A list that was lost, with Redis's data or by a command."""
        try:
            with redis_failures("cannot read the list of calls"):
                listed = await self._client.exists(self._keys.calls)
            if not listed:
                async for done in self.rebuild():
                    log.debug("%d calls are listed again", done)
        except StoreError as error:
            log.warning("the list of calls cannot be made anew: %s", error)

    async def _flush_marked(self) -> None:
        """From memory to Redis, a slice at a time; one that is marked again meanwhile stays marked."""
        while self._marked:
            batch = list(self._marked)[:BATCH_CALLS]
            for call_sid in batch:
                del self._marked[call_sid]
            rows = [part for call_sid in batch for part in (time.time_ns() // 1000, call_sid)]
            try:
                with redis_failures("cannot mark the calls to be indexed"):
                    refused = await self._note(keys=[self._keys.unindexed], args=[MAX_UNINDEXED_CALLS, *rows])
            except StoreError as error:
                self._marked |= dict.fromkeys(batch)
                if error.reason != "away":  # then everything is, and that is logged
                    self._secondary_writes.failed("unindexed", error)
                raise
            self._secondary_writes.succeeded("unindexed")
            if refused:
                log.error(
                    "%d calls more than %d wait: run `transcriber reindex` afterwards", refused, MAX_UNINDEXED_CALLS
                )

        self._full = False

    async def _next(self) -> list[tuple[str, str]]:
        with redis_failures("cannot read the calls to be indexed"):
            rows = await self._first(keys=[self._keys.unindexed], args=[BATCH_CALLS])
        return list(zip(rows[::2], rows[1::2], strict=True))

    async def _all_call_sids(self) -> AsyncIterator[Sequence[str]]:
        """The CallSids of all calls that have keys, on every node, a slice at a time."""
        before, after = self._keys.call("\0").split("\0")
        found: list[str] = []
        with redis_failures("cannot look through the keys"):
            async for key in self._client.scan_iter(match=self._keys.call("*"), count=SCAN_BATCH_KEYS):
                found.append(str(key).removeprefix(before).removesuffix(after))
                if len(found) == BATCH_CALLS:
                    yield found
                    found = []
        yield found
