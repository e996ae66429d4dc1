-- How jobs move from one status to another; shared by the verbs that move them.

local function count(what)
  local day = key('counts', math.floor(now / 86400))
  if redis.call('HINCRBY', day, what, 1) == 1 then
    redis.call('PEXPIRE', day, 40 * DAY_MS)
  end
end

local function tell_slot(slot, what)
  if slot and slot ~= '' and redis.call('EXISTS', key('slot', slot)) == 1 then
    redis.call('RPUSH', key('ctl', slot), what)
    redis.call('PEXPIRE', key('ctl', slot), 60000)
  end
end

-- From now on the job waits, until `at` at most; its record outlives that moment, and
-- an attempt that begins then.
local function may_wait_until(job, at, timeout)
  redis.call('HSET', key('job', job), 'expires', text(at))
  keep_alive(key('job', job), ms(at - now + timeout) + DAY_MS)
  set_timer('j:' .. job, at)
end

-- Move what is due to the ready jobs, and wake a machine for each; returns the seconds
-- until more is due, or nil.
local function promote(pool)
  local due = key('due', pool)
  for _, job in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', text(now),
      'LIMIT', 0, 100)) do
    local order = redis.call('HGET', key('job', job), 'order')
    if order then
      redis.call('HSET', key('job', job), 'status', 'queued')
      redis.call('HDEL', key('job', job), 'due')
      make_ready(pool, job, order)
      wake_idle(pool)
      announce(job)
    end
    redis.call('ZREM', due, job)
  end
  local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  if not first[2] then
    if redis.call('ZCARD', key('ready', pool)) == 0 then
      redis.call('ZREM', TIMERS, 'p:' .. pool)
    end
    return nil
  end
  look_at_pool(pool, tonumber(first[2]))
  return math.max(0, tonumber(first[2]) - now)
end

-- One job less needs this code; the last one leaves it a while for calls to come.
local function let_go_of_code(hash)
  if hash == '' or redis.call('EXISTS', key('code', hash)) == 0 then return end
  if redis.call('HINCRBY', key('code', hash), 'jobs', -1) <= 0 then
    redis.call('PEXPIRE', key('code', hash), 600000)
  end
end

-- The record's attempts with the running one closed, a JSON line each.
local function closed_attempts(job, outcome, error, output)
  local got = redis.call('HMGET', key('job', job), 'attempt', 'machine', 'region',
    'boot', 'started', 'attempts')
  local line = cjson.encode({n = tonumber(got[1]), machine = got[2] or '',
    region = got[3] or '', boot = tonumber(got[4] or '') or -1,
    started = tonumber(got[5]), ended = now, outcome = outcome,
    error = error, output = output})
  local lines = (got[6] or '') .. line .. '\n'
  if #lines > 65536 then lines = string.gsub(lines, '^[^\n]*\n', '') end
  return lines
end

-- The one way into a final status. `outcome` is '' where nothing was returned.
local function finish(job, status, outcome, error, attempts)
  local record, out = key('job', job), key('out', job)
  local got = redis.call('HMGET', record, 'ttl', 'fence', 'attempts', 'status', 'pool',
    'code')
  local keep = ms(got[1] or '86400')
  redis.call('HSET', record, 'status', status, 'ended', text(now), 'error', error,
    'attempts', attempts or got[3] or '')
  redis.call('HDEL', record, 'started', 'boot', 'progress', 'due', 'slot', 'lease',
    'expires', status == 'succeeded' and 'call' or '')
  local element = status .. ' ' .. (got[2] or '0') .. ' ' .. outcome
  redis.call('DEL', out)
  redis.call('RPUSH', out, element, #outcome > 1024 and '' or element)
  redis.call('PEXPIRE', out, keep)
  redis.call('PEXPIRE', record, keep + DAY_MS)
  if got[4] ~= 'running' then
    redis.call('ZREM', key('ready', got[5]), job)
    redis.call('ZREM', key('due', got[5]), job)
    redis.call('ZREM', TIMERS, 'j:' .. job)
  end
  let_go_of_code(got[6] or '')
  count(status)
  announce(job, status)
end

-- A waiting job's time is over, unless it has moved on meanwhile.
local function expire(job)
  local got = redis.call('HMGET', key('job', job), 'status', 'expires', 'pool')
  local waits = got[1] == 'queued' or got[1] == 'scheduled' or got[1] == 'retrying'
  if not waits or not got[2] then
    redis.call('ZREM', TIMERS, 'j:' .. job)
    return false
  end
  if tonumber(got[2]) > now then
    set_timer('j:' .. job, tonumber(got[2]))
    return false
  end
  finish(job, 'expired', '', 'it waited longer than its pending_ttl')
  promote(got[3])
  return true
end

-- Have a job that was taken from its machine wait in line again.
local function requeue(job, pool, attempts)
  local record = key('job', job)
  redis.call('HINCRBY', record, 'fence', 1)
  redis.call('HINCRBY', record, 'attempt', -1)
  redis.call('HSET', record, 'status', 'queued', 'attempts', attempts)
  redis.call('HDEL', record, 'started', 'boot', 'slot', 'progress')
  local got = redis.call('HMGET', record, 'order', 'pending', 'timeout')
  may_wait_until(job, now + tonumber(got[2]), tonumber(got[3]))
  make_ready(pool, job, got[1])
  wake_idle(pool)
  announce(job)
end

-- Its machine is gone or was stopped while it ran: run the job again, or fail it.
-- `charge` counts a loss; `outcome`, `error` and `kind` tell how it fails if it must.
local function interrupted(job, pool, most_lost, charge, outcome, error, kind)
  local record = key('job', job)
  local about = redis.call('HMGET', record, 'policy', 'lost')
  local lost = tonumber(about[2] or '0')
  if charge then lost = redis.call('HINCRBY', record, 'lost', 1) end
  local fails = cjson.decode(about[1]).on_lost == 'fail'
    or (charge and lost >= most_lost)
  if fails then
    finish(job, 'failed', outcome, error, closed_attempts(job, kind, error, ''))
  else
    requeue(job, pool, closed_attempts(job, charge and kind or 'released', error, ''))
  end
end

