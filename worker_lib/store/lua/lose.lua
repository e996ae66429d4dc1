-- The machine of this slot is gone, or silent for too long: free the slot, and run its
-- job again or fail it. Not if it was heard of since somebody looked: then its timer is
-- no longer the one that a sweep set, or the slot is not as it was seen.
-- ARGV: slot, state, machine and fence that were seen, '1' if the machine is known to
--   be no more, outcome if the job fails, error, kind, most losses, slot candidate,
--   reason as JSON if it was launched and never took a job, '1' to tell waiters at once,
--   seconds that the first such one holds its pool, how many in a row end the launches
-- Returns {'lost', slot to launch or ''}, or {'kept'}.

-- Those that were launched before the last one was noticed count as one with it. The
-- pause doubles each time; after the last one nobody looks until there is a new call.
local function count_failed_boot(pool, launched_at)
  local about = redis.call('HMGET', key('pool', pool), 'spec', 'failed_boots',
    'failed_at')
  if not about[1] or tonumber(launched_at or '0') <= tonumber(about[3] or '0') then
    return
  end
  local failed = tonumber(about[2] or '0') + 1
  local is_last = failed >= tonumber(ARGV[14])
  redis.call('HSET', key('pool', pool), 'failed_boots', failed, 'failed_at', text(now))
  local told = cjson.decode(ARGV[11])
  told.failed, told.is_last = failed, is_last
  local hold = math.min(600, tonumber(ARGV[13]) * 2 ^ math.min(failed - 1, 12))
  hold_pool(pool, hold, '*', cjson.encode(told), ARGV[12] == '1' or failed > 2)
  if is_last then
    redis.call('HSET', key('pool', pool), 'stopped', '1')
    redis.call('ZREM', TIMERS, 'p:' .. pool)
    local due = redis.call('ZRANGE', key('due', pool), 0, 0, 'WITHSCORES')[2]
    if due then look_at_pool(pool, tonumber(due)) end
  end
end

local slot = ARGV[1]
local got = redis.call('HMGET', key('slot', slot), 'pool', 'state', 'machine', 'fence',
  'job', 'made', 'latched', 'launched_at')
local pool, job = got[1], got[5] or ''
if not pool then  -- asked twice, as the first answer was lost
  return redis.call('EXISTS', key('stray', slot)) == 1 and {'lost', ''} or {'kept'}
end
local machine = got[3] or got[6] or ''
if got[2] ~= ARGV[2] or machine ~= ARGV[3] or (got[4] or '') ~= ARGV[4] then
  return {'kept'}
end
local timer = redis.call('ZSCORE', TIMERS, 's:' .. slot)
if not timer or not got[7] or tonumber(timer) ~= tonumber(got[7]) then
  return {'kept'}
end
if ARGV[5] ~= '1' then remember_stray(slot, machine) end
free_slot(pool, slot)
local about = redis.call('HMGET', key('job', job), 'fence', 'status')
if job ~= '' and about[2] == 'running' and about[1] == ARGV[4] then
  count('lost')
  interrupted(job, pool, tonumber(ARGV[9]), true, ARGV[6], ARGV[7], ARGV[8])
end
if got[2] == 'launching' and ARGV[11] ~= '' then
  count_failed_boot(pool, got[8])
  return {'lost', ''}
end
if slot_owed(pool) then
  add_slot(pool, ARGV[10], now + 10)
  return {'lost', ARGV[10]}
end
return {'lost', ''}
