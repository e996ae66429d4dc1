local slot, job, fence, slot_candidate, charge, most_lost, outcome, output, error, cause,
  tail, exit_code, peak_mb, cpu_s = unpack(ARGV)
-- A machine that must stop, or was restarted, hands its job back: no attempt is charged,
-- and a loss only if `charge` is '1'. The job runs again elsewhere, or fails with this
-- outcome if it may not run twice. Sent twice, it counts once.
-- Returns 1 if the job was still this machine's, else 0.
local held_fence, status, job_pool = read(key('job', job), 'fence', 'status', 'pool')
local pool = redis.call('HGET', key('slot', slot), 'pool')
local ours = held_fence == fence and status == 'running'
if ours then
  local report = {error = error, cause = cause, tail = tail, exit_code = exit_code,
    peak_mb = peak_mb, cpu_s = cpu_s}
  interrupted(job, job_pool, tonumber(most_lost), charge == '1', outcome, report)
  keep_output(job, fence, output)
end
if pool then free_slot(pool, slot) end
-- Even if the job was cancelled meanwhile, others may have waited for this machine.
pool = pool or (ours and job_pool)
if pool and slot_owed(pool, read_pool(pool)) then
  add_slot(pool, slot_candidate, now)
  call_launcher(slot_candidate)
end
return ours and 1 or 0
