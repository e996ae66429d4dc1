-- Store a call, put it in line, and decide whether one more machine is owed for it.
-- ARGV: job, task, pool, queue rank, queue, timeout, ttl, policy, call, code hash,
--   code, delay, slot candidate, pending ttl, seconds that a launcher may take (0: the
--   caller has no token), max machines, linger, pool spec
-- Returns {'stored', status, slot or '', trouble, seconds to the next deadline}, or {'code'} if the code is wanted.
-- Asked twice, as after a lost reply, it stores nothing more and says the same.
local job, pool, delay = ARGV[1], ARGV[3], tonumber(ARGV[12])
local record = key('job', job)
local function stored(status, slot, trouble)
  local first = redis.call('ZRANGE', TIMERS, 0, 0, 'WITHSCORES')[2]
  return {'stored', status, slot, trouble, text(tonumber(first or now + 3600) - now)}
end
local known = redis.call('HGET', record, 'status')
if known then
  local mine = redis.call('HGET', key('slot', ARGV[13]), 'state') == 'owed'
  return stored(known, mine and ARGV[13] or '',
    redis.call('HGET', key('pool', pool), 'trouble') or '')
end
local keep = ms(ARGV[14] + delay)
if ARGV[10] ~= '' then
  local code = key('code', ARGV[10])
  if ARGV[11] ~= '' then
    redis.call('SET', code, ARGV[11], 'PX', keep)
  elseif not keep_alive(code, keep) then
    return {'code'}
  end
end
if not keep_alive(key('pool', pool), keep) then
  redis.call('HSET', key('pool', pool), 'spec', ARGV[18], 'max', ARGV[16],
    'linger', ARGV[17])
  redis.call('PEXPIRE', key('pool', pool), keep)
end
local order = string.format('%.0f', tonumber(ARGV[4]) * 1e14
  + redis.call('INCR', P .. ':order'))
redis.call('HSET', record, 'task', ARGV[2], 'pool', pool, 'queue', ARGV[5],
  'timeout', ARGV[6], 'ttl', ARGV[7], 'policy', ARGV[8], 'call', ARGV[9],
  'code', ARGV[10], 'order', order, 'created', text(now), 'fence', '0',
  'attempt', '0', 'lost', '0', 'status', delay > 0 and 'scheduled' or 'queued')
redis.call('PEXPIRE', record, keep)
redis.call('ZADD', JOBS, text(now), job)
if redis.call('ZCARD', JOBS) > 10000 then redis.call('ZPOPMIN', JOBS) end
keep_alive(JOBS, keep)
keep_alive(P .. ':order', 365 * DAY_MS)
local trouble = redis.call('HGET', key('pool', pool), 'trouble') or ''
if delay > 0 then
  redis.call('HSET', record, 'due', text(now + delay))
  make_due(pool, job, now + delay)
  return stored('scheduled', '', trouble)
end
make_ready(pool, job, order)
local slot = ''
if not wake_idle(pool) and slot_owed(pool) then
  slot = ARGV[13]
  add_slot(pool, slot, now + tonumber(ARGV[15]))
  if ARGV[15] == '0' then call_launcher(slot) end
end
return stored('queued', slot, trouble)
