-- No machine could be had: note why, hold the pool's launches a while, and if only a
-- person can help, wake those who wait for its jobs to tell them.
-- ARGV: slot, reason as JSON, seconds to hold, '1' to wake waiters, who was refused,
--   '1' if an earlier request may have made the machine all the same
-- Returns 1, or 0 if nothing was done: the machine has come, or the slot is gone.
local slot = ARGV[1]
local got = redis.call('HMGET', key('slot', slot), 'pool', 'state', 'machine', 'made')
local pool, state = got[1], got[2]
if not pool then return 0 end
if got[3] or (state ~= 'owed' and state ~= 'launching') then return 0 end
hold_pool(pool, tonumber(ARGV[3]), ARGV[5], ARGV[2], ARGV[4] == '1')
if ARGV[6] == '1' then remember_stray(slot, got[4] or '') end
free_slot(pool, slot)
return 1
