local wanted, rate, burst = unpack(ARGV)
-- How many more jobs may jobs make now? Takes tokens of a bucket that all machines share.
wanted, rate, burst = tonumber(wanted), tonumber(rate), tonumber(burst)
local bucket = P .. ':nested'
local had, at = read(bucket, 'tokens', 'at')
local passed = math.max(0, now - tonumber(at or now))
local tokens = math.min(burst, tonumber(had or burst) + passed * rate)
local granted = math.floor(math.min(wanted, tokens))
redis.call('HSET', bucket, 'tokens', text(tokens - granted), 'at', NOW)
redis.call('PEXPIRE', bucket, 3600000)
return granted
