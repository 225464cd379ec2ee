"""The search index: which calls hold a word. It lies beside the calls, day by day, and goes with them.

A day's keys hold the calls that began on it: `w:<day>:<word>` is a sorted set of CallSids by start time, the same for
each two words that follow each other (for phrases), `v:<day>` the day's words in alphabetical order, `days` the days.
All share one Redis Cluster slot, another one than the calls', so a word is indexed after its final was written; who
writes repeats both until both are done. A day's keys expire after the last of its calls; a CallSid in them may be gone
by then.
"""

import datetime
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from transcriber.core.search import Term, tokens
from transcriber.store.client import Client
from transcriber.store.keys import Keys

DAY_S = 86_400
MOST_BEGINNINGS = 200
"""A beginning stands for so many words of a day, in alphabetical order."""
MOST_LOOKED_AT = 20_000
"""CallSids compared in one step; beyond it the answer says how far it came, and the next step goes on."""
LIVE_CALLS_KNOWN = 10_000
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

# KEYS: days. ARGV: key prefix, newest ms, the sid to stay behind at that ms ('' = none), oldest ms, how many calls,
# most looked at, most beginnings, newest day, oldest day, then words, each with '=' (the word) or '*' (a beginning).
# Answers [ended (1 = nothing is left behind this), last ms looked at, last sid looked at, ms, sid, ms, sid, …].
_FIND = """
local prefix, newest, behind, oldest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local wanted, patience, most = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local answer, last_at, last_sid = {}, newest, behind
local function posting(day, word)
  local kind, text = word:sub(1, 1), word:sub(2)
  if kind == '=' then return prefix .. 'w:' .. day .. ':' .. text, false end
  local found = redis.call('ZRANGEBYLEX', prefix .. 'v:' .. day, '[' .. text, '(' .. text .. '\\255', 'LIMIT', 0, most)
  if #found == 0 then return nil, false end
  for i = 1, #found do found[i] = prefix .. 'w:' .. day .. ':' .. found[i] end
  if #found == 1 then return found[1], false end
  local union = prefix .. 'union:' .. text
  local command = {'ZUNIONSTORE', union, #found}
  for i = 1, #found do command[i + 3] = found[i] end
  command[#command + 1], command[#command + 2] = 'AGGREGATE', 'MIN'
  redis.call(unpack(command))
  return union, true
end
for _, day in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[8], ARGV[9])) do
  local keys, unions, base, size = {}, {}, nil, nil
  for i = 10, #ARGV do
    local key, made = posting(day, ARGV[i])
    local count = key and redis.call('ZCARD', key) or 0
    if made then unions[#unions + 1] = key end
    if count == 0 then keys = nil break end
    keys[#keys + 1] = key
    if not size or count < size then base, size = key, count end
  end
  local at, done = 0, keys == nil
  while not done do
    local rows = redis.call('ZREVRANGEBYSCORE', base, newest, oldest, 'WITHSCORES', 'LIMIT', at, 256)
    for i = 1, #rows, 2 do
      local sid, ms = rows[i], rows[i + 1]
      if not (behind ~= '' and ms == newest and sid >= behind) then
        local all = true
        for _, key in ipairs(keys) do
          if key ~= base and not redis.call('ZSCORE', key, sid) then all = false break end
        end
        last_at, last_sid = ms, sid
        if all then
          answer[#answer + 1] = ms
          answer[#answer + 1] = sid
        end
        patience = patience - 1
        if #answer >= 2 * wanted or patience <= 0 then
          for _, key in ipairs(unions) do redis.call('DEL', key) end
          return {0, last_at, last_sid, unpack(answer)}
        end
      end
    end
    at = at + 256
    done = #rows < 512
  end
  for _, key in ipairs(unions) do redis.call('DEL', key) end
end
return {1, last_at, last_sid, unpack(answer)}
"""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Calls that hold all words, newest first as (start ms, CallSid); `reached`: where to go on, None at the end."""

    calls: Sequence[tuple[int, str]]
    reached: tuple[int, str] | None


class SearchIndex:
    """Words to calls. Errors of Redis come out as they are: the callers are the outlet and the archive."""

    def __init__(self, client: Client, keys: Keys, *, ttl_s: int) -> None:
        self._days = keys.search + "days"
        self._prefix = keys.search
        self._ttl_s = ttl_s and ttl_s + 2 * DAY_S
        self._add = client.register_script(_ADD)
        self._remove = client.register_script(_REMOVE)
        self._find = client.register_script(_FIND)
        self._known: OrderedDict[str, tuple[int, set[str]]] = OrderedDict()

    def begin(self, call_sid: str, started_ms: int) -> None:
        """A call of which finals will come."""
        self._known.setdefault(call_sid, (started_ms, set()))
        self._known.move_to_end(call_sid)
        if len(self._known) > LIVE_CALLS_KNOWN:
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
        if words:
            arguments = [self._prefix, day_of(started_ms), call_sid, str(started_ms), str(self._ttl_s), *sorted(words)]
            await self._add(keys=[self._days], args=arguments)
            known |= words

    async def remove(self, call_sid: str, started_ms: int, texts: Iterable[str]) -> None:
        """The call is gone."""
        self.forget(call_sid)
        words = sorted(_entries(texts))
        if words:
            await self._remove(keys=[self._days], args=(self._prefix, day_of(started_ms), call_sid, *words))

    async def find(
        self, terms: Sequence[Term], *, newest: tuple[int, str] | None, oldest_ms: int | None, count: int
    ) -> Candidates:
        """Up to `count` calls that hold all words of the terms, behind `newest` (and its CallSid, if it is not '')."""
        words = dict.fromkeys(wanted for term in terms for wanted in _wanted(term))
        newest_ms, behind = newest or ("+inf", "")
        arguments: list[Any] = [self._prefix, newest_ms, behind, "-inf" if oldest_ms is None else oldest_ms, count]
        arguments += [MOST_LOOKED_AT, MOST_BEGINNINGS]
        arguments += ["+inf" if newest is None else day_of(newest[0])]
        arguments += ["-inf" if oldest_ms is None else day_of(oldest_ms), *words]
        ended, last_ms, last_sid, *rows = await self._find(keys=[self._days], args=arguments)
        calls = [(int(ms), str(sid)) for ms, sid in zip(rows[::2], rows[1::2], strict=True)]
        return Candidates(calls, None if int(ended) else (int(last_ms), str(last_sid)))


def _entries(texts: Iterable[str]) -> set[str]:
    """What texts are found by: their words and each two that follow each other."""
    found: set[str] = set()
    for text in texts:
        words = [token.word for token in tokens(text)]
        found.update(words, map(" ".join, pairwise(words)))
    return found


def _wanted(term: Term) -> list[str]:
    """What a call with the term has entries for; '=' an entry, '*' one that begins so."""
    whole = term.words[:-1] if term.open else term.words
    pairs = [f"={left} {right}" for left, right in pairwise(whole)]
    return (pairs or [f"={word}" for word in whole]) + ([f"*{term.words[-1]}"] if term.open else [])


def day_of(at_ms: int) -> str:
    """The UTC day of a moment, as a number that sorts: 20261123."""
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y%m%d")
