-- Is the machine of this slot still awaited? ARGV: slot
-- Returns 1 from its launch until its first claim, else 0.
return redis.call('HGET', key('slot', ARGV[1]), 'state') == 'launching' and 1 or 0
