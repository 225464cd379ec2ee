"""The scripts that write and delete calls: what is atomic in Redis. And the one that tries whether it would work."""

AHEAD_MS = 60_000
"""So far the clocks of servers may be ahead of Redis's."""

# Whether a stream belongs to what was deleted: it was known then, or it began before. Its beginning is told by its age,
# so that only Redis's clock counts; a stream from the future cannot be placed and counts as deleted.
# `<call>:deleted` holds at_ms (of the deletion), seq (the call's last) and `began:<sid>` of each stream known then.
_WAS_DELETED = """
local function was_deleted(key, sid, began, age)
  local kept = redis.call('HMGET', key, 'at_ms', 'began:' .. sid)
  if not kept[1] then return false end
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  return kept[2] == began or tonumber(age) < 0 or now - age <= tonumber(kept[1])
end
"""

# KEYS: events stream, call hash, deleted. ARGV: seconds the deletion is remembered.
# Answers 0 = not there, -1 = live, 1 = removed.
DELETE = """
local events, call, deleted = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', events, call) == 0 then return 0 end
if redis.call('HGET', call, 'status') == 'live' then return -1 end
local time = redis.call('TIME')
redis.call('HSET', deleted, 'at_ms', time[1] * 1000 + math.floor(time[2] / 1000))
local stored = redis.call('HGETALL', call)
for i = 1, #stored, 2 do
  if stored[i] == 'seq' or stored[i]:sub(1, 6) == 'began:' then
    redis.call('HSET', deleted, stored[i], stored[i + 1])
  end
end
redis.call('EXPIRE', deleted, ARGV[1])
redis.call('DEL', events, call)
return 1
"""

# KEYS: call hash, deleted. ARGV: epoch ms of the call's start and of the stream's, seconds a claim lives that no write
# follows, AHEAD_MS: what begins later than that begins now; stream sid, its age (ms). Answers both beginnings as they
# are held to be, or -1 twice = deleted.
CLAIM = (
    _WAS_DELETED
    + """
if was_deleted(KEYS[2], ARGV[5], ARGV[2], ARGV[6]) then return {-1, -1} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function bounded(at)
  return string.format('%.0f', tonumber(at) > now + tonumber(ARGV[4]) and now or tonumber(at))
end
if redis.call('HSETNX', KEYS[1], 'started_at_ms', bounded(ARGV[1])) == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return {redis.call('HGET', KEYS[1], 'started_at_ms'), bounded(ARGV[2])}
"""
)

# KEYS: deleted. ARGV: stream sid, its beginning, its age. Answers 1 = the stream belongs to what was deleted, 0 = not.
IS_DELETED = _WAS_DELETED + "return was_deleted(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) and 1 or 0"

