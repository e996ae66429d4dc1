-- A job as people see it: no arguments. ARGV: job ids
-- Returns, for each: {field values ..., outcome, trouble}, or {} if there is none.
local seen = {}
for i, job in ipairs(ARGV) do
  local got = redis.call('HMGET', key('job', job), 'status', 'task', 'queue', 'pool',
    'attempt', 'policy', 'lost', 'created', 'started', 'ended', 'due', 'progress',
    'machine', 'region', 'attempts', 'error', 'boot')
  if not got[1] then
    seen[i] = {}
  else
    for field = 1, 17 do got[field] = got[field] or '' end
    local outcome = ''
    for _, element in ipairs(redis.call('LRANGE', key('out', job), 0, 1)) do
      if #element > #outcome then outcome = element end
    end
    got[18] = outcome
    local about = redis.call('HMGET', key('pool', got[4]), 'trouble', 'reason')
    got[19] = about[1] or ''
    got[20] = about[2] or ''
    seen[i] = got
  end
end
return seen
