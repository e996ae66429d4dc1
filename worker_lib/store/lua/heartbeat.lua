local slot, job, fence, lease, progress, start, end_at, piece = unpack(ARGV)
-- A machine is alive: renew its lease, note the progress (JSON or ''), and keep a piece of
-- what the job has printed ('', or sealed, with its `start` and end) for who follows it.
-- One that starts at '0' is all so far, so it takes the place of others.
-- Returns 2 if somebody follows the job, else 1; 0 if it is no longer this machine's.
local held_fence, status, followed = read(key('job', job), 'fence', 'status', 'followed')
if held_fence ~= fence or status ~= 'running' then return 0 end
set_timer('s:' .. slot, now + tonumber(lease))
if progress ~= '' then
  redis.call('HSET', key('job', job), 'progress', progress)
  announce(job, 'running')
end
if piece ~= '' then
  local live = key('live', job .. ':' .. fence)
  if start == '0' then redis.call('DEL', live) end
  redis.call('ZADD', live, end_at, piece)
  redis.call('PEXPIRE', live, 60000)
  redis.pcall('PUBLISH', P .. ':printed:' .. job, fence .. ' ' .. piece)
end
return followed and tonumber(followed) > now and 2 or 1
