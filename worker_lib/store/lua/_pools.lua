-- Pools: the queues of one, its slots, and what is known of its machines.

-- Pools that this script has read. Whoever writes a field changes it here, too.
local pools_read = {}

-- What the scripts decide by; a pool that is there has a `max`.
local function read_pool(pool)
  if pools_read[pool] then return pools_read[pool] end
  local v = redis.call('HMGET', key('pool', pool), 'max', 'linger', 'rule', 'isolate',
    'queues', 'paused', 'due_at', 'kept_until', 'trouble_at', 'run_s', 'boot_s', 'wake_s',
    'target', 'size')
  local about = {max = v[1], linger = v[2], rule = v[3], isolate = v[4], queues = v[5],
    paused = v[6], due_at = v[7], kept_until = v[8], trouble_at = v[9], run_s = v[10],
    boot_s = v[11], wake_s = v[12], target = v[13], size = v[14]}
  pools_read[pool] = about
  return about
end

-- What its machines are, as people are told: 'shared-cpu-1x@256mb'.
local function size_of(pool) return read_pool(pool).size or '' end

-- Keep a measured time, in seconds, as an average that follows the latest `count` values.
local function measured(pool, about, name, seconds, count)
  local old = tonumber(about[name] or seconds)
  local value = seconds + (old - seconds) * 0.8 ^ count
  -- Small changes are not worth a write. One of a hundredth means that the average is a
  -- twentieth off.
  if about[name] and math.abs(value - old) < 0.01 * old then return end
  about[name] = text(value)
  redis.call('HSET', key('pool', pool), name, about[name])
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

-- Put jobs in line; `lines` has the order of each before its id. A pool lists its queues,
-- so that a machine need not search for them.
local function make_ready(pool, about, queue, lines)
  redis.call('ZADD', ready_key(pool, queue), unpack(lines))
  keep_alive(ready_key(pool, queue), LONG_MS)
  if is_in(about.queues, queue) then return end
  about.queues = about.queues and about.queues ~= '' and about.queues .. ',' .. queue or queue
  redis.call('HSET', key('pool', pool), 'queues', about.queues)
end

local make_due
make_due = function(pool, about, at, jobs)
  local lines = {}
  for i, job in ipairs(jobs) do lines[2 * i - 1], lines[2 * i] = at, job end
  redis.call('ZADD', key('due', pool), unpack(lines))
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

-- How many machines a pool gets. One more is worth its price if it shortens the time to
-- drain by enough. Be `work` the seconds that all jobs take that wait (and half of those
-- that run), `count` the machines, `lost` the sum of the seconds until those come that are
-- on their way, and `arrives` the seconds until one more would. With it the pool drains in
--     drained = (work + lost + arrives) / (count + 1)
-- so it works for `drained - arrives`. That must be WORTH times the part of a boot that
-- is billed, which keeps the bill below 1 + 1 / WORTH of the pure run time. To wake up and
-- be parked again costs as much.
local WORTH, BILLED_BOOT = 5, 0.5
-- Fly lets an app create a machine a second, and so many at once.
local CREATE_BURST = 3
-- Before any job has ended: as many as can be created until the first can have reported.
local FIRST_MACHINES, FIRST_BOOT = 6, 3
-- Until a machine that is parked takes a job, before any has.
local FIRST_WAKE = 1
-- No more wait for their machine than Fly creates in some minutes, and no more slots are
-- looked at one by one: whatever `max` is, no script takes long.
local MOST_COMING, SAMPLE = 200, 100
-- When to look again at a pool whose jobs wait for the machines that it has.
local SOONEST_LOOK, LATEST_LOOK = 1, 60

-- How long the jobs that run have taken up to now: longer than those before, it may be.
-- A sample is enough. Slots that vanished are no machines.
local function observe(pool, about)
  for _, slot in ipairs(redis.call('SRANDMEMBER', key('slots', pool), 5)) do
    drop_vanished(pool, slot)
  end
  local sum, count = 0, 0
  for _, slot in ipairs(redis.call('SRANDMEMBER', key('busy', pool), 5)) do
    local holds = redis.call('HGET', key('slot', slot), 'holds') or ''
    local job = string.match(holds, '^[^:]*')
    local started = redis.call('HGET', key('job', job), 'started')
    if started then sum, count = sum + now - tonumber(started), count + 1 end
  end
  about.running_for = count > 0 and sum / count or nil
end

-- What is known of a pool, and has to be, to decide whether it needs one more machine.
local function needs_of(about)
  return {run = math.max(tonumber(about.run_s or '0'), about.running_for or 0),
    boot = tonumber(about.boot_s or FIRST_BOOT),
    wake = tonumber(about.wake_s or FIRST_WAKE), target = tonumber(about.target or '0'),
    billed = math.min(tonumber(about.boot_s or FIRST_BOOT), BILLED_BOOT),
    is_measured = about.run_s and true}
end

