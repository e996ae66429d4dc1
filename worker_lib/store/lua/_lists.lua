-- Lists of jobs for people, newest last, and how they are freed of forgotten jobs.

-- Free a list of jobs of those that Redis has forgotten, a part of it at a time.
local function drop_forgotten(index, jobs)
  local records = {}
  for i, job in ipairs(jobs) do records[i] = key('job', job) end
  local alive = #jobs == 0 and 0 or redis.call('EXISTS', unpack(records))
  if alive == #jobs then return end
  if alive == 0 then
    redis.call('ZREM', index, unpack(jobs))
    return
  end
  local half = math.floor(#jobs / 2)
  drop_forgotten(index, {unpack(jobs, 1, half)})
  drop_forgotten(index, {unpack(jobs, half + 1)})
end

local prune
prune = function(index)
  local from = redis.call('HGET', P .. ':pruned', index) or '-inf'
  local jobs = redis.call('ZRANGEBYSCORE', index, from, '+inf', 'LIMIT', 0, 128)
  local last = #jobs == 128 and redis.call('ZSCORE', index, jobs[128])
  drop_forgotten(index, jobs)
  if not last then
    redis.call('HDEL', P .. ':pruned', index)
  else
    redis.call('HSET', P .. ':pruned', index, last)
    redis.call('PEXPIRE', P .. ':pruned', LONG_MS)
  end
end

-- Add jobs to a list for people, the time of its creation before each; one time in 64
-- some of the list are looked at.
local function list_under(index, keep, created)
  redis.call('ZADD', index, unpack(created))
  keep_alive(index, keep)
  if clock[2] % 64 == 0 then prune(index) end
end
