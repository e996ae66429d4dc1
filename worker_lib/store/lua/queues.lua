-- All queues that have jobs or are paused.
-- Returns, for each: {name, jobs that may run or wait for it to be resumed, since when it
-- is paused or '', when the job that is next was created or ''}.
local waiting, next_at, found = {}, {}, {}
local paused = {}
local told = redis.call('HGETALL', P .. ':paused')
for i = 1, #told, 2 do
  paused[told[i]] = told[i + 1]
  waiting[told[i]] = 0
end
for _, pool in ipairs(redis.call('SMEMBERS', P .. ':pools')) do
  local queues = redis.call('HGET', key('pool', pool), 'queues')
  if not queues and redis.call('EXISTS', key('pool', pool)) == 0 then
    redis.call('SREM', P .. ':pools', pool)
  end
  for queue in each(queues) do
    local ready = ready_key(pool, queue)
    waiting[queue] = (waiting[queue] or 0) + redis.call('ZCARD', ready)
    local first = redis.call('ZRANGE', ready, 0, 0)[1]
    local created = first and redis.call('HGET', key('job', first), 'created')
    if created and (not next_at[queue] or tonumber(created) < tonumber(next_at[queue])) then
      next_at[queue] = created
    end
  end
end
for queue, count in pairs(waiting) do
  if count > 0 or paused[queue] then
    found[#found + 1] = {queue, count, paused[queue] or '', next_at[queue] or ''}
  end
end
return found
