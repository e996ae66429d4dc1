-- A machine reports how its job ended, and takes the next one.
-- ARGV: slot, job, fence, status (succeeded, failed, retrying), outcome, error, kind,
--   output, retry delay, lease, known code hash, mood, near seconds
-- Returns {'ok' or 'lost', then what claim returns}.
local slot, job, fence, status = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local record, verdict = key('job', job), 'ok'
local got = redis.call('HMGET', record, 'fence', 'status', 'pool')
local held = redis.call('HMGET', key('slot', slot), 'job', 'fence')
if got[1] ~= fence then
  verdict = 'lost'
elseif got[2] == 'running' then
  close_attempt(job, status == 'succeeded' and status or ARGV[7], ARGV[6], ARGV[8])
  if status == 'retrying' then
    redis.call('HSET', record, 'status', 'retrying', 'error', ARGV[6],
      'due', text(now + tonumber(ARGV[9])))
    redis.call('HDEL', record, 'slot', 'progress')
    make_due(got[3], job, now + tonumber(ARGV[9]))
    count('retried')
    announce(job)
  else
    finish(job, status, ARGV[5], ARGV[6])
  end
end
if held[1] == job and held[2] == fence then
  redis.call('HSET', key('slot', slot), 'job', '', 'fence', '')
end
local reply = claim_next(slot, ARGV[11], tonumber(ARGV[10]), '', ARGV[12])
table.insert(reply, 1, verdict)
return reply
