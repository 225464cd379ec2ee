"""The reading side: which calls there are, what was said in them, and removing them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from transcriber.errors import CallIsLive, CallNotFound
from transcriber.ports import CallPage, CallQuery
from transcriber.store.client import Client
from transcriber.store.events import Events
from transcriber.store.failures import redis_failures
from transcriber.store.finder import Finder
from transcriber.store.keys import Keys
from transcriber.store.listing import CallList
from transcriber.store.place import Looked, Place, paged
from transcriber.store.search import SearchIndex
from transcriber.store.summary import summary
from transcriber.turns import Turns

CALLS_AT_ONCE = 50
"""Looked at in one round trip."""
MOST_CALLS_READ = 10_000
MOST_EVENTS_READ = 50_000
"""For one page of a list, of a search: what has cost so much is short and has a cursor."""

# KEYS: events stream, call hash. Answers 0 = not there, -1 = live, 1 = removed.
_DELETE = """
if redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then return 0 end
if redis.call('HGET', KEYS[2], 'status') == 'live' then return -1 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
"""


class RedisArchive:
    """Implements `ports.Archive`."""

    def __init__(self, client: Client, keys: Keys, index: SearchIndex, calls: CallList) -> None:
        self._client = client
        self._keys = keys
        self._index = index
        self._turns = Turns()
        self._events = Events(client, keys)
        self._finder = Finder(client, keys, index, self._events, self._turns)
        self._calls = calls
        self._delete = client.register_script(_DELETE)

    async def calls(self, query: CallQuery) -> CallPage:
        """A page of summaries, newest first; with a cursor it may be short or empty. Raises BadRequest, StoreError."""
        place = None if query.cursor is None else Place.of_cursor(query.cursor)
        if query.terms:
            return await self._search(query, place)
        summaries: list[Mapping[str, Any]] = []
        with redis_failures("cannot list the calls"):
            page, cursor = await paged(self._walk(query, place), limit=query.limit, most_cost=MOST_CALLS_READ)
            for at in range(0, len(page), CALLS_AT_ONCE):
                places = [here for here, _ in page[at : at + CALLS_AT_ONCE]]
                kept = zip(places, await self._each(places, "HGETALL"), strict=True)
                summaries += await self._turns.everything(summary(here.call_sid, each) for here, each in kept if each)
        return CallPage(summaries, cursor)

    async def _search(self, query: CallQuery, place: Place | None) -> CallPage:
        with redis_failures("cannot search the calls"):
            walk = self._finder.calls(query, place)
            page, cursor = await paged(walk, limit=query.limit, most_cost=MOST_EVENTS_READ)
        summaries = await self._turns.everything(
            summary(here.call_sid, match.stored) | {"matches": match.matches, "match_count": match.count}
            for here, match in page
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
            async for page in self._events.pages(call_sid, after=after):
                empty = False
                yield page
            if empty and not await self._client.exists(self._keys.events(call_sid)):
                raise CallNotFound(f"no call {call_sid}")

    async def events(self, call_sid: str, *, after: int = 0) -> Sequence[str]:
        """All of them. Raises CallNotFound, StoreError."""
        return [text async for page in self.pages(call_sid, after=after) for text in page]

    async def delete(self, call_sid: str) -> None:
        """Remove an ended call and all its keys. Raises CallNotFound, CallIsLive, StoreError."""
        with redis_failures("cannot delete the call"):
            await self._unindex(call_sid)
            done = await self._delete(keys=[self._keys.events(call_sid), self._keys.call(call_sid)])
            if done == -1:
                raise CallIsLive(f"call {call_sid} is still live: it can be deleted when it has ended")
            listed = await self._client.zrem(self._keys.calls, call_sid)
            await self._client.zrem(self._keys.live, call_sid)
        if done == 0 and not listed:
            raise CallNotFound(f"no call {call_sid}")

    async def _unindex(self, call_sid: str) -> None:
        """Before the call goes: its words say where it is in the index."""
        status, started_ms = await self._client.hmget(self._keys.call(call_sid), ["status", "started_at_ms"])
        if status not in (None, "live"):
            async for texts in self._finder.texts(call_sid):
                await self._index.remove(call_sid, int(started_ms or 0), texts)

    async def _walk(self, query: CallQuery, place: Place | None) -> AsyncGenerator[Looked[str]]:
        """The calls behind `place`, newest first, those that match with their status; expired ones leave the list."""
        at_once = min(query.limit + 1, CALLS_AT_ONCE) if query.status is None else CALLS_AT_ONCE
        key = self._keys.live if query.status == "live" else self._keys.calls
        while batch := await self._behind(query, place, key=key, at_once=at_once):
            statuses = await self._each(batch, "HGET", "status")
            for here, status in zip(batch, statuses, strict=True):
                yield Looked(here, status if query.status in (None, status) else None)
            # One without a status may just be starting: that one stays.
            if gone := [here.call_sid for here, status in zip(batch, statuses, strict=True) if status is None]:
                await self._calls.forget_expired(gone)
            place = batch[-1]

    async def _behind(self, query: CallQuery, place: Place | None, *, key: str, at_once: int) -> list[Place]:
        """The next calls of the sorted set; among equal start times Redis orders by CallSid, as `Place` does."""
        newest = place.started_ms if place is not None else float("inf")
        if query.until_ms is not None:
            newest = min(newest, query.until_ms)
        oldest = query.since_ms if query.since_ms is not None else "-inf"
        start = 0
        while True:
            rows: Any = await self._client.zrevrangebyscore(
                key, newest, oldest, start=start, num=at_once, withscores=True
            )
            places = [Place(int(score), call_sid) for call_sid, score in rows]
            fresh = places if place is None else [here for here in places if here < place]
            if fresh or len(rows) < at_once:
                return fresh
            start += at_once

    async def _each(self, places: Sequence[Place], command: str, *arguments: str) -> list[Any]:
        """The answers to one command on each call's hash, in one round trip."""
        if not places:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for place in places:
            pipeline.execute_command(command, self._keys.call(place.call_sid), *arguments)
        return list(await pipeline.execute())
