-- What is left to do. ARGV: how many seconds from now are soon, '1' if the time is asked
--   for during which outcomes are kept
-- Returns {jobs that run, that wait or are due soon, that are due later, milliseconds for
--   which the longest outcome is kept}.
local running, soon, later, life = 0, 0, 0, 0
for _, member in ipairs(redis.call('ZRANGE', TIMERS, 0, -1)) do
  local kind, id = string.sub(member, 1, 1), string.sub(member, 3)
  if kind == 's' then
    if redis.call('HGET', key('slot', id), 'state') == 'busy' then
      running = running + 1
    end
  elseif kind == 'j' then
    local due = redis.call('HGET', key('job', id), 'due')
    if tonumber(due or '0') - now <= tonumber(ARGV[1]) then
      soon = soon + 1
    else
      later = later + 1
    end
  end
end
if ARGV[2] == '1' then
  for _, job in ipairs(redis.call('ZRANGE', JOBS, 0, -1)) do
    life = math.max(life, redis.call('PTTL', key('out', job)))
  end
end
return {running, soon, later, life}
