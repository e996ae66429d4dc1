-- What a machine takes next; shared by claim and finish.

local function read(job)
  return redis.call('HMGET', key('job', job), 'status', 'fence', 'attempt', 'timeout',
    'task', 'code', 'policy', 'call', 'lost', 'expires')
end

local function hand_over(verdict, job, got, known_code)
  local code = ''
  if got[6] ~= '' and got[6] ~= known_code then
    code = redis.call('HGET', key('code', got[6]), 'body') or ''
  end
  return {verdict, job, got[2], got[3], got[4], got[5], got[6], code, got[7],
    got[8] or '', got[9]}
end

local function start(slot, held, job, got, lease, boot)
  got[2], got[3] = tostring(got[2] + 1), tostring(got[3] + 1)
  redis.call('HSET', key('job', job), 'status', 'running', 'fence', got[2],
    'attempt', got[3], 'slot', slot, 'started', text(now), 'machine', held[5] or '',
    'region', held[6] or '', 'boot', boot, 'lease', text(lease))
  redis.call('HSET', key('slot', slot), 'state', 'busy', 'job', job, 'fence', got[2])
  if held[4] ~= 'busy' then
    redis.call('SADD', key('busy', held[1]), slot)
    keep_alive(key('busy', held[1]), LONG_MS)
    redis.call('SREM', key('idle', held[1]), slot)
  end
  set_timer('s:' .. slot, now + lease)
  redis.call('ZREM', TIMERS, 'j:' .. job)
  announce(job)
end

-- Leave, or wait a while: as long as the pool lingers, unless that time is over, or
-- until a retry that is near.
local function rest(slot, pool, due_in, lease, rested)
  local linger = 0
  if not rested then
    linger = tonumber(redis.call('HGET', key('pool', pool), 'linger') or '0')
  end
  local wait = linger
  if due_in and due_in <= math.max(linger, tonumber(ARGV[#ARGV])) then
    wait = math.max(wait, due_in + 0.001)
  end
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
local function leave(pool, slot)
  if redis.call('ZCARD', key('ready', pool)) > 0 then
    look_at_pool(pool, now)
    call_launcher('due')
    redis.call('SREM', key('idle', pool), slot)
    wake_idle(pool)
  end
  free_slot(pool, slot)
  return {'empty'}
end

-- Returns {'job', ...}, {'interrupted', ...} (the job that this machine held when it
-- was restarted), {'idle', seconds}, {'empty'} or {'gone'}. Asked twice by the same
-- boot of the machine, it gives the same job again: the reply may have been lost.
-- `mood` is 'stay', 'rested' (it has lingered long enough) or 'leave'.
local function claim_next(slot, known_code, lease, boot, mood, restarted)
  local held = redis.call('HMGET', key('slot', slot), 'pool', 'job', 'fence', 'state',
    'machine', 'region')
  local pool = held[1]
  if not pool then return {'gone'} end
  if held[2] and held[2] ~= '' then
    local got = read(held[2])
    if got[1] == 'running' and got[2] == held[3] then
      local verdict = restarted and 'interrupted' or 'job'
      return hand_over(verdict, held[2], got, known_code)
    end
  end
  if mood == 'leave' then return leave(pool, slot) end
  if held[4] ~= 'busy' then redis.call('SREM', key('idle', pool), slot) end
  local due_in = promote(pool)
  while true do
    local job = redis.call('ZPOPMIN', key('ready', pool))[1]
    if not job then return rest(slot, pool, due_in, lease, mood == 'rested') end
    local got = read(job)
    if got[1] == 'queued' and tonumber(got[10] or '0') < now then
      expire(job)
    elseif got[1] == 'queued' then
      start(slot, held, job, got, lease, boot)
      return hand_over('job', job, got, known_code)
    end
  end
end
