-- What is overdue, and when to look again.
-- ARGV: seconds until another sweep may take the same matter up, then slot candidates
-- Returns {seconds until the next look or '', {'launch', slot} ..., {'check', slot, state, machine,
--   pool, job, fence, seconds since it was launched} ...}.
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
for _, member in ipairs(redis.call('ZRANGEBYSCORE', TIMERS, '-inf', text(now),
    'LIMIT', 0, 50)) do
  local id = string.sub(member, 3)
  if string.sub(member, 1, 2) == 'j:' then
    expire(id)
  elseif string.sub(member, 1, 2) == 'p:' then
    redis.call('ZREM', TIMERS, member)
    promote(id)
    for _ = 1, redis.call('ZCARD', key('ready', id)) do
      if not wake_idle(id) then break end
    end
    while owe(id) do end
    if slot_owed(id) then look_at_pool(id, now) end  -- the candidates ran out
  else
    local got = redis.call('HMGET', key('slot', id), 'state', 'machine', 'pool', 'job',
      'fence', 'launched_at')
    if not got[1] then
      redis.call('ZREM', TIMERS, member)
    else
      set_timer(member, now + latch)
      if got[1] == 'owed' then
        found[#found + 1] = {'launch', id}
      else
        found[#found + 1] = {'check', id, got[1], got[2] or '', got[3], got[4] or '',
          got[5] or '', text(now - tonumber(got[6] or now))}
      end
    end
  end
end
local first = redis.call('ZRANGE', TIMERS, 0, 0, 'WITHSCORES')[2]
table.insert(found, 1, first and text(math.max(0, tonumber(first) - now)) or '')
return found
