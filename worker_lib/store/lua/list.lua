local index, created_from, after, since, status, queue, task, budget = unpack(ARGV)
-- Jobs of a list (`index` is the rest of its key), newest first: those with this status,
-- queue and task ('' for any), created at `since` or later (below 0: so many seconds
-- ago). Examines `budget` of them,
-- beginning after the job `after` that was created at `created_from` ('' and '+inf': with
-- the newest).
-- Returns {`created_from` and `after` of the next part ('' if there is none), jobs ...}.
local name, found, forgotten = P .. ':' .. index, {'', ''}, {}
budget, since = tonumber(budget), tonumber(since)
if since < 0 then since = now + since end

local function examine()
  local rank = after ~= '' and redis.call('ZREVRANK', name, after)
  if rank then
    return redis.call('ZREVRANGE', name, rank + 1, rank + budget, 'WITHSCORES')
  end
  -- The first part, or the job has been forgotten meanwhile.
  local from = after == '' and created_from or '(' .. created_from
  return redis.call('ZREVRANGEBYSCORE', name, from, '-inf', 'WITHSCORES',
    'LIMIT', 0, budget)
end

local function fits(its_status, its_queue, its_task)
  return (status == '' or its_status == status) and (task == '' or its_task == task)
    and (queue == '' or its_queue == queue)
end

local examined = examine()
for i = 1, #examined, 2 do
  local job, created = examined[i], examined[i + 1]
  if tonumber(created) < since then
    examined = {}
    break
  end
  local its_status, its_queue, its_task = read(key('job', job), 'status', 'queue', 'task')
  if not its_status then
    forgotten[#forgotten + 1] = job
  elseif fits(its_status, its_queue or 'default', its_task) then
    found[#found + 1] = job
  end
end
if #examined == 2 * budget then
  found[1], found[2] = examined[#examined], examined[#examined - 1]
  if forgotten[#forgotten] == found[2] then forgotten[#forgotten] = nil end
end
if #forgotten > 0 then redis.call('ZREM', name, unpack(forgotten)) end
return found
