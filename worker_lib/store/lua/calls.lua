local most_bytes = unpack(ARGV)
local jobs = {unpack(ARGV, 2)}
-- What jobs were called with, and what they returned, still sealed; not what is longer than
-- so many bytes.
-- Returns, for each: {status, task, code, pool, timeout, policy, call, outcome}, '' where
-- there is none, and {} where there is no job.
most_bytes = tonumber(most_bytes)
local found = {}
for i, job in ipairs(jobs) do
  local record, told = key('job', job), {}
  local values = redis.call('HMGET', record, 'status', 'task', 'code', 'pool', 'timeout',
    'policy')
  if values[1] then
    for at = 1, 6 do told[at] = values[at] or '' end
    local is_short = redis.call('HSTRLEN', record, 'call') <= most_bytes
    told[7] = is_short and redis.call('HGET', record, 'call') or ''
    told[8] = ''
    for _, element in ipairs(redis.call('LRANGE', key('out', job), 0, -1)) do
      if #element > #told[8] then told[8] = element end
    end
    if #told[8] > most_bytes then told[8] = '' end
  end
  found[i] = told
end
return found
