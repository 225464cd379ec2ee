"""Search results: candidates of the index, read and verified, with the places where the words stand."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from transcriber.store.call_cursor import CallCursor, Looked
from transcriber.store.keys import Keys
from transcriber.store.ports import CallQuery
from transcriber.store.redis.client import Client
from transcriber.store.search.index import SearchIndex
from transcriber.store.search.query import Found, Term, look
from transcriber.store.stored_events import EVENTS_AT_ONCE, StoredEvents, final_of

MOST_MATCHES = 3
"""Shown of a call: those with the most terms, in the order of time."""
CALLS_AT_ONCE = 4
RUN_COST = 500
"""Of one run of the search script, in events read."""
SHOWN = ("seq", "track", "speaker", "start_ms", "end_ms", "text")


@dataclass(frozen=True, slots=True)
class Match:
    """A call that holds all terms: its stored hash, finals with `marks`, and how many finals hold one."""

    stored: Mapping[str, str]
    matches: Sequence[Mapping[str, Any]]
    count: int


class CallSearch:
    """Reads what the index names; what it names in vain (expired, deleted) is passed over."""

    def __init__(self, client: Client, keys: Keys, index: SearchIndex, events: StoredEvents) -> None:
        self._client = client
        self._keys = keys
        self._index = index
        self._events = events
        self._turns = events.turns

    async def calls(self, query: CallQuery, place: CallCursor | None) -> AsyncGenerator[Looked[Match]]:
        """What was looked at behind `place`, newest first; its cost is in events read."""
        newest = None if place is None else (place.started_ms, place.call_sid)
        if query.until_ms is not None and (newest is None or newest[0] > query.until_ms):
            newest = (query.until_ms, "")
        at_once = query.limit + 1
        while True:
            found = await self._index.find(query.terms, newest=newest, oldest_ms=query.since_ms, count=at_once)
            candidates = iter([CallCursor(at, sid) for at, sid in found.calls])
            while some := list(islice(candidates, CALLS_AT_ONCE)):
                for looked in await self._verified(query, some):
                    yield looked
            if found.reached is None:
                return
            newest = found.reached
            yield Looked(CallCursor(*newest), None, RUN_COST)

    async def _verified(self, query: CallQuery, places: Sequence[CallCursor]) -> list[Looked[Match]]:
        pipeline = self._client.pipeline(transaction=False)
        for place in places:
            pipeline.hgetall(self._keys.call(place.call_sid))
            pipeline.xrange(self._keys.events(place.call_sid), count=EVENTS_AT_ONCE)
        answers = await pipeline.execute()
        verified: list[Looked[Match]] = []
        for place, stored, rows in zip(places, answers[::2], answers[1::2], strict=True):
            if stored and query.status in (None, stored.get("status")):
                verified.append(await self._matched(query.terms, place, stored, rows))
            else:
                verified.append(Looked(place, None))
        return verified

    async def _matched(
        self, terms: Sequence[Term], place: CallCursor, stored: Mapping[str, str], rows: Any
    ) -> Looked[Match]:
        tally, read = _Tally(terms), 1
        async for page in self._events.rest(place.call_sid, rows):
            read += len(page)
            await self._turns.everything(map(tally.see, page))
        return Looked(place, tally.match(stored), read)


class _Tally:
    """Reads the events of one call and keeps of its finals those that are shown."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms
        self._quick = [term.words[0] for term in terms]
        self._plain = all(word.isascii() for word in self._quick)
        self._met: frozenset[Term] = frozenset()
        self._count = 0
        self._best: list[tuple[int, int, Found, Mapping[str, Any]]] = []
        """(how many terms it lacks, its number, …), the best first."""

    def see(self, text: str) -> None:
        """The next event."""
        # Reading JSON costs more than everything else: what cannot match is not read. Escapes cannot hide a plain word.
        if self._plain and text.isascii():
            lowered = text.lower()
            if not any(word in lowered for word in self._quick):
                return
        final = final_of(text)
        place = look(self._terms, str(final.get("text", ""))) if final else None
        if final is None or place is None:
            return
        self._met |= place.terms
        self._best.append((len(self._terms) - len(place.terms), self._count, place, final))
        self._best.sort(key=lambda one: one[:2])
        del self._best[MOST_MATCHES:]
        self._count += 1

    def match(self, stored: Mapping[str, str]) -> Match | None:
        """None unless every term stands somewhere in the call."""
        if len(self._met) < len(self._terms):
            return None
        shown = sorted(self._best, key=lambda one: one[1])
        return Match(stored, [_shown(place, final) for _, _, place, final in shown], self._count)


def _shown(place: Found, final: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: final.get(name) for name in SHOWN} | {"marks": [list(mark) for mark in place.marks]}
