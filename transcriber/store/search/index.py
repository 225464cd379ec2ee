"""The search index: which calls hold a word. It lies beside the calls, day by day, and expires with them.

A day's keys hold the calls that began on it: `w:<day>:<word>` is a sorted set of CallSids by start time, the same for
each two words that follow each other (for phrases), `v:<day>` the day's words in alphabetical order, `days` the days.
All share one Redis Cluster slot, another one than the calls', so a word is indexed after its final was written; what
could not be indexed is marked and written later (`IndexRepair`). A day's keys expire after the last of its calls; a
CallSid in them may be gone by then. What an earlier version wrote, under names without the prefix, is read too.
"""

import asyncio
import datetime
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from redis.exceptions import ResponseError

from transcriber.errors import BadRequest
from transcriber.store.keys import Keys
from transcriber.store.redis.batching import CommandBatches
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import failure_reason
from transcriber.store.search.query import Term, tokens, word_pattern
from transcriber.store.search.script import FIND

DAY_S = 86_400
MAX_PREFIX_WORDS = 1000
"""The prefixes of a query may stand for so many words of a day, all together."""
MAX_WORK = 1000
"""Commands and rows of one run of the search script, give or take what a single day or call needs; beyond it the

answer says how far it came, and the next run goes on. Redis does nothing else meanwhile.
"""
BATCH_WORDS = 500
"""Put into the index, or taken out of it, in one step."""
AFTER_EVERY_SID = "~"
"""Stands behind every CallSid in their order, so that none of that millisecond is left out."""
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
MAX_KNOWN_CALLS = 10_000
"""Calls whose indexed words are remembered, so that each is written once; the oldest are forgotten first."""

# KEYS: days. ARGV: key prefix, day, call sid, start ms, ttl s (0 = for ever), words.
_ADD = """
local prefix, day, sid, at, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local words = prefix .. 'v:' .. day
redis.call('ZADD', KEYS[1], day, day)
for i = 6, #ARGV do
  local key = prefix .. 'w:' .. day .. ':' .. ARGV[i]
  redis.call('ZADD', key, at, sid)
  if not ARGV[i]:find(' ', 1, true) then redis.call('ZADD', words, 0, ARGV[i]) end
  if ttl > 0 then redis.call('EXPIRE', key, ttl) end
end
if ttl > 0 then redis.call('EXPIRE', words, ttl) end
"""

