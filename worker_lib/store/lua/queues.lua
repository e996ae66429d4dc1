local cursor = unpack(ARGV)
-- All queues that have jobs or are paused, a part of the pools at a time (`cursor` is '0'
-- at first).
-- Returns the cursor of the next part ('0': that was all) and, for each queue: {name, jobs
-- that may run or wait for it to be resumed, since when it is paused or '', when the job
-- that is next was created or ''}.
local PART = 200
local waiting, next_at, found = {}, {}, {}
local paused = {}
local told = redis.call('HGETALL', P .. ':paused')
for i = 1, #told, 2 do
  paused[told[i]] = told[i + 1]
  waiting[told[i]] = 0
end
local part = redis.call('SSCAN', P .. ':pools', cursor, 'COUNT', PART)
for _, pool in ipairs(part[2]) do
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
table.insert(found, 1, part[1])
return found
