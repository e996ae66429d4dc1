local soon, with_life = unpack(ARGV)
-- What is left to do. What is due within `soon` seconds is due soon, unless its queue is
-- paused; `with_life` is '1' if it is asked for how long outcomes are kept.
-- Returns {jobs that run, that wait or are due soon, that are due later, milliseconds for
--   which the longest outcome is kept}.
local running, near, later, life = 0, 0, 0, 0
for _, member in ipairs(redis.call('ZRANGE', TIMERS, 0, -1)) do
  local kind, id = string.sub(member, 1, 1), string.sub(member, 3)
  if kind == 's' then
    local state, holds = read(key('slot', id), 'state', 'holds')
    for _ in each(state == 'busy' and holds) do running = running + 1 end
  elseif kind == 'j' then
    local due, queue = read(key('job', id), 'due', 'queue')
    local is_paused = redis.call('HEXISTS', P .. ':paused', queue or 'default') == 1
    if is_paused or tonumber(due or '0') - now > tonumber(soon) then
      later = later + 1
    else
      near = near + 1
    end
  end
end
if with_life == '1' then
  for _, job in ipairs(redis.call('ZRANGE', JOBS, 0, -1)) do
    life = math.max(life, redis.call('PTTL', key('out', job)))
  end
end
return {running, near, later, life}
