local job = unpack(ARGV)
-- What the attempts of a job printed. Returns {'fence sealed output' ...}, oldest first.
return redis.call('LRANGE', key('log', job), 0, -1)
