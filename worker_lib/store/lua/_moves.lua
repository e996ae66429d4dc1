-- How jobs move from one status to another; shared by the verbs that move them.
-- MOVES, `dropped` and KEPT come from job.py: which moves there are, which fields a move
-- into a status drops, and which remain of a job that succeeded.

-- Hands what is ready to machines that wait; see `_claim`.
local serve_idle

-- The one place that writes a status. The pairs after it are written along.
local function move(job, from, to, ...)
  if not string.find(MOVES, ' ' .. from .. '>' .. to .. ' ', 1, true) then
    error('no job moves from ' .. from .. ' to ' .. to)
  end
  redis.call('HSET', key('job', job), 'status', to, ...)
  local gone = dropped(to)
  if gone then redis.call('HDEL', key('job', job), unpack(gone)) end
  if to == 'queued' then redis.call('HSET', key('job', job), 'queued', NOW) end
  announce(job, to)
  tally(job, from, to)
end

-- From now on the job waits, until `at` at most; its record outlives that moment, and
-- an attempt that begins then.
local function may_wait_until(job, at, timeout)
  local record, life = key('job', job), ms(at - now + timeout) + DAY_MS
  redis.call('HSET', record, 'expires', text(at))
  keep_alive(record, life)
  local task, wanted, ttl = read(record, 'task', 'key', 'ttl')
  if wanted then keep_alive(unique_key(task, wanted), 2 * life) end
  if batch_of(job) then keep_batch(batch_of(job), life + ms(ttl)) end
  set_timer('j:' .. job, at)
end

-- A script moves so many jobs whose time has come, whatever the number of pools: while it
-- runs, nobody else is served. The timer of a pool that has more of them is due at once.
local MOST_AT_ONCE = 50
local promoted = 0

