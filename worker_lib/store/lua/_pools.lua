-- Pools: the queues of one, its slots, and what is known of its machines.

local function read_pool(pool)
  local spec, max, linger, rule, queues, paused, due_at, kept_until, trouble_at = read(
    key('pool', pool), 'spec', 'max', 'linger', 'rule', 'queues', 'paused', 'due_at',
    'kept_until', 'trouble_at')
  return {spec = spec, max = max, linger = linger, rule = rule, queues = queues,
    paused = paused, due_at = due_at, kept_until = kept_until, trouble_at = trouble_at}
end

-- Why the pool of a job stored at `created` has no machine: what a person must see to,
-- and what passes. Old news are none: they count while the hold lasts, or for jobs that
-- were there before.
local function trouble_in(pool, about, created)
  if not about.trouble_at then return '', '' end
  local trouble, reason, lasts = read(key('pool', pool), 'trouble', 'reason', 'trouble_until')
  if tonumber(lasts or '0') > now or tonumber(about.trouble_at) >= tonumber(created) then
    return trouble or '', reason or ''
  end
  return '', ''
end

local function ready_key(pool, queue) return P .. ':ready:' .. pool .. ':' .. queue end

local function is_in(list, name)
  return list == name or (list and string.find(',' .. list .. ',', ',' .. name .. ',', 1, true))
end

local function each(list) return string.gmatch(list or '', '[^,]+') end

-- How many jobs of a pool may run now; those of paused queues may not.
local function count_ready(pool, about)
  local ready = 0
  for queue in each(about.queues) do
    if not is_in(about.paused, queue) then
      ready = ready + redis.call('ZCARD', ready_key(pool, queue))
    end
  end
  return ready
end

-- What a priority weighs in the order of a queue; arrival decides among equal ones.
local PRIORITY_STEP = 2 ^ 45

-- Put a job in line. A pool lists its queues, so that a machine need not search for them.
local function make_ready(pool, about, queue, job, order)
  redis.call('ZADD', ready_key(pool, queue), order, job)
  redis.call('PEXPIRE', ready_key(pool, queue), LONG_MS)
  if is_in(about.queues, queue) then return end
  about.queues = about.queues and about.queues ~= '' and about.queues .. ',' .. queue or queue
  redis.call('HSET', key('pool', pool), 'queues', about.queues)
end

local function make_due(pool, about, job, at)
  redis.call('ZADD', key('due', pool), at, job)
  keep_alive(key('due', pool), LONG_MS)
  if not about.due_at or at < tonumber(about.due_at) then
    about.due_at = text(at)
    redis.call('HSET', key('pool', pool), 'due_at', about.due_at)
  end
  look_at_pool(pool, at)
end

-- Take a slot out of its pool if its hash is gone, as after an eviction; says so.
local function drop_vanished(pool, slot)
  if redis.call('EXISTS', key('slot', slot)) == 1 then return false end
  for _, kind in ipairs({'slots', 'busy', 'idle'}) do
    redis.call('SREM', key(kind, pool), slot)
  end
  return true
end

-- A slot is owed while more jobs are ready than machines are free or on their way.
local function slot_owed(pool, about)
  local slots = redis.call('SCARD', key('slots', pool))
  if slots >= tonumber(about.max or '1') then
    -- Now and then a look at one of them: slots that vanished must not fill the pool.
    if clock[2] % 16 == 1 then
      drop_vanished(pool, redis.call('SRANDMEMBER', key('slots', pool)))
    end
    return false
  end
  local ready = count_ready(pool, about)
  if ready == 0 or slots == 0 then return ready > 0 end
  return ready > slots - redis.call('SCARD', key('busy', pool))
end

local function add_slot(pool, slot, look_at)
  redis.call('HSET', key('slot', slot), 'pool', pool, 'state', 'owed',
    'owed_at', NOW)
  redis.call('PEXPIRE', key('slot', slot), LONG_MS)
  redis.call('SADD', key('slots', pool), slot)
  redis.call('PEXPIRE', key('slots', pool), LONG_MS)
  set_timer('s:' .. slot, look_at)
end

local function free_slot(pool, slot)
  for _, kind in ipairs({'slots', 'busy', 'idle'}) do
    redis.call('SREM', key(kind, pool), slot)
  end
  redis.call('DEL', key('slot', slot), key('ctl', slot))
  redis.call('ZREM', TIMERS, 's:' .. slot)
end

-- Wake one machine that waits, if any; its timer gives it the time to come.
local function wake_idle(pool)
  local slot = redis.call('SPOP', key('idle', pool))
  if not slot then return false end
  tell_machine(slot, 'w')
  -- No longer merely idle: if it does not come, it is replaced.
  redis.call('HSET', key('slot', slot), 'state', 'woken')
  set_timer('s:' .. slot, now + 10)
  return true
end
