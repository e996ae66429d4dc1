-- End a job that is not final yet. Its machine is told; a late success is refused.
-- ARGV: job, who cancels (asked twice by the same, it says the same)
-- Returns 1 if this call cancelled it, 0 if it was final, -1 if there is no such job.
local job = ARGV[1]
local record = key('job', job)
local got = redis.call('HMGET', record, 'status', 'pool', 'slot', 'canceller')
if not got[1] then return -1 end
if FINAL[got[1]] then return got[4] == ARGV[2] and 1 or 0 end
local attempts = got[1] == 'running' and closed_attempts(job, 'cancelled', '', '')
redis.call('HINCRBY', record, 'fence', 1)
redis.call('HSET', record, 'canceller', ARGV[2])
finish(job, 'cancelled', '', '', attempts)
tell_slot(got[3], 'c')
promote(got[2])
return 1