-- Move what is due to the ready jobs, and wake a machine for each.
local function promote(pool, about)
  local due = key('due', pool)
  local jobs = redis.call('ZRANGEBYSCORE', due, '-inf', text(now), 'LIMIT', 0,
    MOST_AT_ONCE - promoted)
  promoted = promoted + #jobs
  local lines = {}
  for _, job in ipairs(jobs) do
    local status, order, queue = read(key('job', job), 'status', 'order', 'queue')
    queue = queue or 'default'
    if status == 'scheduled' or status == 'retrying' then
      move(job, status, 'queued')
      local line = lines[queue] or {}
      line[#line + 1], line[#line + 2], lines[queue] = order, job, line
    end
  end
  for queue, line in pairs(lines) do make_ready(pool, about, queue, line) end
  if jobs[1] then redis.call('ZREM', due, unpack(jobs)) end
  serve_idle(pool, about)
  local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
  about.due_at = first and text(tonumber(first)) or false
  if first then
    redis.call('HSET', key('pool', pool), 'due_at', about.due_at)
    look_at_pool(pool, tonumber(first))
  else
    redis.call('HDEL', key('pool', pool), 'due_at')
    if count_ready(pool, about) == 0 then redis.call('ZREM', TIMERS, 'p:' .. pool) end
  end
end

-- One job less needs this code; the last one leaves it a while for calls to come, and
-- longer if one of them may be run again.
local function let_go_of_code(hash, status, keep)
  local code = key('code', hash)
  if redis.call('EXISTS', code) == 0 then return end
  local left = redis.call('HINCRBY', code, 'jobs', -1)
  if status == 'succeeded' and left > 0 then return end
  local kept_until = tonumber(redis.call('HGET', code, 'kept_until') or '0')
  if status ~= 'succeeded' then
    kept_until = math.max(kept_until, now + keep / 1000)
    redis.call('HSET', code, 'kept_until', text(kept_until))
  end
  if left <= 0 then redis.call('PEXPIRE', code, math.max(600000, ms(kept_until - now))) end
end

-- The job that held a key is final: the key is free, unless it was given for a time.
local function let_go_of_unique(job, task, wanted, unique_until)
  local unique = unique_key(task, wanted)
  if redis.call('GET', unique) ~= job then return end
  local left = tonumber(unique_until or '0') - now
  if left > 0 then redis.call('PEXPIRE', unique, ms(left)) else redis.call('DEL', unique) end
end

-- What tells of an attempt that is over: as `Report` in machine.py.
local ATTEMPT = {'cause', 'error', 'tail', 'trace', 'exit_code', 'peak_mb', 'cpu_s'}

-- The record's past attempts and the one under way, a JSON line each.
local function closed_attempts(job, report)
  local attempt, fence, machine, region, created, queued, launch, boot, started, past =
    read(key('job', job), 'attempt', 'fence', 'machine', 'region', 'created', 'queued',
    'launch', 'boot', 'started', 'past')
  local line = {attempt = attempt, fence = fence, machine = machine or '',
    region = region or '', queued = queued or created, launch = launch, boot = boot or '',
    started = report.started or started, ended = NOW}
  for _, name in ipairs(ATTEMPT) do line[name] = report[name] end
  local lines = (past or '') .. cjson.encode(line) .. '\n'
  if #lines > 65536 then lines = string.gsub(lines, '^[^\n]*\n', '') end
  return lines
end

-- What a job that waits leaves when it moves on or ends.
local function leave_line(job, pool, queue)
  redis.call('ZREM', ready_key(pool, queue or 'default'), job)
  redis.call('ZREM', key('due', pool), job)
  redis.call('ZREM', TIMERS, 'j:' .. job)
end

-- What the end of a job depends on, besides what is kept.
local ENDING = {'status', 'ttl', 'code', 'unique_until', unpack(KEPT)}

local function read_ending(job)
  local values, got = redis.call('HMGET', key('job', job), unpack(ENDING)), {}
  for i = 1, #ENDING do got[ENDING[i]] = values[i] end
  return got
end

-- The one way into a final status. `outcome` is '' where nothing was returned; `report`
-- has what is known of the attempt that ended it, by the names of the record's fields;
-- `got` is what `read_ending` has just returned.
local function finish(job, status, outcome, report, got)
  local record, out = key('job', job), key('out', job)
  got = got or read_ending(job)
  local keep = ms(got.ttl or '86400')
  -- First, as Redis refuses only the first write of a script when it is full.
  local element = status .. ' ' .. (got.fence or '0') .. ' ' .. outcome
  redis.call('LPUSH', out, #element > 64 and '' or element, element)
  redis.call('PEXPIRE', out, keep)
  local kept, n = {'ended', NOW}, 2
  for name, value in pairs(report) do
    if value ~= '' then kept[n + 1], kept[n + 2], n = name, value, n + 2 end
  end
  if status == 'succeeded' then
    -- Written anew, a small record takes a third of the memory.
    for i = 1, #KEPT do
      local name = KEPT[i]
      local value = not report[name] and got[name]
      if value then kept[n + 1], kept[n + 2], n = name, value, n + 2 end
    end
    redis.call('DEL', record)
  end
  move(job, got.status, status, unpack(kept))
  redis.call('PEXPIRE', record, keep + DAY_MS)
  if got.status ~= 'running' then leave_line(job, got.pool, got.queue) end
  local started = got.status == 'running' and (report.started or got.started)
  count_end('j', got.task, status == 'failed' and report.cause or status, size_of(got.pool),
    got.region, got.queued or got.created, started)
  if got.code then let_go_of_code(got.code, status, keep + DAY_MS) end
  if got.key then let_go_of_unique(job, got.task, got.key, got.unique_until) end
  if status ~= 'succeeded' then
    list_under(key('ended', status), keep + DAY_MS, {got.created, job})
  end
end

-- What waiters get: the long one of the elements that they rotate; '' if there is none.
local function outcome_of(job)
  local outcome = ''
  for _, element in ipairs(redis.call('LRANGE', key('out', job), 0, -1)) do
    if #element > #outcome then outcome = element end
  end
  return outcome
end

-- Keep what an attempt printed as long as its job.
local function keep_output(job, fence, output)
  if output == '' then return end
  local log = key('log', job)
  redis.call('RPUSH', log, fence .. ' ' .. output)
  redis.call('LTRIM', log, -20, -1)
  redis.call('PEXPIRE', log, math.max(1, redis.call('PTTL', key('job', job))))
end

-- Keep what a machine reports late, of an attempt that was cancelled or lost; once.
local function keep_late_output(job, fence, output)
  if output == '' or redis.call('EXISTS', key('job', job)) == 0 then return end
  for _, kept in ipairs(redis.call('LRANGE', key('log', job), 0, -1)) do
    if kept:sub(1, #fence + 1) == fence .. ' ' then return end
  end
  keep_output(job, fence, output)
end

-- A waiting job's time is over.
local function let_expire(job)
  finish(job, 'expired', '',
    {error = 'it waited longer than expires= or WORKER_LIB_PENDING_TTL'})
end

-- The same, unless it has moved on meanwhile. Returns its pool if it has expired.
local function expire(job)
  local status, expires, pool = read(key('job', job), 'status', 'expires', 'pool')
  if not status or not waits(status) or not expires then
    redis.call('ZREM', TIMERS, 'j:' .. job)
  elseif tonumber(expires) > now then
    set_timer('j:' .. job, tonumber(expires))
  else
    let_expire(job)
    return pool
  end
end

-- End a job that is not final: 1 if this did it, 0 if it was final, -1 if there is none.
local function cancel(job, canceller)
  local record = key('job', job)
  local status, pool, slot, by = read(record, 'status', 'pool', 'slot', 'canceller')
  if not status then return -1 end
  if FINAL[status] then return by == canceller and 1 or 0 end
  redis.call('HINCRBY', record, 'fence', 1)
  redis.call('HSET', record, 'canceller', canceller)
  finish(job, 'cancelled', '', {cause = status == 'running' and 'cancelled' or ''})
  if slot and redis.call('EXISTS', key('slot', slot)) == 1 then tell_machine(slot, 'c') end
  promote(pool, read_pool(pool))
  return 1
end

-- Have a job that was taken from its machine wait in line again; the pairs after it are
-- written along.
local function requeue(job, pool, about, ...)
  local record = key('job', job)
  redis.call('HINCRBY', record, 'fence', 1)
  redis.call('HINCRBY', record, 'attempt', -1)
  move(job, 'running', 'queued', ...)
  local order, pending, timeout, queue = read(record, 'order', 'pending', 'timeout', 'queue')
  may_wait_until(job, now + tonumber(pending), tonumber(timeout))
  make_ready(pool, about, queue or 'default', {order, job})
end

-- A machine held this job and never started it. The pairs are written along.
local function give_back(job, fence, pool, about, ...)
  local status, its_fence = read(key('job', job), 'status', 'fence')
  if status == 'running' and its_fence == fence then requeue(job, pool, about, ...) end
end

-- Its machine is gone or was stopped while it ran: run the job again, or fail it.
-- `charge` counts a loss; `outcome` and `report` tell how it fails if it must.
local function interrupted(job, pool, most_lost, charge, outcome, report)
  local record = key('job', job)
  local policy, lost, task = read(record, 'policy', 'lost', 'task')
  lost = tonumber(lost or '0')
  if charge then lost = redis.call('HINCRBY', record, 'lost', 1) end
  if cjson.decode(policy).on_lost == 'fail' or (charge and lost >= most_lost) then
    finish(job, 'failed', outcome, report)
    count_end('l', task, report.cause or 'lost', size_of(pool))
  else
    if charge then
      local queued, created, started, region = read(record, 'queued', 'created', 'started',
        'region')
      count_end('l', task, report.cause or 'lost', size_of(pool), region, queued or created,
        started)
    else
      report.cause = 'released'
    end
    requeue(job, pool, read_pool(pool), 'past', closed_attempts(job, report),
      unpack(charge and {'alone', '1'} or {}))
  end
end
