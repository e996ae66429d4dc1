local queue, pause = unpack(ARGV)
-- Hold back the jobs of a queue ('1'), in every pool, or let them run again.
-- Returns 1 if that changed anything, else 0.
local names = P .. ':paused'
local changed
if pause == '1' then
  changed = redis.call('HSETNX', names, queue, NOW)
else
  changed = redis.call('HDEL', names, queue)
end
keep_alive(names, LONG_MS)
local paused = table.concat(redis.call('HKEYS', names), ',')
for _, pool in ipairs(redis.call('SMEMBERS', P .. ':pools')) do
  if redis.call('EXISTS', key('pool', pool)) == 0 then
    redis.call('SREM', P .. ':pools', pool)
  else
    redis.call('HSET', key('pool', pool), 'paused', paused)
    local queues = redis.call('HGET', key('pool', pool), 'queues')
    if pause ~= '1' and is_in(queues, queue) then look_at_pool(pool, now) end
  end
end
if pause ~= '1' then call_launcher('due') end
return changed
