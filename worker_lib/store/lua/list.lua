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

-- Jobs that run or wait are few beside all that are kept: so they are gathered from where
-- they are, unless these are many; then most of the newest are among them.
local MOST_GATHERED, MOST_POOLS = 1000, 100

local function lines_of(pool)
  if status ~= 'queued' then return {key('due', pool)} end
  local lines = {}
  for its_queue in each(redis.call('HGET', key('pool', pool), 'queues')) do
    lines[#lines + 1] = ready_key(pool, its_queue)
  end
  return lines
end

local function held_in(pool)
  local jobs = {}
  for _, slot in ipairs(redis.call('SMEMBERS', key('busy', pool))) do
    for job in string.gmatch(redis.call('HGET', key('slot', slot), 'holds') or '',
        '([^:,]+):') do
      jobs[#jobs + 1] = job
    end
  end
  return jobs
end

local function gather()
  if redis.call('SCARD', P .. ':pools') > MOST_POOLS then return nil end
  local jobs = {}
  for _, pool in ipairs(redis.call('SMEMBERS', P .. ':pools')) do
    local found = {status == 'running' and held_in(pool)}
    for i, line in ipairs(status == 'running' and {} or lines_of(pool)) do
      found[i] = redis.call('ZRANGE', line, 0, MOST_GATHERED)
    end
    for _, some in ipairs(found) do
      for _, job in ipairs(some) do jobs[#jobs + 1] = job end
      if #jobs > MOST_GATHERED then return nil end
    end
  end
  return jobs
end

-- Those of them that come next, as `examine` gives them.
local function next_of(jobs)
  local told, found = {}, {}
  local from = created_from == '+inf' and math.huge or tonumber(created_from)
  for _, job in ipairs(jobs) do
    local created = redis.call('HGET', key('job', job), 'created')
    local at = tonumber(created or '0')
    if created and (at < from or (at == from and job < after)) then
      told[#told + 1] = {job, created, at}
    end
  end
  table.sort(told, function(one, other)
    if one[3] ~= other[3] then return one[3] > other[3] end
    return one[1] > other[1]
  end)
  for i = 1, math.min(budget, #told) do
    found[2 * i - 1], found[2 * i] = told[i][1], told[i][2]
  end
  return found
end

local function fits(its_status, its_queue, its_task)
  return (status == '' or its_status == status) and (task == '' or its_task == task)
    and (queue == '' or its_queue == queue)
end

local is_live = index == 'jobs' and status ~= '' and not FINAL[status]
local jobs = is_live and gather()
local examined = jobs and next_of(jobs) or examine()
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
