local canceller = unpack(ARGV)
local jobs = {unpack(ARGV, 2)}
-- End those of the jobs that have not started, or wait for another attempt; what runs goes
-- on. Asked twice by the same canceller, it says the same.
-- Returns for each 1 if this canceller cancelled it, 0 if it runs or was final, -1 if there
-- is no such job.
local verdicts = {}
for i, job in ipairs(jobs) do
  local runs = redis.call('HGET', key('job', job), 'status') == 'running'
  verdicts[i] = runs and 0 or cancel(job, canceller)
end
return verdicts
