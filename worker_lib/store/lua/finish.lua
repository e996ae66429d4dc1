local slot, lease, known_code, intent, near, want, holds, back = unpack(ARGV)
local words = {unpack(ARGV, 9)}
-- A machine reports how jobs ended, gives back those of `back` that it never started, and
-- takes the next ones. `holds` are the jobs that it has still; both lists are 'job:fence',
-- a comma between them. Each report is, in `words`: job, fence, status (succeeded, failed
-- or retrying), outcome, output, seconds until the next attempt, a number of pairs, and so
-- many names and values: `Report` in machine.py.
-- Returns {{'ok' or 'lost' ...}, then what `claim_next` returns}.
local verdicts, settled, runs, seconds = {}, {}, 0, 0

local function retry(job, fence, report, retry_in)
  local due = now + tonumber(retry_in)
  local pool, pending, timeout, task, queued, created, started, region = read(
    key('job', job), 'pool', 'pending', 'timeout', 'task', 'queued', 'created', 'started',
    'region')
  count_end('t', task, report.cause or 'error', size_of(pool), region, queued or created,
    report.started or started)
  move(job, 'running', 'retrying', 'error', report.error or '', 'due', text(due),
    'past', closed_attempts(job, report))
  may_wait_until(job, due + tonumber(pending), tonumber(timeout))
  make_due(pool, read_pool(pool), due, {job})
end

-- Says whether the job was this machine's.
local function end_attempt(job, fence, status, outcome, output, retry_in, report)
  local got = read_ending(job)
  if got.fence ~= fence then
    keep_late_output(job, fence, output)
    return false
  end
  if got.status ~= 'running' then return true end  -- sent twice
  if report.ran then
    runs, seconds = runs + 1, seconds + tonumber(report.ran)
    report.started = text(now - tonumber(report.ran))
    report.ran = nil
  end
  if status == 'retrying' then
    retry(job, fence, report, retry_in)
  else
    finish(job, status, outcome, report, got)
  end
  keep_output(job, fence, output)
  return true
end

local at = 1
while at <= #words do
  local job, fence, status, outcome, output, retry_in, pairs_told = unpack(words, at, at + 6)
  local report = {}
  for i = at + 7, at + 5 + 2 * pairs_told, 2 do report[words[i]] = words[i + 1] end
  local ours = end_attempt(job, fence, status, outcome, output, retry_in, report)
  verdicts[#verdicts + 1] = ours and 'ok' or 'lost'
  settled[job .. ':' .. fence] = true
  at = at + 7 + 2 * pairs_told
end
local pool = back ~= '' and redis.call('HGET', key('slot', slot), 'pool')
if pool then
  local about = read_pool(pool)
  for job, fence in each_held(back) do
    give_back(job, fence, pool, about)
    settled[job .. ':' .. fence] = true
  end
  serve_idle(pool, about)
end
local says = {known_code = known_code, lease = lease, intent = intent, near = near,
  want = want, holds = {}, runs = runs > 0 and runs, seconds = seconds}
for entry in each(holds) do says.holds[entry] = true end
return {verdicts, unpack(claim_next(slot, says, settled))}
