"""Puts the words of finals into the search index behind the finals' back, those of all calls together."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from functools import partial

from transcriber.runtime.cancellation import cancel
from transcriber.store.index_repair import IndexRepair
from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client
from transcriber.store.search.entries import entries_of
from transcriber.store.search.index import IndexedCall, SearchIndex

DELAY_S = 1.0
"""So long the words of finals are gathered. A search on this server does not wait for it, another server's may."""
MAX_KNOWN_CALLS = 10_000
"""Calls whose indexed words are remembered, so that each is written once; the oldest are forgotten first."""
STEP_ENTRIES = 3000
"""Put together at once, give or take a call's: a few milliseconds of the event loop."""
MAX_WAITING_ENTRIES = 200_000
"""Entries gathered; calls whose words find no room are marked for `IndexRepair`."""


class IndexWriter:
    """Belongs to the event loop's thread. It raises nothing of Redis: calls whose words it cannot write are marked."""

    def __init__(
        self, client: Client, keys: Keys, index: SearchIndex, index_repair: IndexRepair, *, delay_s: float = DELAY_S
    ) -> None:
        self._client = client
        self._keys = keys
        self._index = index
        self._index_repair = index_repair
        self._delay_s = delay_s
        self._known: OrderedDict[str, tuple[int, set[str]]] = OrderedDict()
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)
        self._room = MAX_WAITING_ENTRIES
        self._in_flight: frozenset[str] = frozenset()
        self._writing = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None

    def begin(self, call_sid: str, started_ms: int) -> None:
        """A call of which finals will come; what is remembered of one with another start is forgotten."""
        known = self._known.get(call_sid)
        if known is None or known[0] != started_ms:
            self._known[call_sid] = (started_ms, set())
        self._known.move_to_end(call_sid)
        if len(self._known) > MAX_KNOWN_CALLS:
            self._known.popitem(last=False)

    def add(self, call_sid: str, text: str) -> None:
        """A final was written."""
        entries = entries_of([text])
        if call_sid in self._known:
            entries -= self._known[call_sid][1]
        entries -= self._waiting[call_sid]
        if len(entries) > self._room:
            self._index_repair.mark(call_sid)
            return
        self._room -= len(entries)
        self._waiting[call_sid] |= entries
        if self._timer is None:
            self._timer = asyncio.create_task(self._write_later(), name="indexing words")

    async def finish(self, call_sid: str) -> None:
        """Return when what was added of the call is in the index, or the call is marked; no more is expected.

        Should a final come all the same, its words are simply written again.
        """
        if call_sid in self._waiting or call_sid in self._in_flight:
            await self.flush()
        self._known.pop(call_sid, None)

    async def flush(self) -> None:
        """Return when everything that was added is in the index, or its call is marked."""
        async with self._writing:
            waiting = dict(self._waiting)
            self._waiting.clear()
            self._room = MAX_WAITING_ENTRIES
            if not waiting:
                return
            self._in_flight = frozenset(waiting)
            try:
                for calls in _in_steps(waiting):
                    await self._index_repair.write("search", list(calls), partial(self._write, calls))
            finally:
                self._in_flight = frozenset()

    async def withdraw(self, call_sid: str) -> None:
        """The call is gone, and so are its texts: take out what is remembered of them. Errors of Redis come out."""
        async with self._writing:
            self._waiting.pop(call_sid, None)
            if known := self._known.pop(call_sid, None):
                await self._index.remove_entries(IndexedCall(call_sid, known[0]), known[1])

    async def aclose(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            await cancel(self._timer)
        await self.flush()

    async def _write_later(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(self._delay_s)
                await self.flush()
        finally:
            self._timer = None

    async def _write(self, waiting: Mapping[str, set[str]]) -> None:
        await self._look_up_starts([call_sid for call_sid in waiting if call_sid not in self._known])
        started = {call_sid: self._known[call_sid] for call_sid in waiting if call_sid in self._known}
        await self._index.add({IndexedCall(sid, at_ms): waiting[sid] for sid, (at_ms, _) in started.items()})
        for call_sid, (_, words) in started.items():
            words |= waiting[call_sid]

    async def _look_up_starts(self, call_sids: list[str]) -> None:
        """Of calls that were forgotten, because there are so many or because another stream of theirs has ended."""
        if not call_sids:
            return
        pipeline = self._client.pipeline(transaction=False)
        for call_sid in call_sids:
            pipeline.hget(self._keys.call(call_sid), "started_at_ms")
        for call_sid, started_ms in zip(call_sids, await pipeline.execute(), strict=True):
            if started_ms is not None:
                self.begin(call_sid, int(started_ms))


def _in_steps(waiting: Mapping[str, set[str]]) -> Iterator[Mapping[str, set[str]]]:
    calls: dict[str, set[str]] = {}
    room = STEP_ENTRIES
    for call_sid, entries in waiting.items():
        calls[call_sid] = entries
        room -= len(entries)
        if room <= 0:
            yield calls
            calls, room = {}, STEP_ENTRIES
    if calls:
        yield calls
