-- A machine reports how its job ended, and takes the next one.
-- ARGV: slot, job, fence, status (succeeded, failed, retrying), outcome, error, kind,
--   output, retry delay, lease, known code hash, mood, near seconds
-- Returns {'ok' or 'lost', then what claim returns}.
local slot, job, fence, status = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local record, verdict = key('job', job), 'ok'
local got = redis.call('HMGET', record, 'fence', 'status', 'pool', 'pending',
  'timeout')
if got[1] ~= fence then
  verdict = 'lost'
elseif got[2] == 'running' then
  local outcome = status == 'succeeded' and status or ARGV[7]
  local attempts = closed_attempts(job, outcome, ARGV[6], ARGV[8])
  if status == 'retrying' then
    local due = now + tonumber(ARGV[9])
    redis.call('HSET', record, 'status', 'retrying', 'error', ARGV[6],
      'due', text(due), 'attempts', attempts)
    redis.call('HDEL', record, 'started', 'boot', 'slot', 'progress')
    may_wait_until(job, due + tonumber(got[4]), tonumber(got[5]))
    make_due(got[3], job, due)
    count('retried')
    announce(job)
  else
    finish(job, status, ARGV[5], ARGV[6], attempts)
  end
end
local reply = claim_next(slot, ARGV[11], tonumber(ARGV[10]), '', ARGV[12])
table.insert(reply, 1, verdict)
return reply
