local entry = unpack(ARGV)
-- Keep what somebody did, as JSON; the time is added. Returns the time.
redis.call('LPUSH', P .. ':audit', NOW .. ' ' .. entry)
redis.call('LTRIM', P .. ':audit', 0, 999)
redis.call('PEXPIRE', P .. ':audit', LONG_MS)
return NOW
