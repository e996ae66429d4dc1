-- No machine could be had: note why, hold the pool's launches a while, and if only a
-- person can help, wake those who wait for its jobs to tell them.
-- ARGV: slot, reason as JSON, seconds to hold, '1' to wake waiters, who was refused
local slot = ARGV[1]
local pool = redis.call('HGET', key('slot', slot), 'pool')
if not pool then return 0 end
local hold = tonumber(ARGV[3])
redis.call('HSET', key('pool', pool), 'hold_until', text(now + hold),
  'held_for', ARGV[5], 'trouble_at', text(now), 'trouble_until', text(now + hold))
redis.call('HDEL', key('pool', pool), 'trouble', 'reason')
free_slot(pool, slot)
look_at_pool(pool, now + hold)
if ARGV[4] ~= '1' then
  redis.call('HSET', key('pool', pool), 'reason', ARGV[2])
  return 1
end
redis.call('HSET', key('pool', pool), 'trouble', ARGV[2])
for _, job in ipairs(redis.call('ZRANGE', key('ready', pool), 0, 99)) do
  redis.call('RPUSH', key('out', job), '', '')
  redis.call('PEXPIRE', key('out', job), 2000)
  announce(job, 'trouble')
end
return 1
