-- How many more jobs may jobs make now? Takes tokens of a bucket that all machines share.
-- ARGV: how many are wanted, tokens per second, burst
local wanted, rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local bucket = P .. ':nested'
local had = redis.call('HMGET', bucket, 'tokens', 'at')
local passed = math.max(0, now - tonumber(had[2] or now))
local tokens = math.min(burst, tonumber(had[1] or burst) + passed * rate)
local granted = math.floor(math.min(wanted, tokens))
redis.call('HSET', bucket, 'tokens', text(tokens - granted), 'at', text(now))
redis.call('PEXPIRE', bucket, 3600000)
return granted
