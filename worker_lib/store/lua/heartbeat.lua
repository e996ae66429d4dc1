-- A machine is alive: renew its lease, and note the progress if there is any.
-- ARGV: slot, job, fence, lease, progress as JSON or ''
-- Returns 1, or 0 if the job is no longer this machine's.
if redis.call('HGET', key('job', ARGV[2]), 'fence') ~= ARGV[3] then return 0 end
redis.call('PEXPIRE', key('slot', ARGV[1]), DAY_MS)
set_timer('s:' .. ARGV[1], now + tonumber(ARGV[4]))
if ARGV[5] ~= '' then
  redis.call('HSET', key('job', ARGV[2]), 'progress', ARGV[5])
  announce(ARGV[2])
end
return 1
