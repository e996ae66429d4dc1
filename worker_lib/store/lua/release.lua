local slot, job, fence, back, slot_candidate, charge, most_lost, outcome, output,
  pairs_told = unpack(ARGV)
local words = {unpack(ARGV, 11)}
-- A machine that must stop, or was restarted, hands the job back that it runs ('' if it
-- runs none), and those of `back` ('job:fence', a comma between them) that it never
-- started: no attempt is charged, and a loss only if `charge` is '1', for the job that ran.
-- That job runs again elsewhere, or fails with this outcome if it may not run twice; the
-- pairs in `words` tell of the attempt: `Report` in machine.py. Sent twice, it counts once.
-- Returns 1 if the job was still this machine's, else 0.
local held_fence, status, job_pool = read(key('job', job), 'fence', 'status', 'pool')
local pool = redis.call('HGET', key('slot', slot), 'pool')
local ours = held_fence == fence and status == 'running'
local report = {}
for i = 1, 2 * pairs_told, 2 do report[words[i]] = words[i + 1] end
report.ran = nil
if ours then
  interrupted(job, job_pool, tonumber(most_lost), charge == '1', outcome, report)
  keep_output(job, fence, output)
end
if pool then
  local about = read_pool(pool)
  for other, its_fence in each_held(back) do
    give_back(other, its_fence, pool, about, unpack(charge == '1' and {'alone', '1'} or {}))
  end
  let_go(pool, slot, 'stopped')
end
-- Even if the job was cancelled meanwhile, others may have waited for this machine.
pool = pool or (ours and job_pool)
if pool and serve(pool, read_pool(pool), slot_candidate, now)[1] then
  call_launcher('due')
end
return ours and 1 or 0
