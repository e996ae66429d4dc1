-- A machine that must stop hands its job back: no attempt is charged.
-- ARGV: slot, job, fence, slot candidate
local slot, job, fence = ARGV[1], ARGV[2], ARGV[3]
local got = redis.call('HMGET', key('job', job), 'fence', 'status', 'pool')
local pool = redis.call('HGET', key('slot', slot), 'pool')
if pool then free_slot(pool, slot) end
if got[1] ~= fence or got[2] ~= 'running' then return 0 end
close_attempt(job, 'released', 'the machine was stopped', '')
redis.call('HINCRBY', key('job', job), 'attempt', -1)
requeue(job, got[3])
if slot_owed(got[3]) then
  add_slot(got[3], ARGV[4], now)
  call_launcher(ARGV[4])
end
return 1
