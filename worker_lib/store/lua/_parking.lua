-- Parked machines: stopped or suspended since their pool was empty, to be started again
-- instead of another one being created. A parked machine keeps its slot, whose id stands in
-- its environment; the slot is none of its pool's until the machine is needed.

-- So long it may take to stand still; then somebody looks whether it does.
local PARKED_BY = 60
-- So long a call that is sent again finds what the first one was given.
local ALIAS_MS = 60000

local function park_until(pool, slot, ends)
  end_cost(pool, slot, 'parked')
  for _, kind in ipairs({'slots', 'busy', 'idle'}) do
    redis.call('SREM', key(kind, pool), slot)
  end
  redis.call('HSET', key('slot', slot), 'state', 'parked', 'holds', '',
    'parked_until', text(ends))
  redis.call('PEXPIRE', key('slot', slot), ms(ends - now) + LONG_MS)
  redis.call('ZADD', key('parked', pool), now, slot)
  redis.call('PEXPIRE', key('parked', pool), ms(ends - now) + LONG_MS)
  redis.call('SADD', P .. ':parking', pool)
  keep_alive(P .. ':parking', LONG_MS)
  set_timer('s:' .. slot, math.min(ends, now + PARKED_BY))
end

-- Park the machine of an empty pool, unless enough of them are; says so.
local function park(pool, slot)
  local most, lasts = read(key('slot', slot), 'park', 'park_for')
  if redis.call('ZCARD', key('parked', pool)) >= tonumber(most or '0') then return false end
  park_until(pool, slot, now + tonumber(lasts))
  return true
end

-- A machine that was to be started again is not needed now.
local function park_again(pool, slot)
  local ends = redis.call('HGET', key('slot', slot), 'parked_until')
  park_until(pool, slot, math.max(now, tonumber(ends or '0')))
end

-- A parked machine is awake, whoever woke it: is it to stand still again? Else it is one
-- of its pool's machines from now on.
local function stays_parked(pool, slot, about, intent)
  if intent ~= 'leave' then
    local is_due = about.due_at and tonumber(about.due_at) <= now
    if count_ready(pool, about) == 0 and not is_due then return true end
    local slots = redis.call('SCARD', key('slots', pool))
    if slots >= tonumber(about.max or '1') then return true end
  end
  redis.call('ZREM', key('parked', pool), slot)
  redis.call('SADD', key('slots', pool), slot)
  redis.call('PEXPIRE', key('slots', pool), LONG_MS)
  return false
end

-- The slot of the machine that was parked last: that is the likeliest to be there still.
local function take_parked(pool)
  while true do
    local slot = redis.call('ZREVRANGE', key('parked', pool), 0, 0)[1]
    if not slot then return nil end
    redis.call('ZREM', key('parked', pool), slot)
    if redis.call('HGET', key('slot', slot), 'state') == 'parked' then return slot end
  end
end

-- Take a slot for one more machine: that of a parked one, else a new one, `candidate`.
-- Returns its id; whoever offered the candidate finds by that what it was given.
local function owe_slot(pool, candidate, look_at)
  local slot = take_parked(pool)
  if slot then
    redis.call('HSET', key('slot', candidate), 'is', slot)
    redis.call('PEXPIRE', key('slot', candidate), ALIAS_MS)
    tell_machine(slot, 'w')  -- it may not stand still yet
  end
  add_slot(pool, slot or candidate, look_at)
  return slot or candidate
end

-- The slot that was taken for a candidate, if its machine is still to be launched, or ''.
local function owed_as(candidate)
  local slot = redis.call('HGET', key('slot', candidate), 'is') or candidate
  return redis.call('HGET', key('slot', slot), 'state') == 'owed' and slot or ''
end

-- Free the slot of a machine that ends. One that may be parked is not destroyed by its
-- end, so somebody has to see to it.
local function let_go(pool, slot, why)
  local park_most, machine = read(key('slot', slot), 'park', 'machine')
  if park_most and machine then remember_stray(slot, machine) end
  free_slot(pool, slot, why)
end
