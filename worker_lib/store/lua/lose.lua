-- The machine of this slot is gone: free the slot, and run its job again or fail it.
-- ARGV: slot, fence that was seen ('' if it held no job), outcome if the job fails,
--   error, kind, most losses, slot candidate
-- Returns a slot to launch, or ''.
local slot = ARGV[1]
local got = redis.call('HMGET', key('slot', slot), 'pool', 'job', 'fence')
local pool, job = got[1], got[2] or ''
if not pool then return '' end
if (got[3] or '') ~= ARGV[2] then return '' end
free_slot(pool, slot)
local about = redis.call('HMGET', key('job', job), 'fence', 'status')
if job ~= '' and about[2] == 'running' and about[1] == ARGV[2] then
  count('lost')
  interrupted(job, pool, tonumber(ARGV[6]), true, ARGV[3], ARGV[4], ARGV[5])
end
if slot_owed(pool) then
  add_slot(pool, ARGV[7], now + 10)
  return ARGV[7]
end
return ''