-- Is one more machine worth it, beside `count` of which some are `busy`? If not, somebody
-- looks again later.
local function worth_it(pool, needs, ready, busy, count, lost, arrives)
  if not needs.is_measured and count < FIRST_MACHINES then return true end
  local loaded = (ready + busy / 2) * needs.run + lost
  local yes
  if needs.target > 0 then
    local last_start = (math.ceil(ready / count) - 1) * needs.run
      + (busy / 2 * needs.run + lost) / count
    yes = last_start > needs.target and last_start > arrives
  else
    yes = (loaded + arrives) / (count + 1) - arrives
      >= WORTH * needs.billed
  end
  if not yes then
    local pause = math.max(SOONEST_LOOK, loaded / count / 2)
    look_at_pool(pool, now + math.min(LATEST_LOOK, pause))
  end
  return yes
end

-- A slot is owed to a pool that has none; else while more jobs are ready than machines
-- are free or on their way, and one more is worth it.
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
  local busy = redis.call('SCARD', key('busy', pool))
  if ready <= slots - busy then return false end
  local coming, needs = slots - busy - redis.call('SCARD', key('idle', pool)),
    needs_of(about)
  if coming >= MOST_COMING then
    look_at_pool(pool, now + LATEST_LOOK)
    return false
  end
  if about.isolate == '1' then return true end
  -- As if none of them had been created yet: `still_owed` looks closer.
  local line = math.max(0, coming - CREATE_BURST)
  if redis.call('ZCARD', key('parked', pool)) > 0 then
    needs.boot, line = needs.wake, 0  -- as for those that are coming: these are taken first
  end
  return worth_it(pool, needs, ready, busy, slots, coming * needs.boot + line * line / 2,
    needs.boot + line)
end

-- How many slots of a pool wait for a machine that was launched, and the sum of the
-- seconds until these come. Of a large pool a sample has to do.
local function launching(pool, boot)
  local slots = redis.call('SRANDMEMBER', key('slots', pool), SAMPLE)
  local count, lost = 0, 0
  for _, slot in ipairs(slots) do
    local state, launched_at = read(key('slot', slot), 'state', 'launched_at')
    if state == 'launching' or state == 'starting' or state == 'woken' then
      count = count + 1
      lost = lost + math.max(0, boot - (now - tonumber(launched_at or now)))
    end
  end
  local scale = math.max(1, redis.call('SCARD', key('slots', pool)) / SAMPLE)
  return count * scale, lost * scale
end

-- Is a machine to be made for an owed slot, now that it is its turn? As `slot_owed`, but
-- the other slots that wait for theirs do not count. Its machine may be parked.
local function still_owed(pool, about, is_parked)
  observe(pool, about)
  local ready, needs = count_ready(pool, about), needs_of(about)
  if is_parked then needs.boot = needs.wake end
  local busy, idle = redis.call('SCARD', key('busy', pool)), redis.call('SCARD', key('idle', pool))
  local coming, lost = launching(pool, needs.boot)
  if ready == 0 or busy + idle + coming == 0 then return ready > 0 end
  if ready <= idle + coming then return false end
  return about.isolate == '1'
    or worth_it(pool, needs, ready, busy, busy + idle + coming, lost, needs.boot)
end

local function add_slot(pool, slot, look_at)
  redis.call('HSET', key('slot', slot), 'pool', pool, 'state', 'owed',
    'owed_at', NOW)
  redis.call('PEXPIRE', key('slot', slot), LONG_MS)
  redis.call('SADD', key('slots', pool), slot)
  redis.call('PEXPIRE', key('slots', pool), LONG_MS)
  set_timer('s:' .. slot, look_at)
end

local MOST_EXITS, EXITS_MS = 200, 35 * DAY_MS

-- The machine of a slot costs nothing from now on, if it was up; `why` is 'empty', 'lost',
-- 'stopped' or 'parked'.
local function end_cost(pool, slot, why)
  local up_at, boot, launched_at, machine, region = read(key('slot', slot), 'up_at', 'boot',
    'launched_at', 'machine', 'region')
  if not up_at then return end
  local size = size_of(pool)
  local seconds = now - tonumber(up_at) + math.min(tonumber(boot), BILLED_BOOT)
  count(milliseconds(seconds), 'm', size, region)
  count(1, 'c', size, region, why)
  redis.call('HDEL', key('slot', slot), 'up_at')
  redis.call('LPUSH', P .. ':exits', cjson.encode({slot = slot, machine = machine,
    region = region, pool = pool, size = size, launched_at = launched_at, up_at = up_at,
    ended_at = NOW, seconds = text(seconds), reason = why}))
  redis.call('LTRIM', P .. ':exits', 0, MOST_EXITS - 1)
  redis.call('PEXPIRE', P .. ':exits', EXITS_MS)
end

local function free_slot(pool, slot, why)
  if why then end_cost(pool, slot, why) end
  for _, kind in ipairs({'slots', 'busy', 'idle'}) do
    redis.call('SREM', key(kind, pool), slot)
  end
  redis.call('DEL', key('slot', slot), key('ctl', slot))
  redis.call('ZREM', TIMERS, 's:' .. slot)
end
