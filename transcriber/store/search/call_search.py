"""Search results: candidates of the index, read and verified, with the places where the words stand."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from transcriber.store.call_cursor import CallCursor, ScanStep
from transcriber.store.keys import Keys
from transcriber.store.ports import CallQuery
from transcriber.store.redis.client import Client
from transcriber.store.search.index import SearchIndex
from transcriber.store.search.index_writer import IndexWriter
from transcriber.store.search.query import Term, TermMatches, find_terms
from transcriber.store.stored_events import PAGE_EVENTS, StoredEvents, final_of

MAX_MATCHES = 3
"""Shown of a call: those with the most terms, in the order of time."""
BATCH_CALLS = 4
SCRIPT_COST_EVENTS = 500
"""Of one run of the search script, in events read."""
MATCH_FIELDS = ("seq", "track", "speaker", "start_ms", "end_ms", "text")


@dataclass(frozen=True, slots=True)
class Match:
    """A call that holds all terms: its stored hash, finals with `marks`, and how many finals hold one."""

    stored: Mapping[str, str]
    matches: Sequence[Mapping[str, Any]]
    count: int


class CallSearch:
    """Reads what the index names; what it names in vain (expired, deleted) is passed over.

    What this process has written is found at once, what others have within the `DELAY_S` of `IndexWriter`.
    """

    def __init__(
        self, client: Client, keys: Keys, index: SearchIndex, index_writer: IndexWriter, events: StoredEvents
    ) -> None:
        self._client = client
        self._keys = keys
        self._index = index
        self._index_writer = index_writer
        self._events = events
        self._time_slices = events.time_slices

    async def calls(self, query: CallQuery, after: CallCursor | None) -> AsyncGenerator[ScanStep[Match]]:
        """The candidates behind `after`, newest first; their cost is in events read."""
        newest = None if after is None else (after.started_ms, after.call_sid)
        if query.until_ms is not None and (newest is None or newest[0] > query.until_ms):
            newest = (query.until_ms, "")
        at_once = query.limit + 1
        await self._index_writer.flush()
        while True:
            found = await self._index.find(query.terms, newest=newest, oldest_ms=query.since_ms, count=at_once)
            candidates = iter([CallCursor(started_ms, call_sid) for started_ms, call_sid in found.calls])
            while some := list(islice(candidates, BATCH_CALLS)):
                for step in await self._verified(query, some):
                    yield step
            if found.reached is None:
                return
            newest = found.reached
            yield ScanStep(CallCursor(*newest), None, SCRIPT_COST_EVENTS)

    async def _verified(self, query: CallQuery, calls: Sequence[CallCursor]) -> list[ScanStep[Match]]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.hgetall(self._keys.call(call.call_sid))
            pipeline.xrange(self._keys.events(call.call_sid), count=PAGE_EVENTS)
        answers = await pipeline.execute()
        verified: list[ScanStep[Match]] = []
        for call, stored, rows in zip(calls, answers[::2], answers[1::2], strict=True):
            if stored and query.status in (None, stored.get("status")):
                verified.append(await self._matched(query.terms, call, stored, rows))
            else:
                verified.append(ScanStep(call, None))
        return verified

    async def _matched(
        self, terms: Sequence[Term], call: CallCursor, stored: Mapping[str, str], rows: Any
    ) -> ScanStep[Match]:
        collector, events_read = _MatchCollector(terms), 1
        async for page in self._events.rest(call.call_sid, rows):
            events_read += len(page)
            await self._time_slices.collect(map(collector.add, page))
        return ScanStep(call, collector.match(stored), events_read)


class _MatchCollector:
    """Reads the events of one call and keeps of its finals those that are shown."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms
        self._first_words = [term.words[0] for term in terms]
        self._is_ascii = all(word.isascii() for word in self._first_words)
        self._found_terms: frozenset[Term] = frozenset()
        self._count = 0
        self._best: list[tuple[int, int, TermMatches, Mapping[str, Any]]] = []
        """(how many terms it lacks, its number, …), the best first."""

    def add(self, text: str) -> None:
        """The next event, as JSON."""
        # Parsing JSON costs most: what cannot match is not parsed. Escapes cannot hide ASCII words.
        if self._is_ascii and text.isascii():
            lowered = text.lower()
            if not any(word in lowered for word in self._first_words):
                return
        final = final_of(text)
        matches = find_terms(self._terms, str(final.get("text", ""))) if final else None
        if final is None or matches is None:
            return
        self._found_terms |= matches.terms
        self._best.append((len(self._terms) - len(matches.terms), self._count, matches, final))
        self._best.sort(key=lambda one: one[:2])
        del self._best[MAX_MATCHES:]
        self._count += 1

    def match(self, stored: Mapping[str, str]) -> Match | None:
        """None unless every term stands somewhere in the call."""
        if len(self._found_terms) < len(self._terms):
            return None
        shown = sorted(self._best, key=lambda one: one[1])
        return Match(stored, [_shown(matches, final) for _, _, matches, final in shown], self._count)


def _shown(matches: TermMatches, final: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: final.get(name) for name in MATCH_FIELDS} | {"marks": [list(mark) for mark in matches.marks]}
