-- What every script shares. KEYS[1] is the namespace; all other keys follow from it.
--   job:<id>     hash   the job's record
--   out:<id>     list   its outcome, twice: waiters rotate it, so it never empties
--   code:<hash>  hash   pickled code of a function that no image has; how many jobs need it
--   ready:<pool> zset   jobs that may run now, by queue and order of arrival
--   due:<pool>   zset   jobs that may run later, by time
--   pool:<id>    hash   what its machines are; why none can be had
--   slots:<pool> set    rights to a machine; busy:<pool> those with a job
--   idle:<pool>  set    slots whose machine waits for a call
--   slot:<id>    hash   pool, state (owed, launching, idle, woken, busy), machine, job, fence
--   timers       zset   's:<slot>', 'p:<pool>' and 'j:<job>' (a job that waits, by when it
--                       expires), by when somebody must look at them
--   calls        list   slots that somebody with a token should launch
--   jobs         zset   all jobs, by time of creation
local P = KEYS[1]
local function key(kind, id) return P .. ':' .. kind .. ':' .. id end
local TIMERS, CALLS, JOBS = P .. ':timers', P .. ':calls', P .. ':jobs'
local FINAL = {succeeded = true, failed = true, cancelled = true, expired = true}
local DAY_MS = 86400000
-- For what empties itself: longer than any job waits.
local LONG_MS = 400 * DAY_MS
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6

local function text(number) return string.format('%.6f', number) end

local function ms(seconds) return math.max(1, math.floor(tonumber(seconds) * 1000)) end

local function count(what)
  local day = key('counts', math.floor(now / 86400))
  if redis.call('HINCRBY', day, what, 1) == 1 then
    redis.call('PEXPIRE', day, 40 * DAY_MS)
  end
end

-- Every write is sent to the append-only file, so a life is given twice and renewed
-- half-way: what a job needs never ends before the job.
local function keep_alive(name, life)
  if redis.call('PTTL', name) >= life then return true end
  return redis.call('PEXPIRE', name, 2 * life) == 1
end

-- `news` is left out where nothing changed for who waits for the job's outcome.
-- Protected: a user of Redis without a right to the channel must not stop a script that
-- has begun to write.
local function announce(job, news)
  redis.pcall('PUBLISH', key('changed', job), news or '1')
end

local function set_timer(member, at) redis.call('ZADD', TIMERS, text(at), member) end

-- Have somebody look at a pool; an earlier look that is due already stays.
local function look_at_pool(pool, at)
  redis.call('ZADD', TIMERS, 'LT', text(at), 'p:' .. pool)
end

-- Ask whoever holds a token and listens to come and look.
local function call_launcher(what)
  redis.call('RPUSH', CALLS, what)
  redis.call('PEXPIRE', CALLS, 60000)
end

-- Take a slot out of its pool if its hash is gone, as after an eviction; says so.
local function drop_vanished(pool, slot)
  if redis.call('EXISTS', key('slot', slot)) == 1 then return false end
  for _, kind in ipairs({'slots', 'busy', 'idle'}) do
    redis.call('SREM', key(kind, pool), slot)
  end
  return true
end

-- A slot is owed while more jobs wait than machines are free or on their way.
local function slot_owed(pool)
  local waiting = redis.call('ZCARD', key('ready', pool))
  if waiting == 0 then return false end
  local slots = redis.call('SCARD', key('slots', pool))
  local most = tonumber(redis.call('HGET', key('pool', pool), 'max') or '1')
  if slots >= most then
    -- Now and then a look at one of them: slots that vanished must not fill the pool.
    if waiting % 16 == 1 then
      drop_vanished(pool, redis.call('SRANDMEMBER', key('slots', pool)))
    end
    return false
  end
  return waiting > slots - redis.call('SCARD', key('busy', pool))
end

local function add_slot(pool, slot, look_at)
  redis.call('HSET', key('slot', slot), 'pool', pool, 'state', 'owed',
    'owed_at', text(now))
  redis.call('PEXPIRE', key('slot', slot), LONG_MS)
  redis.call('SADD', key('slots', pool), slot)
  redis.call('PEXPIRE', key('slots', pool), LONG_MS)
  set_timer('s:' .. slot, look_at)
end

local function free_slot(pool, slot)
  redis.call('SREM', key('slots', pool), slot)
  redis.call('SREM', key('busy', pool), slot)
  redis.call('SREM', key('idle', pool), slot)
  redis.call('DEL', key('slot', slot), key('ctl', slot))
  redis.call('ZREM', TIMERS, 's:' .. slot)
end

-- Wake one machine that waits, if any; its timer gives it the time to come.
local function wake_idle(pool)
  local slot = redis.call('SPOP', key('idle', pool))
  if not slot then return false end
  redis.call('RPUSH', key('ctl', slot), 'w')
  redis.call('PEXPIRE', key('ctl', slot), 60000)
  -- No longer merely idle: if it does not come, it is replaced.
  redis.call('HSET', key('slot', slot), 'state', 'woken')
  set_timer('s:' .. slot, now + 10)
  return true
end

local function tell_slot(slot, what)
  if slot and slot ~= '' and redis.call('EXISTS', key('slot', slot)) == 1 then
    redis.call('RPUSH', key('ctl', slot), what)
    redis.call('PEXPIRE', key('ctl', slot), 60000)
  end
end

-- From now on the job waits, until `at` at most; its record outlives that moment.
local function may_wait_until(job, at)
  redis.call('HSET', key('job', job), 'expires', text(at))
  keep_alive(key('job', job), ms(at - now) + DAY_MS)
  set_timer('j:' .. job, at)
end

local function make_ready(pool, job, order)
  redis.call('ZADD', key('ready', pool), order, job)
  keep_alive(key('ready', pool), LONG_MS)
end

local function make_due(pool, job, at)
  redis.call('ZADD', key('due', pool), text(at), job)
  keep_alive(key('due', pool), LONG_MS)
  look_at_pool(pool, at)
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

-- Why the pool of a job stored at `created` has no machine: what a person must see to,
-- and what passes. Old news are none: they count while the hold lasts, or for jobs that
-- were there before.
local function trouble_of(pool, created)
  local got = redis.call('HMGET', key('pool', pool), 'trouble', 'reason', 'trouble_at',
    'trouble_until')
  local fresh = tonumber(got[4] or '0') > now
  if fresh or tonumber(got[3] or '0') >= tonumber(created) then
    return got[1] or '', got[2] or ''
  end
  return '', ''
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
  local got = redis.call('HMGET', record, 'order', 'pending')
  may_wait_until(job, now + tonumber(got[2]))
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
