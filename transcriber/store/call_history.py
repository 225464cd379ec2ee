"""Reads calls: lists, summaries, events, searches. Deleting them is passed on to `CallDeletion`."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from transcriber.errors import CallNotFound
from transcriber.store.call_cursor import CallCursor, ScanStep, collect_page
from transcriber.store.call_deletion import CallDeletion
from transcriber.store.call_list import CallList
from transcriber.store.call_summary import summary
from transcriber.store.keys import Keys
from transcriber.store.ports import CallPage, CallQuery
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures
from transcriber.store.search.call_search import CallSearch
from transcriber.store.search.index import SearchIndex
from transcriber.store.search.index_writer import IndexWriter
from transcriber.store.stored_events import StoredEvents

BATCH_CALLS = 50
"""Looked at in one round trip."""
MAX_CALLS_READ = 10_000
MAX_EVENTS_READ = 50_000
"""For one page of a list, of a search: what has cost so much is short and has a cursor."""


class RedisCallHistory:
    """Implements `CallHistory`. `max_calls_read`, `max_events_read`: what one page may cost."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        index: SearchIndex,
        index_writer: IndexWriter,
        calls: CallList,
        deletions: CallDeletion,
        events: StoredEvents,
    ) -> None:
        self.max_calls_read = MAX_CALLS_READ
        self.max_events_read = MAX_EVENTS_READ
        self._client = client
        self._keys = keys
        self._calls = calls
        self._deletions = deletions
        self._events = events
        self._time_slices = events.time_slices
        self._call_search = CallSearch(client, keys, index, index_writer, events)

    async def calls(self, query: CallQuery) -> CallPage:
        """A page of summaries, newest first; with a cursor it may be short or empty. Raises BadRequest, StoreError."""
        after = None if query.cursor is None else CallCursor.parse(query.cursor)
        if query.terms:
            return await self._search(query, after)
        summaries: list[Mapping[str, Any]] = []
        with redis_failures("cannot list the calls"):
            page, cursor = await collect_page(self._scan(query, after), limit=query.limit, max_cost=self.max_calls_read)
            for start in range(0, len(page), BATCH_CALLS):
                calls = [call for call, _ in page[start : start + BATCH_CALLS]]
                stored = zip(calls, await self._command_on_each(calls, "HGETALL"), strict=True)
                summaries += await self._time_slices.collect(
                    summary(call.call_sid, fields) for call, fields in stored if fields
                )
        return CallPage(summaries, cursor)

    async def _search(self, query: CallQuery, after: CallCursor | None) -> CallPage:
        with redis_failures("cannot search the calls"):
            scan = self._call_search.calls(query, after)
            page, cursor = await collect_page(scan, limit=query.limit, max_cost=self.max_events_read)
        summaries = await self._time_slices.collect(
            summary(call.call_sid, match.stored) | {"matches": match.matches, "match_count": match.count}
            for call, match in page
        )
        return CallPage(summaries, cursor)

    async def call(self, call_sid: str) -> Mapping[str, Any]:
        """One call's summary. Raises CallNotFound, StoreError."""
        with redis_failures("cannot read the call"):
            stored: Any = await self._client.hgetall(self._keys.call(call_sid))
        if "status" not in stored:
            raise CallNotFound(f"no call {call_sid}")
        return summary(call_sid, stored)

    async def pages(self, call_sid: str, *, after: int = 0) -> AsyncGenerator[Sequence[str]]:
        """The JSON of the events with seq > `after`, in order, some at a time. Raises CallNotFound, StoreError."""
        empty = True
        with redis_failures("cannot read the events"):
            while empty:
                async for page in self._events.pages(call_sid, after=after):
                    empty = False
                    yield page
                if empty and not await self._client.exists(self._keys.events(call_sid)):
                    raise CallNotFound(f"no call {call_sid}")
                if after > 0:
                    break
                # A stream is never empty: one that was not there and is has just begun, so it is read again.

    async def events(self, call_sid: str, *, after: int = 0) -> Sequence[str]:
        """All of them. Raises CallNotFound, StoreError."""
        return [text async for page in self.pages(call_sid, after=after) for text in page]

    async def delete(self, call_sid: str) -> None:
        """Remove an ended call and all its keys. Raises CallNotFound, CallIsLive, StoreError."""
        await self._deletions.delete(call_sid)

    async def _scan(self, query: CallQuery, after: CallCursor | None) -> AsyncGenerator[ScanStep[str]]:
        """The calls behind `after`, newest first, those that match with their status; expired ones leave the list."""
        at_once = min(query.limit + 1, BATCH_CALLS) if query.status is None else BATCH_CALLS
        key = self._keys.live if query.status == "live" else self._keys.calls
        while batch := await self._next_calls(query, after, key=key, at_once=at_once):
            statuses = await self._command_on_each(batch, "HGET", "status")
            for call, status in zip(batch, statuses, strict=True):
                yield ScanStep(call, status if query.status in (None, status) else None)
            # One without a status may just be starting: that one stays.
            if gone := [call.call_sid for call, status in zip(batch, statuses, strict=True) if status is None]:
                await self._calls.forget_expired(gone)
            after = batch[-1]

    async def _next_calls(
        self, query: CallQuery, after: CallCursor | None, *, key: str, at_once: int
    ) -> list[CallCursor]:
        """The next calls of the sorted set; among equal start times Redis orders by CallSid, as `CallCursor` does."""
        newest = after.started_ms if after is not None else float("inf")
        if query.until_ms is not None:
            newest = min(newest, query.until_ms)
        oldest = query.since_ms if query.since_ms is not None else "-inf"
        start = 0
        while True:
            rows: Any = await self._client.zrevrangebyscore(
                key, newest, oldest, start=start, num=at_once, withscores=True
            )
            calls = [CallCursor(int(score), call_sid) for call_sid, score in rows]
            fresh = calls if after is None else [call for call in calls if call < after]
            if fresh or len(rows) < at_once:
                return fresh
            start += at_once

    async def _command_on_each(self, calls: Sequence[CallCursor], command: str, *arguments: str) -> list[Any]:
        """The answers to one command on each call's hash, in one round trip."""
        if not calls:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command(command, self._keys.call(call.call_sid), *arguments)
        return list(await pipeline.execute())
