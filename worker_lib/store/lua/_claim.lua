-- What a machine takes next; shared by claim and finish.

local function hand_over(job, known_code)
  local record = key('job', job)
  local got = redis.call('HMGET', record, 'fence', 'attempt', 'timeout', 'task',
    'code', 'policy', 'call', 'lost')
  local code = ''
  if got[5] ~= '' and got[5] ~= known_code then
    code = redis.call('GET', key('code', got[5])) or ''
  end
  return {'job', job, got[1], got[2], got[3], got[4], got[5], code, got[6],
    got[7] or '', got[8]}
end

local function start(slot, pool, job, lease, boot)
  local record = key('job', job)
  local where = redis.call('HMGET', key('slot', slot), 'machine', 'region')
  local fence = redis.call('HINCRBY', record, 'fence', 1)
  redis.call('HINCRBY', record, 'attempt', 1)
  redis.call('HSET', record, 'status', 'running', 'slot', slot, 'started', text(now),
    'machine', where[1] or '', 'region', where[2] or '', 'boot', boot)
  redis.call('HSET', key('slot', slot), 'state', 'busy', 'job', job, 'fence', fence)
  redis.call('SADD', key('busy', pool), slot)
  redis.call('SREM', key('idle', pool), slot)
  set_timer('s:' .. slot, now + lease)
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
  redis.call('SREM', key('busy', pool), slot)
  if wait == 0 then
    free_slot(pool, slot)
    if due_in then call_launcher('due') end
    return {'empty'}
  end
  redis.call('HSET', key('slot', slot), 'state', 'idle', 'job', '', 'fence', '')
  redis.call('SADD', key('idle', pool), slot)
  redis.call('PEXPIRE', key('idle', pool), DAY_MS)
  set_timer('s:' .. slot, now + wait + lease)
  return {'idle', text(wait)}
end

-- Go although jobs may be waiting: somebody with a token must see to them.
local function leave(pool, slot)
  free_slot(pool, slot)
  if redis.call('ZCARD', key('ready', pool)) > 0 then
    look_at_pool(pool, now)
    call_launcher('due')
  end
  return {'empty'}
end

-- Returns {'job', ...}, {'idle', seconds}, {'empty'} or {'gone'}. Asked twice, it
-- gives the same job again: the reply to the first question may have been lost.
-- `mood` is 'stay', 'rested' (it has lingered long enough) or 'leave'.
local function claim_next(slot, known_code, lease, boot, mood)
  local held = redis.call('HMGET', key('slot', slot), 'pool', 'job', 'fence')
  local pool = held[1]
  if not pool then return {'gone'} end
  if held[2] and held[2] ~= '' then
    local state = redis.call('HMGET', key('job', held[2]), 'status', 'fence')
    if state[1] == 'running' and state[2] == held[3] then
      return hand_over(held[2], known_code)
    end
  end
  if mood == 'leave' then return leave(pool, slot) end
  local due_in = promote(pool)
  while true do
    local first = redis.call('ZPOPMIN', key('ready', pool))
    if not first[1] then 
      return rest(slot, pool, due_in, lease, mood == 'rested')
    end
    if redis.call('HGET', key('job', first[1]), 'status') == 'queued' then
      start(slot, pool, first[1], lease, boot)
      return hand_over(first[1], known_code)
    end
  end
end
