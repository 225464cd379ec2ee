"""The search index: which calls hold a word. It lies beside the calls, day by day, and expires with them.

A day's keys hold the calls that began on it: `w:<day>:<word>` is a sorted set of CallSids by start time, the same for
each two words that follow each other (for phrases), `v:<day>` the day's words in alphabetical order, `days` the days.
All keys below one prefix share a Redis Cluster slot, another one than the calls', so words are indexed after their
final was written (`IndexWriter`); what could not be indexed is marked and written later (`IndexRepair`). In a cluster
the calls are spread over PARTS prefixes by their CallSid. A day's keys expire after the last of its calls; a CallSid in
them may be gone by then. What lies below the prefixes of a single Redis and of earlier versions is read too.
"""

import asyncio
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.msgpack import encode
from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from transcriber.errors import BadRequest
from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import failure_reason
from transcriber.store.search.entries import DAY_S, day_of, entries_of, last_ms, wanted_entries
from transcriber.store.search.query import Term, word_pattern
from transcriber.store.search.script import FIND

PARTS = 16
"""Into which the calls of a cluster are spread, each a slot."""
MAX_PREFIX_WORDS = 1000
"""The prefixes of a query may stand for so many words of a day, all together."""
MAX_WORK = 1000
"""Commands and rows of one run of the search script, give or take what a single day or call needs; beyond it the
answer says how far it came, and the next run goes on. Redis does nothing else meanwhile.
"""
BATCH_ROWS = 300
"""Entries of calls put into the index, or taken out of it, in one step."""
AFTER_EVERY_SID = "~"
"""Stands behind every CallSid in their order, so that none of that millisecond is left out."""

