local job, canceller = unpack(ARGV)
-- Forget a job that does not run; one that waits is cancelled first, so that who waits
-- for it is told. Returns 'deleted', 'gone', or 'running'.
local record = key('job', job)
local status, tags, fence, past = read(record, 'status', 'tags', 'fence', 'past')
if not status then return 'gone' end
if status == 'running' then return 'running' end
if not FINAL[status] then
  redis.call('HSET', record, 'canceller', canceller)
  finish(job, 'cancelled', '', {})
end
redis.call('DEL', record, key('log', job), key('live', job .. ':' .. (fence or '0')))
for its_fence in string.gmatch(past or '', '"fence":"(%d+)"') do
  redis.call('DEL', key('live', job .. ':' .. its_fence))
end
redis.call('ZREM', JOBS, job)
for ended in pairs(FINAL) do redis.call('ZREM', key('ended', ended), job) end
for name, value in pairs(tags and cjson.decode(tags) or {}) do
  redis.call('ZREM', key('tag', name .. '=' .. value), job)
end
-- Those who block on it have a minute to read it.
redis.call('PEXPIRE', key('out', job), 60000)
return 'deleted'
