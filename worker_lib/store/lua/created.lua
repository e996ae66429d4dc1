local slot, machine = unpack(ARGV)
-- Fly has made the machine of this slot: keep its id, by which it is found although
-- lists may not show it yet.
-- Returns 1, or 0 if the slot is gone: its machine has ended, or is to be destroyed.
if redis.call('EXISTS', key('slot', slot)) == 1 then
  redis.call('HSET', key('slot', slot), 'made', machine)
  return 1
end
if redis.call('EXISTS', key('stray', slot)) == 1 then remember_stray(slot, machine) end
return 0
