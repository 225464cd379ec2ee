"""Deletes calls for good: nothing of before the deletion comes back, whichever server still holds some of it.

In the call's own slot stays `<prefix>:{<call_sid>}:deleted`, which holds no word: when it was deleted by Redis's clock,
the call's last number and which streams it had. A stream that belongs to what was deleted is refused, at its opening,
for as long as any server may still have something of it (REMEMBERED_S).
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from transcriber.errors import CallIsLive, CallNotFound
from transcriber.store import scripts
from transcriber.store.call_list import CallList
from transcriber.store.dead_letter_cleanup import DeadLetterCleanup
from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures
from transcriber.store.search.index import IndexedCall, SearchIndex
from transcriber.store.stored_events import StoredEvents

LEFT_FOR_S = 90 * 86_400
"""What a dead server left is delivered for so long after it was written, and then removed."""
REMEMBERED_S = LEFT_FOR_S + 86_400
"""Longer than what is left behind is delivered, by any two clocks."""


class CallDeletion:
    """`around`: contexts, entered before each deletion, left after it. `after`: awaited then; may raise StoreError."""

    def __init__(self, client: Client, keys: Keys, index: SearchIndex, calls: CallList, events: StoredEvents) -> None:
        self.around: list[Callable[[], AbstractAsyncContextManager[None]]] = []
        self.after: list[Callable[[], Awaitable[None]]] = []
        self._client = client
        self._keys = keys
        self._index = index
        self._calls = calls
        self._events = events
        self._dead_letters = DeadLetterCleanup(client, keys)
        self._delete = client.register_script(scripts.DELETE)
        self._is_deleted = client.register_script(scripts.IS_DELETED)

    async def delete(self, call_sid: str) -> None:
        """Remove an ended call and all its keys. May be repeated. Raises CallNotFound, CallIsLive, StoreError."""
        async with AsyncExitStack() as stack:
            for around in self.around:
                await stack.enter_async_context(around())
            await self._remove(call_sid)
        for doing in self.after:
            await doing()

    async def _remove(self, call_sid: str) -> None:
        with redis_failures("cannot delete the call"):
            await self._unindex(call_sid)
            keys = [self._keys.events(call_sid), self._keys.call(call_sid), self._keys.deleted(call_sid)]
            done = await self._delete(keys=keys, args=[REMEMBERED_S])
            if done == -1:
                raise CallIsLive(f"call {call_sid} is still live: it can be deleted when it has ended")
            listed = await self._calls.remove(call_sid)
            await self._dead_letters.forget(call_sid)
        if done == 0 and not listed:
            raise CallNotFound(f"no call {call_sid}")

    async def is_deleted(self, call_sid: str, stream_sid: str, *, began_ms: int, age_ms: int) -> bool:
        """Whether the stream belongs to what was deleted. Raises StoreError."""
        with redis_failures("cannot read whether the call was deleted"):
            keys = [self._keys.deleted(call_sid)]
            return bool(await self._is_deleted(keys=keys, args=[stream_sid, began_ms, age_ms]))

    async def _unindex(self, call_sid: str) -> None:
        """Before the call goes: its words say where it is in the index."""
        status, started_ms = await self._client.hmget(self._keys.call(call_sid), ["status", "started_at_ms"])
        if status not in (None, "live"):
            async for texts in self._events.texts(call_sid):
                await self._index.remove(IndexedCall(call_sid, int(started_ms or 0)), texts)
