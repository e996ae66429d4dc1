-- What a machine takes next; shared by claim and finish.

-- A job as a claim needs it; `code` is the hash of its code.
local function read_job(job)
  local status, fence, attempt, timeout, task, code, policy, call, lost, expires = read(
    key('job', job), 'status', 'fence', 'attempt', 'timeout', 'task', 'code', 'policy',
    'call', 'lost', 'expires')
  return {status = status, fence = fence, attempt = attempt, timeout = timeout,
    task = task, code = code, policy = policy, call = call, lost = lost,
    expires = expires}
end

-- A job as its machine needs it: `ClaimedJob` in machine.py.
local function hand_over(verdict, job, got, known_code)
  local code = ''
  if got.code and got.code ~= known_code then
    code = redis.call('HGET', key('code', got.code), 'body') or ''
  end
  return {verdict, {'id', job, 'fence', got.fence, 'attempt', got.attempt,
    'timeout', got.timeout, 'task', got.task, 'code_hash', got.code or '', 'code', code,
    'policy', got.policy, 'call', got.call or '', 'lost', got.lost or '0'}}
end

local function start(slot, held, job, got, lease, boot)
  got.fence = string.format('%d', (got.fence or 0) + 1)
  got.attempt = string.format('%d', (got.attempt or 0) + 1)
  move(job, 'queued', 'running', 'fence', got.fence, 'attempt', got.attempt,
    'slot', slot, 'started', NOW, 'machine', held.machine or '',
    'region', held.region or '', 'boot', boot, 'lease', lease)
  redis.call('HSET', key('slot', slot), 'state', 'busy', 'job', job, 'fence', got.fence)
  if held.state ~= 'busy' then
    redis.call('SADD', key('busy', held.pool), slot)
    keep_alive(key('busy', held.pool), LONG_MS)
    redis.call('SREM', key('idle', held.pool), slot)
  end
  set_timer('s:' .. slot, now + lease)
  redis.call('ZREM', TIMERS, 'j:' .. job)
end

-- By weights: any of the queues comes first, the more often the heavier it is.
local function by_weight(entries)
  local order, dice = {}, clock[2]
  while #entries > 0 do
    local sum, at = 0, 1
    for _, entry in ipairs(entries) do sum = sum + entry.weight end
    -- Redis seeds math.random anew, and alike, for each script.
    dice = (dice * 7919 + 104729) % 1000003
    local thrown = dice / 1000003 * sum
    while at < #entries and thrown >= entries[at].weight do
      thrown, at = thrown - entries[at].weight, at + 1
    end
    order[#order + 1] = table.remove(entries, at).name
  end
  return order
end

-- The queues of a pool in the order in which a machine looks into them: those of the
-- rule ('high,default,low', or 'high=5,low=1' by weights), then the others by name.
local function in_order(about)
  if not string.find(about.queues, ',', 1, true) then return {about.queues} end
  local listed, order = {}, {}
  for entry in each(about.rule) do
    local name, weight = string.match(entry, '^([^=]+)=?(%d*)$')
    if is_in(about.queues, name) then
      listed[name], order[#order + 1] = true, {name = name, weight = tonumber(weight)}
    end
  end
  if order[1] and order[1].weight then
    order = by_weight(order)
  else
    for i, entry in ipairs(order) do order[i] = entry.name end
  end
  local others = {}
  for name in each(about.queues) do
    if not listed[name] then others[#others + 1] = name end
  end
  table.sort(others)
  for _, name in ipairs(others) do order[#order + 1] = name end
  return order
end

-- Take the job that is next; nil if none may run. Queues found empty are forgotten.
local function pop_ready(pool, about)
  if not about.queues or about.queues == '' then return nil end
  local paused = {}
  for _, queue in ipairs(in_order(about)) do
    if is_in(about.paused, queue) then
      paused[#paused + 1] = queue
    else
      local job = redis.call('ZPOPMIN', ready_key(pool, queue))[1]
      if job then return job end
    end
  end
  about.queues = table.concat(paused, ',')
  redis.call('HSET', key('pool', pool), 'queues', about.queues)
end

-- Leave, or wait a while: as long as the pool lingers, unless that time is over, or
-- until a retry that is near.
local function wait_idle(slot, pool, about, lease, may_linger, near)
  local linger = may_linger and tonumber(about.linger or '0') or 0
  local due_in = about.due_at and math.max(0, tonumber(about.due_at) - now)
  local wait = linger
  if due_in and due_in <= math.max(linger, near) then wait = math.max(wait, due_in + 0.001) end
  if wait == 0 then
    if due_in then call_launcher('due') end
    free_slot(pool, slot)
    return {'empty'}
  end
  redis.call('HSET', key('slot', slot), 'state', 'idle', 'job', '', 'fence', '')
  redis.call('SREM', key('busy', pool), slot)
  redis.call('SADD', key('idle', pool), slot)
  keep_alive(key('idle', pool), LONG_MS)
  set_timer('s:' .. slot, now + wait + lease)
  return {'idle', text(wait)}
end

-- Go although jobs may be waiting: another machine must take them, or somebody with a
-- token see to them.
local function leave(pool, about, slot)
  if count_ready(pool, about) > 0 then
    look_at_pool(pool, now)
    call_launcher('due')
    redis.call('SREM', key('idle', pool), slot)
    wake_idle(pool)
  end
  free_slot(pool, slot)
  return {'empty'}
end

-- Returns {'job', {...}}, {'interrupted', {...}} (the job that this machine held when it
-- was restarted), {'idle', seconds}, {'empty'} or {'gone'}. Asked twice by the same
-- boot of the machine, it gives the same job again: the reply may have been lost.
-- `intent` is 'stay', 'leave_if_idle' (it has lingered long enough) or 'leave'; `finished`
-- is the job that this machine has just reported.
local function claim_next(slot, known_code, lease, boot, intent, near, restarted, finished)
  local pool, holds, fence, state, machine, region = read(key('slot', slot), 'pool', 'job',
    'fence', 'state', 'machine', 'region')
  if not pool then return {'gone'} end
  if holds and holds ~= '' and holds ~= finished then
    local got = read_job(holds)
    if got.status == 'running' and got.fence == fence then
      return hand_over(restarted and 'interrupted' or 'job', holds, got, known_code)
    end
  end
  local held = {pool = pool, state = state, machine = machine, region = region}
  local about = read_pool(pool)
  if intent == 'leave' then return leave(pool, about, slot) end
  if state ~= 'busy' then redis.call('SREM', key('idle', pool), slot) end
  if about.due_at and tonumber(about.due_at) <= now then promote(pool, about) end
  while true do
    local job = pop_ready(pool, about)
    if not job then
      return wait_idle(slot, pool, about, lease, intent == 'stay', tonumber(near))
    end
    local got = read_job(job)
    if got.status == 'queued' and tonumber(got.expires or '0') < now then
      expire(job)
    elseif got.status == 'queued' then
      start(slot, held, job, got, lease, boot)
      return hand_over('job', job, got, known_code)
    end
  end
end