# KEYS: days. ARGV: key prefix, day, ttl s (0 = for ever), 1 = write every part of each entry anew, and as msgpack a
# list of entries, each with start ms and sid of its calls: [[entry, ms, sid, ms, sid, ...], ...]. An entry that was not
# there gets its expiry, and is put among the day's words if it is one.
_ADD = """
local ttl, anew, words = tonumber(ARGV[3]), ARGV[4] == '1', {}
local first = ARGV[1] .. 'w:' .. ARGV[2] .. ':'
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[2])
for _, row in ipairs(cmsgpack.unpack(ARGV[5])) do
  local key = first .. row[1]
  redis.call('ZADD', key, unpack(row, 2))
  if anew or redis.call('ZCARD', key) <= #row / 2 then
    if ttl > 0 then redis.call('EXPIRE', key, ttl) end
    if not row[1]:find(' ', 1, true) then
      words[#words + 1] = 0
      words[#words + 1] = row[1]
    end
  end
end
if #words > 0 then
  local key = ARGV[1] .. 'v:' .. ARGV[2]
  redis.call('ZADD', key, unpack(words))
  if ttl > 0 then redis.call('EXPIRE', key, ttl) end
end
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
class IndexedCall:
    """A call and its place in the order of calls: when it began, in epoch milliseconds."""

    call_sid: str
    started_ms: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """Calls that hold all words, newest first as (start ms, CallSid), perhaps none.

    `reached`: where to go on, None at the end.
    """

    calls: Sequence[tuple[int, str]]
    reached: tuple[int, str] | None


class SearchIndex:
    """Words to calls. Errors of Redis come out as they are: the event log and the history translate them.

    `reading_client`: the one that searches. `max_work`: of a run of the script.
    """

    def __init__(self, client: Client, keys: Keys, *, ttl_s: int, reading_client: Client) -> None:
        self.max_work = MAX_WORK
        self._parts = [keys.search]
        if isinstance(client, RedisCluster):
            self._parts = [keys.search_part(number) for number in range(PARTS)]
        self._read = list(dict.fromkeys([*self._parts, keys.search, keys.old_search]))
        self._old = keys.old_search
        self._ttl_s = ttl_s and ttl_s + 2 * DAY_S
        word_pattern()  # not when the first final is written, while calls are live
        self._add = client.register_script(_ADD)
        self._remove = client.register_script(_REMOVE)
        self._find = reading_client.register_script(FIND)
        self._searching = asyncio.Lock()

    async def add(self, entries: Mapping[IndexedCall, Iterable[str]]) -> None:
        """These calls hold these words and pairs of words. May be repeated."""
        await self._write(entries, anew=False)

    async def restore(self, call: IndexedCall, texts: Iterable[str]) -> None:
        """The call holds the words of these texts, whatever Redis has lost of them."""
        await self._write({call: entries_of(texts)}, anew=True)

    async def _write(self, entries: Mapping[IndexedCall, Iterable[str]], *, anew: bool) -> None:
        of_place: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for call, texts in entries.items():
            rows = of_place[self._part(call.call_sid), day_of(call.started_ms)]
            for entry in texts:
                rows[entry] += (str(call.started_ms), call.call_sid)
        await asyncio.gather(*(self._write_day(*place, rows, anew=anew) for place, rows in of_place.items()))

    async def _write_day(self, prefix: str, day: str, rows: Mapping[str, Sequence[str]], *, anew: bool) -> None:
        """One step after the other, so that Redis does what others want in between."""
        # What is said in a call days after it began must not expire with what was said then.
        anew = anew or day < day_of(time.time_ns() // 1_000_000 - DAY_S * 1000)
        for batch in _batches(rows):
            await self._add(keys=[prefix + "days"], args=[prefix, day, self._ttl_s, int(anew), encode(batch)])

    async def remove(self, call: IndexedCall, texts: Iterable[str]) -> None:
        """The call is gone."""
        await self.remove_entries(call, entries_of(texts))

    async def remove_entries(self, call: IndexedCall, entries: Iterable[str]) -> None:
        """The call is gone, and these entries of it."""
        of_call = sorted(entries)
        for prefix in (self._part(call.call_sid), *self._read[len(self._parts) :]):
            try:
                for start in range(0, len(of_call), BATCH_ROWS):
                    args = (prefix, day_of(call.started_ms), call.call_sid, *of_call[start : start + BATCH_ROWS])
                    await self._remove(keys=[prefix + "days"], args=args)
            except ResponseError as error:
                self._raise_unless_forbidden(prefix, error)

    def _part(self, call_sid: str) -> str:
        return self._parts[zlib.crc32(call_sid.encode()) % len(self._parts)]

    async def find(
        self, terms: Sequence[Term], *, newest: tuple[int, str] | None, oldest_ms: int | None, count: int
    ) -> Candidates:
        """Up to `count` calls that hold all words of the terms, behind `newest` (and its CallSid, if it is not '').

        One run of the script below each prefix, for one search at a time. Raises BadRequest for prefixes of too many
        words.
        """
        wanted = dict.fromkeys(each for term in terms for each in wanted_entries(term))
        words = sorted(wanted, reverse=True)  # '=' before '*': what names few calls decides which are looked at
        newest_ms, behind = newest or ("+inf", "")
        arguments: list[Any] = [newest_ms, behind, "-inf" if oldest_ms is None else oldest_ms, count]
        arguments += [self.max_work, MAX_PREFIX_WORDS]
        arguments += ["+inf" if newest is None else day_of(newest[0])]
        arguments += ["-inf" if oldest_ms is None else day_of(oldest_ms), *words]
        async with self._searching:
            parts = await asyncio.gather(*(self._find_under_prefix(prefix, arguments) for prefix in self._read))
        return _merged(parts)

    async def _find_under_prefix(self, prefix: str, arguments: Sequence[Any]) -> Candidates:
        try:
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
                return Candidates(calls, (last_ms(reached_ms), AFTER_EVERY_SID))
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


def _batches(rows: Mapping[str, Sequence[str]]) -> Iterator[list[list[str]]]:
    """What the script takes: entries in order, each with its calls, BATCH_ROWS of which are together at most."""
    batch: list[list[str]] = []
    room = BATCH_ROWS
    for entry in sorted(rows):
        values = rows[entry]
        for start in range(0, len(values), 2 * BATCH_ROWS):
            part = values[start : start + 2 * BATCH_ROWS]
            if batch and len(part) // 2 > room:
                yield batch
                batch, room = [], BATCH_ROWS
            batch.append([entry, *part])
            room -= len(part) // 2
    if batch:
        yield batch
