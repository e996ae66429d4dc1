-- A machine is alive: renew its lease, and note the progress if there is any.
-- ARGV: slot, job, fence, lease, progress as JSON or ''
-- Returns 1, or 0 if the job is no longer this machine's.
local got = redis.call('HMGET', key('job', ARGV[2]), 'fence', 'status')
if got[1] ~= ARGV[3] or got[2] ~= 'running' then return 0 end
set_timer('s:' .. ARGV[1], now + tonumber(ARGV[4]))
if ARGV[5] ~= '' then
  redis.call('HSET', key('job', ARGV[2]), 'progress', ARGV[5])
  announce(ARGV[2])
end
return 1
