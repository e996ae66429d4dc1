local most = unpack(ARGV)
-- The machines that ended last, newest first, as JSON.
return redis.call('LRANGE', P .. ':exits', 0, most - 1)
