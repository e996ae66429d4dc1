-- A machine that must stop hands its job back: no attempt is charged.
-- ARGV: slot, job, fence, slot candidate
local slot, job, fence = ARGV[1], ARGV[2], ARGV[3]
local got = redis.call('HMGET', key('job', job), 'fence', 'status', 'pool')
local pool = redis.call('HGET', key('slot', slot), 'pool')
if pool then free_slot(pool, slot) end
local ours = got[1] == fence and got[2] == 'running'
if ours then
  requeue(job, got[3],
    closed_attempts(job, 'released', 'the machine was stopped', ''))
end
-- Even if the job was cancelled meanwhile, others may have waited for this machine.
pool = pool or (ours and got[3])
if pool and slot_owed(pool) then
  add_slot(pool, ARGV[4], now)
  call_launcher(ARGV[4])
end
return ours and 1 or 0
