local slot = unpack(ARGV)
-- Is the machine of this slot still awaited? Returns 1 from its launch, or start, until
-- its first claim, else 0.
local state = redis.call('HGET', key('slot', slot), 'state')
return (state == 'launching' or state == 'starting') and 1 or 0
