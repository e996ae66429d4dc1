local slot, rate, burst, look_in, who, question, probe_for = unpack(ARGV)
local waiting = {unpack(ARGV, 8)}
-- May the machine of this slot be created now? Takes a token of the shared bucket, of
-- `rate` tokens a second; a machine that is parked needs none, as Fly limits starts for
-- each machine alone. Somebody looks what became of it after `look_in` seconds;
-- `question` tells the same question asked again from another one. A probe of a pool
-- whose machines failed to boot has `probe_for` seconds. `waiting` are slots that wait for
-- their turn in the same process.
-- A pool on hold is held for those with the same credentials (`who`) as the refused one,
-- or for all ('*'), if machines failed to boot; when the hold is over, one probe goes
-- ahead and the others wait for what becomes of it.
-- Returns {'go', seconds until the next, slots, pool, spec}, {'start', 0, slots, pool,
-- spec, machine}, {'wait', seconds, slots}, or {'unneeded', 0, slots}: `slots` are those of
-- `waiting` whose machines are parked, with a comma between them.
local parked = {}
for _, other in ipairs(waiting) do
  local its_state, its_machine = read(key('slot', other), 'state', 'machine')
  if its_state == 'owed' then
    set_timer('s:' .. other, now + 10)
    if its_machine then parked[#parked + 1] = other end
  end
end
parked = table.concat(parked, ',')
local pool, state, asked, machine = read(key('slot', slot), 'pool', 'state', 'asked',
  'machine')

local function granted(wait)
  local spec = redis.call('HGET', key('pool', pool), 'spec') or ''
  if machine then return {'start', '0', parked, pool, spec, machine} end
  return {'go', text(wait), parked, pool, spec}
end

local function unneeded()
  if machine then park_again(pool, slot) else free_slot(pool, slot) end
  return {'unneeded', '0', parked}
end

local is_granted = state == 'launching' or state == 'starting'
if is_granted and asked == question then return granted(0) end  -- the answer was lost
if state ~= 'owed' then return {'unneeded', '0', parked} end
if not still_owed(pool, read_pool(pool), machine) then return unneeded() end
local hold_until, held_for = read(key('pool', pool), 'hold_until', 'held_for')
local is_held = held_for == who or held_for == '*'
local hold = tonumber(hold_until or '0') - now
if is_held and hold > 0 then
  look_at_pool(pool, now + hold)
  return unneeded()
end

-- Take a token: seconds until the next one if it was there, else false and seconds until
-- there is one. A little more: who came a microsecond too soon would have to ask again.
local MARGIN = 0.001
local function take_token()
  local bucket, per_second = P .. ':bucket', tonumber(rate)
  local had, at = read(bucket, 'tokens', 'at')
  -- A clock that was set back, as by a failover, must not stop launches until it catches
  -- up.
  local passed = math.max(0, now - tonumber(at or now))
  local tokens = math.min(tonumber(burst), tonumber(had or burst) + passed * per_second)
  if tokens < 1 then return false, (1 - tokens) / per_second + MARGIN end
  redis.call('HSET', bucket, 'tokens', text(tokens - 1), 'at', NOW)
  redis.call('PEXPIRE', bucket, 3600000)
  return true, tokens < 2 and (2 - tokens) / per_second + MARGIN or 0
end

local may, wait = true, 0
if not machine then may, wait = take_token() end
if not may then
  set_timer('s:' .. slot, now + wait + 10)
  return {'wait', text(wait), parked}
end
redis.call('HSET', key('slot', slot), 'state', machine and 'starting' or 'launching',
  'launched_at', NOW, 'asked', question)
set_timer('s:' .. slot, now + tonumber(look_in))
if is_held then
  local probe = held_for == '*' and tonumber(probe_for) or 30
  redis.call('HSET', key('pool', pool), 'hold_until', text(now + probe))
end
return granted(wait)