# KEYS: events stream, call hash, deleted. ARGV: step (open, skip, append, close, interrupt), stream sid, write number,
# owner, least seq, beginning (epoch ms), ttl s, ttl s while live, age of the stream (ms), number of entries; per entry
# guard, channel, shard channel ('' = none), head, tail, number of changes; per change command, field, value. The number
# of open and skip is that behind which the stream goes on; skip gives up what Redis lacks before it.
# The hash holds for each stream `owner:<sid>`, `live:<sid>` (the same while it is live), `written:<sid>` (its last
# write) and, once it was closed, `was_last:<sid>`. A sid of another owner or with another beginning (`began:<sid>`) is
# another stream: it has to wait for the end of the one that is live, and its owner's late writes are refused.
# `talked_ms:<track>` is how far the track's finals reach: streams may carry the same track, and a moment counts once.
# Answers 1 = done, now or before, 0 = out of step, -1 = another owner's, -2 = the same owner's and not closed yet,
# -3 = deleted; the last write known, -1 = none; seq; 1 if no live stream was left; and of a write done now what Redis
# said against publishing and the time to live, '' = nothing. Nothing is published before everything is kept, and
# what cannot be published is kept all the same. Whatever breaks a step off comes before its number is written, so that
# the repeat goes on where it broke off.
WRITE = (
    _WAS_DELETED
    + """
local events, call, deleted = KEYS[1], KEYS[2], KEYS[3]
local step, sid, number, owner, least = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local ttl, live_ttl, entries, at = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[10]), 11
local known = redis.call('HMGET', call, 'seq', 'live_streams', 'written:' .. sid, 'live:' .. sid, 'was_last:' .. sid,
  'owner:' .. sid)
local seq, before, written = tonumber(known[1] or 0), tonumber(known[2] or 0), tonumber(known[3] or -1)
local held, closed = known[4], known[5]
local last_owner = held or known[6]
local foreign = last_owner and last_owner ~= owner
local new = written < 0
local live = before
local opens = step == 'open' or step == 'skip'
if opens then
  if foreign or not new and redis.call('HGET', call, 'began:' .. sid) ~= ARGV[6] then
    if held then return {foreign and -1 or -2, written, seq, 0} end
    written, closed, new = -1, nil, true
    redis.call('HDEL', call, 'was_last:' .. sid)
  end
  if closed then return {1, written, seq, tonumber(closed)} end
  if step == 'open' and not new and number > written then return {0, written, seq, 0} end
  number = math.max(number, written)
  if held then
    redis.call('HSET', call, 'written:' .. sid, number)
    return {1, number, seq, 0}
  end
  if new then
    if was_deleted(deleted, sid, ARGV[6], ARGV[9]) then return {-3, written, seq, 0} end
    seq = math.max(seq, least, tonumber(redis.call('HGET', deleted, 'seq') or 0))
  end
  live = before + 1
elseif step == 'interrupt' then
  if held ~= owner then return {0, written, seq, 0} end
  live, number = before - 1, written
else
  if foreign then return {-1, written, seq, 0} end
  if number <= written then return {1, written, seq, tonumber(closed or 0)} end
  if not held or number ~= written + 1 then return {0, written, seq, 0} end
  if step == 'close' then live = before - 1 end
end
local holds = {always = true, new = new, first = seq == 0, resumed = seq > 0 and before == 0, last = live == 0}
local messages = {}
for _ = 1, entries do
  local guard, channel, shard, head, tail = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local changes = tonumber(ARGV[at + 5])
  at = at + 6
  if holds[guard] then
    seq = seq + 1
    local json = head .. seq .. tail
    local added = redis.pcall('XADD', events, seq .. '-0', 'event', json)
    if type(added) == 'table' then
      -- A step before broke off behind it, by a right that lacked: then it is there, and what follows it is not.
      local there = redis.call('XRANGE', events, seq .. '-0', seq .. '-0')[1]
      if not (there and there[2][2] == json) then return added end
    end
    messages[#messages + 1] = {'PUBLISH', channel, json}
    if shard ~= '' then messages[#messages + 1] = {'SPUBLISH', shard, json} end
    for i = at, at + 3 * (changes - 1), 3 do
      if ARGV[i] == 'HDEL' then
        redis.call('HDEL', call, ARGV[i + 1])
      elseif ARGV[i] == 'TALK' then
        local from, to = ARGV[i + 2]:match('(%S+) (%S+)')
        local talked = tonumber(redis.call('HGET', call, 'talked_ms:' .. ARGV[i + 1]) or 0)
        if tonumber(to) > talked then
          redis.call('HINCRBY', call, 'talk_ms:' .. ARGV[i + 1], to - math.max(from, talked))
          redis.call('HSET', call, 'talked_ms:' .. ARGV[i + 1], to)
        end
      else
        redis.call(ARGV[i], call, ARGV[i + 1], ARGV[i + 2])
      end
    end
  end
  at = at + 3 * changes
end
local was_last = live == 0 and 1 or 0
if step == 'close' or step == 'interrupt' then
  redis.call('HDEL', call, 'live:' .. sid)
end
redis.call('HSET', call, 'seq', seq, 'live_streams', live, 'written:' .. sid, number)
if opens then
  redis.call('HSET', call, 'live:' .. sid, owner, 'owner:' .. sid, owner, 'began:' .. sid, ARGV[6])
elseif step == 'close' then
  redis.call('HSET', call, 'was_last:' .. sid, was_last)
end
local unlimited, unpublished = '', ''
for _, key in ipairs({events, call}) do
  local done
  if ttl == 0 then
    done = redis.pcall('PERSIST', key)
  else
    done = redis.pcall('EXPIRE', key, live > 0 and live_ttl or ttl)
  end
  if type(done) == 'table' then unlimited = done.err or 'error' end
end
for _, message in ipairs(messages) do
  local heard = redis.pcall(message[1], message[2], message[3])
  if type(heard) == 'table' then unpublished = heard.err or 'error' end
end
return {1, number, seq, was_last, unpublished, unlimited}
"""
)

# KEYS: probe. ARGV: channel, seconds the key lives, shard channel in the key's slot ('' = none).
# Answers what Redis said against publishing, '' = nothing.
PROBE = """
redis.call('SET', KEYS[1], 1, 'EX', ARGV[2])
local heard = redis.pcall('PUBLISH', ARGV[1], '')
if type(heard) ~= 'table' and ARGV[3] ~= '' then heard = redis.pcall('SPUBLISH', ARGV[3], '') end
return type(heard) == 'table' and (heard.err or 'error') or ''
"""
