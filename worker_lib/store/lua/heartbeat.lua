local slot, job, fence, lease, progress = unpack(ARGV)
-- A machine is alive: renew its lease, and note the progress (JSON or '').
-- Returns 1, or 0 if the job is no longer this machine's.
local held_fence, status = read(key('job', job), 'fence', 'status')
if held_fence ~= fence or status ~= 'running' then return 0 end
set_timer('s:' .. slot, now + tonumber(lease))
if progress ~= '' then
  redis.call('HSET', key('job', job), 'progress', progress)
  announce(job, 'running')
end
return 1
