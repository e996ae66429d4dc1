local max_bytes, forget = unpack(ARGV)
local jobs = {unpack(ARGV, 3)}
-- Outcomes of jobs that have ended, for who waits for many: fewer than asked for, but one at
-- least, when they are larger than `max_bytes` together. `forget` is '1' if nobody will ask
-- for them again: those that succeeded are kept ten more minutes.
-- Returns {status, outcome or '', seconds that its last attempt ran or ''}, or {} if there
-- is no such job, for each.
local FORGET_MS = 600000
local found, size = {}, 0
for i, job in ipairs(jobs) do
  local status, started, ended = read(key('job', job), 'status', 'started', 'ended')
  local outcome, ran = status and FINAL[status] and outcome_of(job) or '', ''
  if i > 1 and size + #outcome > tonumber(max_bytes) then break end
  size = size + #outcome
  if started and ended then ran = text(tonumber(ended) - tonumber(started)) end
  found[i] = status and {status, outcome, ran} or {}
  if forget == '1' and status == 'succeeded' then
    for _, kind in ipairs({'job', 'out', 'log'}) do
      if redis.call('PTTL', key(kind, job)) > FORGET_MS then
        redis.call('PEXPIRE', key(kind, job), FORGET_MS)
      end
    end
  end
end
return found
