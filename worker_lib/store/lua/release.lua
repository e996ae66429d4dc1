-- A machine that must stop, or was restarted, hands its job back: no attempt is charged.
-- The job runs again elsewhere, or fails if it may not run twice.
-- ARGV: slot, job, fence, slot candidate, '1' to charge a loss, most losses, outcome if
--   the job fails, error, kind
-- Sent twice, it counts once.
local slot, job, fence = ARGV[1], ARGV[2], ARGV[3]
local got = redis.call('HMGET', key('job', job), 'fence', 'status', 'pool')
local pool = redis.call('HGET', key('slot', slot), 'pool')
local ours = got[1] == fence and got[2] == 'running'
if ours then
  interrupted(job, got[3], tonumber(ARGV[6]), ARGV[5] == '1', ARGV[7], ARGV[8], ARGV[9])
end
if pool then free_slot(pool, slot) end
-- Even if the job was cancelled meanwhile, others may have waited for this machine.
pool = pool or (ours and got[3])
if pool and slot_owed(pool) then
  add_slot(pool, ARGV[4], now)
  call_launcher(ARGV[4])
end
return ours and 1 or 0
