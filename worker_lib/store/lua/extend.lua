-- The machine of this slot was seen alive at Fly: look again later.
-- ARGV: slot, state that was seen, seconds
if redis.call('HGET', key('slot', ARGV[1]), 'state') == ARGV[2] then
  set_timer('s:' .. ARGV[1], now + tonumber(ARGV[3]))
end
return 1
