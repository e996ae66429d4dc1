-- What is counted of jobs and machines, for people: in a hash of each minute, by fields of
-- a kind and its names. The names are given in `worker_lib.inspection.counting`.
-- A script that ends a few jobs adds a line for each to a list instead; many lines add to
-- the same few fields.
local counted = {}
local MOST_OF_SCRIPT, MOST_LINES = 4, 64

-- Without a table for each, as there are many.
local function count(by, kind, name, second, third)
  local field = name and kind .. '\31' .. name or kind
  if second then field = field .. '\31' .. second end
  if third then field = field .. '\31' .. third end
  counted[field] = (counted[field] or 0) + by
end

-- The class of a histogram that a time falls into: each is a half more than the one
-- before, from a millisecond on.
local LOG_STEP = math.log(1.5)
local classes = {}
local function class(seconds)
  local at = math.max(0, math.min(60, math.ceil(math.log(seconds * 1000) / LOG_STEP)))
  classes[at] = classes[at] or string.format('%d', at)
  return classes[at]
end

local function milliseconds(seconds) return math.floor(seconds * 1000 + 0.5) end

local function add_end(kind, task, how, size, region, waited, ran)
  count(1, kind, task, how, ran and class(ran) or '')
  if not ran then return end
  count(1, 'w', task, class(waited))
  count(milliseconds(waited), 'q', task)
  count(milliseconds(ran), 'r', task, size, region)
end

-- Count a job or an attempt that ended: a kind, how it ended, where, and how long it waited
-- and ran. Without `started` it never ran.
local function count_end(kind, task, how, size, region, waited_since, started)
  local waited = started and math.max(0, started - waited_since)
  local ran = started and math.max(0, now - started)
  if #counted == MOST_OF_SCRIPT then
    return add_end(kind, task, how, size, region or '', waited, ran)
  end
  local times = ran and string.format('%.4f\31%.4f', waited, ran) or '\31'
  counted[#counted + 1] = kind .. '\31' .. task .. '\31' .. how .. '\31' .. size .. '\31'
    .. (region or '') .. '\31' .. times
end

-- Add the lines of a minute to its hash.
local add_lines
add_lines = function(minute)
  local name, others = key('counted', minute), counted
  local pattern = '^' .. string.rep('([^\31]*)\31', 6) .. '([^\31]*)$'
  counted = {}
  for _, line in ipairs(redis.call('LRANGE', name, 0, -1)) do
    local kind, task, how, size, region, waited, ran = string.match(line, pattern)
    if kind then add_end(kind, task, how, size, region, tonumber(waited), tonumber(ran)) end
  end
  for field, by in pairs(counted) do
    redis.call('HINCRBY', key('counting', minute), field, by)
  end
  redis.call('DEL', name)
  redis.call('PEXPIRE', key('counting', minute), LONG_MS)
  counted = others
end

-- Of each span of so many minutes there is a hash, kept for so many; it has what was
-- counted in the minutes that are over. The last one has all, since the first job.
local SPANS = {{1, 130}, {15, 1560}, {60, 11520}, {1440, 576000}, {0, 576000}}
-- A script adds so many fields of earlier minutes, and a hash has no more of them.
local MOST_ADDED, MOST_FIELDS = 1000, 20000

local function counts_key(span, at)
  return P .. ':counts:' .. span .. ':' .. (span > 0 and math.floor(at / span) or 0)
end

-- Add what a minute has to the spans that it is in, or `most` fields of it; says how many.
local function add_to_spans(minute, most)
  add_lines(minute)
  local name = key('counting', minute)
  local found = redis.call('HGETALL', name)
  local fields = math.min(#found / 2, most)
  for _, span in ipairs(SPANS) do
    local total = counts_key(span[1], tonumber(minute))
    local is_full = redis.call('HLEN', total) >= MOST_FIELDS
    for i = 1, 2 * fields, 2 do
      if not is_full or redis.call('HEXISTS', total, found[i]) == 1 then
        redis.call('HINCRBY', total, found[i], found[i + 1])
      end
    end
    redis.call('PEXPIRE', total, span[2] * 60000)
  end
  if fields == #found / 2 then
    redis.call('DEL', name)
    redis.call('SREM', P .. ':counting', minute)
  else
    local done = {}
    for i = 1, 2 * fields, 2 do done[#done + 1] = found[i] end
    redis.call('HDEL', name, unpack(done))
  end
  return fields
end

-- Says whether more is left.
local function add_up()
  local left = MOST_ADDED
  for _, minute in ipairs(redis.call('SMEMBERS', P .. ':counting')) do
    if tonumber(minute) < math.floor(now / 60) then
      if left <= 0 then return true end
      left = left - add_to_spans(minute, left)
    end
  end
  return left <= 0
end

-- Scripts that have counted end with this.
local settle_counts
settle_counts = function()
  local minute = string.format('%d', now / 60)
  local sums, lines, is_new = key('counting', minute), key('counted', minute), true
  for field, by in pairs(counted) do
    if type(field) == 'string' then
      is_new = redis.call('HINCRBY', sums, field, by) == by and is_new
    end
  end
  if counted[1] then
    local waiting = redis.call('RPUSH', lines, unpack(counted))
    is_new = waiting == #counted and is_new
    if waiting >= MOST_LINES then add_lines(minute) end
  end
  if not is_new then return end
  redis.call('PEXPIRE', sums, LONG_MS)
  redis.call('PEXPIRE', lines, LONG_MS)
  if redis.call('SADD', P .. ':counting', minute) == 1 then
    redis.call('PEXPIRE', P .. ':counting', LONG_MS)
    add_up()
  end
end
