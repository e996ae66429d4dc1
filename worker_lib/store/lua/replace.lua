local slot, slot_candidate = unpack(ARGV)
-- The parked machine of this slot cannot be started again: it is destroyed, and another
-- takes its place. Asked twice, it says the same.
-- Returns the slot to launch instead, or '' if none is needed.
local pool, state, machine = read(key('slot', slot), 'pool', 'state', 'machine')
if not pool then return redis.call('HGET', key('stray', slot), 'next') or '' end
if state ~= 'starting' then return '' end  -- it has come all the same
remember_stray(slot, machine)
redis.call('ZREM', key('parked', pool), slot)
free_slot(pool, slot)
local about, other = read_pool(pool), ''
if slot_owed(pool, about) then other = owe_slot(pool, slot_candidate, now + 10) end
redis.call('HSET', key('stray', slot), 'next', other)
return other
