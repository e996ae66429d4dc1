local latch, parking = unpack(ARGV)
local candidates = {unpack(ARGV, 3)}
-- What is overdue, and when to look again. Another sweep may take the same matter up
-- after `latch` seconds; `candidates` are ids for slots that are owed.
-- Returns {seconds until the next look or '', {'launch', slot} ..., {'check', slot,
--   state, machine, pool, holds, seconds since it was launched} ..., {'stray', slot,
--   machine} ..., {'parking', pool, sealed spec} ...}: at most `parking` of the pools that
--   have parked machines, any.
latch = tonumber(latch)
local used, found = 0, {}

local function look_at(pool)
  local about = read_pool(pool)
  redis.call('ZREM', TIMERS, 'p:' .. pool)
  promote(pool, about)
  observe(pool, about)
  local offered = table.concat(candidates, ',', used + 1)
  for _, slot in ipairs(serve(pool, about, offered, now + latch)) do
    used = used + 1
    found[#found + 1] = {'launch', slot}
  end
  if slot_owed(pool, about) then look_at_pool(pool, now) end  -- the candidates ran out
end

-- After a few looks, each is twice as long after the one before, up to an hour.
local function look_for(slot)
  local machine = redis.call('HGET', key('stray', slot), 'machine')
  if not machine then
    redis.call('ZREM', TIMERS, 'm:' .. slot)
    return
  end
  local looks = redis.call('HINCRBY', key('stray', slot), 'looks', 1)
  local doublings = math.min(12, math.max(0, looks - 4))
  set_timer('m:' .. slot, now + math.min(3600, STRAY_GAP * 2 ^ doublings))
  found[#found + 1] = {'stray', slot, machine}
end

local function check(slot)
  local state, machine, pool, holds, launched_at, made, parked_until = read(
    key('slot', slot), 'state', 'machine', 'pool', 'holds', 'launched_at', 'made',
    'parked_until')
  if not state then
    redis.call('ZREM', TIMERS, 's:' .. slot)
    return
  end
  if state == 'parked' and tonumber(parked_until) <= now then
    remember_stray(slot, machine)
    redis.call('ZREM', key('parked', pool), slot)
    free_slot(pool, slot)
    look_for(slot)
    return
  end
  local latched = text(now + latch)
  set_timer('s:' .. slot, latched)
  if state == 'owed' then
    found[#found + 1] = {'launch', slot}
    return
  end
  -- As long as the timer is this one, nobody has heard of the machine.
  redis.call('HSET', key('slot', slot), 'latched', latched)
  found[#found + 1] = {'check', slot, state, machine or made or '', pool, holds or '',
    text(now - tonumber(launched_at or now))}
end

local left_by_expired = {}

local function end_wait(job)
  local pool = expire(job)
  if pool then left_by_expired[pool] = true end
end

local kinds = {p = look_at, m = look_for, s = check, j = end_wait}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', TIMERS, '-inf', text(now),
    'LIMIT', 0, 50)) do
  kinds[string.sub(member, 1, 1)](string.sub(member, 3))
end
for pool in pairs(left_by_expired) do promote(pool, read_pool(pool)) end
for _, pool in ipairs(redis.call('SRANDMEMBER', P .. ':parking', parking)) do
  if redis.call('ZCARD', key('parked', pool)) == 0 then
    redis.call('SREM', P .. ':parking', pool)
  else
    found[#found + 1] = {'parking', pool, redis.call('HGET', key('pool', pool), 'spec') or ''}
  end
end
prune(JOBS)
local first = redis.call('ZRANGE', TIMERS, 0, 0, 'WITHSCORES')[2]
table.insert(found, 1, first and text(math.max(0, tonumber(first) - now)) or '')
return found
