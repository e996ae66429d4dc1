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
--   stray:<slot> hash   machine that may live though its slot is free, looks at it so far
--   timers       zset   's:<slot>', 'p:<pool>', 'm:<stray>' and 'j:<job>' (a job that
--                       waits, by when it expires), by when somebody must look at them
--   calls        list   slots that somebody with a token should launch
--   jobs         zset   all jobs, by time of creation
--   bucket, nested      hash   tokens for creates, and for jobs that jobs make
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

local function make_ready(pool, job, order)
  redis.call('ZADD', key('ready', pool), order, job)
  keep_alive(key('ready', pool), LONG_MS)
end

local function make_due(pool, job, at)
  redis.call('ZADD', key('due', pool), text(at), job)
  keep_alive(key('due', pool), LONG_MS)
  look_at_pool(pool, at)
end

-- What its machines are to be, false if that is lost, and why there are none.
local function about_pool(pool)
  return redis.call('HMGET', key('pool', pool), 'spec', 'trouble', 'reason',
    'trouble_at', 'trouble_until')
end

-- Why the pool of a job stored at `created` has no machine: what a person must see to,
-- and what passes. Old news are none: they count while the hold lasts, or for jobs that
-- were there before.
local function trouble_in(about, created)
  local lasts = tonumber(about[5] or '0') > now
  if lasts or tonumber(about[4] or '0') >= tonumber(created) then
    return about[2] or '', about[3] or ''
  end
  return '', ''
end

