-- May the machine of this slot be created now? Takes a token of the shared bucket.
-- ARGV: slot, creates per second, burst, seconds until somebody looks, who asks, number
--   of this question, seconds that a probe of a pool takes whose machines failed to
--   boot, then slots that wait for their turn in the same process
-- A pool on hold is held for those with the same credentials as the refused one, or for
-- all ('*'), if machines failed to boot; when the hold is over, one probe goes ahead and
-- the others wait for what becomes of it.
-- Returns {'go', pool, spec, seconds until the next}, {'wait', seconds}, or {'unneeded'}.
for i = 8, #ARGV do
  if redis.call('HGET', key('slot', ARGV[i]), 'state') == 'owed' then
    set_timer('s:' .. ARGV[i], now + 10)
  end
end
local slot = ARGV[1]
local got = redis.call('HMGET', key('slot', slot), 'pool', 'state', 'asked')
local pool, state = got[1], got[2]
if state == 'launching' and got[3] == ARGV[6] then  -- the first answer was lost
  return {'go', pool, redis.call('HGET', key('pool', pool), 'spec') or '', text(0)}
end
if state ~= 'owed' then return {'unneeded'} end
if redis.call('ZCARD', key('ready', pool)) == 0 then
  free_slot(pool, slot)
  return {'unneeded'}
end
local about = redis.call('HMGET', key('pool', pool), 'spec', 'hold_until', 'held_for')
local held = about[3] == ARGV[5] or about[3] == '*'
local hold = tonumber(about[2] or '0') - now
if held and hold > 0 then
  look_at_pool(pool, now + hold)
  free_slot(pool, slot)
  return {'unneeded'}
end
local rate, burst, bucket = tonumber(ARGV[2]), tonumber(ARGV[3]), P .. ':bucket'
local had = redis.call('HMGET', bucket, 'tokens', 'at')
-- A clock that was set back, as by a failover, must not stop launches until it catches
-- up.
local passed = math.max(0, now - tonumber(had[2] or now))
local tokens = math.min(burst, tonumber(had[1] or burst) + passed * rate)
if tokens < 1 then
  local wait = (1 - tokens) / rate
  set_timer('s:' .. slot, now + wait + 10)
  return {'wait', text(wait)}
end
redis.call('HSET', bucket, 'tokens', text(tokens - 1), 'at', text(now))
redis.call('PEXPIRE', bucket, 3600000)
redis.call('HSET', key('slot', slot), 'state', 'launching', 'launched_at', text(now),
  'asked', ARGV[6])
set_timer('s:' .. slot, now + tonumber(ARGV[4]))
if held then
  local probe = about[3] == '*' and tonumber(ARGV[7]) or 30
  redis.call('HSET', key('pool', pool), 'hold_until', text(now + probe))
end
return {'go', pool, about[1] or '', text(math.max(0, 2 - tokens) / rate)}
