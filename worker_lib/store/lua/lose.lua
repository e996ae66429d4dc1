-- The machine of this slot is gone, or silent for too long: free the slot, and run its
-- job again or fail it. Not if it was heard of since somebody looked: then its timer is
-- no longer the one that a sweep set, or the slot is not as it was seen.
-- ARGV: slot, state, machine and fence that were seen, '1' if the machine is known to
--   be no more, outcome if the job fails, error, kind, most losses, slot candidate
-- Returns {'lost', slot to launch or ''}, or {'kept'}.
local slot = ARGV[1]
local got = redis.call('HMGET', key('slot', slot), 'pool', 'state', 'machine', 'fence',
  'job', 'made', 'latched')
local pool, job = got[1], got[5] or ''
if not pool then  -- asked twice, as the first answer was lost
  return redis.call('EXISTS', key('stray', slot)) == 1 and {'lost', ''} or {'kept'}
end
local machine = got[3] or got[6] or ''
if got[2] ~= ARGV[2] or machine ~= ARGV[3] or (got[4] or '') ~= ARGV[4] then
  return {'kept'}
end
local timer = redis.call('ZSCORE', TIMERS, 's:' .. slot)
if not timer or not got[7] or tonumber(timer) ~= tonumber(got[7]) then
  return {'kept'}
end
-- Refused by a Redis that is full, before anything is done.
redis.call('HSET', key('slot', slot), 'latched', got[7])
if ARGV[5] ~= '1' then remember_stray(slot, machine) end
free_slot(pool, slot)
local about = redis.call('HMGET', key('job', job), 'fence', 'status')
if job ~= '' and about[2] == 'running' and about[1] == ARGV[4] then
  count('lost')
  interrupted(job, pool, tonumber(ARGV[9]), true, ARGV[6], ARGV[7], ARGV[8])
end
if slot_owed(pool) then
  add_slot(pool, ARGV[10], now + 10)
  return {'lost', ARGV[10]}
end
return {'lost', ''}
