-- A machine that no slot is kept for: remember to destroy it, or that it is gone.
-- ARGV: slot, machine, '1' to remember it, '' to forget it
if ARGV[3] == '1' then
  if redis.call('EXISTS', key('stray', ARGV[1])) == 0 then
    remember_stray(ARGV[1], ARGV[2])
  end
else
  redis.call('DEL', key('stray', ARGV[1]))
  redis.call('ZREM', TIMERS, 'm:' .. ARGV[1])
end
return 1
