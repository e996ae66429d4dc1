-- Fly has made the machine of this slot: keep its id, by which it is found although
-- lists may not show it yet. ARGV: slot, machine
-- Returns 1, or 0 if the slot is gone: its machine has ended, or is to be destroyed.
if redis.call('EXISTS', key('slot', ARGV[1])) == 1 then
  redis.call('HSET', key('slot', ARGV[1]), 'made', ARGV[2])
  return 1
end
if redis.call('EXISTS', key('stray', ARGV[1])) == 1 then
  remember_stray(ARGV[1], ARGV[2])
end
return 0
