local slot = unpack(ARGV)
-- Is the machine of this slot still awaited? Returns 1 from its launch until its first
-- claim, else 0.
return redis.call('HGET', key('slot', slot), 'state') == 'launching' and 1 or 0
