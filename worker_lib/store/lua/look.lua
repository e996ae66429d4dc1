-- A job as people see it: no arguments. What an eviction took from the lines and clocks
-- is put back from the job's record, so that nobody waits for ever. ARGV: job ids
-- Returns, for each: {field values ..., outcome, trouble, reason, '1' if its pool is
-- lost}, or {} if there is none.
local seen, tended = {}, {}

local function in_line(job, got, pool)
  if got[1] == 'queued' then
    if not redis.call('ZSCORE', key('ready', pool), job) then
      make_ready(pool, job, got[18])
    end
  elseif not redis.call('ZSCORE', key('due', pool), job) then
    make_due(pool, job, tonumber(got[11]))
  end
  if not redis.call('ZSCORE', TIMERS, 'j:' .. job) then
    set_timer('j:' .. job, tonumber(got[19]))
  end
end

-- See that somebody will look at a machine, or at what became of it.
local function clocked(slot, lease)
  if redis.call('ZSCORE', TIMERS, 's:' .. slot) then return end
  local known = redis.call('HMGET', key('slot', slot), 'state', 'lease')
  local wait = known[1] == 'owed' and 0 or tonumber(known[2] or lease or '60')
  set_timer('s:' .. slot, now + wait)
end

-- See that somebody will look at a pool whose jobs wait.
local function tend(pool)
  if tended[pool] then return end
  tended[pool] = true
  if redis.call('ZSCORE', TIMERS, 'p:' .. pool) then return end
  local first = redis.call('ZRANGE', key('due', pool), 0, 0, 'WITHSCORES')[2]
  if first then look_at_pool(pool, tonumber(first)) end
  if redis.call('ZCARD', key('ready', pool)) == 0 then return end
  for _, slot in ipairs(redis.call('SMEMBERS', key('slots', pool))) do
    if not drop_vanished(pool, slot) then clocked(slot) end
  end
  -- Machines that never took a job have stopped its launches: a new call goes on.
  local stopped = redis.call('HEXISTS', key('pool', pool), 'stopped') == 1
  if not stopped and slot_owed(pool) then look_at_pool(pool, now) end
end

-- See that somebody will look at a machine that has a job.
local function on_machine(job, got, pool)
  local slot = got[20] or ''
  if slot == '' then return end
  if not redis.call('HGET', key('slot', slot), 'job') then
    redis.call('HSET', key('slot', slot), 'pool', pool, 'state', 'busy', 'job', job,
      'fence', got[21], 'machine', got[13], 'region', got[14])
    redis.call('PEXPIRE', key('slot', slot), LONG_MS)
    for _, kind in ipairs({'slots', 'busy'}) do
      redis.call('SADD', key(kind, pool), slot)
      redis.call('PEXPIRE', key(kind, pool), LONG_MS)
    end
  end
  clocked(slot, got[22])
end

for i, job in ipairs(ARGV) do
  local function read()
    return redis.call('HMGET', key('job', job), 'status', 'task', 'queue', 'pool',
      'attempt', 'policy', 'lost', 'created', 'started', 'ended', 'due', 'progress',
      'machine', 'region', 'attempts', 'error', 'boot', 'order', 'expires', 'slot',
      'fence', 'lease')
  end
  local got = read()
  if not got[1] then
    seen[i] = {}
  else
    local pool, lost = got[4], ''
    local about = about_pool(pool)
    if got[1] == 'running' then
      on_machine(job, got, pool)
    elseif not FINAL[got[1]] then
      if tonumber(got[19] or '0') < now then
        expire(job)
        got = read()
      else
        in_line(job, got, pool)
        tend(pool)
        lost = about[1] and '' or '1'
      end
    end
    for field = 1, 17 do got[field] = got[field] or '' end
    local outcome = ''
    for _, element in ipairs(redis.call('LRANGE', key('out', job), 0, 1)) do
      if #element > #outcome then outcome = element end
    end
    local trouble, reason = trouble_in(about, got[8])
    got[18], got[19], got[20], got[21], got[22] = outcome, trouble, reason, lost, nil
    seen[i] = got
  end
end
return seen
