local slot, state, seconds = unpack(ARGV)
-- The machine of this slot was seen alive at Fly, in this state of the slot: look again
-- later, but not after the time of one that is parked.
local present, latched, parked_until = read(key('slot', slot), 'state', 'latched',
  'parked_until')
local timer = redis.call('ZSCORE', TIMERS, 's:' .. slot)
if present == state and timer and tonumber(timer) == tonumber(latched or '') then
  local ends = present == 'parked' and tonumber(parked_until) or math.huge
  set_timer('s:' .. slot, math.min(ends, now + tonumber(seconds)))
end
return 1
