local slot, job, fence, status, outcome, output, retry_in, error, cause, tail, exit_code,
  peak_mb, cpu_s, lease, known_code, intent, near = unpack(ARGV)
-- A machine reports how its job ended, and takes the next one. `status` is succeeded,
-- failed or retrying; the texts from `error` to `cpu_s` are '' where they do not apply.
-- Returns {'ok' or 'lost', then what `claim_next` returns}.
local record, verdict = key('job', job), 'ok'
local report = {error = error, cause = cause, tail = tail, exit_code = exit_code,
  peak_mb = peak_mb, cpu_s = cpu_s}
local held_fence, was = read(record, 'fence', 'status')
if held_fence ~= fence then
  verdict = 'lost'
  keep_late_output(job, fence, output)
elseif was == 'running' and status == 'retrying' then
  local due = now + tonumber(retry_in)
  local pool, pending, timeout = read(record, 'pool', 'pending', 'timeout')
  move(job, 'running', 'retrying', 'error', error, 'due', text(due),
    'past', closed_attempts(job, report))
  may_wait_until(job, due + tonumber(pending), tonumber(timeout))
  make_due(pool, read_pool(pool), job, due)
  keep_output(job, fence, output)
elseif was == 'running' then
  finish(job, status, outcome, report)
  keep_output(job, fence, output)
end
local reply = claim_next(slot, known_code, lease, '', intent, near, false,
  verdict == 'ok' and job)
table.insert(reply, 1, verdict)
return reply
