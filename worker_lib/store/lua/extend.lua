-- The machine of this slot was seen alive at Fly: look again later.
-- ARGV: slot, state that was seen, seconds
local got = redis.call('HMGET', key('slot', ARGV[1]), 'state', 'latched')
local timer = redis.call('ZSCORE', TIMERS, 's:' .. ARGV[1])
if got[1] == ARGV[2] and timer and tonumber(timer) == tonumber(got[2] or '') then
  set_timer('s:' .. ARGV[1], now + tonumber(ARGV[3]))
end
return 1
