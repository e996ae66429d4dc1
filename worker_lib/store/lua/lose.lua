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
local record = key('job', job)
local about = redis.call('HMGET', record, 'fence', 'status', 'policy')
if job ~= '' and about[2] == 'running' and about[1] == ARGV[2] then
  local lost = redis.call('HINCRBY', record, 'lost', 1)
  local attempts = closed_attempts(job, ARGV[5], ARGV[4], '')
  count('lost')
  if cjson.decode(about[3]).on_lost == 'fail' or lost >= tonumber(ARGV[6]) then
    finish(job, 'failed', ARGV[3], ARGV[4], attempts)
  else
    requeue(job, pool, attempts)
  end
end
if slot_owed(pool) then
  add_slot(pool, ARGV[7], now + 10)
  return ARGV[7]
end
return ''
