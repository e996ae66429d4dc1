local batch, total = unpack(ARGV)
-- No further jobs come into a batch, `total` in all. Returns 1, or 0 if there is none.
if redis.call('EXISTS', key('batch', batch)) == 0 then return 0 end
redis.call('HSET', key('batch', batch), 'total', total)
wake_waiters(batch, '+inf')
return 1
