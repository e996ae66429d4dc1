-- The newest jobs' ids. ARGV: how many
return redis.call('ZREVRANGE', JOBS, 0, tonumber(ARGV[1]) - 1)
