local slot, rate, burst, look_in, who, question, probe_for = unpack(ARGV)
local waiting = {unpack(ARGV, 8)}
-- May the machine of this slot be created now? Takes a token of the shared bucket, of
-- `rate` tokens a second. Somebody looks what became of it after `look_in` seconds;
-- `question` tells the same question asked again from another one. A probe of a pool
-- whose machines failed to boot has `probe_for` seconds. `waiting` are slots that wait for
-- their turn in the same process.
-- A pool on hold is held for those with the same credentials (`who`) as the refused one,
-- or for all ('*'), if machines failed to boot; when the hold is over, one probe goes
-- ahead and the others wait for what becomes of it.
-- Returns {'go', pool, spec, seconds until the next}, {'wait', seconds}, or {'unneeded'}.
for _, other in ipairs(waiting) do
  if redis.call('HGET', key('slot', other), 'state') == 'owed' then
    set_timer('s:' .. other, now + 10)
  end
end
local pool, state, asked = read(key('slot', slot), 'pool', 'state', 'asked')
if state == 'launching' and asked == question then  -- the first answer was lost
  return {'go', pool, redis.call('HGET', key('pool', pool), 'spec') or '', text(0)}
end
if state ~= 'owed' then return {'unneeded'} end
if not still_owed(pool, read_pool(pool)) then
  free_slot(pool, slot)
  return {'unneeded'}
end
local spec, hold_until, held_for = read(key('pool', pool), 'spec', 'hold_until', 'held_for')
local is_held = held_for == who or held_for == '*'
local hold = tonumber(hold_until or '0') - now
if is_held and hold > 0 then
  look_at_pool(pool, now + hold)
  free_slot(pool, slot)
  return {'unneeded'}
end
rate, burst = tonumber(rate), tonumber(burst)
local bucket = P .. ':bucket'
local had, at = read(bucket, 'tokens', 'at')
-- A clock that was set back, as by a failover, must not stop launches until it catches
-- up.
local passed = math.max(0, now - tonumber(at or now))
local tokens = math.min(burst, tonumber(had or burst) + passed * rate)
if tokens < 1 then
  local wait = (1 - tokens) / rate
  set_timer('s:' .. slot, now + wait + 10)
  return {'wait', text(wait)}
end
redis.call('HSET', bucket, 'tokens', text(tokens - 1), 'at', NOW)
redis.call('PEXPIRE', bucket, 3600000)
redis.call('HSET', key('slot', slot), 'state', 'launching', 'launched_at', NOW,
  'asked', question)
set_timer('s:' .. slot, now + tonumber(look_in))
if is_held then
  local probe = held_for == '*' and tonumber(probe_for) or 30
  redis.call('HSET', key('pool', pool), 'hold_until', text(now + probe))
end
return {'go', pool, spec or '', text(math.max(0, 2 - tokens) / rate)}
