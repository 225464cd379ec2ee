"""The search script: what one step of a search does in Redis. It only reads, and it ends when its work is spent."""

# KEYS: days. ARGV: key prefix, newest ms, the sid to stay behind at that ms ('' = none), oldest ms, how many calls,
# work, most words of prefixes, newest day, oldest day, then words, each with '=' (the word) or '*' (a prefix), the
# former first. Work is counted in commands and in rows read.
# Answers {'wide', the prefix that has too many words}, or how it ended, where (two values), and ms, sid, ms, sid, …:
# {'ended', '', ''}: nothing is left behind this; {'place', ms, sid}: go on behind that call; {'day', day, ''}: that day
# was not looked at yet.
# Calls come from the word with the fewest; where there are only prefixes, from those of the first, of all its words
# at once: as many of each as fit, of which those count that no word can have left out. Sids of one ms are in reverse
# alphabetical order, as in a sorted set.
FIND = """
local prefix, newest, behind, oldest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local wanted, work, most = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local answer, DAYS = {}, 64

local function ended(how, where, sid) return {how, where, sid, unpack(answer)} end

local function words_of(day, beginning)
  local found = redis.call('ZRANGEBYLEX', prefix .. 'v:' .. day, '[' .. beginning, '(' .. beginning .. '\\255',
    'LIMIT', 0, most + 1)
  most, work = most - #found, work - 1 - #found / 2
  for i = 1, #found do found[i] = prefix .. 'w:' .. day .. ':' .. found[i] end
  return found
end

local function fresh(ms, sid) return behind == '' or ms ~= newest or sid < behind end

local function holds(sid, exact, open, base)
  for _, key in ipairs(exact) do
    if key ~= base then
      work = work - 1
      if not redis.call('ZSCORE', key, sid) then return false end
    end
  end
  for _, keys in ipairs(open) do
    local any = false
    for _, key in ipairs(keys) do
      work = work - 1
      if redis.call('ZSCORE', key, sid) then any = true break end
    end
    if not any then return false end
  end
  return true
end

local function rows_of(key, at, count)
  local rows = redis.call('ZREVRANGEBYSCORE', key, newest, oldest, 'WITHSCORES', 'LIMIT', at, count)
  work = work - 1 - #rows / 2
  return rows
end

-- The next calls of one key, as {ms, sid}, and whether they are the last.
local function next_of(key, at)
  local rows, found = rows_of(key, at, 64), {}
  for i = 1, #rows, 2 do
    if fresh(rows[i + 1], rows[i]) then found[#found + 1] = {rows[i + 1], rows[i]} end
  end
  return found, #rows < 128
end

local function newer(a, b)
  if a[3] ~= b[3] then return a[3] > b[3] end
  return a[2] > b[2]
end

-- The same of many keys, as {ms, sid, ms as a number}; `each`: how many rows are read of one.
local function next_of_all(keys, each)
  local floor, seen, all = nil, {}, {}
  for _, key in ipairs(keys) do
    local rows = rows_of(key, 0, each)
    if #rows == 2 * each then
      local last = {rows[#rows], rows[#rows - 1], tonumber(rows[#rows])}
      if not floor or newer(last, floor) then floor = last end
    end
    for i = 1, #rows, 2 do
      if not seen[rows[i]] and fresh(rows[i + 1], rows[i]) then
        seen[rows[i]] = true
        all[#all + 1] = {rows[i + 1], rows[i], tonumber(rows[i + 1])}
      end
    end
  end
  local found = {}
  for _, call in ipairs(all) do
    if not floor or not newer(floor, call) then found[#found + 1] = call end
  end
  table.sort(found, newer)
  if #found == 0 and floor then return next_of_all(keys, each * 4) end
  return found, not floor
end

local days = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[8], ARGV[9], 'LIMIT', 0, DAYS)
for number, day in ipairs(days) do
  if work <= 0 or number == DAYS then return ended('day', day, '') end
  local exact, open, base, size, none, left = {}, {}, nil, nil, false, most
  for i = 10, #ARGV do
    local kind, text = ARGV[i]:sub(1, 1), ARGV[i]:sub(2)
    if kind == '=' then
      local key = prefix .. 'w:' .. day .. ':' .. text
      local count = redis.call('ZCARD', key)
      work = work - 1
      if count == 0 then none = true break end
      if not size or count < size then base, size = key, count end
      exact[#exact + 1] = key
    else
      local keys = words_of(day, text)
      if most < 0 then return {'wide', text} end
      if #keys == 0 then none = true break end
      open[#open + 1] = keys
    end
  end
  most = left
  local merged = not base and not none and table.remove(open, 1)
  local at, last = 0, none
  while not last do
    local calls
    if merged then
      calls, last = next_of_all(merged, math.max(2, math.floor(256 / #merged)))
    else
      calls, last = next_of(base, at)
      at = at + 64
    end
    for _, call in ipairs(calls) do
      if holds(call[2], exact, open, base) then
        answer[#answer + 1] = call[1]
        answer[#answer + 1] = call[2]
      end
      if work <= 0 or #answer >= 2 * wanted then return ended('place', call[1], call[2]) end
    end
    if merged and not last then newest, behind = calls[#calls][1], calls[#calls][2] end
  end
end
return ended('ended', '', '')
"""
