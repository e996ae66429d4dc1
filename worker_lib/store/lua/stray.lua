local slot, machine, remember = unpack(ARGV)
-- A machine that no slot is kept for: remember to destroy it ('1'), or that it is gone.
if remember == '1' then
  if redis.call('EXISTS', key('stray', slot)) == 0 then remember_stray(slot, machine) end
else
  redis.call('DEL', key('stray', slot))
  redis.call('ZREM', TIMERS, 'm:' .. slot)
end
return 1
