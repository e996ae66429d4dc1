local cursor = unpack(ARGV)
-- What there is now, a part of the pools at a time (`cursor` is '0' at first).
-- Returns {cursor of the next part ('0': that was all), time, {status, jobs of it that are
--   kept ...}, INFO of the server's memory ('' but for the first part), {queue that is
--   paused, since when ...} (with the first part), {{pool, size, most
--   machines, run, boot and wake-up in seconds, why none can be had, jobs that run, that
--   retry, that are scheduled, {state, machines ...}, {queue, jobs ready, since when it is
--   paused or '', since when the job waits that is next or '' ...}} ...}}.
-- Of a crowd a sample is looked at: the jobs that are scheduled or retry, and the machines.
local PART, MOST_DUE, MOST_SLOTS = 50, 50, 100

local function sampled(members, total, each_of)
  local sums = {}
  for _, member in ipairs(members) do each_of(member, sums) end
  local scale = #members > 0 and math.max(1, total / #members) or 1
  for name, sum in pairs(sums) do sums[name] = math.floor(sum * scale + 0.5) end
  return sums
end

local function flat(sums)
  local found = {}
  for name, sum in pairs(sums) do found[#found + 1], found[#found + 2] = name, sum end
  return found
end

local function add(sums, name, by) sums[name] = (sums[name] or 0) + by end

-- What its machines are doing, and how many jobs run on them.
local function machines_of(pool)
  local sums = sampled(redis.call('SRANDMEMBER', key('slots', pool), MOST_SLOTS),
    redis.call('SCARD', key('slots', pool)), function(slot, found)
      local state, holds = read(key('slot', slot), 'state', 'holds')
      if not state then return end
      add(found, state, 1)
      if state ~= 'busy' then return end
      for _ in each(holds) do add(found, 'running', 1) end
    end)
  local running = sums.running or 0
  sums.running = nil
  sums.parked = redis.call('ZCARD', key('parked', pool))
  return sums, running
end

local function due_of(pool)
  local total = redis.call('ZCARD', key('due', pool))
  if total == 0 then return 0, 0 end
  local sums = sampled(redis.call('ZRANGE', key('due', pool), 0, MOST_DUE - 1), total,
    function(job, found)
      add(found, redis.call('HGET', key('job', job), 'status') or 'scheduled', 1)
    end)
  local retrying = math.min(total, sums.retrying or 0)
  return retrying, total - retrying
end

local function queues_of(pool, about)
  local found = {}
  for queue in each(about.queues) do
    local ready = ready_key(pool, queue)
    local first = redis.call('ZRANGE', ready, 0, 0)[1]
    if first then
      local created, queued = read(key('job', first), 'created', 'queued')
      local paused_at = is_in(about.paused, queue)
        and redis.call('HGET', P .. ':paused', queue)
      local n = #found
      found[n + 1], found[n + 2] = queue, redis.call('ZCARD', ready)
      found[n + 3], found[n + 4] = paused_at or '', queued or created or ''
    end
  end
  return found
end

local pools = {}
local part = redis.call('SSCAN', P .. ':pools', cursor, 'COUNT', PART)
for _, pool in ipairs(part[2]) do
  local about = read_pool(pool)
  if about.max then
    local trouble, reason = trouble_in(pool, about, NOW)
    local states, running = machines_of(pool)
    local retrying, scheduled = due_of(pool)
    pools[#pools + 1] = {pool, about.size or '', about.max, about.run_s or '',
      about.boot_s or '', about.wake_s or '', trouble ~= '' and trouble or reason, running,
      retrying, scheduled, flat(states), queues_of(pool, about)}
  end
end
local kept, memory, paused = {}, '', {}
if cursor == '0' then
  for _, status in ipairs({'failed', 'cancelled', 'expired'}) do
    kept[#kept + 1], kept[#kept + 2] = status, redis.call('ZCARD', key('ended', status))
  end
  kept[#kept + 1], kept[#kept + 2] = 'jobs', redis.call('ZCARD', JOBS)
  memory = redis.pcall('INFO', 'memory')
  if type(memory) ~= 'string' then memory = '' end
  paused = redis.call('HGETALL', P .. ':paused')
end
return {part[1], NOW, kept, memory, paused, pools}
