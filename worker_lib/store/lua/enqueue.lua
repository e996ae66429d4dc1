local job, pool, task, queue, priority, delay, pending, timeout, ttl, key_wanted,
  unique_for, tags, retry_of, code_hash, code, slot_candidate, launch_grace, max_machines,
  linger, rule, spec, check_rights = unpack(ARGV)
local first_field = 23  -- from there on, fields of the record and their values
-- Store a call, put it in line, and decide whether one more machine is owed for it.
-- `launch_grace` is how many seconds its caller may take to launch it (0: the caller has
-- no token), `tags` 'name=value' lines, `code` '' if this process takes it for stored.
-- Returns {'stored', job, status, slot or '', trouble, seconds to the next deadline,
--   eviction policy or ''}, {'code'} if the code is wanted, {'pool'} if the pool is, or
--   {'rights', command, refusal ...} if this user of Redis may not do what jobs need:
--   nothing was stored. `spec` is '' for a pool that is there already.
-- Asked twice, as after a lost reply, it stores nothing more and says the same. Where a
-- job that holds the same key is not final yet, or the time is not over for which it was
-- given, or where another call runs the job `retry_of` again, it says the same of that
-- job.

-- Order within a queue: by priority, then by arrival in steps of 20 microseconds. Both
-- fit into the 53 bits of a score until the year 2040.
local ORDER_EPOCH, ORDER_STEPS = 1600000000, 50000

local policy = ''
if check_rights == '1' then
  local missing = missing_rights()
  if #missing > 0 then return {'rights', unpack(missing)} end
  policy = eviction_policy()
end
local about, delay, pending = read_pool(pool), tonumber(delay), tonumber(pending)
local record, created = key('job', job), NOW

local function stored(id, status, slot, since)
  local first = redis.call('ZRANGE', TIMERS, 0, 0, 'WITHSCORES')[2]
  local trouble = trouble_in(pool, about, since)
  return {'stored', id, status, slot, trouble,
    text(tonumber(first or now + 3600) - now), policy}
end

local function known(id)
  local status, since = read(key('job', id), 'status', 'created')
  if not status then return nil end
  local mine = redis.call('HGET', key('slot', slot_candidate), 'state') == 'owed'
  return stored(id, status, mine and slot_candidate or '', since)
end

local unique = key_wanted ~= '' and unique_key(task, key_wanted)
if unique then
  local holder = redis.call('GET', unique)
  local same = holder and holder ~= retry_of and known(holder)
  if same then return same end
end
if retry_of ~= '' then
  local other = redis.call('HGET', key('job', retry_of), 'retried_as')
  local status = other and redis.call('HGET', key('job', other), 'status')
  if status and not FINAL[status] then return known(other) end
end
if spec == '' and not about.spec then return {'pool'} end
if code_hash ~= '' and code == ''
    and redis.call('HEXISTS', key('code', code_hash), 'body') == 0 then
  return {'code'}
end
if redis.call('ZADD', JOBS, 'NX', created, job) == 0 then
  local same = known(job)
  if same then return same end
end

-- Longer than it may wait, and than an attempt that begins then.
local wait_until = now + delay + pending
local keep = ms(pending + delay + timeout) + DAY_MS
-- So long the record is there for people, too, if that attempt ends it.
local listed = keep + ms(ttl)
local order = string.format('%.0f', math.floor((now - ORDER_EPOCH) * ORDER_STEPS)
  - tonumber(priority) * PRIORITY_STEP)
local status = delay > 0 and 'scheduled' or 'queued'
redis.call('HSET', record, 'status', status, 'created', created, 'order', order,
  'expires', text(wait_until), unpack(ARGV, first_field))
redis.call('PEXPIRE', record, keep)
set_timer('j:' .. job, wait_until)
if code_hash ~= '' then
  if code ~= '' then redis.call('HSET', key('code', code_hash), 'body', code) end
  redis.call('HINCRBY', key('code', code_hash), 'jobs', 1)
  keep_alive(key('code', code_hash), keep)
end
if unique then
  redis.call('SET', unique, job, 'PX', math.max(keep, ms(unique_for)))
  redis.call('HSET', record, 'unique_until', text(now + unique_for))
end
if retry_of ~= '' and redis.call('EXISTS', key('job', retry_of)) == 1 then
  redis.call('HSET', key('job', retry_of), 'retried_as', job)
end
for tag in string.gmatch(tags, '[^\n]+') do
  list_under(key('tag', tag), job, created, listed)
end
if spec ~= '' and about.spec ~= spec then
  -- A pool that is new here does not know yet which queues are paused.
  about.paused = table.concat(redis.call('HKEYS', P .. ':paused'), ',')
  about.rule, about.max = rule, max_machines
  redis.call('HSET', key('pool', pool), 'spec', spec, 'max', max_machines,
    'linger', linger, 'rule', rule, 'paused', about.paused)
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

if delay > 0 then
  redis.call('HSET', record, 'due', text(now + delay))
  make_due(pool, about, job, now + delay)
  return stored(job, 'scheduled', '', created)
end
make_ready(pool, about, queue, job, order)
local slot = ''
if not is_in(about.paused, queue) and not wake_idle(pool) and slot_owed(pool, about) then
  slot = slot_candidate
  add_slot(pool, slot, now + tonumber(launch_grace))
  if launch_grace == '0' then call_launcher(slot) end
end
return stored(job, 'queued', slot, created)
