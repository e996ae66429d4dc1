-- What is overdue, and when to look again.
-- ARGV: seconds until another sweep may take the same matter up, then slot candidates
-- Returns {seconds until the next look or '', {'launch', slot} ..., {'check', slot,
--   state, machine, pool, job, fence, seconds since it was launched} ..., {'stray',
--   slot, machine} ...}.
local latch, used = tonumber(ARGV[1]), 1
local found = {}

local function owe(pool)
  if #ARGV > used and slot_owed(pool) then
    used = used + 1
    add_slot(pool, ARGV[used], now + latch)
    found[#found + 1] = {'launch', ARGV[used]}
    return true
  end
end

local function look_at(pool)
  redis.call('ZREM', TIMERS, 'p:' .. pool)
  promote(pool)
  for _ = 1, redis.call('ZCARD', key('ready', pool)) do
    if not wake_idle(pool) then break end
  end
  while owe(pool) do end
  if slot_owed(pool) then look_at_pool(pool, now) end  -- the candidates ran out
end

-- After a few looks, each is twice as long after the one before, up to an hour.
local function look_for(slot)
  local got = redis.call('HMGET', key('stray', slot), 'machine', 'looks')
  if not got[1] then
    redis.call('ZREM', TIMERS, 'm:' .. slot)
    return
  end
  local looks = redis.call('HINCRBY', key('stray', slot), 'looks', 1)
  local doublings = math.min(12, math.max(0, looks - 4))
  set_timer('m:' .. slot, now + math.min(3600, STRAY_GAP * 2 ^ doublings))
  found[#found + 1] = {'stray', slot, got[1]}
end

local function check(slot)
  local got = redis.call('HMGET', key('slot', slot), 'state', 'machine', 'pool', 'job',
    'fence', 'launched_at', 'made')
  if not got[1] then
    redis.call('ZREM', TIMERS, 's:' .. slot)
    return
  end
  set_timer('s:' .. slot, now + latch)
  if got[1] == 'owed' then
    found[#found + 1] = {'launch', slot}
    return
  end
  -- As long as the timer is this one, nobody has heard of the machine.
  redis.call('HSET', key('slot', slot), 'latched', text(now + latch))
  found[#found + 1] = {'check', slot, got[1], got[2] or got[7] or '', got[3],
    got[4] or '', got[5] or '', text(now - tonumber(got[6] or now))}
end

local kinds = {p = look_at, m = look_for, s = check, j = expire}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', TIMERS, '-inf', text(now),
    'LIMIT', 0, 50)) do
  kinds[string.sub(member, 1, 1)](string.sub(member, 3))
end
local first = redis.call('ZRANGE', TIMERS, 0, 0, 'WITHSCORES')[2]
table.insert(found, 1, first and text(math.max(0, tonumber(first) - now)) or '')
return found
