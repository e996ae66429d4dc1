local job, slots, batch, start, total, delay, unique_for, tags, retry_of, code, launch_grace,
  pool_fields, spec, check_rights, shared = unpack(ARGV)
local fields = {unpack(ARGV, 16)}
-- Store calls, put them in line, and decide whether more machines are owed for them. First
-- of `fields` come those of the record and their values, `shared` pairs for all jobs; then
-- a signed call for each job. The job is `job`; or, with a `batch`, there is one for each
-- call, from the index `start` on, and `total` is '' while more of them may come.
-- `launch_grace` is how many seconds the caller may take to launch a machine (0: it has no
-- token), `slots` are ids for its slots (a comma between them), `tags` 'name=value' lines,
-- `code` '' if this process takes it for stored; `spec` and `pool_fields` (JSON) describe
-- the pool, '' if this process takes that for stored.
-- Returns 'job status seconds policy slots trouble', which takes less to read than a list:
--   the seconds to the next deadline, the eviction policy or '', the slots to launch with
--   a comma between them; {'code'} if the code is wanted, {'pool'} if the pool is, or
--   {'rights', command, refusal ...} if this user of Redis may not do what jobs need:
--   nothing was stored.
-- Asked twice, as after a lost reply, it stores nothing more and says the same. Where a
-- job that holds the same key is not final yet, or the time is not over for which it was
-- given, or where another call runs the job `retry_of` again, it says the same of that
-- job.

-- Order within a queue: by priority, then by arrival in steps of 20 microseconds. Both
-- fit into the 53 bits of a score until the year 2040.
local ORDER_EPOCH, ORDER_STEPS = 1600000000, 50000
-- Jobs of one command differ in the time of their creation, so that lists can go on
-- between two of them.
local CREATED_STEP = 1e-6

local policy = ''
if check_rights == '1' then
  local missing
  missing, policy = examine_server()
  if #missing > 0 then return {'rights', unpack(missing)} end
end
local first_call, new = 2 * shared + 1, {}
local calls = {unpack(fields, first_call)}
local count = #calls
for i = #fields, first_call, -1 do fields[i] = nil end
for i = 1, #fields, 2 do new[fields[i]] = fields[i + 1] end
local pool, task, queue = new.pool, new.task, new.queue or 'default'
local about = read_pool(pool)
delay = tonumber(delay)

local unique = new.key and unique_key(task, new.key)
if unique then
  local holder = redis.call('GET', unique)
  local same = holder and holder ~= retry_of and stored_before(holder, pool, about, policy, slots)
  if same then return same end
end
if retry_of ~= '' then
  local other = redis.call('HGET', key('job', retry_of), 'retried_as')
  local status = other and redis.call('HGET', key('job', other), 'status')
  if status and not FINAL[status] then
    return stored_before(other, pool, about, policy, slots)
  end
end
if spec == '' and not about.max then return {'pool'} end
if new.code and code == '' and redis.call('HEXISTS', key('code', new.code), 'body') == 0 then
  return {'code'}
end
local jobs = {job}
if batch == '' then
  if redis.call('ZADD', JOBS, 'NX', NOW, job) == 0 then
    local same = stored_before(job, pool, about, policy, slots)
    if same then return same end
  end
else
  for i = 1, count do jobs[i] = member(batch, start + i - 1) end
  local had = redis.call('HGET', key('batch', batch), 'stored')
  if had and tonumber(had) >= start + count then
    return stored_before(jobs[1], pool, about, policy, slots)
      or stored('', '', pool, about, policy, {}, NOW)
  end
end

-- Longer than a job may wait, and than an attempt that begins then.
local wait_until = now + delay + new.pending
local keep = ms(new.pending + delay + new.timeout) + DAY_MS
-- So long the record is there for people, too, if that attempt ends it.
local listed = keep + ms(new.ttl)
local order = string.format('%.0f', math.floor((now - ORDER_EPOCH) * ORDER_STEPS)
  - (new.priority or 0) * PRIORITY_STEP)
local status, expires = delay > 0 and 'scheduled' or 'queued', text(wait_until)
if delay > 0 then
  fields[#fields + 1], fields[#fields + 2] = 'due', text(now + delay)
end
if unique then
  redis.call('SET', unique, job, 'PX', math.max(keep, ms(unique_for)))
  fields[#fields + 1], fields[#fields + 2] = 'unique_until', text(now + unique_for)
end
if batch ~= '' then
  local record = key('batch', batch)
  redis.call('HSET', record, 'stored', start + count, 'total', total)
  if start == '0' then
    redis.call('HSET', record, 'created', NOW, 'task', task, 'pool', pool)
  end
  keep_batch(batch, listed)
  if count == 0 then return stored('', '', pool, about, policy, {}, NOW) end
  redis.call('HINCRBY', record, status, count)
end
local created, lines, timers = {}, {}, {}
for i, id in ipairs(jobs) do
  local record, at = key('job', id), i == 1 and NOW or text(now + (i - 1) * CREATED_STEP)
  redis.call('HSET', record, 'status', status, 'created', at, 'order', order, 'expires',
    expires, 'call', calls[i], unpack(fields))
  redis.call('PEXPIRE', record, keep)
  local k = 2 * i
  created[k - 1], created[k] = at, id
  lines[k - 1], lines[k] = order, id
  timers[k - 1], timers[k] = expires, 'j:' .. id
end
redis.call('ZADD', TIMERS, unpack(timers))
if batch ~= '' then redis.call('ZADD', JOBS, unpack(created)) end
if new.code then
  local body = key('code', new.code)
  if code ~= '' then redis.call('HSET', body, 'body', code) end
  redis.call('HINCRBY', body, 'jobs', count)
  keep_alive(body, keep)
end
if retry_of ~= '' and redis.call('EXISTS', key('job', retry_of)) == 1 then
  redis.call('HSET', key('job', retry_of), 'retried_as', job)
end
for tag in string.gmatch(tags, '[^\n]+') do list_under(key('tag', tag), listed, created) end
if spec ~= '' then
  -- A pool that is new here does not know yet which queues are paused.
  about.paused = table.concat(redis.call('HKEYS', P .. ':paused'), ',')
  for name, value in pairs(cjson.decode(pool_fields)) do
    about[name] = tostring(value)
    redis.call('HSET', key('pool', pool), name, about[name])
  end
  redis.call('HSET', key('pool', pool), 'spec', spec, 'paused', about.paused)
  redis.call('SADD', P .. ':pools', pool)
end
if now + listed / 1000 > tonumber(about.kept_until or '0') then
  redis.call('HSET', key('pool', pool), 'kept_until', text(now + 2 * listed / 1000))
  redis.call('PEXPIRE', key('pool', pool), 2 * listed)
  for _, name in ipairs({JOBS, P .. ':pools', P .. ':paused'}) do
    keep_alive(name, 2 * listed)
  end
end
if clock[2] % 64 == 0 then prune(JOBS) end

local given = {}
if delay > 0 then
  make_due(pool, about, now + delay, jobs)
else
  make_ready(pool, about, queue, lines)
  if not is_in(about.paused, queue) then
    given = serve(pool, about, slots, now + launch_grace)
    if launch_grace == '0' and given[1] then call_launcher(given[1]) end
  end
end
if next(tallies) then settle_batches() end
if next(counted) then settle_counts() end
if begun[jobs[1]] then status = 'running' end
return stored(jobs[1], status, pool, about, policy, given, NOW)
