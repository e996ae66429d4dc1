-- What is done about machines that cannot be had, or are no longer wanted.

-- A slot was freed, and its machine may live: have it looked for and destroyed, by
-- any process that sweeps, until it is known to be gone or its time is over. One whose id is
-- unknown is searched by name, which Fly's list shows sooner.
local STRAY_MS, NAMELESS_MS, STRAY_GAP = 7 * DAY_MS, 3600000, 1

local function remember_stray(slot, machine)
  redis.call('HSET', key('stray', slot), 'machine', machine, 'looks', '0')
  redis.call('PEXPIRE', key('stray', slot), machine ~= '' and STRAY_MS or NAMELESS_MS)
  set_timer('m:' .. slot, now + STRAY_GAP)
end

-- No machine of a pool is launched for a while. The reason is shown; if `tell`, those
-- who wait for the jobs that are next are woken to be told; the others see it when they
-- look.
local TOLD_AT_ONCE = 100

local function hold_pool(pool, seconds, who, reason, tell)
  redis.call('HSET', key('pool', pool), 'hold_until', text(now + seconds),
    'held_for', who, 'trouble_at', NOW, 'trouble_until', text(now + seconds),
    tell and 'trouble' or 'reason', reason)
  redis.call('HDEL', key('pool', pool), tell and 'reason' or 'trouble')
  look_at_pool(pool, now + seconds)
  if not tell then return end
  local most = TOLD_AT_ONCE
  for queue in each(redis.call('HGET', key('pool', pool), 'queues') or '') do
    if most == 0 then break end
    local jobs = redis.call('ZRANGE', ready_key(pool, queue), 0, most - 1)
    for _, job in ipairs(jobs) do
      redis.call('RPUSH', key('out', job), '', '')
      redis.call('PEXPIRE', key('out', job), 2000)
      announce(job, 'trouble')
    end
    most = most - #jobs
  end
end
