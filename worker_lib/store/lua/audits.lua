local most = unpack(ARGV)
-- What people did last, newest first: a time and JSON each.
return redis.call('LRANGE', P .. ':audit', 0, most - 1)
