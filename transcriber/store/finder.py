"""Search results: candidates of the index, read and verified, with the places where the words stand."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transcriber.core.search import Found, Term, look
from transcriber.core.transcript import parsed
from transcriber.ports import CallQuery
from transcriber.store.client import Client
from transcriber.store.keys import Keys
from transcriber.store.place import Place
from transcriber.store.search import SearchIndex

MOST_MATCHES = 3
"""Shown of a call: those with the most terms, in the order of time."""
EVENTS_AT_ONCE = 2000
SHOWN = ("seq", "track", "speaker", "start_ms", "end_ms", "text")


@dataclass(frozen=True, slots=True)
class Match:
    """A call that holds all terms: its stored hash, finals with `marks`, and how many finals hold one."""

    place: Place
    stored: Mapping[str, str]
    matches: Sequence[Mapping[str, Any]]
    count: int


class Finder:
    """Reads what the index names; what it names in vain (expired, deleted) is passed over."""

    def __init__(self, client: Client, keys: Keys, index: SearchIndex) -> None:
        self._client = client
        self._keys = keys
        self._index = index

    async def calls(self, query: CallQuery, place: Place | None) -> AsyncGenerator[Match]:
        """Matching calls behind `place`, newest first."""
        newest = None if place is None else (place.started_ms, place.call_sid)
        if query.until_ms is not None and (newest is None or newest[0] > query.until_ms):
            newest = (query.until_ms, "")
        at_once = query.limit + 1
        while True:
            found = await self._index.find(query.terms, newest=newest, oldest_ms=query.since_ms, count=at_once)
            for match in await self._verified(query, [Place(at, sid) for at, sid in found.calls]):
                yield match
            if found.reached is None:
                return
            newest = found.reached

    async def texts(self, call_sid: str) -> list[str]:
        """What was said in a call."""
        return [str(final.get("text", "")) for final in map(_final, await self._rest(call_sid, [])) if final]

    async def _verified(self, query: CallQuery, places: Sequence[Place]) -> list[Match]:
        if not places:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for place in places:
            pipeline.hgetall(self._keys.call(place.call_sid))
            pipeline.xrange(self._keys.events(place.call_sid), count=EVENTS_AT_ONCE)
        answers = await pipeline.execute()
        verified = []
        for place, stored, rows in zip(places, answers[::2], answers[1::2], strict=True):
            if stored and query.status in (None, stored.get("status")):
                match = _match(query.terms, await self._rest(place.call_sid, rows))
                if match is not None:
                    verified.append(Match(place, stored, *match))
        return verified

    async def _rest(self, call_sid: str, rows: Any) -> list[str]:
        """The JSON of the events, those read already and what comes behind them."""
        found = [fields["event"] for _, fields in rows]
        while not rows or len(rows) == EVENTS_AT_ONCE:
            least = f"({rows[-1][0]}" if rows else "-"
            rows = await self._client.xrange(self._keys.events(call_sid), min=least, count=EVENTS_AT_ONCE)
            if not rows:
                break
            found += [fields["event"] for _, fields in rows]
        return found


def _match(terms: Sequence[Term], events: Sequence[str]) -> tuple[list[Mapping[str, Any]], int] | None:
    """Finals with their marks, and how many there are; None unless every term stands somewhere."""
    # Reading JSON costs more than everything else: what cannot match is not read. Escapes cannot hide a plain word.
    quick = [term.words[0] for term in terms]
    plain = all(word.isascii() for word in quick)
    found: list[tuple[Found, Mapping[str, Any]]] = []
    for text in events:
        if plain and text.isascii() and not any(word in text.lower() for word in quick):
            continue
        final = _final(text)
        if final and (place := look(terms, str(final.get("text", "")))) is not None:
            found.append((place, final))
    if len(frozenset[Term]().union(*(place.terms for place, _ in found))) < len(terms):
        return None
    best = sorted(sorted(range(len(found)), key=lambda number: -len(found[number][0].terms))[:MOST_MATCHES])
    return [_shown(*found[number]) for number in best], len(found)


def _shown(place: Found, final: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: final.get(name) for name in SHOWN} | {"marks": [list(mark) for mark in place.marks]}


def _final(text: str) -> Mapping[str, Any] | None:
    event = parsed(text) if '"final"' in text else {}
    return event if event.get("type") == "final" else None
