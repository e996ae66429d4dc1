local slot, state, machine, holds, gone, outcome, error, cause, exit_code, most_lost,
  slot_candidate, boot_reason, tell, first_hold, most_boots = unpack(ARGV)
-- The machine of this slot is gone, or silent for too long: free the slot, and run the
-- job that ran there again or fail it with this outcome; the others that it held wait in
-- line again, and none of them shares a machine's time with others from now on. Not if it
-- was heard of since somebody looked: then its timer is no longer the one that a sweep set,
-- or the slot is not as it was seen (`state`, `machine`, `holds`). `gone` is '1' if the
-- machine is known to be no more.
-- A new machine that was launched and never took a job has a `boot_reason` (JSON): it holds
-- the pool's launches for `first_hold` seconds, longer each time; `most_boots` in a row end
-- them. `tell` is '1' to tell waiters at once.
-- Returns {'lost', slot to launch or ''}, or {'kept'}.

-- Those that were launched before the last one was noticed count as one with it. The
-- pause doubles each time; after the last one nobody looks until there is a new call.
local function count_failed_boot(pool, launched_at)
  local spec, boots, failed_at = read(key('pool', pool), 'spec', 'failed_boots', 'failed_at')
  if not spec or tonumber(launched_at or '0') <= tonumber(failed_at or '0') then return end
  local failed = tonumber(boots or '0') + 1
  local is_last = failed >= tonumber(most_boots)
  redis.call('HSET', key('pool', pool), 'failed_boots', failed, 'failed_at', NOW)
  local told = cjson.decode(boot_reason)
  told.failed, told.is_last = failed, is_last
  local hold = math.min(600, tonumber(first_hold) * 2 ^ math.min(failed - 1, 12))
  hold_pool(pool, hold, '*', cjson.encode(told), tell == '1' or failed > 2)
  if is_last then
    redis.call('HSET', key('pool', pool), 'stopped', '1')
    redis.call('ZREM', TIMERS, 'p:' .. pool)
    local due = redis.call('ZRANGE', key('due', pool), 0, 0, 'WITHSCORES')[2]
    if due then look_at_pool(pool, tonumber(due)) end
  end
end

local pool, now_state, now_machine, now_holds, made, latched, launched_at = read(
  key('slot', slot), 'pool', 'state', 'machine', 'holds', 'made', 'latched', 'launched_at')
if not pool then  -- asked twice, as the first answer was lost
  return redis.call('EXISTS', key('stray', slot)) == 1 and {'lost', ''} or {'kept'}
end
local same_machine = (now_machine or made or '') == machine
if now_state ~= state or not same_machine or (now_holds or '') ~= holds then
  return {'kept'}
end
local timer = redis.call('ZSCORE', TIMERS, 's:' .. slot)
if not timer or not latched or tonumber(timer) ~= tonumber(latched) then
  return {'kept'}
end
if gone ~= '1' then remember_stray(slot, machine) end
redis.call('ZREM', key('parked', pool), slot)
free_slot(pool, slot, 'lost')
local runs = true
for job, fence in each_held(holds) do
  local status, its_fence = read(key('job', job), 'status', 'fence')
  if status == 'running' and its_fence == fence then
    if runs then
      interrupted(job, pool, tonumber(most_lost), true, outcome,
        {error = error, cause = cause, exit_code = exit_code})
      -- Of what it has printed, there is no more than what was followed.
      redis.call('PEXPIRE', key('live', job .. ':' .. fence),
        math.max(1, redis.call('PTTL', key('job', job))))
    else
      requeue(job, pool, read_pool(pool), 'alone', '1')
    end
  end
  runs = false
end
if state == 'launching' and boot_reason ~= '' then
  count_failed_boot(pool, launched_at)
  return {'lost', ''}
end
return {'lost', serve(pool, read_pool(pool), slot_candidate, now + 10)[1] or ''}
