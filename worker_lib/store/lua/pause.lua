local queue, pause, cursor = unpack(ARGV)
-- Hold back the jobs of a queue ('1'), in every pool, or let them run again; a part of the
-- pools at a time (`cursor` is '0' at first).
-- Returns {1 if that changed anything, else 0; cursor of the next part ('0': that was
--   all)}.
local PART = 250
local names, changed = P .. ':paused', 0
if cursor == '0' then
  if pause == '1' then
    changed = redis.call('HSETNX', names, queue, NOW)
  else
    changed = redis.call('HDEL', names, queue)
  end
  keep_alive(names, LONG_MS)
end
-- As it is by now: who pauses and who resumes may take turns.
local paused = table.concat(redis.call('HKEYS', names), ',')
local found = redis.call('SSCAN', P .. ':pools', cursor, 'COUNT', PART)
for _, pool in ipairs(found[2]) do
  if redis.call('EXISTS', key('pool', pool)) == 0 then
    redis.call('SREM', P .. ':pools', pool)
  else
    redis.call('HSET', key('pool', pool), 'paused', paused)
    local queues = redis.call('HGET', key('pool', pool), 'queues')
    if pause ~= '1' and is_in(queues, queue) then look_at_pool(pool, now) end
  end
end
if pause ~= '1' then call_launcher('due') end
return {changed, found[1]}
