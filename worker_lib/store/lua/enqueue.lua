-- Store a call, put it in line, and decide whether one more machine is owed for it.
-- ARGV: job, task, pool, queue rank, queue, timeout, ttl, policy, call, code hash,
--   code, delay, slot candidate, pending ttl, seconds that a launcher may take (0: the
--   caller has no token), max machines, linger, sealed pool spec, '1' to check rights
-- Returns {'stored', status, slot or '', trouble, seconds to the next deadline,
--   eviction policy or ''}, {'code'} if the code is wanted, or {'rights', command,
--   refusal ...} if this user of Redis may not do what jobs need: nothing was stored.
-- Asked twice, as after a lost reply, it stores nothing more and says the same.
local policy = ''
if ARGV[19] == '1' then
  local missing = missing_rights()
  if #missing > 0 then return {'rights', unpack(missing)} end
  policy = eviction_policy()
end
local job, pool, delay, pending = ARGV[1], ARGV[3], tonumber(ARGV[12]), ARGV[14]
local record = key('job', job)
local about = about_pool(pool)
local function stored(status, slot, created)
  local first = redis.call('ZRANGE', TIMERS, 0, 0, 'WITHSCORES')[2]
  return {'stored', status, slot, trouble_in(about, created),
    text(tonumber(first or now + 3600) - now), policy}
end
local known = redis.call('HMGET', record, 'status', 'created')
if known[1] then
  local mine = redis.call('HGET', key('slot', ARGV[13]), 'state') == 'owed'
  return stored(known[1], mine and ARGV[13] or '', known[2])
end
-- Longer than it may wait, and than an attempt that begins then.
local keep = ms(pending + delay + ARGV[6]) + DAY_MS
if ARGV[10] ~= '' then
  local code = key('code', ARGV[10])
  if ARGV[11] ~= '' then
    redis.call('HSET', code, 'body', ARGV[11])
  elseif redis.call('HEXISTS', code, 'body') == 0 then
    return {'code'}
  end
  redis.call('HINCRBY', code, 'jobs', 1)
  keep_alive(code, keep)
end
if about[1] ~= ARGV[18] then
  redis.call('HSET', key('pool', pool), 'spec', ARGV[18], 'max', ARGV[16],
    'linger', ARGV[17])
end
keep_alive(key('pool', pool), keep)
local order = string.format('%.0f', tonumber(ARGV[4]) * 1e14
  + redis.call('INCR', P .. ':order'))
redis.call('HSET', record, 'task', ARGV[2], 'pool', pool, 'queue', ARGV[5],
  'timeout', ARGV[6], 'ttl', ARGV[7], 'policy', ARGV[8], 'call', ARGV[9],
  'code', ARGV[10], 'order', order, 'created', text(now), 'fence', '0',
  'attempt', '0', 'lost', '0', 'pending', pending,
  'expires', text(now + delay + pending),
  'status', delay > 0 and 'scheduled' or 'queued')
redis.call('PEXPIRE', record, keep)
set_timer('j:' .. job, now + delay + pending)
redis.call('ZADD', JOBS, text(now), job)
if redis.call('ZCARD', JOBS) > 10000 then redis.call('ZPOPMIN', JOBS) end
keep_alive(JOBS, keep)
keep_alive(P .. ':order', 365 * DAY_MS)
if delay > 0 then
  redis.call('HSET', record, 'due', text(now + delay))
  make_due(pool, job, now + delay)
  return stored('scheduled', '', now)
end
make_ready(pool, job, order)
local slot = ''
if not wake_idle(pool) and slot_owed(pool) then
  slot = ARGV[13]
  add_slot(pool, slot, now + tonumber(ARGV[15]))
  if ARGV[15] == '0' then call_launcher(slot) end
end
return stored('queued', slot, now)
