local pool = unpack(ARGV)
-- The parked machines of a pool are of no more use: they are to be destroyed, 50 of them
-- at a time.
-- Returns {slot, machine ...}.
local found = {}
for _, slot in ipairs(redis.call('ZRANGE', key('parked', pool), 0, 49)) do
  local state, machine = read(key('slot', slot), 'state', 'machine')
  redis.call('ZREM', key('parked', pool), slot)
  if state == 'parked' then
    remember_stray(slot, machine)
    free_slot(pool, slot)
    found[#found + 1], found[#found + 2] = slot, machine
  end
end
return found
