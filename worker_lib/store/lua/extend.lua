local slot, state, seconds = unpack(ARGV)
-- The machine of this slot was seen alive at Fly, in this state of the slot: look again
-- later.
local present, latched = read(key('slot', slot), 'state', 'latched')
local timer = redis.call('ZSCORE', TIMERS, 's:' .. slot)
if present == state and timer and tonumber(timer) == tonumber(latched or '') then
  set_timer('s:' .. slot, now + tonumber(seconds))
end
return 1