# KEYS: days. ARGV: key prefix, day, call sid, words.
_REMOVE = """
local prefix, day, sid = ARGV[1], ARGV[2], ARGV[3]
for i = 4, #ARGV do
  local key = prefix .. 'w:' .. day .. ':' .. ARGV[i]
  redis.call('ZREM', key, sid)
  if redis.call('EXISTS', key) == 0 then redis.call('ZREM', prefix .. 'v:' .. day, ARGV[i]) end
end
if redis.call('EXISTS', prefix .. 'v:' .. day) == 0 then redis.call('ZREM', KEYS[1], day) end
"""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Calls that hold all words, newest first as (start ms, CallSid), perhaps none.

    `reached`: where to go on, None at the end.
    """

    calls: Sequence[tuple[int, str]]
    reached: tuple[int, str] | None


class SearchIndex:
    """Words to calls. Errors of Redis come out as they are: the event log and the history translate them.

    `reading_client`: the one that searches. `batches`: what finals are indexed by. `max_work`: of a run of the script.
    """

    def __init__(
        self, client: Client, keys: Keys, *, ttl_s: int, reading_client: Client, batches: CommandBatches
    ) -> None:
        self.max_work = MAX_WORK
        self._prefix = keys.search
        self._old = keys.old_search
        self._ttl_s = ttl_s and ttl_s + 2 * DAY_S
        word_pattern()  # not when the first final is written, while calls are live
        self._batches = batches
        self._add = client.register_script(_ADD)
        self._remove = client.register_script(_REMOVE)
        self._find = reading_client.register_script(FIND)
        self._searching = asyncio.Lock()
        self._known: OrderedDict[str, tuple[int, set[str]]] = OrderedDict()

    def begin(self, call_sid: str, started_ms: int) -> None:
        """A call of which finals will come; what is remembered of one with another start is forgotten."""
        if self.started_ms(call_sid) != started_ms:
            self._known[call_sid] = (started_ms, set())
        self._known.move_to_end(call_sid)
        if len(self._known) > MAX_KNOWN_CALLS:
            self._known.popitem(last=False)

    def started_ms(self, call_sid: str) -> int | None:
        """Where the call stands in the order of calls, if it is remembered."""
        return known[0] if (known := self._known.get(call_sid)) else None

    def forget(self, call_sid: str) -> None:
        """No more finals are expected; should one come, its words are simply written again."""
        self._known.pop(call_sid, None)

    async def add(self, call_sid: str, started_ms: int, texts: Iterable[str]) -> None:
        """The call holds the words of these texts. May be repeated."""
        known = self._known.get(call_sid, (0, set()))[1]
        words = _entries(texts) - known
        await self._write(call_sid, started_ms, words)
        known |= words

    async def restore(self, call_sid: str, started_ms: int, texts: Iterable[str]) -> None:
        """The same, whatever is remembered of the call: Redis may have lost it."""
        await self._write(call_sid, started_ms, _entries(texts))

    async def _write(self, call_sid: str, started_ms: int, entries: Iterable[str]) -> None:
        for batch in _batches(sorted(entries)):
            arguments = [self._prefix, day_of(started_ms), call_sid, str(started_ms), str(self._ttl_s), *batch]
            await self._batches.run(self._add, [self._prefix + "days"], arguments)

    async def remove(self, call_sid: str, started_ms: int, texts: Iterable[str]) -> None:
        """The call is gone."""
        self.forget(call_sid)
        words = sorted(_entries(texts))
        for prefix in (self._prefix, self._old):
            try:
                await self._remove_entries(prefix, call_sid, started_ms, words)
            except ResponseError as error:
                self._raise_unless_forbidden(prefix, error)

    async def withdraw(self, call_sid: str) -> None:
        """The call is gone, and so are its texts: take out what is remembered of them."""
        started_ms, words = self._known.pop(call_sid, (0, set()))
        await self._remove_entries(self._prefix, call_sid, started_ms, sorted(words))

    async def _remove_entries(self, prefix: str, call_sid: str, started_ms: int, words: Sequence[str]) -> None:
        for batch in _batches(words):
            await self._remove(keys=[prefix + "days"], args=(prefix, day_of(started_ms), call_sid, *batch))

    async def find(
        self, terms: Sequence[Term], *, newest: tuple[int, str] | None, oldest_ms: int | None, count: int
    ) -> Candidates:
        """Up to `count` calls that hold all words of the terms, behind `newest` (and its CallSid, if it is not '').

        One run of the script below each prefix, one at a time. Raises BadRequest for prefixes of too many words.
        """
        wanted = dict.fromkeys(each for term in terms for each in _wanted(term))
        words = sorted(wanted, reverse=True)  # '=' before '*': what names few calls decides which are looked at
        newest_ms, behind = newest or ("+inf", "")
        arguments: list[Any] = [newest_ms, behind, "-inf" if oldest_ms is None else oldest_ms, count]
        arguments += [self.max_work, MAX_PREFIX_WORDS]
        arguments += ["+inf" if newest is None else day_of(newest[0])]
        arguments += ["-inf" if oldest_ms is None else day_of(oldest_ms), *words]
        return _merged([await self._find_under_prefix(prefix, arguments) for prefix in (self._prefix, self._old)])

    async def _find_under_prefix(self, prefix: str, arguments: Sequence[Any]) -> Candidates:
        try:
            async with self._searching:
                state, *rows = await self._find(keys=[prefix + "days"], args=[prefix, *arguments])
        except ResponseError as error:
            self._raise_unless_forbidden(prefix, error)
            return Candidates([], None)
        if state == "wide":
            raise BadRequest(f"q: too many words begin with {rows[0]}: write more letters before the *")
        reached_ms, reached_sid, *rows = rows
        calls = [(int(ms), str(sid)) for ms, sid in zip(rows[::2], rows[1::2], strict=True)]
        match state:
            case "ended":
                return Candidates(calls, None)
            case "day":
                return Candidates(calls, (_last_ms(reached_ms), AFTER_EVERY_SID))
        return Candidates(calls, (int(reached_ms), str(reached_sid)))

    def _raise_unless_forbidden(self, prefix: str, error: ResponseError) -> None:
        """A user with rights below the prefix alone cannot see the old names, and no such user has written there."""
        if prefix != self._old or failure_reason(error) != "refused":
            raise error


def _merged(parts: Sequence[Candidates]) -> Candidates:
    """Newest first over all parts, as far as each of them has come."""
    reached = max((part.reached for part in parts if part.reached is not None), default=None)
    calls = {call for part in parts for call in part.calls if reached is None or call >= reached}
    return Candidates(sorted(calls, reverse=True), reached)


def _batches(words: Sequence[str]) -> Iterator[Sequence[str]]:
    return (words[start : start + BATCH_WORDS] for start in range(0, len(words), BATCH_WORDS))


def _entries(texts: Iterable[str]) -> set[str]:
    """What texts are found by: their words and each two that follow each other."""
    found: set[str] = set()
    for text in texts:
        words = [token.word for token in tokens(text)]
        found.update(words, map(" ".join, pairwise(words)))
    return found


def _wanted(term: Term) -> list[str]:
    """What a call with the term has entries for; '=' an entry, '*' one that begins so."""
    whole = term.words[:-1] if term.is_prefix else term.words
    pairs = [f"={left} {right}" for left, right in pairwise(whole)]
    return (pairs or [f"={word}" for word in whole]) + ([f"*{term.words[-1]}"] if term.is_prefix else [])


def day_of(at_ms: int) -> str:
    """The UTC day of a moment, as a number that sorts: 20261123; of one outside the calendar its first or last."""
    within_ms = min(max(at_ms, FIRST_MS), LAST_MS)
    return (EPOCH + datetime.timedelta(milliseconds=within_ms)).strftime("%Y%m%d").zfill(8)


def _last_ms(day: str) -> int:
    """The last millisecond of a day."""
    following = datetime.datetime.strptime(day, "%Y%m%d").replace(tzinfo=datetime.UTC) - EPOCH
    return (following // datetime.timedelta(milliseconds=1)) + DAY_S * 1000 - 1
