-- What is counted of jobs and machines, for people: in a hash of each minute, by fields of
-- a kind and its names. The names are given in `worker_lib.inspection.counting`.
local counted = {}

-- Each job is counted several times, so without a table for each.
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
  local waiting, is_new = key('counting', minute), true
  for field, by in pairs(counted) do
    local sum = redis.call('HINCRBY', waiting, field, by)
    is_new = is_new and sum == by
  end
  if is_new and redis.call('SADD', P .. ':counting', minute) == 1 then
    redis.call('PEXPIRE', P .. ':counting', LONG_MS)
    redis.call('PEXPIRE', waiting, LONG_MS)
    add_up()
  end
end
