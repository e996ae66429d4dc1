local fields, with_outcome = unpack(ARGV)
local jobs = {unpack(ARGV, 3)}
-- Jobs as people see them: these fields of each (a comma between their names), never
-- arguments, and their outcomes only if `with_outcome` is '1'. What an eviction took from the lines and clocks is put back from the job's
-- record, so that nobody waits for ever.
-- Returns, for each: {{field values ...}, outcome, trouble, reason, '1' if its pool is
-- lost, size of its pool's machines}, or {} if there is none.
local names, seen, tended = {}, {}, {}
for name in each(fields) do names[#names + 1] = name end

local function put_in_line(job, status, pool, about)
  local queue, order, due, expires = read(key('job', job), 'queue', 'order', 'due', 'expires')
  queue = queue or 'default'
  if status == 'queued' then
    local in_line = redis.call('ZSCORE', ready_key(pool, queue), job)
    if not in_line or not is_in(about.queues, queue) then
      make_ready(pool, about, queue, {order, job})
    end
  elseif due and not redis.call('ZSCORE', key('due', pool), job) then
    make_due(pool, about, tonumber(due), {job})
  end
  if not redis.call('ZSCORE', TIMERS, 'j:' .. job) then
    set_timer('j:' .. job, tonumber(expires))
  end
end

-- See that somebody will look at a machine, or at what became of it.
local function set_lost_timer(slot, lease)
  if redis.call('ZSCORE', TIMERS, 's:' .. slot) then return end
  local state, slot_lease = read(key('slot', slot), 'state', 'lease')
  local wait = state == 'owed' and 0 or tonumber(slot_lease or lease or '60')
  set_timer('s:' .. slot, now + wait)
end

-- See that somebody will look at a pool whose jobs wait.
local function tend(pool, about)
  if tended[pool] then return end
  tended[pool] = true
  if redis.call('ZSCORE', TIMERS, 'p:' .. pool) then return end
  local first = redis.call('ZRANGE', key('due', pool), 0, 0, 'WITHSCORES')[2]
  if first then look_at_pool(pool, tonumber(first)) end
  if count_ready(pool, about) == 0 then return end
  for _, slot in ipairs(redis.call('SMEMBERS', key('slots', pool))) do
    if not drop_vanished(pool, slot) then set_lost_timer(slot) end
  end
  -- Machines that never took a job have stopped its launches: a new call goes on.
  local stopped = redis.call('HEXISTS', key('pool', pool), 'stopped') == 1
  if not stopped and slot_owed(pool, about) then look_at_pool(pool, now) end
end

-- See that somebody will look at a machine that has a job.
local function tend_machine(job, pool)
  local slot, fence, lease, machine, region = read(key('job', job), 'slot', 'fence', 'lease',
    'machine', 'region')
  if not slot then return end
  local holds = redis.call('HGET', key('slot', slot), 'holds')
  if not is_in(holds, job .. ':' .. fence) then
    holds = (holds and holds ~= '') and holds .. ',' or ''
    redis.call('HSET', key('slot', slot), 'pool', pool, 'state', 'busy', 'holds',
      holds .. job .. ':' .. fence, 'machine', machine, 'region', region)
    redis.call('PEXPIRE', key('slot', slot), LONG_MS)
    for _, kind in ipairs({'slots', 'busy'}) do
      redis.call('SADD', key(kind, pool), slot)
      redis.call('PEXPIRE', key(kind, pool), LONG_MS)
    end
  end
  set_lost_timer(slot, lease)
end

local function look_at(job)
  local status, pool, created, expires = read(key('job', job), 'status', 'pool', 'created',
    'expires')
  if not status then return {} end
  local trouble, reason, lost = '', '', ''
  if status == 'running' then
    tend_machine(job, pool)
  elseif not FINAL[status] then
    local about = read_pool(pool)
    trouble, reason = trouble_in(pool, about, created)
    if tonumber(expires or '0') < now then
      if expire(job) then promote(pool, about) end
    else
      put_in_line(job, status, pool, about)
      tend(pool, about)
      lost = about.max and '' or '1'
    end
  end
  local values = redis.call('HMGET', key('job', job), unpack(names))
  for i = 1, #names do values[i] = values[i] or '' end
  return {values, with_outcome == '1' and outcome_of(job) or '', trouble, reason, lost, size_of(pool)}
end

for i, job in ipairs(jobs) do seen[i] = look_at(job) end
return seen
